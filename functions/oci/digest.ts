import { createHash, type Hash } from 'node:crypto';

import { MirrorError, printable } from '../errors.ts';

/** Hash algorithms of a digest that are supported (OCI Image 1.1, "Registered algorithms"). */
export type DigestAlgorithm = 'sha256' | 'sha512';

/** The two parts of a digest. */
export interface ParsedDigest {
  readonly algorithm: DigestAlgorithm;
  /** Lower-case hexadecimal: 64 digits of sha256, 128 of sha512. */
  readonly hex: string;
}

/** OCI Image 1.1, "Digests"; other algorithms cannot be verified and are refused. */
const DIGEST = /^(?:(sha256):([0-9a-f]{64})|(sha512):([0-9a-f]{128}))$/;

/** Whether `text` is a digest that can be verified. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** `text` itself, where it is a digest. @throws MirrorError `DIGEST_INVALID` */
export function requireDigest(text: string): string {
  // guard: digest-grammar
  if (!isDigest(text))
    throw new MirrorError('DIGEST_INVALID', `'${printable(text)}' is no digest`, {
      operation: 'parse digest',
    });
  return text;
}

/** Splits a digest. @throws MirrorError `DIGEST_INVALID` */
export function parseDigest(text: string): ParsedDigest {
  const match = DIGEST.exec(requireDigest(text));
  return match?.[1] === undefined
    ? { algorithm: 'sha512', hex: match?.[4] ?? '' }
    : { algorithm: 'sha256', hex: match[2] ?? '' };
}

/** Digest of `bytes`; sha256 unless another algorithm is asked for. */
export function digestOf(bytes: Uint8Array, algorithm: DigestAlgorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`;
}

/** A hash of the algorithm that `digest` names, to verify a stream with. @throws MirrorError `DIGEST_INVALID` */
export function hashFor(digest: string): Hash {
  return createHash(parseDigest(digest).algorithm);
}

/** Whether `hash`, fed with all bytes, comes to `digest`. Ends the hash: it cannot be fed again. */
export function hashMatches(hash: Hash, digest: string): boolean {
  return hash.digest('hex') === parseDigest(digest).hex;
}

/** Whether `bytes` have `digest`, in its own algorithm. @throws MirrorError `DIGEST_INVALID` */
export function hasDigest(bytes: Uint8Array, digest: string): boolean {
  return digestOf(bytes, parseDigest(digest).algorithm) === digest;
}
