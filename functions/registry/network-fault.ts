import { Fault, isFault, printable, type FaultCode } from '../fault.ts';

/** Codes of Node's HTTP parser and TLS that are no mere broken connection. */
const SPECIAL: Readonly<Record<string, FaultCode>> = {
  HPE_HEADER_OVERFLOW: 'RESPONSE_TOO_LARGE',
};

/**
 * Makes a fault of what the HTTP library threw. Nothing of the error but its code and message goes
 * on: its other fields hold request headers, which hold credentials.
 */
export function networkFault(error: unknown): Fault {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (isFault(at)) return at;
  }
  const code = errorCode(error);
  const reason = error instanceof Error ? printable(error.message) : 'the connection failed';
  if (code.startsWith('HPE_')) {
    return new Fault(SPECIAL[code] ?? 'RESPONSE_INVALID', `no HTTP response (${code})`);
  }
  if (code === 'ETIMEDOUT') return new Fault('TIMEOUT', 'the connection timed out');
  return new Fault('NETWORK', code === '' ? reason : `${reason} (${code})`); // guard: raw-error, without: return new Fault('NETWORK', `${reason} (${code})`, { cause: error });
}

/** The system's or the library's code of an error, the innermost that is one; empty where there is none. */
export function errorCode(error: unknown): string {
  let found = '';
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string' && code !== 'ERR_GOT_REQUEST_ERROR') found = code;
  }
  return found;
}
