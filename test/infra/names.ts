import assert from 'node:assert/strict';

/** What the first group of a pattern matches, everywhere in a text. */
export function namesIn(text: string, pattern: RegExp): readonly string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** Fails unless every name is one of those known, with the names that are not. */
export function requireKnown(names: Iterable<string>, known: Iterable<string>): void {
  const all = new Set(known);
  assert.deepEqual(
    [...names].filter((name) => !all.has(name)),
    [],
  );
}
