import { createHash, type Hash } from 'node:crypto';

/** The registered algorithms of OCI Image 1.1, "Digests". */
export type DigestAlgorithm = 'sha256' | 'sha512';

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** Whether a text is a digest of a registered algorithm, fully written out. */
export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** The algorithm that a valid digest names. */
export function algorithmOf(digest: string): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

/** Digest of bytes in memory. */
export function digestOf(
  bytes: Buffer | string | Iterable<Buffer>,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  const hash = createHash(algorithm);
  if (typeof bytes === 'string' || Buffer.isBuffer(bytes)) hash.update(bytes);
  else for (const chunk of bytes) hash.update(chunk);
  return finishDigest(hash, algorithm);
}

/** Text form of a running hash, which is consumed. */
export function finishDigest(hash: Hash, algorithm: DigestAlgorithm): string {
  return `${algorithm}:${hash.digest('hex')}`;
}
