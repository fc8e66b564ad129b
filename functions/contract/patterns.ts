import { RE2JS, RE2JSSyntaxException } from 're2js';

import { MirrorError, printable } from '../errors.ts';

/** Most patterns in one list; Flux's own limit for the exclusion list. */
const MAX_PATTERNS = 25;
/** Longest pattern, in characters. */
export const MAX_PATTERN_LENGTH = 512;

/**
 * Most instructions that the patterns of one list compile to, together: a tag costs time in
 * proportion to them. semver.org's own pattern has 67, so that a list of 25 such fits.
 */
const MAX_INSTRUCTIONS = 2000;

/** Flux's default exclusion list (ImageRepository v1, `spec.exclusionList`). */
export const DEFAULT_EXCLUSION_LIST: readonly string[] = [String.raw`^.*\.sig$`];

/** Tags whose names say that they move: the default of `MUTABLE_TAGS`. */
export const DEFAULT_MUTABLE_TAGS = String.raw`^(latest|stable|edge|nightly|main|master|dev.*|v?\d+(\.\d+)?)$`;

/** Tests tags against patterns in linear time. */
export type TagTest = (tag: string) => boolean;

/** Patterns that are ready to be tested. */
export interface Patterns {
  /** Whether any of them matches, unanchored, with the semantics of Go's `regexp`. */
  readonly test: TagTest;
  /** What RE2 compiles them to, together. */
  readonly instructions: number;
}

/**
 * The defaults, which nearly every event brings, mean the same to V8 and are linear there too. RE2's first pattern
 * costs a cold start 5 ms.
 */
const DEFAULTS: ReadonlyMap<string, Patterns> = new Map(
  [...DEFAULT_EXCLUSION_LIST, DEFAULT_MUTABLE_TAGS].map((text) => {
    const native = new RegExp(text);
    return [text, { test: (tag) => native.test(tag), instructions: text.length }];
  }),
);

/**
 * Refuses patterns that RE2 does not take, and lists that cost too much.
 * @throws MirrorError `EVENT_INVALID` naming the field, or `[2]` alone
 */
export function requirePatterns(patterns: string | readonly string[], field = ''): void {
  compilePatterns([patterns].flat(), field);
}

/**
 * Makes a list of patterns ready; an empty one matches nothing.
 * @throws MirrorError `EVENT_INVALID` naming the pattern's field (`FIELD[2]`)
 */
export function compilePatterns(patterns: readonly string[], field: string): Patterns {
  // guard: pattern-count
  if (patterns.length > MAX_PATTERNS) {
    throw selectionRefusal(
      field,
      `has ${patterns.length} patterns, at most ${MAX_PATTERNS} are taken`,
    );
  }
  let instructions = 0;
  const compiled = patterns.map((pattern, index) => {
    const at = `${field}[${index}]`;
    // guard: pattern-length
    if (pattern.length > MAX_PATTERN_LENGTH) {
      throw selectionRefusal(at, `is longer than ${MAX_PATTERN_LENGTH} characters`);
    }
    const one = compileOne(pattern, at);
    instructions += one.instructions;
    // guard: pattern-cost
    if (instructions > MAX_INSTRUCTIONS) {
      const all = index === 0 ? '' : ' with those before it';
      const why = `compiles to ${instructions} instructions${all}, at most ${MAX_INSTRUCTIONS} are taken`;
      throw selectionRefusal(at, `${why}: shorten it or its repetitions`);
    }
    return one.test;
  });
  return { test: (tag) => compiled.some((test) => test(tag)), instructions };
}

function compileOne(text: string, at: string): Patterns {
  const known = DEFAULTS.get(text);
  if (known !== undefined) return known;
  try {
    const pattern = RE2JS.compile(text);
    return { test: (tag) => pattern.matcher(tag).find(), instructions: pattern.programSize() };
  } catch (error) {
    const why = error instanceof RE2JSSyntaxException ? error.message : String(error);
    throw selectionRefusal(at, `is no RE2 pattern: ${printable(why)}`);
  }
}

/** Why a selection, or a pattern of one, is not taken. */
export function selectionRefusal(field: string, reason: string): MirrorError {
  return new MirrorError('EVENT_INVALID', `${field} ${reason}`.trim(), {
    operation: 'read selection',
    field,
  });
}
