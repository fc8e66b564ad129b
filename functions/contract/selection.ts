import { RE2JS, RE2JSSyntaxException } from 're2js';
import { Range, SemVer, compare } from 'semver';

import { Fault, printable } from '../fault.ts';
import {
  arrayAt,
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

/** Flux's default exclusion list (ImageRepository v1, `spec.exclusionList`). */
export const DEFAULT_EXCLUSION_LIST: readonly string[] = [String.raw`^.*\.sig$`];

/** Tests tags against patterns in linear time. */
export type TagTest = (tag: string) => boolean;

/**
 * A test that any of the patterns matches, unanchored, with the semantics of Go's `regexp`.
 * @throws Fault `EVENT_INVALID` naming the pattern's field (`FIELD[2]`)
 */
export function anyMatches(patterns: readonly string[], field: string): TagTest {
  requirePatterns(patterns, field);
  const compiled = patterns.map((pattern) => RE2JS.compile(pattern));
  return (tag) => compiled.some((pattern) => pattern.matcher(tag).find());
}

/** Refuses patterns that RE2 does not take. @throws Fault `EVENT_INVALID` naming the field */
export function requirePatterns(patterns: readonly string[], field: string): void {
  // guard: pattern-count
  if (patterns.length > MAX_PATTERNS) {
    throw refusal(field, `has ${patterns.length} patterns, at most ${MAX_PATTERNS} are taken`);
  }
  patterns.forEach((pattern, index) => {
    const at = `${field}[${index}]`;
    // guard: pattern-length
    if (pattern.length > MAX_PATTERN_LENGTH) {
      throw refusal(at, `is longer than ${MAX_PATTERN_LENGTH} characters`);
    }
    try {
      RE2JS.compile(pattern);
    } catch (error) {
      const why = error instanceof RE2JSSyntaxException ? error.message : String(error);
      throw refusal(at, `is no RE2 pattern: ${printable(why)}`);
    }
  });
}

/** Reads and validates a selection. @throws Fault `EVENT_INVALID` with the field's path */
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
  return {
    ...(include === undefined ? {} : { include }),
    ...(exclude === undefined ? {} : { exclude }),
    ...(semver === undefined ? {} : { semver }),
    ...(latest === undefined ? {} : { latest }),
    ...(sortBy === undefined ? {} : { sortBy }),
  };
}

/**
 * The tags that exclusion list and selection leave, in the given order.
 * @throws Fault `EVENT_INVALID` when a pattern or range is malformed
 */
export function selectTags(
  tags: readonly string[],
  exclusionList: readonly string[],
  selection: Selection = {},
): readonly string[] {
  const excluded = anyMatches(exclusionList, 'exclusionList');
  const included = anyMatches(selection.include ?? [], 'selection.include');
  const dropped = anyMatches(selection.exclude ?? [], 'selection.exclude');
  const range =
    selection.semver === undefined ? undefined : rangeOf(selection.semver, 'selection.semver');
  const kept = tags.filter(
    (tag) =>
      !excluded(tag) &&
      (selection.include === undefined || included(tag)) &&
      !dropped(tag) &&
      (range === undefined || inRange(tag, range)),
  );
  if (selection.latest === undefined) return kept;
  const newest = new Set(newestFirst(kept, selection.sortBy).slice(0, selection.latest));
  return kept.filter((tag) => newest.has(tag));
}

/**
 * Tags ordered so that the newest stand first: by version descending and the rest by name
 * descending (`semver`, the default), by name descending, or by the first number in them.
 */
export function newestFirst(
  tags: readonly string[],
  order: SortOrder = 'semver',
): readonly string[] {
  const keyed = tags.map((tag) => ({ tag, version: versionOf(tag), number: numberOf(tag) }));
  const byName = (a: string, b: string): number => (a === b ? 0 : a < b ? 1 : -1);
  return keyed
    .sort((a, b) => {
      if (order === 'alphabetical') return byName(a.tag, b.tag);
      if (order === 'numerical') return b.number - a.number || byName(a.tag, b.tag);
      if (a.version !== undefined && b.version !== undefined) {
        return compare(b.version, a.version) || byName(a.tag, b.tag);
      }
      if (a.version !== undefined) return -1;
      return b.version !== undefined ? 1 : byName(a.tag, b.tag);
    })
    .map(({ tag }) => tag);
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

function refusal(field: string, reason: string): Fault {
  return new Fault('EVENT_INVALID', `${field} ${reason}`, { operation: 'read selection', field });
}
