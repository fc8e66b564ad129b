import type { LogFields, Logger } from './logger.ts';

/** Takes the fields of every line that metrics are made of, whatever level is written. */
export type RecordLine = (fields: LogFields) => void;

/**
 * A logger that gives lines with an `entry` to a recorder too, so that metrics have one source: what
 * a log-based metric counts and what is exported cannot differ.
 */
export function meteredLogger(logger: Logger, record: RecordLine): Logger {
  function withFields(inner: Logger, always: LogFields): Logger {
    const note = (fields: LogFields = {}): void => {
      const all = { ...always, ...fields };
      if (all['entry'] !== undefined) record(all);
    };
    return {
      log: (severity, message, fields) => {
        note(fields);
        inner.log(severity, message, fields);
      },
      debug: (message, fields) => {
        note(fields);
        inner.debug(message, fields);
      },
      info: (message, fields) => {
        note(fields);
        inner.info(message, fields);
      },
      notice: (message, fields) => {
        note(fields);
        inner.notice(message, fields);
      },
      warning: (message, fields) => {
        note(fields);
        inner.warning(message, fields);
      },
      error: (message, fields) => {
        note(fields);
        inner.error(message, fields);
      },
      child: (fields) => withFields(inner.child(fields), { ...always, ...fields }),
    };
  }
  return withFields(logger, {});
}
