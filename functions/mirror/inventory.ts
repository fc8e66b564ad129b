import { isMirrorError, type ErrorCode, type MirrorError } from '../errors.ts';
import { isTag } from '../oci/reference.ts';
import { parseReferrerTag } from '../oci/referrer-tags.ts';
import { isClosed } from './closed-repository.ts';
import type { BackupTag } from './backup-tag.ts';
import type { DestinationFact, SourceFact } from './plan.ts';
import type {
  DestinationRepository,
  ListPart,
  ManifestMap,
  SourceRepository,
  TagListing,
} from './ports.ts';

/** Up to so many requested tags are asked one by one: cheaper than a list of thousands. */
export const MAX_HEADED_TAGS = 10;

/**
 * Most memory of a list for tags that are asked for by name, bytes: some 40,000 tags with a digest each. The
 * batches of a large repository come several at a time, and each would hold all of it.
 */
const NAMED_KEPT_BYTES = 8 * 1024 * 1024;

/** What the source has. */
export interface SourceInventory {
  /** All its tags, or those of it that are wanted; of an unlisted source, the requested ones. */
  readonly tags: readonly string[];
  /** How many names its list has; 0 where it was not listed. */
  readonly tagCount: number;
  /** Names of its list that break the grammar. */
  readonly invalidTags: readonly string[];
  /** Whether {@link tags} is the source's own list: only then does an absence mean anything. */
  readonly listed: boolean;
  /** Why there is no list although it was asked for; `NOT_FOUND`: the source says that it has no such repository. */
  readonly whyUnlisted?: ErrorCode | undefined;
  readonly factOf: (tag: string) => SourceFact;
  /** Whether a manifest is there: undefined where the list cannot tell. */
  readonly hasManifest: (digest: string) => boolean | undefined;
}

/** What the destination has. */
export interface DestinationInventory {
  /**
   * `map`: digests of all tags and manifests; `partial`: a cut map, presences count; `completed`: a
   * cut map whose tags another API told; `names`: tag names only; `heads`: there is no list, the plan
   * asks for each tag.
   */
  readonly kind: 'map' | 'partial' | 'completed' | 'names' | 'heads';
  /** How many tags it has; of `heads`, how many of those asked for. */
  readonly tagCount: number;
  /** Why there is no list although it was asked for. */
  readonly whyUnlisted?: MirrorError | undefined;
  readonly factOf: (tag: string) => DestinationFact;
  /** Whether a manifest is there: undefined where the inventory cannot tell. */
  readonly hasManifest: (digest: string) => boolean | undefined;
  /** Upload time of a manifest, ms since 1970; undefined where it is not told. */
  readonly uploadedAtMs: (digest: string) => number | undefined;
}

/** Reads the source's list as facts. */
function sourceInventory(listing: TagListing): SourceInventory {
  const { tags, invalidTags, map, listedCount } = listing;
  let names: ReadonlySet<string> | undefined;
  // A map tells most tags: the set is made only where it does not.
  const isListed = (tag: string): boolean => (names ??= new Set(tags)).has(tag);
  return {
    tags,
    tagCount: listedCount ?? tags.length,
    invalidTags,
    listed: true,
    factOf: (tag) => {
      const digest = map?.digestOfTag.get(tag);
      if (digest !== undefined) return { state: 'listed', digest };
      return isListed(tag) ? { state: 'listed' } : { state: 'gone' };
    },
    hasManifest: (digest) =>
      map?.manifests.has(digest) === true || (map?.complete === true ? false : undefined),
  };
}

/** A source that was not listed, or would not be, because exactly these tags are wanted. */
export function unlistedSource(tags: readonly string[], whyUnlisted?: ErrorCode): SourceInventory {
  return {
    tags,
    tagCount: 0,
    invalidTags: [],
    listed: false,
    whyUnlisted,
    factOf: () => ({ state: 'listed' }),
    hasManifest: () => undefined,
  };
}

/**
 * Reads the destination's list as facts. A 404 (undefined) on a Google host is a complete empty
 * map; elsewhere it says that there are no tags, and nothing about manifests.
 */
function destinationInventory(
  listing: TagListing | undefined,
  google: boolean,
): DestinationInventory {
  if (listing?.map !== undefined) return mapInventory(listing.map, new Set(listing.tags));
  if (listing === undefined && google) return mapInventory(EMPTY_MAP, new Set());
  const names = new Set(listing?.tags ?? []);
  return {
    kind: 'names',
    tagCount: names.size,
    factOf: (tag) => (names.has(tag) ? { state: 'present' } : { state: 'absent' }),
    hasManifest: () => undefined,
    uploadedAtMs: () => undefined,
  };
}

const EMPTY_MAP: ManifestMap = { digestOfTag: new Map(), manifests: new Map(), complete: true };

function mapInventory(
  { digestOfTag, manifests, complete }: ManifestMap,
  listed: ReadonlySet<string>,
): DestinationInventory {
  return {
    kind: complete ? 'map' : 'partial',
    tagCount: digestOfTag.size,
    factOf: (tag) => {
      const digest = digestOfTag.get(tag);
      if (digest !== undefined) return { state: 'present', digest };
      // The names of the same answer say that it is there, under a digest that the map does not tell.
      if (complete && listed.has(tag)) return { state: 'present' };
      return { state: complete ? 'absent' : 'unknown' };
    },
    hasManifest: (digest) => manifests.has(digest) || (complete ? false : undefined),
    uploadedAtMs: (digest) => manifests.get(digest),
  };
}

/** A list of digests that completes a cut map: what it lacks is absent, its manifests are there. */
export function withTagDigests(
  inventory: DestinationInventory,
  digests: ReadonlyMap<string, string>,
): DestinationInventory {
  const tagged = new Set(digests.values());
  return {
    ...inventory,
    kind: 'completed',
    tagCount: digests.size,
    factOf: (tag) => {
      const digest = digests.get(tag);
      return digest === undefined ? { state: 'absent' } : { state: 'present', digest };
    },
    hasManifest: (digest) => tagged.has(digest) || inventory.hasManifest(digest),
  };
}

/** Of a destination without a list nothing is absent, and nothing present, until it is asked for. */
function unlistedDestination(whyUnlisted?: MirrorError): DestinationInventory {
  return {
    kind: 'heads',
    tagCount: 0,
    whyUnlisted,
    factOf: () => ({ state: 'unknown' }),
    hasManifest: () => undefined,
    uploadedAtMs: () => undefined,
  };
}

/** What the plan's questions told in place of a list. */
export function withTagFacts(
  inventory: DestinationInventory,
  facts: ReadonlyMap<string, DestinationFact>,
): DestinationInventory {
  if (inventory.kind !== 'heads') return inventory;
  return {
    ...inventory,
    tagCount: [...facts.values()].filter(({ state }) => state === 'present').length,
    factOf: (tag) => facts.get(tag) ?? inventory.factOf(tag),
  };
}

/**
 * Lists that tell nothing of a tag that can be asked for by name: the account may pull and not list, the
 * registry has no such list, or it is too large.
 */
const LIST_REFUSALS = [
  'FORBIDDEN',
  'UNAUTHORIZED',
  'REQUEST_REFUSED',
  'RESPONSE_TOO_LARGE',
  'LIST_TOO_LARGE',
  'PAGINATION_REFUSED',
] as const satisfies readonly ErrorCode[];

/**
 * Lists the source for tags that are asked for by name: the list tells their digests and signatures, and
 * not whether they are there, since a pull-through cache lists what it holds, not what it can fetch. Where there
 * is none, the tags go on without, unless none of the first of them can be read either.
 * @throws MirrorError of the port
 */
export async function listForNamed(
  source: SourceRepository,
  requested: readonly string[],
  backupTag: BackupTag | undefined,
  signal: AbortSignal,
): Promise<SourceInventory> {
  const names = new Set(requested);
  let hasImage = false;
  const isWanted = (tag: string): boolean => {
    if (names.has(tag) || parseReferrerTag(tag) !== undefined) return true;
    // One image more tells that the list has others than tags named after digests.
    if (backupTag?.isBackup(tag) === true) return false;
    const isFirst = !hasImage;
    hasImage = true;
    return isFirst;
  };
  try {
    const listed = await listSource(source, signal, { isWanted });
    return listed === undefined
      ? unlistedSource(requested, 'NOT_FOUND')
      : { ...listed, factOf: (tag) => named(listed.factOf(tag)) };
  } catch (error) {
    if (!isMirrorError(error, ...LIST_REFUSALS)) throw error;
    await requireReadable(source, requested, error, signal);
    return unlistedSource(requested, error.code);
  }
}

/** Tags of which one must be readable where no list is: the first may be quarantined, or broken. */
export const ASKED_FIRST = 3;
/** Makes sure that a source whose list is refused can be read. @throws MirrorError the list's, or what a tag met */
async function requireReadable(
  source: SourceRepository,
  requested: readonly string[],
  list: MirrorError,
  signal: AbortSignal,
): Promise<void> {
  let fault = list;
  for (const tag of requested.filter(isTag).slice(0, ASKED_FIRST)) {
    try {
      await source.headManifest(tag, signal);
      return;
    } catch (error) {
      if (!isMirrorError(error)) throw error;
      // What is wrong with this one for good says nothing of the others.
      if (error.disposition === 'permanent') return;
      const isRefused = isClosed(error) || isMirrorError(error, ...LIST_REFUSALS);
      if (!isRefused && !isMirrorError(error, 'SERVER_ERROR')) throw error;
      // Where both are refused, the list's fault says it better; unless nobody could mend that one.
      fault = isRefused && list.disposition === 'transient' ? list : error;
    }
  }
  throw fault;
}

function named(fact: SourceFact): SourceFact {
  return fact.state === 'gone' ? { state: 'listed' } : fact;
}

/** Lists the source. Undefined: the repository is not there. @throws MirrorError of the port */
export async function listSource(
  source: SourceRepository,
  signal: AbortSignal,
  part?: ListPart,
): Promise<SourceInventory | undefined> {
  const listing = await source.listTags(signal, part);
  return listing === undefined ? undefined : sourceInventory(listing);
}

/**
 * Learns what the destination has by its list. It is left to be asked tag by tag where up to
 * {@link MAX_HEADED_TAGS} are requested, and where the list is refused or too long. @throws MirrorError of the port
 */
export async function takeDestination(
  destination: DestinationRepository,
  requested: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<DestinationInventory> {
  if (requested !== undefined && requested.length <= MAX_HEADED_TAGS) return unlistedDestination();
  return listDestination(destination, signal, requested === undefined ? {} : FOR_NAMED);
}

/** What few or many named tags may keep of a list. */
export const FOR_NAMED: ListPart = { maxKeptBytes: NAMED_KEPT_BYTES };

/** The destination's list, or why there is none. @throws MirrorError of the port */
export async function listDestination(
  destination: DestinationRepository,
  signal: AbortSignal,
  part: ListPart,
): Promise<DestinationInventory> {
  try {
    return destinationInventory(await destination.listTags(signal, part), destination.google);
  } catch (error) {
    if (!isMirrorError(error, ...LIST_REFUSALS)) throw error;
    return unlistedDestination(error);
  }
}
