import { setImmediate } from 'node:timers/promises';

import { RE2JS, RE2JSSyntaxException } from 're2js';
import Range from 'semver/classes/range.js';
import SemVer from 'semver/classes/semver.js';

import { MirrorError, printable } from '../errors.ts';
import {
  arrayAt,
  defined,
  integerAt,
  literalAt,
  objectAt,
  optional,
  stringAt,
  type Fields,
} from './fields.ts';

/** How tags are ordered where the newest are wanted, the newest first. */
export const SORT_ORDERS = ['semver', 'alphabetical', 'numerical'] as const;

/** See {@link SORT_ORDERS}. */
export type SortOrder = (typeof SORT_ORDERS)[number];

/** Which of the detected tags are mirrored; an absent member selects nothing away. */
export interface Selection {
  /** RE2 patterns, unanchored: a tag is kept if any matches. */
  readonly include?: readonly string[];
  /** RE2 patterns, unanchored: a tag is dropped if any matches. */
  readonly exclude?: readonly string[];
  /** npm-style range; tags that are no version are dropped. Pre-releases as in semver. */
  readonly semver?: string;
  /** The newest so many of what the other members keep, 1 to 100,000. */
  readonly latest?: number;
  /** What newest means. Default `semver`. */
  readonly sortBy?: SortOrder;
}

/** Most patterns in one list; Flux's own limit for the exclusion list. */
export const MAX_PATTERNS = 25;
/** Longest pattern, in characters. */
export const MAX_PATTERN_LENGTH = 512;

/**
 * Most instructions that the patterns of one list compile to, together: a tag costs time in
 * proportion to them. semver.org's own pattern has 67, so that a list of 25 such fits.
 */
export const MAX_INSTRUCTIONS = 2000;

/**
 * Tags are tested until so many instructions were compared with a tag, then other work has its
 * turn. An instruction takes at most 3.3 µs for a tag of 128 characters (measured with nested repetitions).
 */
const INSTRUCTIONS_PER_TURN = 10_000;

/** Flux's default exclusion list (ImageRepository v1, `spec.exclusionList`). */
export const DEFAULT_EXCLUSION_LIST: readonly string[] = [String.raw`^.*\.sig$`];

/** Tags whose names say that they move: the default of `MUTABLE_TAGS`. */
export const DEFAULT_MUTABLE_TAGS = String.raw`^(latest|stable|edge|nightly|main|master|dev.*|v?\d+(\.\d+)?)$`;

/** A pattern that is ready to be tested. */
interface Pattern {
  readonly test: TagTest;
  /** What RE2 compiles it to. */
  readonly instructions: number;
}

/**
 * The defaults, which nearly every event brings, mean the same to V8 and are linear there too. RE2's first pattern
 * costs a cold start 5 ms.
 */
const DEFAULTS: ReadonlyMap<string, Pattern> = new Map(
  [...DEFAULT_EXCLUSION_LIST, DEFAULT_MUTABLE_TAGS].map((text) => {
    const native = new RegExp(text);
    return [text, { test: (tag) => native.test(tag), instructions: text.length }];
  }),
);

/** Tests tags against patterns in linear time. */
export type TagTest = (tag: string) => boolean;

/**
 * A test that any of the patterns matches, unanchored, with the semantics of Go's `regexp`.
 * @throws MirrorError `EVENT_INVALID` naming the pattern's field (`FIELD[2]`)
 */
export function anyMatches(patterns: readonly string[], field: string): TagTest {
  const list = compile(patterns, field);
  return (tag) => matches(list, tag);
}

/**
 * Refuses patterns that RE2 does not take, and lists that cost too much.
 * @throws MirrorError `EVENT_INVALID` naming the field, or `[2]` alone
 */
export function requirePatterns(patterns: string | readonly string[], field = ''): void {
  compile([patterns].flat(), field);
}

/** Refuses what is no npm-style range. @throws MirrorError `EVENT_INVALID` naming the field */
export function requireRange(text: string, field = ''): void {
  if (text.length > MAX_PATTERN_LENGTH) {
    throw refusal(field, `is longer than ${MAX_PATTERN_LENGTH} characters`);
  }
  rangeOf(text, field);
}

/** The patterns of a list, and the instructions that they compile to together. */
interface PatternList {
  readonly compiled: readonly Pattern[];
  readonly instructions: number;
}

function compile(patterns: readonly string[], field: string): PatternList {
  // guard: pattern-count
  if (patterns.length > MAX_PATTERNS) {
    throw refusal(field, `has ${patterns.length} patterns, at most ${MAX_PATTERNS} are taken`);
  }
  let instructions = 0;
  const compiled = patterns.map((pattern, index) => {
    const at = `${field}[${index}]`;
    // guard: pattern-length
    if (pattern.length > MAX_PATTERN_LENGTH) {
      throw refusal(at, `is longer than ${MAX_PATTERN_LENGTH} characters`);
    }
    const one = compileOne(pattern, at);
    instructions += one.instructions;
    // guard: pattern-cost
    if (instructions > MAX_INSTRUCTIONS) {
      const all = index === 0 ? '' : ' with those before it';
      const why = `compiles to ${instructions} instructions${all}, at most ${MAX_INSTRUCTIONS} are taken`;
      throw refusal(at, `${why}: shorten it or its repetitions`);
    }
    return one;
  });
  return { compiled, instructions };
}

function compileOne(text: string, at: string): Pattern {
  const known = DEFAULTS.get(text);
  if (known !== undefined) return known;
  try {
    const pattern = RE2JS.compile(text);
    return {
      test: (tag) => pattern.matcher(tag).find(),
      instructions: pattern.programSize(),
    };
  } catch (error) {
    const why = error instanceof RE2JSSyntaxException ? error.message : String(error);
    throw refusal(at, `is no RE2 pattern: ${printable(why)}`);
  }
}

/** Reads and validates a selection. @throws MirrorError `EVENT_INVALID` with the field's path */
export function readSelection(value: unknown, at: string): Selection {
  const fields = objectAt(value, at);
  const include = optional(fields, 'include', () => patternsAt(fields, 'include', at));
  const exclude = optional(fields, 'exclude', () => patternsAt(fields, 'exclude', at));
  const semver = optional(fields, 'semver', () =>
    stringAt(fields, 'semver', at, 1, MAX_PATTERN_LENGTH),
  );
  const latest = optional(fields, 'latest', () => integerAt(fields, 'latest', at, 1, 100_000));
  const sortBy = optional(fields, 'sortBy', () => literalAt(fields, 'sortBy', at, SORT_ORDERS));
  if (semver !== undefined) rangeOf(semver, `${at}.semver`);
  return defined({ include, exclude, semver, latest, sortBy });
}

/**
 * The tags that exclusion list and selection leave, in the given order. Other work has its turn in
 * between.
 * @throws MirrorError `EVENT_INVALID` when a pattern or range is malformed or costs too much, `ABORTED`
 */
export async function selectTags(
  tags: readonly string[],
  exclusionList: readonly string[],
  selection: Selection = {},
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const excluded = compile(exclusionList, 'exclusionList');
  const included = compile(selection.include ?? [], 'selection.include');
  const dropped = compile(selection.exclude ?? [], 'selection.exclude');
  const range =
    selection.semver === undefined ? undefined : rangeOf(selection.semver, 'selection.semver');
  const isKept = (tag: string): boolean =>
    !matches(excluded, tag) &&
    (selection.include === undefined || matches(included, tag)) &&
    !matches(dropped, tag) &&
    (range === undefined || inRange(tag, range));
  const instructions = excluded.instructions + included.instructions + dropped.instructions;
  const tagsPerTurn = Math.max(1, Math.floor(INSTRUCTIONS_PER_TURN / (instructions + 1)));
  const kept: string[] = [];
  for (const [index, tag] of tags.entries()) {
    if (index > 0 && index % tagsPerTurn === 0) await turnOfOthers(signal);
    if (isKept(tag)) kept.push(tag);
  }
  if (selection.latest === undefined) return kept;
  const newest = new Set(newestFirst(kept, selection.sortBy).slice(0, selection.latest));
  return kept.filter((tag) => newest.has(tag));
}

async function turnOfOthers(signal: AbortSignal | undefined): Promise<void> {
  await setImmediate();
  if (signal?.aborted === true) {
    throw new MirrorError('ABORTED', 'the work was interrupted', { operation: 'select tags' });
  }
}

function matches({ compiled }: PatternList, tag: string): boolean {
  return compiled.some(({ test }) => test(tag));
}

/**
 * Tags ordered so that the newest stand first: by version descending and the rest by name
 * descending (`semver`, the default), by name descending, or by the first number in them.
 */
export function newestFirst(
  tags: readonly string[],
  order: SortOrder = 'semver',
): readonly string[] {
  const byName = (a: string, b: string): number => (a === b ? 0 : a < b ? 1 : -1);
  if (order === 'alphabetical') return [...tags].sort(byName);
  if (order === 'numerical') {
    return tags
      .map((tag) => ({ tag, number: numberOf(tag) }))
      .sort((a, b) => b.number - a.number || byName(a.tag, b.tag))
      .map(({ tag }) => tag);
  }
  return tags
    .map((tag) => ({ tag, version: precedenceOf(tag) }))
    .sort((a, b) => {
      if (a.version !== undefined && b.version !== undefined) {
        return comparePrecedence(b.version, a.version) || byName(a.tag, b.tag);
      }
      if (a.version !== undefined) return -1;
      return b.version !== undefined ? 1 : byName(a.tag, b.tag);
    })
    .map(({ tag }) => tag);
}

/**
 * What of a version decides its place: major, minor, patch, then the pre-release's identifiers. A
 * fifth of the memory of a SemVer, of which a large repository would have hundreds of thousands.
 */
type Precedence = readonly (string | number)[];

function precedenceOf(tag: string): Precedence | undefined {
  const version = versionOf(tag);
  if (version === undefined) return undefined;
  return [version.major, version.minor, version.patch, ...version.prerelease];
}

/** Negative where `a` is older (Semantic Versioning 2.0.0, §11). */
function comparePrecedence(a: Precedence, b: Precedence): number {
  for (let at = 0; ; at += 1) {
    const [one, other] = [a[at], b[at]];
    if (one === undefined || other === undefined) {
      if (one === other) return 0;
      // A version without a pre-release is newer; of two pre-releases the longer one.
      const shorterIsNewer = at === 3;
      return (one === undefined) === shorterIsNewer ? 1 : -1;
    }
    if (one === other) continue;
    // Numbers stand below words, and by their value.
    if (typeof one !== typeof other) return typeof one === 'number' ? -1 : 1;
    return one < other ? -1 : 1;
  }
}

function patternsAt(fields: Fields, name: string, at: string): readonly string[] {
  const values = arrayAt(fields, name, at);
  const patterns = values.map((_value, index) =>
    stringAt(values as unknown as Fields, String(index), `${at}.${name}`, 1, MAX_PATTERN_LENGTH),
  );
  requirePatterns(patterns, `${at}.${name}`);
  return patterns;
}

function rangeOf(text: string, field: string): Range {
  try {
    return new Range(text);
  } catch {
    throw refusal(field, `is no semver range: '${printable(text)}'`);
  }
}

function inRange(tag: string, range: Range): boolean {
  const version = versionOf(tag);
  return version !== undefined && range.test(version);
}

/** The version a tag spells, with or without a leading `v`; a full MAJOR.MINOR.PATCH only. */
function versionOf(tag: string): SemVer | undefined {
  if (!/^v?\d+\.\d+\.\d+([-+].*)?$/.test(tag)) return undefined;
  try {
    return new SemVer(tag);
  } catch {
    return undefined;
  }
}

/** The first number in a tag, -Infinity where it has none, so that such tags stand last. */
function numberOf(tag: string): number {
  const digits = /\d+/.exec(tag)?.[0];
  return digits === undefined ? Number.NEGATIVE_INFINITY : Number(digits);
}

function refusal(field: string, reason: string): MirrorError {
  return new MirrorError('EVENT_INVALID', `${field} ${reason}`.trim(), {
    operation: 'read selection',
    field,
  });
}
