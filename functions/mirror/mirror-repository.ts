import pMap from 'p-map';

import type { MirrorRequest } from '../contract/event.ts';
import { newestFirst, selectTags } from '../contract/selection.ts';
import { Fault, toFault } from '../fault.ts';
import type { BlobPool } from './blob-pool.ts';
import { brake, type BrakeReport } from './brake.ts';
import { ManifestCopy, type CopyContext } from './copy-manifest.ts';
import { copyTag } from './copy-tag.ts';
import type { Deadline } from './deadline.ts';
import { splitBatch, type Delegation, type HandOffReason } from './delegation.ts';
import { DestinationManifests } from './destination-manifests.ts';
import type { FirstQuestion } from './first-question.ts';
import { lookAhead, planTags, type DecidedStep, type Inquiry } from './inquiry.ts';
import type { DestinationInventory, SourceInventory } from './inventory.ts';
import { candidatesOf, takeLists, type Candidates } from './lists.ts';
import { missingBytes } from './missing-bytes.ts';
import type { MirrorOptions } from './options.ts';
import type { TagRecord } from './outcome.ts';
import type { Clock, DestinationRepository, SourceRepository } from './ports.ts';
import { failedRecord, followerRecord, tagRecord, untouchedRecord } from './record.ts';
import { ReferrerCopy, subjectOf } from './referrers.ts';
import { drawUp, type MirrorReport, type Phase, type PhaseTime } from './report.ts';
import { SourceManifests } from './source-manifests.ts';
import { unchangedSubjects } from './subjects.ts';
import { Tally } from './tally.ts';
import { verificationOf, verifiedTags } from './verification.ts';
import { ManifestBudget } from './walk.ts';

/** What is to be mirrored: the part of an event that the engine needs. */
export type MirrorWish = Pick<
  MirrorRequest,
  'reason' | 'exclusionList' | 'selection' | 'tags' | 'verify'
>;

/** Told what happens while it happens. */
export interface MirrorObserver {
  readonly onPhase?: (time: PhaseTime) => void;
  /** A tag is decided; `skipped` ones too. */
  readonly onRecord?: (record: TagRecord) => void;
  /** Bytes sent to the destination, as they go. */
  readonly onBytes?: (count: number) => void;
}

/** What the engine works with. */
export interface MirrorPorts {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  /** One for the process. */
  readonly pool: BlobPool;
  /** One for the process. */
  readonly firstQuestion: FirstQuestion;
  readonly clock: Clock;
  readonly deadline: Deadline;
  /** Where work goes that is too much; absent: nowhere. */
  readonly delegation?: Delegation;
  readonly observer?: MirrorObserver;
}

/**
 * Makes every selected tag of the source be at the destination: lists both, plans the difference,
 * decides who does it, copies in parallel, and lets signatures and referrers follow. What fails
 * fails one tag; the others go on.
 * @throws Fault where nothing could be planned: a list failed, a pattern is malformed
 */
export async function mirrorRepository(
  wish: MirrorWish,
  ports: MirrorPorts,
  options: MirrorOptions,
  signal: AbortSignal,
): Promise<MirrorReport> {
  return new Mirroring(wish, ports, options, signal).run();
}

/** A step that changes the destination. */
type WorkStep = Extract<DecidedStep, { readonly action: 'copy' | 'retag' | 'overwrite' }>;

interface Planned {
  readonly steps: readonly DecidedStep[];
  readonly there: DestinationInventory;
  readonly brake: BrakeReport;
}

/** Who does the work. */
interface Share {
  readonly own: readonly WorkStep[];
  readonly delegated: readonly string[];
  readonly handOffReason?: HandOffReason;
}

/** One event's work on one repository. */
class Mirroring {
  readonly #wish: MirrorWish;
  readonly #requested: readonly string[] | undefined;
  readonly #ports: MirrorPorts;
  readonly #options: MirrorOptions;
  readonly #signal: AbortSignal;
  readonly #records: TagRecord[] = [];
  readonly #phases: PhaseTime[] = [];
  #progressed = false;

  constructor(wish: MirrorWish, ports: MirrorPorts, options: MirrorOptions, signal: AbortSignal) {
    this.#wish = wish;
    this.#requested = wish.tags === undefined ? undefined : [...new Set(wish.tags)];
    this.#ports = ports;
    this.#options = options;
    this.#signal = signal;
  }

  async run(): Promise<MirrorReport> {
    const { source, destination, pool, clock } = this.#ports;
    const selection = this.#wish.selection ?? this.#options.selection;
    const wish = {
      requested: this.#requested,
      exclusionList: this.#wish.exclusionList,
      selection,
      referrers: this.#options.referrers,
    };
    // Malformed patterns are refused before the first request.
    selectTags([], wish.exclusionList, selection);
    const startedAtMs = clock();
    const lists = await this.#phase('list', async () =>
      takeLists(source, destination, wish, this.#signal),
    );
    if (lists.destination.kind === 'map') {
      pool.knowledge.supersedeManifests(destination.name, startedAtMs);
    }
    if (lists.source === undefined) return this.#sourceLost(lists.destination);
    const here = lists.source;
    const candidates = candidatesOf(here, wish);
    const plan = await this.#phase('plan', async () =>
      this.#plan(candidates.tags, here, lists.destination),
    );
    return this.#carryOut(plan, candidates, here);
  }

  async #carryOut(
    plan: Planned,
    candidates: Candidates,
    here: SourceInventory,
  ): Promise<MirrorReport> {
    const facts = {
      sourceTagCount: here.listed ? here.tags.length : 0,
      selectedTagCount: candidates.tags.length,
      destinationTagCount: plan.there.tagCount,
      brake: plan.brake,
    };
    const work = this.#recordUntouched(plan.steps);
    if (this.#options.dryRun)
      return this.#draw({ ...facts, ending: 'finished', delegated: [], handedOff: [] });

    const context = this.#context(plan.there);
    const share = await this.#phase('delegate', async () => this.#delegate(work, context));
    const { handOffReason, delegated } = share;
    if (handOffReason !== undefined) {
      return this.#draw({
        ...facts,
        ending: 'handed-off',
        handOffReason,
        delegated,
        handedOff: [],
      });
    }
    const copy = new ManifestCopy(context);
    const referrers = this.#options.referrers
      ? this.#referrerCopy(context, copy, candidates, here, plan.there)
      : undefined;
    const tooSlow = await this.#phase('copy', async () =>
      this.#copyAll(share.own, context, copy, referrers),
    );
    const slowTags = tooSlow.map(({ tag }) => tag);
    const slowTaken = slowTags.length > 0 && (await this.#handOff('BlobTooSlow', slowTags));
    for (const record of slowTaken ? [] : tooSlow) this.#record(record);
    if (referrers !== undefined) {
      await this.#phase('follow', async () =>
        this.#followUnchanged(referrers, plan, candidates, context),
      );
    }
    return this.#draw({
      ...facts,
      ending: delegated.length > 0 ? 'fanned-out' : 'finished',
      delegated,
      handedOff: slowTaken ? slowTags : [],
    });
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
    const inquiry: Inquiry = {
      source,
      destination,
      sourceInventory: here,
      destinationInventory: there,
      policy: {
        verified: verifiedTags(verify, mutableTags),
        onDrift,
        hasManifest: (digest) =>
          pool.knowledge.hasManifest(destination.name, digest) ||
          there.hasManifest(digest) === true,
      },
      signal: this.#signal,
    };
    const answered = await planTags(tags, inquiry);
    const lifted = this.#requested !== undefined || reason === 'requested';
    const braked = brake(answered.steps, lifted ? 0 : maxMissingTags);
    const steps = this.#options.dryRun ? await lookAhead(braked.steps, inquiry) : braked.steps;
    return { steps, there: answered.destinationInventory, brake: braked.report };
  }

  /** Records what stays as it is; the rest is the work, the newest tags first. */
  #recordUntouched(steps: readonly DecidedStep[]): readonly WorkStep[] {
    const work = new Map<string, WorkStep>();
    for (const step of steps) {
      const changes =
        step.action === 'copy' || step.action === 'retag' || step.action === 'overwrite';
      if (changes && !this.#options.dryRun) work.set(step.tag, step);
      else this.#record(untouchedRecord(step, this.#options.dryRun));
    }
    return newestFirst([...work.keys()]).flatMap((tag) => work.get(tag) ?? []);
  }

  #context(there: DestinationInventory): CopyContext {
    const { source, destination, pool, clock, deadline, observer } = this.#ports;
    return {
      source,
      destination,
      pool,
      read: new SourceManifests(source, clock),
      there: new DestinationManifests(destination, there, pool.knowledge),
      deadline,
      turn: this,
      signal: this.#signal,
      onBytes: (count) => observer?.onBytes?.(count),
    };
  }

  /** Decides who does the work: everything to the job, most of it to others, or all of it here. */
  async #delegate(work: readonly WorkStep[], context: CopyContext): Promise<Share> {
    const { delegation } = this.#ports;
    if (delegation === undefined || work.length === 0) return { own: work, delegated: [] };
    const all = work.map(({ tag }) => tag);
    const { jobThresholdBytes, batchTags } = delegation;
    if (jobThresholdBytes === 0 && (await this.#handOff('EverythingHandedOff'))) {
      return { own: [], delegated: all, handOffReason: 'EverythingHandedOff' };
    }
    const { own, rest } = splitBatch(all, batchTags);
    const fannedOut = rest.length > 0 && (await delegation.fanOut(rest)) === 'taken';
    const mine = fannedOut ? own : all;
    const delegated = fannedOut ? rest : [];
    if (jobThresholdBytes > 0) {
      const { tagWorkers } = this.#options;
      const bytes = await missingBytes(mine, jobThresholdBytes, context, tagWorkers);
      const tooMany = bytes > jobThresholdBytes;
      if (tooMany && (await this.#handOff('TooManyBytes', fannedOut ? mine : undefined))) {
        return { own: [], delegated: all, handOffReason: 'TooManyBytes' };
      }
    }
    return { own: work.slice(0, mine.length), delegated };
  }

  async #handOff(reason: HandOffReason, tags?: readonly string[]): Promise<boolean> {
    return (await this.#ports.delegation?.handOff(reason, tags)) === 'taken';
  }

  #referrerCopy(
    context: CopyContext,
    copy: ManifestCopy,
    { signatures }: Candidates,
    here: SourceInventory,
    there: DestinationInventory,
  ): ReferrerCopy {
    const { clock, firstQuestion } = this.#ports;
    return new ReferrerCopy({
      context,
      copy,
      clock,
      signatures,
      firstQuestion,
      sourceFactOf: here.factOf,
      destinationFactOf: there.factOf,
      onFollower: (follower) => {
        this.#progressed ||= follower.tally.progressed;
        this.#record(followerRecord(follower, clock()));
      },
    });
  }

  /** Copies the tags. @returns the records of those that no delivery is long enough for */
  async #copyAll(
    work: readonly WorkStep[],
    context: CopyContext,
    copy: ManifestCopy,
    referrers: ReferrerCopy | undefined,
  ): Promise<readonly TagRecord[]> {
    const tooSlow: TagRecord[] = [];
    await pMap(
      work,
      async (step) => {
        const record = await this.#copyOne(step, context, copy, referrers);
        if (record.fault?.code === 'DELIVERY_TOO_SHORT') tooSlow.push(record);
      },
      { concurrency: this.#options.tagWorkers },
    );
    return tooSlow;
  }

  async #copyOne(
    step: WorkStep,
    context: CopyContext,
    copy: ManifestCopy,
    referrers: ReferrerCopy | undefined,
  ): Promise<TagRecord> {
    const { clock } = this.#ports;
    const startedAtMs = clock();
    const tally = new Tally();
    const budget = new ManifestBudget();
    const previousDigest = step.action === 'overwrite' ? step.previousDigest : undefined;
    const { tag } = step;
    try {
      this.#requireTime(step);
      const ending = await copyTag({ tag, previousDigest, budget, tally }, context, copy, clock);
      const record = tagRecord(tag, ending, tally, clock() - startedAtMs);
      this.#record(record);
      if (ending.node !== undefined) await referrers?.follow(subjectOf(ending.node, budget));
      return record;
    } catch (error) {
      const fault = toFault(error, 'copy tag');
      const record = failedRecord(tag, fault, tally, clock() - startedAtMs);
      if (fault.code !== 'DELIVERY_TOO_SHORT') this.#record(record);
      return record;
    } finally {
      this.#progressed ||= tally.progressed;
    }
  }

  /** A tag that needs blobs is not begun when none may start any more. */
  #requireTime({ action }: WorkStep): void {
    if (action === 'retag' || this.#ports.deadline.untilLastStartMs() > 0) return;
    throw new Fault('DEADLINE_EXCEEDED', 'too late in this delivery to begin a tag', {
      operation: 'copy tag',
    });
  }

  /** Signatures and referrers of what stayed as it was, as far as the event's reason asks for it. */
  async #followUnchanged(
    referrers: ReferrerCopy,
    { steps, there }: Planned,
    { signatures, wishedSubjects }: Candidates,
    context: CopyContext,
  ): Promise<void> {
    const { clock, destination, pool } = this.#ports;
    const owed = [...pool.knowledge.takeOwedReferrers(destination.name), ...wishedSubjects];
    const { reason } = this.#wish;
    const subjects = await unchangedSubjects({
      reason,
      steps,
      signatures,
      inventory: there,
      context,
      clock,
      owed,
      isFollowed: (digest) => referrers.isFollowed(digest),
    });
    await pMap(
      subjects,
      async ({ digest, tagged }) => {
        await referrers.follow({ digest, tagged, childDigests: [], budget: new ManifestBudget() });
      },
      { concurrency: this.#options.tagWorkers },
    );
  }

  #sourceLost(there: DestinationInventory): MirrorReport {
    for (const tag of this.#requested ?? []) {
      this.#record(untouchedRecord({ tag, action: 'lost', reason: 'GoneFromSource' }, false));
    }
    return this.#draw({
      ending: 'source-lost',
      delegated: [],
      handedOff: [],
      sourceTagCount: 0,
      selectedTagCount: this.#requested?.length ?? 0,
      destinationTagCount: there.tagCount,
      brake: { engaged: false, missing: 0, maxMissingTags: this.#options.maxMissingTags, held: 0 },
    });
  }

  async #phase<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const { clock, observer } = this.#ports;
    const startedAtMs = clock();
    try {
      return await work();
    } finally {
      const time = { phase, durationMs: clock() - startedAtMs };
      this.#phases.push(time);
      observer?.onPhase?.(time);
    }
  }

  #record(record: TagRecord): void {
    this.#records.push(record);
    this.#ports.observer?.onRecord?.(record);
  }

  #draw(
    facts: Pick<
      MirrorReport,
      | 'ending'
      | 'delegated'
      | 'handedOff'
      | 'sourceTagCount'
      | 'selectedTagCount'
      | 'destinationTagCount'
      | 'brake'
    > & { readonly handOffReason?: HandOffReason },
  ): MirrorReport {
    return drawUp({
      ...facts,
      source: this.#ports.source.name,
      destination: this.#ports.destination.name,
      dryRun: this.#options.dryRun,
      records: this.#records,
      progressed: this.#progressed,
      phases: this.#phases,
    });
  }
}
