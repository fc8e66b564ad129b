import { MirrorError, isMirrorError, printable, type ErrorCode } from '../errors.ts';

/** Codes of Node's HTTP parser and TLS that are no mere broken connection. */
const SPECIAL: Readonly<Record<string, ErrorCode>> = {
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
export function networkError(error: unknown): MirrorError {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if (isMirrorError(at)) return at;
  }
  const code = errorCode(error);
  const reason = error instanceof Error ? printable(error.message) : 'the connection failed';
  if (code.startsWith('HPE_')) {
    return new MirrorError(
      SPECIAL[code] ?? 'RESPONSE_INVALID',
      `no HTTP that may be read: ${parserWords(error)} (${code}${placeWords(error)}); ` +
        'what answers there, the registry or a proxy before it, is to be mended',
    );
  }
  if (code === 'ETIMEDOUT') return new MirrorError('TIMEOUT', 'the connection timed out');
  if (CERTIFICATE.test(code)) {
    return new MirrorError('CERTIFICATE_REFUSED', `the certificate is not trusted (${code})`);
  }
  if (code === 'EPROTO' || code.startsWith('ERR_SSL_')) {
    // OpenSSL's text names files and lines of its own.
    return NO_TLS.test(`${code} ${reason}`)
      ? new MirrorError('TLS_REFUSED', `what answers speaks no TLS (${code})`)
      : new MirrorError('NETWORK', `TLS failed (${code})`);
  }
  const said = WORDS[code] ?? reason;
  return new MirrorError('NETWORK', code === '' ? said : `${said} (${code})`); // guard: raw-error, without: return new MirrorError('NETWORK', `${said} (${code})`, { cause: error });
}

/**
 * HTTP that the strict parser refuses and that has one meaning all the same, as the field's clients (Go's
 * net/http) read it: lines that end with LF alone, a header value on several lines (RFC 9112 §5.2), a
 * body in chunks with a Content-Length beside it (§6.3: the chunks count), spaces after a chunk's size, and
 * another version of HTTP/1. By the codes and reasons of Node's parser (llhttp).
 */
const READABLE: Readonly<Record<string, RegExp>> = {
  HPE_CR_EXPECTED: /after (?:response line|header value)|before headers/i,
  HPE_INVALID_HEADER_TOKEN: /whitespace after header value/i,
  HPE_INVALID_TRANSFER_ENCODING: /with content-length/i,
  HPE_INVALID_CHUNK_SIZE: /invalid character in chunk size/i,
  HPE_INVALID_VERSION: /invalid http version/i,
};

/** Whether a lenient parser may read what the strict one refused. */
export function isReadableOddity(error: unknown): boolean {
  return READABLE[errorCode(error)]?.test(parserWords(error)) === true;
}

interface ParserError {
  readonly reason?: unknown;
  readonly rawPacket?: unknown;
  readonly bytesParsed?: unknown;
}

/** What Node's parser says of the answer: its own words, never the answer's. */
function parserWords(error: unknown): string {
  const { reason } = parserError(error);
  return typeof reason === 'string' ? printable(reason) : 'it cannot be parsed';
}

/** Where the parser stopped, as the name of the header there; a header's value may be a secret. */
function placeWords(error: unknown): string {
  const { rawPacket, bytesParsed } = parserError(error);
  if (/content-length/i.test(parserWords(error))) return " in the header 'Content-Length'";
  if (!Buffer.isBuffer(rawPacket) || typeof bytesParsed !== 'number') return '';
  const packet = rawPacket.toString('latin1');
  const lineAt = packet.lastIndexOf('\n', Math.max(bytesParsed - 1, 0)) + 1;
  const line = packet.slice(lineAt);
  if (/^HTTP\//i.test(line)) return ' in the status line';
  const [, name] = NAME.exec(line) ?? [];
  if (name !== undefined) return ` in the header '${printable(name)}'`;
  return ` in line ${packet.slice(0, lineAt).split('\n').length} of what came`;
}

/** Something that was meant as the name of a header; the text of a body is none. */
const NAME = /^([\w!#$%&'*+.^`|~()\u0080-\u00ff -]{1,64}):/;

function parserError(error: unknown): ParserError {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) {
    if ('reason' in at) return at;
  }
  return {};
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
