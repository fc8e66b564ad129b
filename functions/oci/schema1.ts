import { MirrorError } from '../errors.ts';

interface Signature {
  readonly protected?: unknown;
}

/**
 * The bytes that the digest of a signed Docker schema 1 manifest covers: the JWS payload, which is
 * the document without its signatures (Docker Registry, "Image Manifest Version 2, Schema 1",
 * signed manifests: `formatLength` and `formatTail` of the protected header). An unsigned
 * document is its own payload.
 * @throws MirrorError `MANIFEST_INVALID`
 */
export function schema1Payload(bytes: Buffer, document: unknown): Buffer {
  const signatures = (document as { signatures?: unknown } | null)?.signatures;
  if (signatures === undefined) return bytes;
  if (!Array.isArray(signatures) || signatures.length === 0) throw invalid('signatures');
  const payloads = signatures.map((signature: unknown) => payloadOf(bytes, signature));
  const [first, ...rest] = payloads;
  if (first === undefined || rest.some((payload) => !payload.equals(first))) {
    throw invalid('signatures that cover different bytes');
  }
  return first;
}

function payloadOf(bytes: Buffer, signature: unknown): Buffer {
  const header = (signature as Signature | null)?.protected;
  if (typeof header !== 'string') throw invalid('protected header');
  const { formatLength, formatTail } = parseHeader(header);
  const usable =
    typeof formatLength === 'number' &&
    Number.isSafeInteger(formatLength) &&
    formatLength >= 0 &&
    formatLength <= bytes.length &&
    typeof formatTail === 'string';
  if (!usable) throw invalid('formatLength or formatTail');
  return Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
}

function parseHeader(header: string): {
  readonly formatLength?: unknown;
  readonly formatTail?: unknown;
} {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(header, 'base64url').toString('utf8'));
    return typeof parsed === 'object' && parsed !== null ? parsed : {};
  } catch {
    throw invalid('protected header');
  }
}

function invalid(what: string): MirrorError {
  return new MirrorError('MANIFEST_INVALID', `schema 1 manifest with an unusable ${what}`, {
    operation: 'parse manifest',
  });
}
