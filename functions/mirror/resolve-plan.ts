import { SYSTEM_TIMING, timeLimit } from '../concurrency.ts';
import { isMirrorError, toMirrorError, type MirrorError } from '../errors.ts';
import { parseManifest } from '../oci/manifest.ts';
import { isClosed, takesPushes } from './closed-repository.ts';
import { unseenIfForbidden } from './destination-manifests.ts';
import {
  ASKED_FIRST,
  FOR_NAMED,
  listDestination,
  withTagDigests,
  withTagFacts,
  type DestinationInventory,
  type SourceInventory,
} from './inventory.ts';
import {
  planTag,
  type DestinationFact,
  type Policy,
  type Question,
  type SourceFact,
  type Step,
} from './plan.ts';
import {
  chooseChildren,
  platformFields,
  type PlatformContext,
  type PlatformFields,
} from './platforms.ts';
import type { DestinationRepository, SourceRepository } from './ports.ts';
import { askEach } from './questions.ts';

/** A step that needs no more questions, or why its questions were not answered. */
export type DecidedStep =
  | (Exclude<Step, { readonly action: 'ask' }> & PlatformFields)
  | { readonly tag: string; readonly action: 'fail'; readonly fault: MirrorError };

/** A step that changes the destination. */
export type WorkStep = Extract<
  DecidedStep,
  { readonly action: 'copy' | 'retag' | 'overwrite' | 'complete' }
>;

/** What the planning of one event works with. */
export interface PlanContext {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  readonly sourceInventory: SourceInventory;
  readonly destinationInventory: DestinationInventory;
  readonly policy: Policy;
  /** Whether another API may list all tags where a list was cut; named tags are asked one by one. */
  readonly completesList: boolean;
  /** Whether a tag that no list has and that is answered 403 is taken for missing. */
  readonly mayMoveUnseen: (tag: string) => boolean;
  /** Nothing may be pushed to ask whether anything may. */
  readonly dryRun: boolean;
  /** Told the digests that a HEAD at the destination brought to light. */
  readonly onPresent: (digest: string) => void;
  readonly signal: AbortSignal;
}

/** A plan whose questions were answered. */
export interface AnsweredPlan {
  readonly steps: readonly DecidedStep[];
  /** The inventory, completed where it had to be. */
  readonly destinationInventory: DestinationInventory;
  /** Tags that were asked about and are decided by the answers. */
  readonly answered: number;
}

/** More rounds than a plan can need: where is it, what is it there, what is it here. */
const MAX_ROUNDS = 4;

/**
 * Plans tags and asks what the plan needs to know, all questions of a round at once, until every
 * tag is decided. A question that fails fails its tag only.
 * @throws MirrorError of the destination's list, where that, the first of its tags and a push are refused
 */
export async function resolvePlan(
  tags: readonly string[],
  inquiry: PlanContext,
): Promise<AnsweredPlan> {
  let there = inquiry.destinationInventory;
  const policy: Policy = {
    ...inquiry.policy,
    hasManifest: (digest) =>
      inquiry.policy.hasManifest(digest) || there.hasManifest(digest) === true,
  };
  const sources = new Map<string, SourceFact>();
  const destinations = new Map<string, DestinationFact>();
  const faults = new Map<string, MirrorError>();
  const unseen = new Set<string>();
  const plan = (tag: string): Step | DecidedStep => {
    const fault = faults.get(tag);
    if (fault !== undefined) return { tag, action: 'fail', fault };
    const source = sources.get(tag) ?? inquiry.sourceInventory.factOf(tag);
    const destination = destinations.get(tag) ?? there.factOf(tag);
    return planTag({ tag, source, destination }, policy);
  };
  const asked = new Set<string>();
  const askAll = async (open: readonly OpenStep[]): Promise<void> => {
    for (const { tag } of open) asked.add(tag);
    const context = { ...inquiry, destinationInventory: there };
    await askEach(
      open,
      inquiry.signal,
      'verify tag',
      async ({ tag, question }) => ask(tag, question, context, { sources, destinations, unseen }),
      ({ tag }, fault) => faults.set(tag, fault),
    );
  };
  let steps = tags.map(plan);
  const { whyUnlisted } = there;
  if (isClosed(whyUnlisted)) {
    const first = steps.filter(isOpen).slice(0, ASKED_FIRST);
    await askAll(first);
    const isRefused = ({ tag }: OpenStep): boolean => unseen.has(tag) || isClosed(faults.get(tag));
    const mayBeClosed = first.length > 0 && first.every(isRefused);
    if (mayBeClosed && (unseen.size === 0 || inquiry.dryRun || !(await takesPushes(inquiry))))
      throw whyUnlisted;
    steps = tags.map(plan);
  }
  let mayListYet = there.kind === 'heads' && whyUnlisted === undefined;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const open = steps.filter(isOpen);
    if (open.length === 0) break;
    if (open.some(({ reason }) => reason === 'ListIncomplete')) {
      const digests = await completeList(inquiry);
      if (digests !== undefined) {
        there = withTagDigests(there, digests);
        steps = tags.map(plan);
        continue;
      }
    }
    await askAll(open);
    const hidden = mayListYet ? [...faults].filter(([, fault]) => isHidden(fault)) : [];
    if (hidden.length > 0) {
      mayListYet = false;
      const listed = await listAfterAll(inquiry);
      if (isMirrorError(listed)) for (const [tag] of hidden) faults.set(tag, listed);
      else if (listed.kind !== 'heads') {
        there = listed;
        const has = (tag: string): boolean => listed.factOf(tag).state === 'present';
        for (const [tag] of hidden) faults.delete(tag);
        for (const tag of unseen) if (has(tag)) destinations.delete(tag);
      }
    }
    steps = tags.map(plan);
  }
  const answered = asked.size - faults.size;
  const destinationInventory = withTagFacts(there, destinations);
  return { steps: steps.map(decided), destinationInventory, answered };
}

type OpenStep = Extract<Step, { readonly action: 'ask' }>;

function isOpen(step: Step | DecidedStep): step is OpenStep {
  return step.action === 'ask';
}

/** Whether the destination may have denied a tag because it is not there. */
function isHidden(fault: MirrorError): boolean {
  return fault.side === 'destination' && isMirrorError(fault, 'FORBIDDEN');
}

/** How long the tags that were answered wait for a list that those need which were not, ms: one idle time. */
const LATE_LIST_MS = 60_000;

/** The list of a destination that few named tags did not need, or its fault: it tells of those that a 403 hides. */
async function listAfterAll({
  destination,
  signal,
}: PlanContext): Promise<DestinationInventory | MirrorError> {
  const limit = timeLimit(SYSTEM_TIMING, LATE_LIST_MS);
  const limited = AbortSignal.any([signal, limit.signal]);
  return listDestination(destination, limited, FOR_NAMED)
    .catch((error: unknown) => toMirrorError(error, 'list tags'))
    .finally(limit.release);
}

async function completeList({
  destination,
  completesList,
  signal,
}: PlanContext): Promise<ReadonlyMap<string, string> | undefined> {
  return completesList ? destination.listTagDigests?.(signal) : undefined;
}

/** What the answers told, by tag. */
interface Answers {
  readonly sources: Map<string, SourceFact>;
  readonly destinations: Map<string, DestinationFact>;
  /** Answered 403, and taken for missing. */
  readonly unseen: Set<string>;
}

async function ask(
  tag: string,
  question: Question,
  { source, destination, destinationInventory, mayMoveUnseen, onPresent, signal }: PlanContext,
  { sources, destinations, unseen }: Answers,
): Promise<void> {
  const { whyUnlisted } = destinationInventory;
  const isListed = destinationInventory.factOf(tag).state === 'present';
  // A tag that would stay where it is seen must not move because it is not.
  const staysWhereSeen = !mayMoveUnseen(tag);
  const believes403 = !isListed && !staysWhereSeen;
  const believe403 = (error: unknown): undefined => {
    unseenIfForbidden(error);
    unseen.add(tag);
  };
  await Promise.all([
    question === 'destination'
      ? undefined
      : source.headManifest(tag, signal).then((head) => {
          sources.set(
            tag,
            head === undefined ? { state: 'gone' } : { state: 'listed', digest: head.digest },
          );
        }),
    question === 'source'
      ? undefined
      : destination
          .headManifest(tag, signal, isListed || (staysWhereSeen && whyUnlisted !== undefined))
          .catch(believes403 ? believe403 : undefined)
          .then((head) => {
            if (head !== undefined) onPresent(head.digest);
            destinations.set(
              tag,
              head === undefined ? { state: 'absent' } : { state: 'present', digest: head.digest },
            );
          }),
  ]);
}

function decided(step: Step | DecidedStep): DecidedStep {
  if (step.action !== 'ask') return step;
  return {
    tag: step.tag,
    action: 'fail',
    fault: toMirrorError(new Error(`the plan still asks: ${step.reason}`), 'verify tag'),
  };
}

/**
 * Learns what the source has under missing tags, for a dry run that tells a retag from a copy and a
 * lost tag from a missing one: one HEAD each; where platforms are chosen one GET, also of tags that
 * would be overwritten or completed, which tells what would be left out.
 */
export async function previewPlan(
  steps: readonly DecidedStep[],
  inquiry: PlanContext,
  platforms?: PlatformContext,
): Promise<readonly DecidedStep[]> {
  const { source, destinationInventory, signal } = inquiry;
  const policy: Policy = {
    ...inquiry.policy,
    hasManifest: (digest) =>
      inquiry.policy.hasManifest(digest) || destinationInventory.hasManifest(digest) === true,
  };
  const isRead = platforms?.platforms !== undefined && platforms.platforms !== 'all';
  const isMissing = ({ action }: DecidedStep): boolean => action === 'copy';
  const moves = ({ action }: DecidedStep): boolean =>
    action === 'overwrite' || action === 'complete';
  const seen = new Map<string, DecidedStep>();
  await askEach(
    steps.filter((step) => isMissing(step) || (isRead && moves(step))),
    signal,
    'verify tag',
    async (step) => {
      const { tag } = step;
      const found = isRead
        ? await source.getManifest(tag, signal)
        : await source.headManifest(tag, signal);
      const fact: SourceFact =
        found === undefined ? { state: 'gone' } : { state: 'listed', digest: found.digest };
      const fields =
        isRead && found !== undefined && 'bytes' in found
          ? platformFields(chooseChildren(parseManifest(found.bytes, found.mediaType), platforms))
          : {};
      const next = isMissing(step)
        ? decided(planTag({ tag, source: fact, destination: { state: 'absent' } }, policy))
        : step;
      seen.set(tag, { ...next, ...fields });
    },
    ({ tag }, fault) => seen.set(tag, { tag, action: 'fail', fault }),
  );
  return steps.map((step) => seen.get(step.tag) ?? step);
}
