import { requirePath } from '../functions/contract/destination.ts';
import { normalPlatforms } from '../functions/contract/platform.ts';
import { readSelection, type Selection } from '../functions/contract/selection.ts';
import { Fault, isFault, printable } from '../functions/fault.ts';
import { ANNOTATION_PREFIX } from './flux/image-repository.ts';

/** What an ImageRepository's annotations ask for. */
export interface ObjectSettings {
  /** Default true. */
  readonly enabled: boolean;
  /** Path below the destination registry instead of the layout's. */
  readonly destination?: string;
  readonly selection?: Selection;
  /** Platforms in normal form, or `all` alone. */
  readonly platforms?: readonly string[];
  /** Any new value asks for mirroring now. */
  readonly requestedAt?: string;
}

/** Most characters of a requestedAt value: it is compared, never read. */
const MAX_TOKEN_LENGTH = 256;

const DEFAULTS: ObjectSettings = { enabled: true };

const NAMES = [
  'enabled',
  'destination',
  'include',
  'exclude',
  'semver',
  'latest',
  'sort-by',
  'platforms',
  'requestedAt',
] as const;

type Name = (typeof NAMES)[number];

/**
 * Reads an object's own annotations (names without the prefix). A name that is none of ours is
 * refused too: a misspelt `include` must not mirror everything.
 * @throws Fault `ANNOTATION_INVALID` with the annotation's name as field
 */
export function readAnnotations(
  annotations: Readonly<Record<string, string>> | undefined,
): ObjectSettings {
  if (annotations === undefined) return DEFAULTS;
  for (const name of Object.keys(annotations)) {
    if (!(NAMES as readonly string[]).includes(name)) {
      throw invalid(name, `is no annotation: known are ${NAMES.join(', ')}`);
    }
  }
  const given = annotations as Readonly<Partial<Record<Name, string>>>;
  const selection = selectionOf(given);
  return {
    enabled: readEnabled(given.enabled),
    ...(given.destination === undefined ? {} : { destination: readDestination(given.destination) }),
    ...(selection === undefined ? {} : { selection }),
    ...(given.platforms === undefined ? {} : { platforms: platformsIn(given.platforms) }),
    ...(given.requestedAt === undefined || given.requestedAt === ''
      ? {}
      : { requestedAt: readToken(given.requestedAt) }),
  };
}

function readEnabled(value: string | undefined): boolean {
  if (value === undefined || value === 'true') return true;
  if (value === 'false') return false;
  throw invalid('enabled', `wants "true" or "false", not "${printable(value)}"`);
}

function readDestination(value: string): string {
  try {
    return requirePath(value);
  } catch (error) {
    throw invalid('destination', isFault(error) ? error.message : String(error));
  }
}

function readToken(value: string): string {
  if (value.length > MAX_TOKEN_LENGTH) {
    throw invalid('requestedAt', `is longer than ${MAX_TOKEN_LENGTH} characters`);
  }
  return value;
}

/** Separated by commas or lines, as in `PLATFORMS`. */
function platformsIn(value: string): readonly string[] {
  const texts = value
    .split(/[,\n]/)
    .map((text) => text.trim())
    .filter((text) => text !== '');
  if (texts.length === 0) throw invalid('platforms', 'wants platforms such as linux/amd64, or all');
  try {
    return normalPlatforms(texts);
  } catch (error) {
    throw invalid('platforms', isFault(error) ? error.message : String(error));
  }
}

/** Field of the selection → annotation. */
const SELECTION_NAMES = {
  include: 'include',
  exclude: 'exclude',
  semver: 'semver',
  latest: 'latest',
  sortBy: 'sort-by',
} as const satisfies Record<keyof Selection, Name>;

function selectionOf(given: Readonly<Partial<Record<Name, string>>>): Selection | undefined {
  const fields: Record<string, unknown> = {
    include: patternsOf('include', given.include),
    exclude: patternsOf('exclude', given.exclude),
    semver: given.semver,
    latest: numberOf(given.latest),
    sortBy: given['sort-by'],
  };
  if (Object.values(fields).every((value) => value === undefined)) return undefined;
  try {
    return readSelection(fields, 'selection');
  } catch (error) {
    if (!isFault(error)) throw error;
    const field = /^selection\.(\w+)/.exec(error.field ?? '')?.[1] as keyof Selection | undefined;
    const name = field === undefined ? 'include' : SELECTION_NAMES[field];
    throw invalid(name, error.message.replace(/^selection\.\w+(\[\d+\])?\s*/, ''));
  }
}

/** One pattern a line: a comma may be part of a pattern. */
function patternsOf(name: Name, value: string | undefined): readonly string[] | undefined {
  if (value === undefined) return undefined;
  const patterns = value
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  if (patterns.length === 0) throw invalid(name, 'wants a pattern, one a line');
  return patterns;
}

function numberOf(value: string | undefined): number | string | undefined {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : value;
}

function invalid(name: string, reason: string): Fault {
  const annotation = `${ANNOTATION_PREFIX}${name}`;
  return new Fault('ANNOTATION_INVALID', `annotation ${printable(annotation)} ${reason}`, {
    operation: 'read annotations',
    field: annotation,
  });
}
