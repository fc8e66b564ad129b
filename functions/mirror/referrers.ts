import { MirrorError, isMirrorError, toMirrorError, type ErrorCode } from '../errors.ts';
import { manifestKind } from '../oci/media-types.ts';
import { referrersTag } from '../oci/referrer-tags.ts';
import type { CopyContext, ManifestCopy } from './copy-manifest.ts';
import { copyTag, type TagEnding } from './copy-tag.ts';
import { unseenIfForbidden } from './destination-manifests.ts';
import { entriesOf, entryOf, indexOf, mergeEntries, type IndexEntry } from './fallback-index.ts';
import type { ReferrersSupport } from './referrers-support.ts';
import type { DestinationFact, SourceFact } from './plan.ts';
import { chooseChildren, type PlatformContext } from './platforms.ts';
import type { Clock, Descriptor, ManifestBytes } from './ports.ts';
import { runAll, runAllStarted } from './run-all.ts';
import type { SignatureTag, SignatureTags } from './signature-tags.ts';
import type { ManifestNode } from './source-manifests.ts';
import { FRESH_MS } from './tag-turns.ts';
import { TransferStats } from './transfer-stats.ts';
import {
  enterIndex,
  ManifestLimit,
  descend,
  graphPathFrom,
  type GraphPath,
} from './graph-limits.ts';

/** A fallback index that another writer changes meanwhile is merged so often. */
const MAX_MERGES = 3;
/** Signature tags and referrers of one subject on their way at once. */
const FOLLOWER_CONCURRENCY = 4;

/** What following one subject needs beside the event's context. */
export interface ReferrersContext {
  readonly context: CopyContext;
  readonly copy: ManifestCopy;
  readonly clock: Clock;
  /** Signature tags of the source's list. */
  readonly signatures: SignatureTags;
  readonly referrersSupport: ReferrersSupport;
  readonly sourceFactOf: (tag: string) => SourceFact;
  readonly destinationFactOf: (tag: string) => DestinationFact;
  /** Told what became of each signature tag and each list of referrers. */
  readonly onFollower: (follower: Follower) => void;
  /** Told each signature tag and each subject that answers of the registries have settled. */
  readonly onAnswered: () => void;
}

/** A signature tag, or a subject's list of referrers under the name of its fallback tag. */
export interface Follower {
  readonly tag: string;
  readonly subject: string;
  readonly ending: TagEnding | { readonly outcome: 'failed'; readonly fault: MirrorError };
  readonly stats: TransferStats;
  readonly startedAtMs: number;
}

/** A manifest at the destination whose signatures and referrers are to be there too. */
export interface Subject {
  readonly digest: string;
  /** The entries of an index, where they are known: signatures and referrers may name them too. */
  readonly children: readonly Descriptor[];
  /** Shared with the subject's own walk. */
  readonly budget: ManifestLimit;
  /** Whether a tag names it; of a child of an index that only a signature tag names, the API is not asked. */
  readonly tagged: boolean;
}

/** A subject whose manifest was read; of its children, those that are brought. */
export function subjectOf(
  node: ManifestNode,
  budget: ManifestLimit,
  platforms: PlatformContext,
): Subject {
  const { chosen } = chooseChildren(node.manifest, platforms);
  return { digest: node.digest, children: chosen, budget, tagged: true };
}

/** What the source says refers to a digest. */
interface ReferrersList {
  readonly referrers: readonly Descriptor[];
  /** The index under the source's fallback tag, where it has one. */
  readonly sourceIndex: ManifestBytes | undefined;
  /** The source does not answer the question for referrers here. */
  readonly isRefused: boolean;
  /** Entries of the source's list that nobody can read, and that are left out. */
  readonly unread: number;
}

/**
 * What became of the referrers of a digest: there are none; all are there and listed; the source did not
 * answer the question, so that there may be more; the destination does not take the tag of their list.
 */
type FoundReferrers = 'none' | 'all' | 'ReferrersRefused' | 'ReferrersTagRefused';

/** Brings what refers to a manifest after it: cosign's tags, and the referrers of OCI 1.1. */
export class ReferrerCopy {
  readonly #of: ReferrersContext;
  /** Digests whose signature tags were compared, and those whose referrers were. */
  readonly #signed = new Set<string>();
  readonly #asked = new Set<string>();

  constructor(of: ReferrersContext) {
    this.#of = of;
  }

  /** Whether this event has followed the subject already. */
  isFollowed(digest: string): boolean {
    return this.#asked.has(digest);
  }

  /** Whether this event has compared the signature tags of a digest. */
  isSigned(digest: string): boolean {
    return this.#signed.has(digest);
  }

  /**
   * Follows a subject, once an event: its signature tags and those of its children are compared and
   * copied, its referrers united from the API and the fallback tag, and those of its children, of which
   * an index has 1,000 at most: one question each, where the source has the API. Failures are told per
   * follower.
   */
  async follow(subject: Subject): Promise<void> {
    const below = await this.#manifestsBelow(subject);
    const digests = [subject.digest, ...below].filter((digest) => !this.#signed.has(digest));
    for (const digest of digests) this.#signed.add(digest);
    const tags = digests.flatMap((digest) => this.#signaturesOf(digest));
    await runAll(tags, async (tag) => this.#followTag(tag, subject), {
      concurrency: FOLLOWER_CONCURRENCY,
      operation: 'copy signature',
    });
    const asked = subject.tagged ? below : below.filter((child) => this.#hasFallback(child));
    const open = [...new Set([subject.digest, ...asked])].filter((one) => !this.#asked.has(one));
    for (const one of open) this.#asked.add(one);
    await runAll(open, async (one) => this.#followReferrers(one, subject), {
      concurrency: FOLLOWER_CONCURRENCY,
      operation: 'copy referrers',
    });
  }

  /** Digests of all that an index reaches: the entries of an index within it are read. */
  async #manifestsBelow({ digest, children, budget }: Subject): Promise<readonly string[]> {
    const { read, signal } = this.#of.context;
    const below = new Set<string>();
    const enter = async (entries: readonly Descriptor[], walk: GraphPath): Promise<void> => {
      for (const entry of entries) {
        below.add(entry.digest);
        if (manifestKind(entry.mediaType) !== 'index') continue;
        const { manifest } = await read.child(entry, signal);
        const inner = descend(walk, entry.digest);
        enterIndex(inner, manifest.children);
        await enter(manifest.children, inner);
      }
    };
    await this.#tell(referrersTag(digest), digest, async () => {
      await enter(children, graphPathFrom(digest, budget));
      return undefined;
    });
    return [...below];
  }

  #hasFallback(digest: string): boolean {
    return this.#of.signatures.get(digest)?.some(({ kind }) => kind === 'referrers') === true;
  }

  #signaturesOf(digest: string): readonly SignatureTag[] {
    const tags = this.#of.signatures.get(digest) ?? [];
    return tags.filter(({ kind }) => kind !== 'referrers');
  }

  /** Copies one signature tag where it is missing or has grown. */
  async #followTag({ tag, subject: named }: SignatureTag, subject: Subject): Promise<void> {
    await this.#tell(tag, named, async (stats) => {
      const ending = await this.#copyTag(tag, subject, stats);
      this.#of.onAnswered();
      return ending;
    });
  }

  async #copyTag(
    tag: string,
    subject: Subject,
    stats: TransferStats,
  ): Promise<TagEnding | undefined> {
    const { context, copy } = this.#of;
    const { source, destination, signal } = context;
    const listed = this.#of.destinationFactOf(tag);
    const isListed = listed.state === 'present';
    const believes403 = context.mayMoveUnseen && !isListed;
    const there =
      listed.state === 'unknown' || (isListed && listed.digest === undefined)
        ? await destination
            .headManifest(tag, signal, isListed)
            .catch(believes403 ? unseenIfForbidden : undefined)
        : isListed
          ? listed
          : undefined;
    if (there?.digest !== undefined) {
      const fact = this.#of.sourceFactOf(tag);
      const digest =
        fact.state === 'listed' && fact.digest !== undefined
          ? fact.digest
          : (await source.headManifest(tag, signal))?.digest;
      if (digest === undefined) return { outcome: 'lost', reason: 'GoneFromSource' };
      if (digest === there.digest) return { outcome: 'skipped', reason: 'Identical', digest };
    }
    const work = {
      tag,
      previousDigest: there?.digest,
      budget: subject.budget,
      stats,
      keepsNoBackup: true,
    };
    return copyTag(work, context, copy);
  }

  /** Unites and copies the referrers; their list is told under the name of its fallback tag. */
  async #followReferrers(digest: string, subject: Subject): Promise<void> {
    await this.#tell(referrersTag(digest), digest, async (stats) => {
      const found = await this.#copyReferrers(digest, subject, stats, new Set([digest]));
      this.#of.onAnswered();
      if (found === 'none') return undefined;
      if (found !== 'all') return { outcome: 'skipped', reason: found };
      if (stats.progressed) return { outcome: 'copied', reason: 'Missing' };
      return { outcome: 'skipped', reason: 'Identical' };
    });
  }

  /**
   * Copies the referrers of a digest and lists at the destination what arrived: one that is missing at
   * the source hides no other. Theirs follow (the signature of an SBOM), as far as the subject's budget
   * of manifests goes.
   * @param seen digests whose referrers were asked for: a registry may tell them in a circle
   * @throws MirrorError the worst of those that did not arrive, after that
   */
  async #copyReferrers(
    digest: string,
    subject: Subject,
    stats: TransferStats,
    seen: Set<string>,
  ): Promise<FoundReferrers> {
    const { copy } = this.#of;
    const { referrers, sourceIndex, isRefused, unread } = await this.#listReferrers(
      digest,
      subject,
      stats,
      seen.size > 1,
    );
    if (referrers.length + unread === 0) return isRefused ? 'ReferrersRefused' : 'none';
    subject.budget.count(referrers);
    const arrived: Descriptor[] = [];
    const below: Descriptor[] = [];
    const brought = runAll(
      referrers,
      async (referrer) => {
        const walk = graphPathFrom(referrer.digest, subject.budget);
        await copy.bringChild(referrer, { ...walk, path: [] }, stats);
        arrived.push(referrer);
        if (seen.has(referrer.digest)) return;
        seen.add(referrer.digest);
        below.push(referrer);
      },
      { concurrency: FOLLOWER_CONCURRENCY, operation: 'copy referrer' },
    );
    await brought.catch(() => undefined);
    const inOrder = referrers.filter((referrer) => arrived.includes(referrer));
    const listed = this.#listAtDestination(digest, { referrers: inOrder, sourceIndex }, stats);
    const followed = runAll(
      below,
      async (referrer) => {
        await this.#copyReferrers(referrer.digest, subject, stats, seen);
      },
      { concurrency: FOLLOWER_CONCURRENCY, operation: 'copy referrer' },
    );
    await runAllStarted([brought, listed.then(() => undefined), followed], 'copy referrers');
    const found = await listed;
    // Last, since what failed beside it may come again, and this will not.
    if (unread > 0) throw unreadEntries(unread);
    return isRefused && found === 'all' ? 'ReferrersRefused' : found;
  }

  /** Where the destination keeps no list of its own, what arrived is listed in the fallback index. */
  async #listAtDestination(
    digest: string,
    { referrers, sourceIndex }: Pick<ReferrersList, 'referrers' | 'sourceIndex'>,
    stats: TransferStats,
  ): Promise<FoundReferrers> {
    const { context } = this.#of;
    if (referrers.length === 0 || (await this.#isAcknowledged(digest, referrers))) return 'all';
    const merged = await mergeFallback(digest, { referrers, sourceIndex }, context, stats);
    return merged ? 'all' : 'ReferrersTagRefused';
  }

  /** Union by digest of the API's answer and the fallback tag in the source's list. */
  async #listReferrers(
    digest: string,
    subject: Subject,
    stats: TransferStats,
    isReferrer: boolean,
  ): Promise<ReferrersList> {
    const { context, referrersSupport, signatures } = this.#of;
    const { source, read, signal } = context;
    const asks = subject.tagged || isReferrer;
    let unread = 0;
    const answer = asks
      ? await referrersSupport.ask(source, digest, signal, (count) => {
          unread += count;
        })
      : 'unsupported';
    const union = new Map<string, Descriptor>();
    for (const entry of typeof answer === 'string' ? [] : answer) union.set(entry.digest, entry);
    const fallback = signatures.get(digest)?.find(({ kind }) => kind === 'referrers');
    let sourceIndex: ManifestBytes | undefined;
    if (fallback !== undefined) {
      const index = await read.takeTag(fallback.tag, signal);
      const isList = index?.node.manifest.kind === 'index' && index.node.digest !== digest;
      if (isList) {
        for (const entry of index.node.manifest.children) union.set(entry.digest, entry);
        sourceIndex = index.node.bytes;
      } else if (index !== undefined) {
        // Not a list but a thing of its own under that name: it follows as any signature does.
        await this.#copyTag(fallback.tag, subject, stats);
      }
    }
    return { referrers: [...union.values()], sourceIndex, isRefused: answer === 'refused', unread };
  }

  /**
   * Whether the destination keeps the list itself. Where nothing had to be pushed and nobody knows,
   * one referrer is pushed again: its answer tells. What it acknowledges is looked for in its list,
   * once per host, before it is believed.
   */
  async #isAcknowledged(subject: string, referrers: readonly Descriptor[]): Promise<boolean> {
    const { destination, signal } = this.#of.context;
    const [first] = referrers;
    if (first === undefined || !(await this.#isSubjectSeen(first))) return false;
    return destination.listsReferrer(subject, first.digest, signal);
  }

  async #isSubjectSeen(first: Descriptor): Promise<boolean> {
    const { context, copy } = this.#of;
    const { destination, pool, read, signal } = context;
    const seen = pool.presence.keepsReferrersList(destination.host);
    if (seen !== undefined) return seen;
    const node = await read.child(first, signal);
    const walk = graphPathFrom(first.digest, new ManifestLimit());
    // The push asks a question and brings nothing: it is no progress of the subject's.
    const answer = await copy.push(first.digest, node, walk, new TransferStats());
    return answer.subjectAcknowledged;
  }

  async #tell(
    tag: string,
    named: string,
    work: (stats: TransferStats) => Promise<TagEnding | undefined>,
  ): Promise<void> {
    const { clock, onFollower } = this.#of;
    const startedAtMs = clock();
    const stats = new TransferStats();
    let ending: Follower['ending'] | undefined;
    try {
      ending = await work(stats);
    } catch (error) {
      ending = { outcome: 'failed', fault: toMirrorError(error, 'copy referrers') };
    }
    if (ending !== undefined) onFollower({ tag, subject: named, ending, stats, startedAtMs });
  }
}

/** Answers under a referrers tag that say nothing of a list, however often they are asked for. */
const STRANGE: readonly ErrorCode[] = [
  'UNAUTHORIZED',
  'FORBIDDEN',
  'SERVER_ERROR',
  'RESPONSE_INVALID',
  'REQUEST_REFUSED',
  'REDIRECT_REFUSED',
  'INSECURE_REFUSED',
  'ADDRESS_REFUSED',
  'MANIFEST_INVALID',
  'MANIFEST_UNSUPPORTED',
  'DIGEST_MISMATCH',
];

/**
 * Reads the list under a subject's referrers tag at the destination. Some registries answer the image
 * itself there, refuse the question, or send its reader to a page: there are no such lists then, which is
 * remembered for the host, and of a refusal for the repository.
 */
async function readFallback(
  tag: string,
  { destination, pool, signal }: CopyContext,
): Promise<readonly IndexEntry[] | 'absent' | 'strange'> {
  const { presence } = pool;
  if (presence.refusesReferrersTags(destination)) return 'strange';
  try {
    const index = await destination.getManifest(tag, signal);
    const entries = index === undefined ? 'absent' : entriesOf(index);
    presence.setAnswersReferrersTags(destination);
    return entries;
  } catch (error) {
    if (!isMirrorError(error, ...STRANGE)) throw error;
    if (!presence.refusedReferrersTag(destination, error)) throw error;
    return 'strange';
  }
}

/**
 * Merges the list of a subject's referrers into its fallback tag at a destination that keeps no
 * such list itself: union by digest, nothing removed, read again after the push.
 * @returns false where the destination has no lists under such tags
 * @throws MirrorError `TAG_MOVING` when others keep changing it
 */
async function mergeFallback(
  subject: string,
  { referrers, sourceIndex }: Pick<ReferrersList, 'referrers' | 'sourceIndex'>,
  context: CopyContext,
  stats: TransferStats,
): Promise<boolean> {
  const { destination, read, signal, tagTurns, clock } = context;
  const tag = referrersTag(subject);

  /** Pushed only while what it was merged with is fresh; it is read again in any case. */
  async function pushList(list: ManifestBytes, readAtMs: number): Promise<'again'> {
    try {
      await destination.putManifest(tag, list, signal, () => clock() - readAtMs <= FRESH_MS);
      stats.push();
    } catch (error) {
      if (!isMirrorError(error, 'ABORTED') || signal.aborted) throw error;
    } finally {
      tagTurns.pushed(destination, tag);
    }
    return 'again';
  }

  let wanted: readonly IndexEntry[] | undefined;
  for (let merge = 0; merge <= MAX_MERGES; merge += 1) {
    // Events of one process take turns, or one would push what it read before another's push.
    const ending = await tagTurns.run(destination, tag, signal, async () => {
      const found = await readFallback(tag, context);
      const readAtMs = clock();
      if (found === 'strange') return 'strange';
      const present = found === 'absent' ? [] : found;
      if (found === 'absent' && sourceIndex !== undefined && isOf(sourceIndex, referrers)) {
        // Nothing to merge with: the source's own list is mirrored as any other tag, byte for byte.
        return pushList(sourceIndex, readAtMs);
      }
      if (mergeEntries(present, referrers.map(bareEntry)) === undefined) return 'merged';
      wanted ??= await Promise.all(
        referrers.map(async (referrer) => entryOf(await read.child(referrer, signal))),
      );
      const merged = mergeEntries(present, wanted);
      if (merged === undefined || merge === MAX_MERGES) return 'moving';
      return pushList(indexOf(merged), readAtMs);
    });
    if (ending === 'moving') break;
    if (ending !== 'again') return ending === 'merged';
  }
  throw new MirrorError('TAG_MOVING', `the list of referrers ${tag} kept changing`, {
    operation: 'merge referrers',
    side: 'destination',
  });
}

/** Whether an index has every referrer that arrived, and no other. */
function isOf(index: ManifestBytes, referrers: readonly Descriptor[]): boolean {
  const entries = entriesOf(index);
  const arrived = new Set(referrers.map(({ digest }) => digest));
  return (
    entries.every(({ digest }) => arrived.has(digest)) &&
    mergeEntries(entries, referrers.map(bareEntry)) === undefined
  );
}

function unreadEntries(count: number): MirrorError {
  return new MirrorError('DIGEST_INVALID', `${count} of the referrers have a digest that is none`, {
    operation: 'copy referrers',
    side: 'source',
  });
}

function bareEntry({ digest }: Descriptor): IndexEntry {
  return { digest };
}
