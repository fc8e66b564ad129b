import { setImmediate } from 'node:timers/promises';

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
import {
  compilePatterns,
  MAX_PATTERN_LENGTH,
  requirePatterns,
  selectionRefusal,
} from './patterns.ts';

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

/**
 * Tags are tested until so many instructions were compared with a tag, then other work has its
 * turn. An instruction takes at most 3.3 µs for a tag of 128 characters (measured with nested repetitions).
 */
const INSTRUCTIONS_PER_TURN = 10_000;

/** Refuses what is no npm-style range. @throws MirrorError `EVENT_INVALID` naming the field */
export function requireRange(text: string, field = ''): void {
  if (text.length > MAX_PATTERN_LENGTH) {
    throw selectionRefusal(field, `is longer than ${MAX_PATTERN_LENGTH} characters`);
  }
  rangeOf(text, field);
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
  const excluded = compilePatterns(exclusionList, 'exclusionList');
  const included = compilePatterns(selection.include ?? [], 'selection.include');
  const dropped = compilePatterns(selection.exclude ?? [], 'selection.exclude');
  const range =
    selection.semver === undefined ? undefined : rangeOf(selection.semver, 'selection.semver');
  const isKept = (tag: string): boolean =>
    !excluded.test(tag) &&
    (selection.include === undefined || included.test(tag)) &&
    !dropped.test(tag) &&
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
    throw selectionRefusal(field, `is no semver range: '${printable(text)}'`);
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
