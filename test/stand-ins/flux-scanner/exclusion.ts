import { RE2JS } from 're2js';

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
