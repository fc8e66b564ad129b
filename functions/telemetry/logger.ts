import { oneLine, shownJson } from '../errors.ts';
import { faultFields, stackTrace } from './error-fields.ts';
import { fluxLevel, isWritten, type LogLevel, type Severity } from './severity.ts';

/** What stands beside the message of a line. */
export interface LogFields {
  /** Written as code, operation, side, URL, advice and causes; never as the raw error. */
  readonly error?: unknown;
  readonly [name: string]: unknown;
}

/** Writes structured lines: what happened as a sentence, figures and names as fields. */
export interface Logger {
  log(severity: Severity, message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  notice(message: string, fields?: LogFields): void;
  warning(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** A logger whose every line has these fields too. */
  child(fields: LogFields): Logger;
}

/** How lines are written; see {@link createLogger}. */
export interface LoggerOptions {
  /** Default `info`. */
  readonly level?: LogLevel;
  /** `json`: one object a line, as Cloud Logging reads it. `console`: for a person. Default `json`. */
  readonly encoding?: 'json' | 'console';
  /** Adds `level`, `ts` and `msg`, the keys of Flux's controllers. Default false. */
  readonly fluxKeys?: boolean;
  /** Name and revision for Error Reporting (Cloud Run: `K_SERVICE`, `K_REVISION`). */
  readonly service?: { readonly name: string; readonly version: string };
  /** Takes one line with its line end. Default: standard output. */
  readonly write?: (line: string) => void;
  /** Default: the wall clock. */
  readonly now?: () => Date;
}

/**
 * A logger of one JSON object a line on standard output with the special fields of Cloud Logging
 * (cloud.google.com/logging/docs/structured-logging), message first; lines of severity `ERROR` and
 * above carry `stack_trace` for Error Reporting.
 */
export function createLogger(options: LoggerOptions = {}): Logger {
  const {
    level = 'info',
    encoding = 'json',
    fluxKeys = false,
    service,
    write = (line: string): void => void process.stdout.write(line),
    now = (): Date => new Date(),
  } = options;

  function lineOf(severity: Severity, message: string, fields: LogFields): string {
    const time = now().toISOString();
    if (encoding === 'console') return consoleLine(time, severity, message, fields);
    const { error, ...rest } = fields;
    return shownJson({
      message,
      severity,
      time,
      ...(fluxKeys && { level: fluxLevel(severity), ts: time, msg: message }),
      ...rest,
      ...(error !== undefined && errorFields(severity, error)),
    });
  }

  function errorFields(severity: Severity, error: unknown): LogFields {
    const stack = isWritten(severity, 'error') ? stackTrace(error) : undefined;
    return {
      error: faultFields(error),
      stack_trace: stack,
      serviceContext:
        stack === undefined || service === undefined
          ? undefined
          : { service: service.name, version: service.version },
    };
  }

  function withFields(always: LogFields): Logger {
    const log = (severity: Severity, message: string, fields: LogFields = {}): void => {
      if (!isWritten(severity, level)) return;
      write(`${lineOf(severity, message, { ...always, ...fields })}\n`);
    };
    return loggerOf(log, (fields) => withFields({ ...always, ...fields }));
  }

  return withFields({});
}

/** A logger whose lines of every severity go through one function. */
export function loggerOf(log: Logger['log'], child: Logger['child']): Logger {
  return {
    log,
    debug: (message, fields) => {
      log('DEBUG', message, fields);
    },
    info: (message, fields) => {
      log('INFO', message, fields);
    },
    notice: (message, fields) => {
      log('NOTICE', message, fields);
    },
    warning: (message, fields) => {
      log('WARNING', message, fields);
    },
    error: (message, fields) => {
      log('ERROR', message, fields);
    },
    child,
  };
}

/** `12:04:55 WARNING message  key=value …`; nested values and Cloud Logging's own keys are left out. */
function consoleLine(time: string, severity: Severity, message: string, fields: LogFields): string {
  const { error, ...rest } = fields;
  const pairs = Object.entries(rest)
    .filter(([name, value]) => !name.includes('/') && ['string', 'number'].includes(typeof value))
    .map(([name, value]) => `${name}=${String(value)}`);
  const cause = error === undefined ? undefined : faultFields(error);
  const reason = cause === undefined ? [] : [`${cause.code}: ${cause.message}`];
  return oneLine(
    [`${time.slice(11, 19)} ${severity.padEnd(7)} ${message}`, ...reason, ...pairs].join('  '),
  );
}
