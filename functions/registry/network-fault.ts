import { Fault, isFault, printable, type FaultCode } from '../fault.ts';

/** Codes of Node's HTTP parser and TLS that are no mere broken connection. */
const SPECIAL: Readonly<Record<string, FaultCode>> = {
  HPE_HEADER_OVERFLOW: 'RESPONSE_TOO_LARGE',
};

/** What a code of the system says, in words. */
const WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was closed',
  EPIPE: 'the connection was closed',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name could not be looked up',
  EHOSTUNREACH: 'the host cannot be reached',
  ENETUNREACH: 'the network cannot be reached',
};

/** OpenSSL's reasons for an answer that is no TLS. */
const NO_TLS = /wrong[ _]version[ _]number|packet[ _]length[ _]too[ _]long|http[ _]request/i;
/** Node's codes of certificates (nodejs.org/api/tls, "X509 certificate error codes"). */
const CERTIFICATE =
  /^(?:ERR_TLS_CERT_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_(?:GET|VERIFY)_|INVALID_CA|HOSTNAME_MISMATCH)/;

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
    return new Fault(
      SPECIAL[code] ?? 'RESPONSE_INVALID',
      `no HTTP response (${code}${headerWords(error)})`,
    );
  }
  if (code === 'ETIMEDOUT') return new Fault('TIMEOUT', 'the connection timed out');
  if (CERTIFICATE.test(code)) {
    return new Fault('CERTIFICATE_REFUSED', `the certificate is not trusted (${code})`);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    // OpenSSL's text names files and lines of its own.
    return NO_TLS.test(`${code} ${reason}`)
      ? new Fault('TLS_REFUSED', `what answers speaks no TLS (${code})`)
      : new Fault('NETWORK', `the TLS handshake failed (${code})`);
  }
  const said = WORDS[code] ?? reason;
  return new Fault('NETWORK', code === '' ? said : `${said} (${code})`); // guard: raw-error, without: return new Fault('NETWORK', `${said} (${code})`, { cause: error });
}

/** Where the parser stopped, as the name of the header there; a header's value may be a secret. */
function headerWords(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    const { rawPacket, bytesParsed } = at as { rawPacket?: unknown; bytesParsed?: unknown };
    if (!Buffer.isBuffer(rawPacket) || typeof bytesParsed !== 'number') continue;
    const head = rawPacket.toString('latin1');
    const line = head.slice(head.lastIndexOf('\n', Math.max(bytesParsed - 1, 0)) + 1);
    const [name = ''] = line.split(/[:\r\n]/, 1);
    return name === '' ? '' : ` in the header '${printable(name.slice(0, 64))}'`;
  }
  return '';
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
