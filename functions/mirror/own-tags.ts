import type { MirrorError } from '../errors.ts';
import type { CopyContext } from './copy-manifest.ts';
import { unseenIfForbidden } from './destination-manifests.ts';
import type { DestinationInventory, SourceInventory } from './inventory.ts';
import type { SourceFact } from './plan.ts';
import { askEach } from './questions.ts';
import type { LeftAside } from './record.ts';
import type { SignatureTag, SignatureTags } from './signature-tags.ts';

/** Tags of one event that are asked about; more are left aside, and named. */
const MAX_ASKED = 1000;

/**
 * Parts the tags that are named after a digest once more: those that the source's own list shows to be
 * images of their own are tags like any. Its map of digests tells that a subject is not there, or that a
 * tag spells its own digest; without a map it is known only of a list in which nothing else is.
 */
export function withoutOwnTags(
  source: SourceInventory,
  plain: readonly string[],
  signatures: SignatureTags,
): { readonly own: readonly string[]; readonly signatures: SignatureTags } {
  const isOwn = (tag: SignatureTag): boolean => isOwnTag(tag, source, plain.length > 0);
  const own = [...signatures].flatMap(([, tags]) => tags.filter(isOwn));
  const others = [...signatures].map(
    ([subject, tags]) => [subject, tags.filter((tag) => !isOwn(tag))] as const,
  );
  return {
    own: own.map(({ tag }) => tag),
    signatures: new Map(others.filter(([, tags]) => tags.length > 0)),
  };
}

/**
 * Whether the source's list shows a tag that is named after a digest to be an image of its own.
 * @param hasImages whether the list has anything but such tags
 */
export function isOwnTag(
  { tag, subject }: SignatureTag,
  source: SourceInventory,
  hasImages: boolean,
): boolean {
  return (
    (source.listed && !hasImages) ||
    source.hasManifest(subject) === false ||
    digestOf(source.factOf(tag)) === subject
  );
}

function digestOf(fact: SourceFact): string | undefined {
  return fact.state === 'listed' ? fact.digest : undefined;
}

/** What tells the own tags that are left when all others were copied and followed. */
export interface OwnTagSearch {
  readonly signatures: SignatureTags;
  /** What exclusion and selection leave where these are tags like any. */
  readonly selected: ReadonlySet<string>;
  /** Whether signatures and referrers follow their subjects at all (`REFERRERS`). */
  readonly followsSubjects: boolean;
  /** Whether this event has compared the tags of a subject. */
  readonly isFollowed: (subject: string) => boolean;
  /** Children of indexes are left out for their platforms, with what is named after their digests. Default: none are. */
  readonly leavesPlatformsOut?: boolean;
  /** Every other tag of the source's list is at the destination now: what is not there, no tag reaches. */
  readonly isAllThere: boolean;
  /** Whether the event names its tags: one that is there may have moved. Default: it does not. */
  readonly isByName?: boolean;
  readonly inventory: DestinationInventory;
  readonly context: Pick<CopyContext, 'source' | 'destination' | 'there' | 'signal'>;
}

/** What a search came to; each tag is in one list. */
export interface FoundOwnTags {
  /** Images of their own, to be planned as tags like any. */
  readonly own: readonly string[];
  /** Missing at the destination, and not to be mirrored now. */
  readonly leftAside: readonly LeftAside[];
  readonly unanswered: readonly { readonly tag: string; readonly fault: MirrorError }[];
}

/**
 * Finds the tags named after a digest that nothing brought to the destination, and tells whether they
 * follow an image or are images of their own (some tools name everything so). One whose subject is at the
 * destination follows it, by the rules for signatures. One whose subject no tag reaches is an image
 * like any: that is so where it spells its own digest, where everything else is at the destination and
 * the subject is not, and where the source does not have the subject. What the destination's list has
 * costs no question; where it tells nothing of a tag, one HEAD.
 */
export async function ownTags(search: OwnTagSearch): Promise<FoundOwnTags> {
  const { signatures, isFollowed } = search;
  const own: string[] = [];
  const leftAside: LeftAside[] = [];
  const unanswered: { tag: string; fault: MirrorError }[] = [];
  const missing: SignatureTag[] = [];
  for (const [subject, tags] of signatures) {
    if (!isFollowed(subject)) missing.push(...tags.filter((tag) => isMissing(tag, search)));
  }
  for (const { tag, subject } of missing.slice(MAX_ASKED)) {
    leftAside.push({ tag, subject, reason: 'NotAsked' });
  }
  await askEach(
    missing.slice(0, MAX_ASKED),
    search.context.signal,
    'head manifest',
    async (signature) => {
      const { tag, subject } = signature;
      if (await isThereUnlisted(tag, search)) return;
      const reason = await whyLeftAside(signature, search);
      if (reason === undefined) own.push(tag);
      else leftAside.push({ tag, subject, reason });
    },
    ({ tag }, fault) => {
      unanswered.push({ tag, fault });
    },
  );
  return { own, leftAside, unanswered };
}

function isMissing(
  { tag }: SignatureTag,
  { inventory, selected, isByName }: OwnTagSearch,
): boolean {
  return selected.has(tag) && (isByName === true || inventory.factOf(tag).state !== 'present');
}

/** A tag that the event names is asked about in any case: it may have moved. */
async function isThereUnlisted(
  tag: string,
  { inventory, isByName, context: { destination, signal } }: OwnTagSearch,
): Promise<boolean> {
  if (isByName === true || inventory.factOf(tag).state !== 'unknown') return false;
  return (await destination.headManifest(tag, signal).catch(unseenIfForbidden)) !== undefined;
}

/**
 * At most three HEADs: none at the destination where its list tells digests, one at the source for a tag
 * that may spell its own digest, and one for its subject where some tag stays behind.
 * @returns undefined: it is an image of its own
 */
async function whyLeftAside(
  { tag, subject, kind }: SignatureTag,
  {
    context: { source, there, signal },
    isAllThere,
    followsSubjects,
    leavesPlatformsOut,
  }: OwnTagSearch,
): Promise<LeftAside['reason'] | undefined> {
  // The names with a suffix are cosign's alone.
  if (!followsSubjects && kind !== 'referrers') return 'ReferrersOff';
  // Signatures of children that were left out are missing at every event: none is asked about.
  if (leavesPlatformsOut === true && kind !== 'referrers' && !there.isKnown(subject)) {
    return 'PlatformLeftOut';
  }
  const here = kind === 'referrers' ? await source.headManifest(tag, signal) : undefined;
  if (here?.digest === subject) return undefined;
  if (await there.isSeen(subject, signal))
    return followsSubjects ? 'SubjectUnchanged' : 'ReferrersOff';
  if (isAllThere || (await source.headManifest(subject, signal)) === undefined) return undefined;
  return 'SubjectNotMirrored';
}
