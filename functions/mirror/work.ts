import { setImmediate } from 'node:timers/promises';

import pMap from 'p-map';

import { newestFirst } from '../contract/selection.ts';
import { abortError, Semaphore } from '../concurrency.ts';
import { MirrorError, toMirrorError } from '../errors.ts';
import { parseReferrerTag } from '../oci/referrer-tags.ts';
import { watchdog } from '../watchdog.ts';
import type { CopyContext, ManifestCopy } from './copy-manifest.ts';
import { copyTag } from './copy-tag.ts';
import type { DecidedStep, WorkStep } from './resolve-plan.ts';
import type { ReportBuilder } from './report-builder.ts';
import { MIRRORED, type TagRecord } from './outcome.ts';
import { chooseChildren, platformFields } from './platforms.ts';
import type { Clock } from './ports.ts';
import { failedRecord, leftAsideRecord, tagRecord } from './record.ts';
import { subjectOf, type ReferrerCopy } from './referrers.ts';
import { TransferStats } from './transfer-stats.ts';
import { ManifestLimit } from './graph-limits.ts';

/** Whether a step changes the destination. */
export function isWork(step: DecidedStep): step is WorkStep {
  return ['copy', 'retag', 'overwrite', 'complete'].includes(step.action);
}

/** The newest tags first: they are what somebody waits for. */
export function inOrder(work: readonly WorkStep[]): readonly WorkStep[] {
  const byTag = new Map(work.map((step) => [step.tag, step]));
  return newestFirst([...byTag.keys()]).flatMap((tag) => byTag.get(tag) ?? []);
}

/** What carrying out the work needs. */
export interface WorkContext {
  readonly context: CopyContext;
  readonly copy: ManifestCopy;
  /** Undefined: signatures and referrers stay behind. */
  readonly referrers: ReferrerCopy | undefined;
  readonly clock: Clock;
  readonly ledger: ReportBuilder;
  readonly tagWorkers: number;
}

/** Tags that are done before the event loop has a turn. */
const TAGS_AT_ONCE = 1000;

/** Tags for each whose blobs wait for streams: one is read ahead of it, one has its blobs on their way. */
const STAGES = 3;

/**
 * Copies tags, lets the blobs of `tagWorkers` wait for streams at once, and signatures and referrers
 * follow each. What fails fails its own tag.
 * @returns the records of the tags that no delivery is long enough for; all others are in the ledger
 */
export async function carryOut(
  work: readonly WorkStep[],
  of: WorkContext,
): Promise<readonly TagRecord[]> {
  const tooSlow: TagRecord[] = [];
  let done = 0;
  const slots = new Semaphore(of.tagWorkers);
  await pMap(
    work,
    async (step) => {
      const record = await copyOne(step, of, slots);
      if (record.fault?.code === 'DELIVERY_TOO_SHORT') tooSlow.push(record);
      done += 1;
      // Others' work has its turn where thousands of tags fail at once.
      if (done % TAGS_AT_ONCE === 0) await setImmediate();
    },
    { concurrency: of.tagWorkers * STAGES },
  );
  return tooSlow;
}

async function copyOne(step: WorkStep, of: WorkContext, slots: Semaphore): Promise<TagRecord> {
  const { context, copy, clock, ledger, referrers } = of;
  const { tag } = step;
  const startedAtMs = clock();
  const stats = new TransferStats();
  const budget = new ManifestLimit();
  const completes = step.action === 'complete';
  const previousDigest =
    step.action === 'overwrite' ? step.previousDigest : completes ? step.digest : undefined;
  const end = watchdog.begin(`copy tag ${context.source.name}:${tag}`);
  try {
    requireTime(step, context);
    const keepsNoBackup = isSignature(tag);
    const wanted = { tag, previousDigest, completes, budget, stats, keepsNoBackup, slots };
    const ending = await copyTag(wanted, context, copy);
    const { node } = ending;
    const record = {
      ...tagRecord(tag, ending, stats, clock() - startedAtMs),
      ...(node && platformFields(chooseChildren(node.manifest, context), stats.leftOut)),
    };
    ledger.record(record);
    if (stats.leavesForeignLayers && MIRRORED.has(record.outcome)) {
      ledger.record(leftAsideRecord({ tag, reason: 'ForeignLayers' }));
    }
    if (node !== undefined) await referrers?.follow(subjectOf(node, budget, context));
    return record;
  } catch (error) {
    const fault = toMirrorError(error, 'copy tag');
    const record = failedRecord(tag, fault, stats, clock() - startedAtMs);
    if (fault.code !== 'DELIVERY_TOO_SHORT') ledger.record(record);
    return record;
  } finally {
    ledger.add(stats);
    end();
  }
}

/** Cosign's tags grow, asked for by name too. */
function isSignature(tag: string): boolean {
  const parsed = parseReferrerTag(tag);
  return parsed !== undefined && parsed.kind !== 'referrers';
}

/** A tag that needs blobs is not begun when none may start any more. */
function requireTime({ action }: WorkStep, { deadline, signal }: CopyContext): void {
  if (signal.aborted) throw abortError(signal);
  if (action === 'retag' || !deadline.lastStart.aborted) return;
  throw new MirrorError('DEADLINE_EXCEEDED', 'too late in this delivery to begin a tag', {
    operation: 'copy tag',
  });
}
