/** Cloud Logging's severities, mildest first (LogEntry, "LogSeverity"). */
const SEVERITIES = [
  'DEBUG',
  'INFO',
  'NOTICE',
  'WARNING',
  'ERROR',
  'CRITICAL',
  'ALERT',
  'EMERGENCY',
] as const;

/** See {@link SEVERITIES}. */
export type Severity = (typeof SEVERITIES)[number];

/** The mildest severity that is written, as an option names it. */
export const LOG_LEVELS = ['debug', 'info', 'notice', 'warning', 'error'] as const;

/** See {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Whether a line of this severity is written at this level. */
export function isWritten(severity: Severity, level: LogLevel): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(level.toUpperCase() as Severity);
}

/** Flux's word for a severity: its controllers know `debug`, `info` and `error` (zap). */
export function fluxLevel(severity: Severity): 'debug' | 'info' | 'error' {
  if (severity === 'DEBUG') return 'debug';
  return SEVERITIES.indexOf(severity) < SEVERITIES.indexOf('ERROR') ? 'info' : 'error';
}
