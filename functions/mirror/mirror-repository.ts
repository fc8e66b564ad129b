import type { MirrorRequest } from '../contract/event.ts';
import { selectTags } from '../contract/selection.ts';
import { toMirrorError, type MirrorError } from '../errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import { parseReferrerTag, referrersTag } from '../oci/referrer-tags.ts';
import { brake, type BrakeReport } from './brake.ts';
import type { BlobCopier } from './copy-blob.ts';
import { ManifestCopy, type CopyContext } from './copy-manifest.ts';
import { fromNow, type Deadline } from './deadline.ts';
import { shareOut, type Offload } from './offload.ts';
import { DestinationManifests } from './destination-manifests.ts';
import type { ReferrersSupport } from './referrers-support.ts';
import {
  previewPlan,
  resolvePlan,
  type DecidedStep,
  type PlanContext,
  type WorkStep,
} from './resolve-plan.ts';
import type { DestinationInventory, SourceInventory } from './inventory.ts';
import { withIncompleteIndexes } from './incomplete-indexes.ts';
import { ReportBuilder, type ReportBuilderFacts, type MirrorObserver } from './report-builder.ts';
import { candidatesOf, takeLists, type Candidates } from './lists.ts';
import type { MirrorOptions } from './options.ts';
import type { TagRecord } from './outcome.ts';
import { ownTags } from './own-tags.ts';
import { chooseChildren, platformsOf, type Platforms } from './platforms.ts';
import type { Clock, Descriptor, DestinationRepository, SourceRepository } from './ports.ts';
import { askEach } from './questions.ts';
import {
  backupRecord,
  failedRecord,
  followerRecord,
  leftAsideRecord,
  untouchedRecord,
} from './record.ts';
import { ReferrerCopy } from './referrers.ts';
import type { MirrorReport } from './report.ts';
import { SourceManifests } from './source-manifests.ts';
import { unchangedSubjects } from './subjects.ts';
import type { TagTurns } from './tag-turns.ts';
import { verificationOf, verifiedTags } from './verification.ts';
import { ManifestLimit } from './graph-limits.ts';
import { carryOut, inOrder, isWork, type WorkContext } from './work.ts';

export type { MirrorObserver } from './report-builder.ts';

/** What is to be mirrored: the part of an event that the engine needs. */
export type MirrorWish = Pick<
  MirrorRequest,
  'reason' | 'exclusionList' | 'selection' | 'platforms' | 'tags' | 'verify'
>;

/** What the engine works with. */
export interface MirrorPorts {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  /** One for the process. */
  readonly pool: BlobCopier;
  /** One for the process. */
  readonly referrersSupport: ReferrersSupport;
  /** One for the process. */
  readonly tagTurns: TagTurns;
  readonly clock: Clock;
  readonly deadline: Deadline;
  /** Where work goes that is too much; absent: nowhere. */
  readonly offload?: Offload | undefined;
  readonly observer?: MirrorObserver;
}

/**
 * Makes every selected tag of the source be at the destination: lists both, plans the difference,
 * decides who does it, copies in parallel, and lets signatures and referrers follow. What fails
 * fails one tag; the others go on.
 * @throws MirrorError where nothing could be planned: a list failed, a pattern is malformed
 */
export async function mirrorRepository(
  wish: MirrorWish,
  ports: MirrorPorts,
  options: MirrorOptions,
  signal: AbortSignal,
): Promise<MirrorReport> {
  return new Mirroring(wish, ports, options, signal).run();
}

interface Planned {
  readonly steps: readonly DecidedStep[];
  readonly there: DestinationInventory;
  readonly brake: BrakeReport;
}

/** Whether a tag's digest at the source is at the destination once the plan was carried out. */
function isThere(step: DecidedStep): boolean {
  return isWork(step) || (step.action === 'skip' && step.reason === 'Identical');
}

/** One event's work on one repository. */
class Mirroring {
  readonly #wish: MirrorWish;
  readonly #requested: readonly string[] | undefined;
  readonly #ports: MirrorPorts;
  readonly #options: MirrorOptions;
  /** The event's own, else the options'. */
  readonly #platforms: Platforms | undefined;
  readonly #signal: AbortSignal;
  readonly #ledger: ReportBuilder;
  /** Signatures and lists of referrers that this whole delivery was too short for. */
  readonly #slowFollowers: TagRecord[] = [];

  constructor(wish: MirrorWish, ports: MirrorPorts, options: MirrorOptions, signal: AbortSignal) {
    this.#wish = wish;
    this.#requested = wish.tags === undefined ? undefined : [...new Set(wish.tags)];
    this.#ports = ports;
    this.#options = options;
    this.#platforms =
      wish.platforms === undefined ? options.platforms : platformsOf(wish.platforms);
    this.#signal = signal;
    this.#ledger = new ReportBuilder(ports.clock, ports.observer ?? {});
  }

  async run(): Promise<MirrorReport> {
    const { source, destination, pool, clock } = this.#ports;
    const selection = this.#wish.selection ?? this.#options.selection;
    const wish = {
      requested: this.#requested,
      exclusionList: this.#wish.exclusionList,
      selection,
      referrers: this.#options.referrers,
      backupTag: this.#options.backupTag,
    };
    // Malformed patterns are refused before the first request.
    await selectTags([], wish.exclusionList, selection);
    const startedAtMs = clock();
    const lists = await this.#ledger.phase('list', async () =>
      takeLists(source, destination, wish, this.#signal),
    );
    if (lists.destination.kind === 'map') {
      pool.presence.supersedeManifests(destination.name, startedAtMs);
    }
    const here = lists.source;
    if (here === undefined) return this.#sourceLost(lists.destination);
    const candidates = await candidatesOf(here, wish, this.#signal);
    // Before the questions: what they leave goes on by name, however long they take.
    const selected = await this.#selectedOwnTags(candidates);
    const plan = await this.#ledger.phase('plan', async () =>
      this.#plan(candidates.tags, here, lists.destination),
    );
    const report = await this.#carryOut(plan, candidates, selected, here, startedAtMs);
    // Neither a list nor any of the named tags.
    const isLost =
      here.whyUnlisted === 'NOT_FOUND' && report.counts.lost === this.#requested?.length;
    return isLost ? { ...report, ending: 'source-lost' } : report;
  }

  async #carryOut(
    plan: Planned,
    candidates: Candidates,
    selected: ReadonlySet<string>,
    here: SourceInventory,
    listedAtMs: number,
  ): Promise<MirrorReport> {
    const facts = {
      sourceTagCount: here.tagCount,
      sourceUnlisted: here.whyUnlisted,
      destinationUnlisted: plan.there.whyUnlisted?.code,
      selectedTagCount: candidates.tags.length,
      destinationTagCount: plan.there.tagCount,
      brake: plan.brake,
    };
    const work = this.#recordUntouched(plan.steps);
    for (const tag of candidates.backups) this.#ledger.record(backupRecord(tag));
    // Tags that are asked for by name come with their own list of what is left.
    const invalidTags = this.#requested === undefined ? here.invalidTags : [];
    for (const tag of invalidTags) {
      this.#ledger.record(leftAsideRecord({ tag, reason: 'TagInvalid' }));
    }
    if (this.#options.dryRun) return this.#draw({ ...facts, ending: 'finished', delegated: [] });

    const { clock, offload } = this.#ports;
    const { tagWorkers } = this.#options;
    const judged = this.#context(plan.there, listedAtMs);
    // Of a delivery whose questions took all its time nothing is given away: all of it goes on by name.
    const others = this.#signal.aborted ? undefined : offload;
    const share = await this.#ledger.phase('delegate', async () =>
      shareOut(work, others, judged, tagWorkers),
    );
    // A blob that has most of what lists, questions and judging have left may be too slow for any delivery.
    const context = { ...judged, deadline: fromNow(judged.deadline, clock()) };
    const { handOffReason, delegated } = share;
    if (handOffReason !== undefined) {
      return this.#draw({ ...facts, ending: 'handed-off', handOffReason, delegated });
    }
    const copy = new ManifestCopy(context);
    const referrers = this.#options.referrers
      ? this.#referrerCopy(context, copy, candidates, here, plan.there)
      : undefined;
    const tooSlow = await this.#ledger.phase('copy', async () =>
      carryOut(share.own, { context, copy, referrers, clock, ledger: this.#ledger, tagWorkers }),
    );
    const handedOff = await this.#handOffSlow(tooSlow);
    const mayFollow = referrers !== undefined || candidates.signatures.size > 0;
    const follow = async (): Promise<readonly string[]> => {
      if (referrers !== undefined) {
        await this.#followUnchanged(referrers, plan, candidates, context);
      }
      // What was too slow has cut this delivery, in which nothing is asked any more.
      const isOwnWork = delegated.length === 0;
      const own = await this.#ownTags(plan, candidates, selected, context, referrers, isOwnWork);
      return this.#copyOwn(own, here, plan.there, { context, copy, referrers });
    };
    const more = mayFollow ? await this.#ledger.phase('follow', follow) : [];
    const followers = await this.#handOffSlow(this.#slowFollowers);
    return this.#draw({
      ...facts,
      ending: delegated.length > 0 ? 'fanned-out' : 'finished',
      delegated,
      handedOff: [...handedOff, ...more, ...followers],
    });
  }

  /** What exclusion and selection leave where tags named after a digest are tags like any. */
  async #selectedOwnTags({
    signatures,
    wishedSubjects,
    selectAmongAll,
  }: Candidates): Promise<ReadonlySet<string>> {
    const wished = new Set(wishedSubjects.map((subject) => referrersTag(subject)));
    return this.#requested === undefined && signatures.size > 0 ? selectAmongAll() : wished;
  }

  /** Tags named after a digest that are images of their own; what else of them stays behind is recorded. */
  async #ownTags(
    { steps, there }: Planned,
    { signatures, isWhole, wishedSubjects }: Candidates,
    selected: ReadonlySet<string>,
    context: CopyContext,
    referrers: ReferrerCopy | undefined,
    isOwnWork: boolean,
  ): Promise<readonly string[]> {
    if (signatures.size === 0 && wishedSubjects.length === 0) return [];
    const { own, leftAside, unanswered } = await ownTags({
      signatures,
      selected,
      followsSubjects: this.#options.referrers,
      isFollowed: (digest) => referrers?.isSigned(digest) === true,
      leavesPlatformsOut: this.#leavesPlatformsOut,
      isAllThere:
        !this.#leavesPlatformsOut &&
        isWhole &&
        isOwnWork &&
        !this.#ledger.hasFailures &&
        steps.every(isThere),
      isByName: this.#requested !== undefined,
      inventory: there,
      context,
    });
    for (const left of leftAside) this.#ledger.record(leftAsideRecord(left));
    for (const { tag, fault } of unanswered) {
      this.#ledger.record(failedRecord(tag, fault));
    }
    return own;
  }

  /** Plans and copies what was found to be an image of its own, as any tag. @returns tags handed off */
  async #copyOwn(
    tags: readonly string[],
    here: SourceInventory,
    there: DestinationInventory,
    of: Pick<WorkContext, 'context' | 'copy' | 'referrers'>,
  ): Promise<readonly string[]> {
    if (tags.length === 0) return [];
    const { clock } = this.#ports;
    const { tagWorkers } = this.#options;
    let steps: readonly DecidedStep[];
    try {
      ({ steps } = await this.#plan(tags, here, there));
    } catch (error) {
      const fault = toMirrorError(error, 'plan tags');
      for (const tag of tags) this.#ledger.record(failedRecord(tag, fault));
      return [];
    }
    const work = this.#recordUntouched(steps);
    return this.#handOffSlow(
      await carryOut(work, { ...of, clock, ledger: this.#ledger, tagWorkers }),
    );
  }

  async #plan(
    tags: readonly string[],
    here: SourceInventory,
    there: DestinationInventory,
  ): Promise<Planned> {
    const { source, destination, pool } = this.#ports;
    const { verifyTags, resyncVerify, mutableTags, onDrift, maxMissingTags } = this.#options;
    const { reason, verify: eventVerify } = this.#wish;
    const verify = verificationOf({ reason, eventVerify, verifyTags, resyncVerify });
    const verified = verifiedTags(verify, mutableTags);
    const inquiry: PlanContext = {
      source,
      destination,
      sourceInventory: here,
      destinationInventory: there,
      policy: {
        verified: this.#verified(verified),
        onDrift,
        hasManifest: (digest) => pool.presence.hasManifest(destination.name, digest),
      },
      completesList: this.#requested === undefined,
      // A batch or continuation names what the whole event would have kept.
      mayMoveUnseen: (tag) => this.#mayMoveUnseen && verified(tag),
      dryRun: this.#options.dryRun,
      onPresent: (digest) => {
        pool.presence.addManifest(destination.name, digest);
      },
      signal: this.#signal,
    };
    const answered = await resolvePlan(tags, inquiry);
    const lifted = this.#requested !== undefined || reason === 'requested';
    const { destinationInventory } = answered;
    this.#ledger.answer(answered.answered);
    const platforms = { platforms: this.#platforms, destination, pool };
    const known = await withIncompleteIndexes(answered.steps, {
      ...platforms,
      verified: inquiry.policy.verified,
      there: new DestinationManifests(destination, destinationInventory, pool.presence),
      signal: this.#signal,
    });
    const braked = brake(known, lifted ? 0 : maxMissingTags);
    const steps = this.#options.dryRun
      ? await previewPlan(braked.steps, { ...inquiry, destinationInventory }, platforms)
      : braked.steps;
    return { steps, there: destinationInventory, brake: braked.report };
  }

  /**
   * Whoever names tags, and no `verify`, wants these: perhaps an earlier delivery has found out that they
   * moved. A signature tag grows without moving its image: asked for by name it is always compared.
   */
  #verified(verified: (tag: string) => boolean): (tag: string) => boolean {
    if (this.#requested === undefined) return verified;
    if (this.#wish.verify === undefined) return () => true;
    return (tag) => verified(tag) || parseReferrerTag(tag) !== undefined;
  }

  /** Records what stays as it is; the rest is the work. */
  #recordUntouched(steps: readonly DecidedStep[]): readonly WorkStep[] {
    const { dryRun } = this.#options;
    const work: WorkStep[] = [];
    for (const step of steps) {
      if (isWork(step) && !dryRun) work.push(step);
      else this.#ledger.record(untouchedRecord(step, dryRun));
    }
    return inOrder(work);
  }

  #context(there: DestinationInventory, listedAtMs: number): CopyContext {
    const { source, destination, pool, tagTurns, clock, deadline, observer } = this.#ports;
    const { onDrift, backupTag } = this.#options;
    return {
      source,
      destination,
      pool,
      read: new SourceManifests(source, clock),
      there: new DestinationManifests(destination, there, pool.presence),
      deadline: fromNow(deadline, clock()),
      tagTurns,
      clock,
      onDrift,
      backupTag,
      platforms: this.#platforms,
      onWholeIndexes: (host) => observer?.onWholeIndexes?.(host),
      listedAtMs,
      mayMoveUnseen: this.#mayMoveUnseen,
      looksBeforeEveryPush: !this.#mayMoveUnseen || there.kind === 'partial',
      event: this,
      signal: this.#signal,
      onBytes: (count) => observer?.onBytes?.(count),
    };
  }

  /**
   * Blobs that this whole delivery was too short for go to the job; without one, their tags fail. So
   * they do where it cannot be started: what else this delivery did and left is still to be told.
   */
  async #handOffSlow(records: readonly TagRecord[]): Promise<readonly string[]> {
    const tags = records.map(({ tag }) => tag);
    const { offload } = this.#ports;
    if (tags.length === 0) return [];
    let refusal: MirrorError | undefined;
    try {
      if ((await offload?.handOff('BlobTooSlow', tags)) === 'taken') return tags;
    } catch (error) {
      refusal = toMirrorError(error, 'hand off');
    }
    const why = refusal && { reason: refusal.code, fault: refusal };
    for (const record of records) this.#ledger.record({ ...record, ...why });
    return [];
  }

  #referrerCopy(
    context: CopyContext,
    copy: ManifestCopy,
    { signatures }: Candidates,
    here: SourceInventory,
    there: DestinationInventory,
  ): ReferrerCopy {
    const { clock, referrersSupport } = this.#ports;
    return new ReferrerCopy({
      context,
      copy,
      clock,
      signatures,
      referrersSupport,
      sourceFactOf: here.factOf,
      destinationFactOf: there.factOf,
      onFollower: (follower) => {
        this.#ledger.add(follower.stats);
        const record = followerRecord(follower, clock());
        if (record.fault?.code === 'DELIVERY_TOO_SHORT') this.#slowFollowers.push(record);
        else this.#ledger.record(record);
      },
      onAnswered: () => {
        this.#ledger.answer();
      },
    });
  }

  /** Signatures and referrers of what stayed as it was, as far as the event's reason asks for it. */
  async #followUnchanged(
    referrers: ReferrerCopy,
    { steps, there }: Planned,
    { signatures, wishedSubjects }: Candidates,
    context: CopyContext,
  ): Promise<void> {
    const { subjects, unanswered, answered } = await unchangedSubjects({
      reason: this.#wish.reason,
      steps,
      signatures,
      inventory: there,
      context,
      clock: this.#ports.clock,
      wished: wishedSubjects,
      isByName: this.#requested !== undefined,
      isFollowed: (digest) => referrers.isFollowed(digest),
    });
    this.#ledger.answer(answered);
    for (const { tag, fault } of unanswered) {
      this.#ledger.record(failedRecord(tag, fault));
    }
    // Tagged ones first, to their end: of what only a signature tag names the API is not asked, and it
    // may be a child of theirs, of which it is.
    for (const isTagged of [true, false]) {
      await askEach(
        subjects.filter(({ tagged }) => tagged === isTagged),
        this.#signal,
        'follow referrers',
        async ({ digest, tagged }) => {
          const children = tagged ? await this.#childrenOf(digest, signatures.size > 0) : [];
          await referrers.follow({ digest, tagged, children, budget: new ManifestLimit() });
        },
        ({ digest }, fault) => {
          this.#ledger.record(failedRecord(referrersTag(digest), fault));
        },
        this.#options.tagWorkers,
      );
    }
  }

  /**
   * Children of an unchanged subject, whose referrers follow too: one GET at the destination, where the
   * source may have any. Of an event that names its tags the signatures of children are found so, too.
   */
  async #childrenOf(digest: string, hasSignatures: boolean): Promise<readonly Descriptor[]> {
    const { source, destination, pool } = this.#ports;
    const maySign = hasSignatures && this.#requested !== undefined;
    if (!source.mayHaveReferrersApi && !maySign) return [];
    try {
      const manifest = await destination.getManifest(digest, this.#signal);
      if (manifest === undefined) return [];
      const index = parseManifest(manifest.bytes, manifest.mediaType);
      return chooseChildren(index, { platforms: this.#platforms, destination, pool }).chosen;
    } catch (error) {
      this.#ledger.record(failedRecord(referrersTag(digest), toMirrorError(error, 'get manifest')));
      return [];
    }
  }

  get #mayMoveUnseen(): boolean {
    const { onDrift, backupTag } = this.#options;
    return onDrift === 'overwrite' && backupTag === undefined;
  }

  get #leavesPlatformsOut(): boolean {
    return this.#platforms !== undefined && this.#platforms !== 'all';
  }

  #sourceLost(there: DestinationInventory): MirrorReport {
    return this.#draw({
      ending: 'source-lost',
      delegated: [],
      sourceTagCount: 0,
      selectedTagCount: 0,
      destinationTagCount: there.tagCount,
      brake: { engaged: false, missing: 0, maxMissingTags: this.#options.maxMissingTags, held: 0 },
    });
  }

  #draw(
    facts: Omit<ReportBuilderFacts, 'source' | 'destination' | 'dryRun' | 'handedOff'> &
      Partial<Pick<ReportBuilderFacts, 'handedOff'>>,
  ): MirrorReport {
    return this.#ledger.draw({
      handedOff: [],
      ...facts,
      source: this.#ports.source.name,
      destination: this.#ports.destination.name,
      dryRun: this.#options.dryRun,
    });
  }
}
