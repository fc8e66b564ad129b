import { RE2JS } from 're2js';

/** Tags that Flux shows in `latestTags`, at most. */
const LATEST_TAGS = 10;

/** What Flux excludes where a list is absent or empty. */
const DEFAULT_EXCLUSION = ['^.*\\.sig$'] as const;

/** The exclusion list in force for a spec. */
export function effectiveExclusion(list: readonly string[] | undefined): readonly string[] {
  return list === undefined || list.length === 0 ? DEFAULT_EXCLUSION : list;
}

/**
 * The tags that match none of the patterns: RE2, unanchored.
 * @throws Error naming the first pattern that is no RE2 expression
 */
export function withoutExcluded(
  tags: readonly string[],
  patterns: readonly string[],
): readonly string[] {
  const compiled = patterns.map(compile);
  return tags.filter((tag) => !compiled.some((pattern) => pattern.matcher(tag).find()));
}

function compile(pattern: string): RE2JS {
  try {
    return RE2JS.compile(pattern);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`failed to compile regex ${pattern}: ${why}`, { cause: error });
  }
}

/** The tags in Flux's order: descending by bytes. */
export function sortTags(tags: readonly string[]): readonly string[] {
  return [...tags].sort((a, b) => Buffer.compare(Buffer.from(b), Buffer.from(a)));
}

/**
 * The revision of a scan over tags in the order given, as Flux's default storage computes it: the
 * decimal Adler-32 (RFC 1950) of their JSON array.
 */
export function revisionOf(tags: readonly string[]): string {
  return String(adler32(Buffer.from(goJson(tags))));
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
