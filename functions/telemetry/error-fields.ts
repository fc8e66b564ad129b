import { MirrorError, ERRORS, printable } from '../errors.ts';

/** What a log line says of an error. */
export interface ErrorFields {
  readonly code: string;
  readonly disposition: string;
  readonly message: string;
  readonly advice: string;
  readonly operation?: string;
  readonly side?: string;
  readonly url?: string;
  readonly status?: number;
  readonly registryCodes?: readonly string[];
  readonly field?: string;
  /** Messages of the errors below, outermost first. */
  readonly causes?: readonly string[];
}

/** What is said of an error that is no fault. */
const UNKNOWN = { code: 'INTERNAL', ...ERRORS.INTERNAL } as const;

/** Deepest chain of causes that a line tells. */
const MAX_CAUSES = 5;

/**
 * An error as fields of a log line: only what is known to be fit for one. Of anything but a fault
 * no more than name, code and message is taken, since HTTP libraries keep request headers in their
 * errors.
 */
export function faultFields(error: unknown): ErrorFields {
  const fault = error instanceof MirrorError ? error : undefined;
  const { code, disposition, advice } = fault ?? UNKNOWN;
  return {
    code,
    disposition,
    message: safeText(messageOf(error)),
    advice,
    ...withoutEmpty({
      operation: fault?.operation,
      side: fault?.side,
      url: fault?.url === undefined ? undefined : safeText(fault.url),
      status: fault?.status,
      registryCodes: fault?.registryCodes.map(printable),
      field: fault?.field === undefined ? undefined : safeText(fault.field),
      causes: causesOf(error),
    }),
  };
}

/** The stack of an error, its text made safe: Error Reporting reads it as `stack_trace`. */
export function stackTrace(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.stack === undefined) return undefined;
  const frames = error.stack.split('\n').filter((line) => /^\s+at /.test(line));
  return [`${error.name}: ${safeText(error.message)}`, ...frames].join('\n');
}

function causesOf(error: unknown): readonly string[] {
  const causes: string[] = [];
  let below = error instanceof Error ? error.cause : undefined;
  while (below !== undefined && below !== null && causes.length < MAX_CAUSES) {
    causes.push(
      safeText(below instanceof MirrorError ? `${below.code}: ${below.message}` : textOf(below)),
    );
    below = below instanceof Error ? below.cause : undefined;
  }
  return causes;
}

function messageOf(error: unknown): string {
  return error instanceof MirrorError ? error.message : textOf(error);
}

function textOf(error: unknown): string {
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? ` ${error.code}` : '';
    return `${error.name}${code}: ${error.message}`;
  }
  return typeof error === 'string' ? error : `a thrown ${typeof error}`;
}

/** Without control characters, the queries of URLs, their user names and bearer tokens. */
function safeText(text: string): string {
  return printable(
    text
      .replace(/(https?:\/\/)[^\s/@]*@/gi, '$1') // guard: log-user, without: .toString()
      .replace(/(https?:\/\/[^\s?'"]*)\?[^\s'"]*/gi, '$1?…') // guard: log-query, without: .toString()
      .replace(/\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi, '$1 …'), // guard: log-token, without: .toString(),
  );
}

/** The fields that say something: not undefined, no empty list. */
function withoutEmpty(fields: Readonly<Record<string, unknown>>): Partial<ErrorFields> {
  return Object.fromEntries(
    Object.entries(fields).filter(
      ([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0),
    ),
  );
}
