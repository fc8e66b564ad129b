import { createHash } from 'node:crypto';

/**
 * Where Flux keeps the tags, which decides what a revision looks like: `badger` (its default) or
 * `files`, its feature gate `FluxStorage`.
 */
export type TagStorage = 'badger' | 'files';

/** Tags that Flux shows in `latestTags`, at most. */
const LATEST_TAGS = 10;

/** The tags in Flux's order: descending by bytes. */
export function sortTags(tags: readonly string[]): readonly string[] {
  return [...tags].sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
}

/**
 * The revision of a scan over tags in the order given: `badger` the decimal Adler-32 (RFC 1950) of
 * their JSON array, `files` `sha256:` and the hex digest of their lines.
 */
export function revisionOf(tags: readonly string[], storage: TagStorage): string {
  if (storage === 'badger') return String(adler32(Buffer.from(goJson(tags))));
  const lines = tags.map((tag) => `${tag}\n`).join('');
  return `sha256:${createHash('sha256').update(lines).digest('hex')}`;
}

/** The sample of tags that status shows; of sorted tags the first ten. */
export function latestTags(sorted: readonly string[]): readonly string[] {
  return sorted.slice(0, LATEST_TAGS);
}

/** Go's encoding escapes what would be dangerous in HTML; tags have none of it, other names might. */
function goJson(tags: readonly string[]): string {
  return JSON.stringify(tags).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function adler32(bytes: Buffer): number {
  const modulus = 65521;
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % modulus;
    b = (b + a) % modulus;
  }
  return b * 65536 + a;
}
