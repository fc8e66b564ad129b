import { loggerOf, type LogFields, type Logger } from './logger.ts';

/** Takes the fields of every line that metrics are made of, whatever level is written. */
export type RecordLine = (fields: LogFields) => void;

/**
 * A logger that gives lines with an `entry` to a recorder too, so that metrics have one source: what
 * a log-based metric counts and what is exported cannot differ.
 */
export function meteredLogger(logger: Logger, record: RecordLine): Logger {
  function withFields(inner: Logger, always: LogFields): Logger {
    return loggerOf(
      (severity, message, fields) => {
        const all = { ...always, ...fields };
        if (all['entry'] !== undefined) record(all);
        inner.log(severity, message, fields);
      },
      (fields) => withFields(inner.child(fields), { ...always, ...fields }),
    );
  }
  return withFields(logger, {});
}
