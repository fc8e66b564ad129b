import { Fault, toFault } from '../fault.ts';
import { referrersTag } from '../oci/referrer-tags.ts';
import type { CopyContext, ManifestCopy } from './copy-manifest.ts';
import { copyTag, type TagEnding } from './copy-tag.ts';
import { entriesOf, entryOf, indexOf, mergeEntries, type IndexEntry } from './fallback-index.ts';
import type { FirstQuestion } from './first-question.ts';
import type { DestinationFact, SourceFact } from './plan.ts';
import type { Clock, Descriptor, ManifestBytes } from './ports.ts';
import { settle } from './settle.ts';
import type { SignatureTag, SignatureTags } from './signature-tags.ts';
import type { ManifestNode } from './source-manifests.ts';
import { Tally } from './tally.ts';
import { ManifestBudget, walkFrom } from './walk.ts';

/** Referrers of referrers are followed (the signature of an SBOM), theirs are not. */
export const MAX_REFERRER_DEPTH = 2;
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
  readonly firstQuestion: FirstQuestion;
  readonly sourceFactOf: (tag: string) => SourceFact;
  readonly destinationFactOf: (tag: string) => DestinationFact;
  /** Told what became of each signature tag and each list of referrers. */
  readonly onFollower: (follower: Follower) => void;
}

/** A signature tag, or a subject's list of referrers under the name of its fallback tag. */
export interface Follower {
  readonly tag: string;
  readonly subject: string;
  readonly ending: TagEnding | { readonly outcome: 'failed'; readonly fault: Fault };
  readonly tally: Tally;
  readonly startedAtMs: number;
}

/** A manifest at the destination whose signatures and referrers are to be there too. */
export interface Subject {
  readonly digest: string;
  /** Digests of the manifests below it, where they are known: signatures may name them. */
  readonly childDigests: readonly string[];
  /** Shared with the subject's own walk. */
  readonly budget: ManifestBudget;
  /** Whether a tag names it: nobody is asked for the referrers of an index's children. */
  readonly tagged: boolean;
}

/** A subject whose manifest was read. */
export function subjectOf(node: ManifestNode, budget: ManifestBudget): Subject {
  const childDigests = node.manifest.children.map(({ digest }) => digest);
  return { digest: node.digest, childDigests, budget, tagged: true };
}

/** What the source says refers to a digest. */
interface ReferrersList {
  readonly referrers: readonly Descriptor[];
  /** The index under the source's fallback tag, where it has one. */
  readonly sourceIndex: ManifestBytes | undefined;
}

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

  /**
   * Follows a subject, once an event: its signature tags and those of its children are compared and
   * copied, its referrers united from the API and the fallback tag. Failures are told per follower.
   */
  async follow(subject: Subject): Promise<void> {
    const digests = [subject.digest, ...subject.childDigests].filter(
      (digest) => !this.#signed.has(digest),
    );
    for (const digest of digests) this.#signed.add(digest);
    const tags = digests.flatMap((digest) => this.#signaturesOf(digest));
    await settle(tags, async (tag) => this.#followTag(tag, subject), {
      concurrency: FOLLOWER_CONCURRENCY,
      operation: 'copy signature',
    });
    if (this.#asked.has(subject.digest)) return;
    this.#asked.add(subject.digest);
    await this.#followReferrers(subject);
  }

  #signaturesOf(digest: string): readonly SignatureTag[] {
    const tags = this.#of.signatures.get(digest) ?? [];
    return tags.filter(({ kind }) => kind !== 'referrers');
  }

  /** Copies one signature tag where it is missing or has grown. */
  async #followTag({ tag, subject: named }: SignatureTag, subject: Subject): Promise<void> {
    await this.#tell(tag, named, async (tally) => this.#copyTag(tag, subject, tally));
  }

  async #copyTag(tag: string, subject: Subject, tally: Tally): Promise<TagEnding | undefined> {
    const { context, copy } = this.#of;
    const { source, destination, signal } = context;
    const listed = this.#of.destinationFactOf(tag);
    const there =
      listed.state === 'unknown' || (listed.state === 'present' && listed.digest === undefined)
        ? (await destination.headManifest(tag, signal))?.digest
        : listed.state === 'present'
          ? listed.digest
          : undefined;
    if (there !== undefined) {
      const fact = this.#of.sourceFactOf(tag);
      const digest =
        fact.state === 'listed' && fact.digest !== undefined
          ? fact.digest
          : (await source.headManifest(tag, signal))?.digest;
      if (digest === undefined) return { outcome: 'lost', reason: 'GoneFromSource' };
      if (digest === there) return { outcome: 'skipped', reason: 'Identical', digest };
    }
    const work = { tag, previousDigest: there, budget: subject.budget, tally };
    return copyTag(work, context, copy);
  }

  /** Unites and copies the referrers; their list is told under the name of its fallback tag. */
  async #followReferrers(subject: Subject): Promise<void> {
    const tag = referrersTag(subject.digest);
    await this.#tell(tag, subject.digest, async (tally) => {
      const found = await this.#copyReferrers(subject.digest, subject, tally, 1);
      if (!found) return undefined;
      const changed = tally.progressed;
      return {
        outcome: changed ? 'copied' : 'skipped',
        reason: changed ? 'Missing' : 'Identical',
      };
    });
  }

  /** @returns whether the subject has referrers */
  async #copyReferrers(
    digest: string,
    subject: Subject,
    tally: Tally,
    depth: number,
  ): Promise<boolean> {
    const { context, copy } = this.#of;
    const { referrers, sourceIndex } = await this.#listReferrers(digest, subject, tally, depth);
    if (referrers.length === 0) return false;
    subject.budget.count(referrers);
    await settle(
      referrers,
      async (referrer) => {
        const walk = walkFrom(referrer.digest, subject.budget);
        await copy.bringChild(referrer, { ...walk, path: [] }, tally);
        if (depth < MAX_REFERRER_DEPTH) {
          await this.#copyReferrers(referrer.digest, subject, tally, depth + 1);
        }
      },
      { concurrency: FOLLOWER_CONCURRENCY, operation: 'copy referrer' },
    );
    if (!(await this.#isAcknowledged(referrers))) {
      await mergeFallback(digest, { referrers, sourceIndex }, context, tally);
    }
    return true;
  }

  /** Union by digest of the API's answer and the fallback tag in the source's list. */
  async #listReferrers(
    digest: string,
    subject: Subject,
    tally: Tally,
    depth: number,
  ): Promise<ReferrersList> {
    const { context, firstQuestion, signatures } = this.#of;
    const { source, read, signal } = context;
    const asks = subject.tagged || depth > 1;
    const answer = asks ? await firstQuestion.ask(source, digest, signal) : 'unsupported';
    const union = new Map<string, Descriptor>();
    for (const entry of typeof answer === 'string' ? [] : answer) union.set(entry.digest, entry);
    const fallback = signatures.get(digest)?.find(({ kind }) => kind === 'referrers');
    let sourceIndex: ManifestBytes | undefined;
    if (fallback !== undefined) {
      const index = await read.takeTag(fallback.tag, signal);
      if (index?.node.manifest.kind === 'index') {
        for (const entry of index.node.manifest.children) union.set(entry.digest, entry);
        sourceIndex = index.node.bytes;
      } else if (index !== undefined) {
        // Not a list but a thing of its own under that name: it follows as any signature does.
        await this.#copyTag(fallback.tag, subject, tally);
      }
    }
    return { referrers: [...union.values()], sourceIndex };
  }

  /**
   * Whether the destination keeps the list itself. Where nothing had to be pushed and nobody knows,
   * one referrer is pushed again: its answer tells.
   */
  async #isAcknowledged(referrers: readonly Descriptor[]): Promise<boolean> {
    const { context, copy } = this.#of;
    const { destination, pool, read, signal } = context;
    const seen = pool.knowledge.acknowledges(destination.host);
    const [first] = referrers;
    if (seen !== undefined || first === undefined) return seen === true;
    const node = await read.child(first, signal);
    const walk = walkFrom(first.digest, new ManifestBudget());
    // The push asks a question and brings nothing: it is no progress of the subject's.
    const answer = await copy.push(first.digest, node, walk, new Tally());
    return answer.subjectAcknowledged;
  }

  async #tell(
    tag: string,
    named: string,
    work: (tally: Tally) => Promise<TagEnding | undefined>,
  ): Promise<void> {
    const { clock, onFollower } = this.#of;
    const startedAtMs = clock();
    const tally = new Tally();
    let ending: Follower['ending'] | undefined;
    try {
      ending = await work(tally);
    } catch (error) {
      ending = { outcome: 'failed', fault: toFault(error, 'copy referrers') };
    }
    if (ending !== undefined) onFollower({ tag, subject: named, ending, tally, startedAtMs });
  }
}

/**
 * Merges the list of a subject's referrers into its fallback tag at a destination that keeps no
 * such list itself: union by digest, nothing removed, read again after the push.
 * @throws Fault `TAG_MOVING` when others keep changing it
 */
async function mergeFallback(
  subject: string,
  { referrers, sourceIndex }: ReferrersList,
  { destination, read, signal }: CopyContext,
  tally: Tally,
): Promise<void> {
  const tag = referrersTag(subject);
  let wanted: readonly IndexEntry[] | undefined;
  for (let merge = 0; merge <= MAX_MERGES; merge += 1) {
    const index = await destination.getManifest(tag, signal);
    const present = index === undefined ? [] : entriesOf(index);
    if (index === undefined && sourceIndex !== undefined && namesAll(sourceIndex, referrers)) {
      // Nothing to merge with: the source's own list is mirrored as any other tag, byte for byte.
      await destination.putManifest(tag, sourceIndex, signal);
      tally.push();
      continue;
    }
    if (mergeEntries(present, referrers.map(bareEntry)) === undefined) return;
    wanted ??= await Promise.all(
      referrers.map(async (referrer) => entryOf(await read.child(referrer, signal))),
    );
    const merged = mergeEntries(present, wanted);
    if (merged === undefined || merge === MAX_MERGES) break;
    await destination.putManifest(tag, indexOf(merged), signal);
    tally.push();
  }
  throw new Fault('TAG_MOVING', `the list of referrers ${tag} kept changing`, {
    operation: 'merge referrers',
    side: 'destination',
  });
}

/** Whether an index already has every referrer. */
function namesAll(index: ManifestBytes, referrers: readonly Descriptor[]): boolean {
  return mergeEntries(entriesOf(index), referrers.map(bareEntry)) === undefined;
}

function bareEntry({ digest }: Descriptor): IndexEntry {
  return { digest };
}
