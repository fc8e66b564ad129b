import type { Reason } from '../contract/event.ts';
import type { MirrorError } from '../errors.ts';
import { referrersTag } from '../oci/referrer-tags.ts';
import type { CopyContext } from './copy-manifest.ts';
import type { DecidedStep } from './resolve-plan.ts';
import type { DestinationInventory } from './inventory.ts';
import type { Clock } from './ports.ts';
import { askEach } from './questions.ts';
import type { SignatureTags } from './signature-tags.ts';

/** Subjects younger than this at the destination are followed again on `resync` and `follow-up`. */
export const YOUNG_MS = 24 * 60 * 60 * 1000;

/** Which of the unchanged subjects an event follows. */
type FollowScope = 'none' | 'young' | 'all';

/** `requested` compares all, `resync` and `follow-up` the young ones, every other event none. */
function followScope(reason: Reason): FollowScope {
  if (reason === 'requested') return 'all';
  return reason === 'resync' || reason === 'follow-up' ? 'young' : 'none';
}

/** A manifest at the destination that is to be followed although its tag was not touched. */
export interface UnchangedSubject {
  readonly digest: string;
  /** Whether a tag names it: the referrers of an index's children are not asked for. */
  readonly tagged: boolean;
}

/** What tells the unchanged subjects. */
export interface SubjectSearch {
  readonly reason: Reason;
  readonly steps: readonly DecidedStep[];
  readonly signatures: SignatureTags;
  readonly inventory: DestinationInventory;
  readonly context: CopyContext;
  readonly clock: Clock;
  /** Subjects whose referrers this event asks for by name. */
  readonly wished: readonly string[];
  /**
   * Whether the event names its tags. It asks for what a delivery has left, and for all that follows
   * those tags: a push whose answer was lost, or a process that died, has left no more than the tag.
   */
  readonly isByName: boolean;
  readonly isFollowed: (digest: string) => boolean;
}

/** What a search found, and what it could not find out. */
export interface FoundSubjects {
  readonly subjects: readonly UnchangedSubject[];
  readonly unanswered: readonly Unanswered[];
  /** Tags whose digest the destination told. */
  readonly answered: number;
}

/** A question that failed: about a tag, or about a subject under the name of its fallback tag. */
export interface Unanswered {
  readonly tag: string;
  readonly subject?: string;
  readonly fault: MirrorError;
}

/**
 * Finds the unchanged manifests whose signatures and referrers this event compares: those under
 * its skipped tags, those that signature tags name (unless the event names its tags), and those that are
 * wished for. Where the inventory tells no digest the destination is asked, one HEAD each.
 */
export async function unchangedSubjects(search: SubjectSearch): Promise<FoundSubjects> {
  const { context, wished } = search;
  const mayFollow = context.source.mayHaveReferrersApi || search.signatures.size > 0;
  if (!mayFollow && wished.length === 0) return { subjects: [], unanswered: [], answered: 0 };
  const scope = followScope(search.reason);
  const unanswered: Unanswered[] = [];
  const { isByName } = search;
  const { digests, answered } =
    scope !== 'none' || isByName
      ? await taggedDigests(search, unanswered)
      : { digests: [], answered: 0 };
  const tagged = new Set([...wished, ...digests]);
  const ofAnyAge = isByName ? tagged : new Set(wished);
  // An event that names its tags is about what they reach: each batch would follow all there is.
  const named = scope === 'none' || isByName ? [] : [...search.signatures.keys()];
  const untagged = named.filter((digest) => !tagged.has(digest));
  const candidates = [
    ...[...tagged].map((digest) => ({ digest, tagged: true })),
    ...untagged.map((digest) => ({ digest, tagged: false })),
  ].filter(
    ({ digest }) =>
      !search.isFollowed(digest) && (ofAnyAge.has(digest) || isInScope(digest, scope, search)),
  );
  const there = new Set<string>();
  for (const { digest } of candidates) if (context.there.isKnown(digest)) there.add(digest);
  await askEach(
    candidates.filter(({ digest }) => !there.has(digest)),
    context.signal,
    'head manifest',
    async ({ digest, tagged: isTagged }) => {
      const { there: known, signal } = context;
      // What a tag names is there: a 403 hides it.
      const isThere = isTagged ? known.has(digest, signal) : known.isSeen(digest, signal);
      if (await isThere) there.add(digest);
    },
    ({ digest }, fault) => {
      unanswered.push({ tag: referrersTag(digest), subject: digest, fault });
    },
  );
  const subjects = candidates.filter(({ digest }) => there.has(digest));
  return { subjects, unanswered, answered };
}

function isInScope(
  digest: string,
  scope: FollowScope,
  { inventory, clock }: SubjectSearch,
): boolean {
  if (scope === 'all') return true;
  const uploadedAtMs = inventory.uploadedAtMs(digest);
  return uploadedAtMs === undefined || clock() - uploadedAtMs < YOUNG_MS;
}

/** Digests under the tags that stay as they are; unknown ones are asked for only where it matters. */
async function taggedDigests(
  { steps, context, signatures, isByName }: SubjectSearch,
  unanswered: Unanswered[],
): Promise<{ readonly digests: readonly string[]; readonly answered: number }> {
  const { source, destination, there, signal } = context;
  let answered = 0;
  const digests: string[] = [];
  const unknown: string[] = [];
  for (const step of steps) {
    if (step.action === 'drifted') digests.push(step.previousDigest);
    if (step.action !== 'skip') continue;
    if (step.digest === undefined) unknown.push(step.tag);
    else digests.push(step.digest);
  }
  // A HEAD per tag would be for nothing: nothing refers to any, or cosign's tags alone tell to what.
  const maySign = isByName && signatures.size > 0;
  if (!source.mayHaveReferrersApi && !maySign) return { digests, answered };
  await askEach(
    unknown,
    signal,
    'head manifest',
    async (tag) => {
      const head = await destination.headManifest(tag, signal, true);
      answered += 1;
      if (head === undefined) return;
      there.add(head.digest);
      digests.push(head.digest);
    },
    (tag, fault) => {
      unanswered.push({ tag, fault });
    },
  );
  return { digests, answered };
}
