import { requirePath } from '../../functions/contract/destination.ts';
import { defined } from '../../functions/contract/fields.ts';
import { normalPlatforms } from '../../functions/contract/platform.ts';
import { readSelection, type Selection } from '../../functions/contract/selection.ts';
import { MirrorError, isMirrorError, printable } from '../../functions/errors.ts';

/** Prefix of the annotations that are ours. */
const ANNOTATION_PREFIX = 'imagerepo-mirror.io/';

/** What an ImageRepository's annotations ask for, but `requestedAt`. */
export interface ObjectSettings {
  /** Default true. */
  readonly enabled: boolean;
  /** Path below the destination registry instead of the layout's. */
  readonly destination?: string;
  readonly selection?: Selection;
  /** Platforms in normal form, or `all` alone. */
  readonly platforms?: readonly string[];
}

/** Most characters of a requestedAt value: it is only compared. */
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

/** What the annotations of an object say. */
export interface Annotated {
  /** Or why they are refused: `ANNOTATION_INVALID`, with the annotation's name as field. */
  readonly settings: ObjectSettings | MirrorError;
  /** Any new value asks for mirroring now; undefined where it is absent or empty. */
  readonly requestedAt: string | undefined;
}

/** Nearly all objects have none of ours: they share this one. */
const NONE: Annotated = { settings: DEFAULTS, requestedAt: undefined };

/**
 * Reads what is ours of an object's annotations. A name with our prefix that is none of ours is
 * refused too: a misspelt `include` must not mirror everything.
 */
export function readAnnotations(all: Readonly<Record<string, unknown>>): Annotated {
  const own = Object.entries(all).flatMap(([name, value]) =>
    name.startsWith(ANNOTATION_PREFIX) && typeof value === 'string'
      ? [[name.slice(ANNOTATION_PREFIX.length), value] as const]
      : [],
  );
  if (own.length === 0) return NONE;
  const given = Object.fromEntries(own) as Readonly<Record<string, string>>;
  const { requestedAt = '' } = given;
  return { settings: settingsOf(given), requestedAt: requestedAt === '' ? undefined : requestedAt };
}

function settingsOf(given: Readonly<Record<string, string>>): ObjectSettings | MirrorError {
  try {
    return readSettings(given);
  } catch (error) {
    if (isMirrorError(error, 'ANNOTATION_INVALID')) return error;
    throw error;
  }
}

/** @throws MirrorError `ANNOTATION_INVALID` */
function readSettings(annotations: Readonly<Record<string, string>>): ObjectSettings {
  for (const name of Object.keys(annotations)) {
    if (!(NAMES as readonly string[]).includes(name)) {
      throw invalid(name, `is no annotation: known are ${NAMES.join(', ')}`);
    }
  }
  const given = annotations as Readonly<Partial<Record<Name, string>>>;
  const selection = selectionOf(given);
  const { destination, platforms } = given;
  const settings = defined({
    enabled: readEnabled(given.enabled),
    destination: destination === undefined ? undefined : readDestination(destination),
    selection,
    platforms: platforms === undefined ? undefined : platformsIn(platforms),
  });
  if ((given.requestedAt?.length ?? 0) > MAX_TOKEN_LENGTH) {
    throw invalid('requestedAt', `is longer than ${MAX_TOKEN_LENGTH} characters`);
  }
  return settings;
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
    throw invalid('destination', isMirrorError(error) ? error.message : String(error));
  }
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
    throw invalid('platforms', isMirrorError(error) ? error.message : String(error));
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
    if (!isMirrorError(error)) throw error;
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

function invalid(name: string, reason: string): MirrorError {
  const annotation = `${ANNOTATION_PREFIX}${name}`;
  return new MirrorError('ANNOTATION_INVALID', `annotation ${printable(annotation)} ${reason}`, {
    operation: 'read annotations',
    field: annotation,
  });
}
