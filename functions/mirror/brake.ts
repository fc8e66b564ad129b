import { newestFirst } from '../contract/selection.ts';
import type { DecidedStep } from './resolve-plan.ts';

/** What the brake found, for the loud line that tells the ways on. */
export interface BrakeReport {
  /** Whether tags are held. */
  readonly engaged: boolean;
  /** Selected tags that the destination does not have. */
  readonly missing: number;
  /** `MAX_MISSING_TAGS`; 0: no brake. */
  readonly maxMissingTags: number;
  readonly held: number;
}

/**
 * Holds back a flood: while more than `maxMissingTags` of the selected tags are missing, only those
 * of them are copied that are among the newest `maxMissingTags` of the whole selected list (semver
 * descending, then the rest by name). What is newest does not depend on what was copied, so the
 * same tags are held at every later event.
 */
export function brake(
  steps: readonly DecidedStep[],
  maxMissingTags: number,
): { readonly steps: readonly DecidedStep[]; readonly report: BrakeReport } {
  const missing = steps.filter(isMissing).length;
  if (maxMissingTags === 0 || missing <= maxMissingTags) {
    return { steps, report: { engaged: false, missing, maxMissingTags, held: 0 } };
  }
  const newest = new Set(newestFirst(steps.map(({ tag }) => tag)).slice(0, maxMissingTags));
  const braked = steps.map((step): DecidedStep =>
    isMissing(step) && !newest.has(step.tag)
      ? { tag: step.tag, action: 'hold', reason: 'BrakeEngaged' }
      : step,
  );
  const held = braked.filter(({ action }) => action === 'hold').length;
  return { steps: braked, report: { engaged: true, missing, maxMissingTags, held } };
}

function isMissing({ action }: DecidedStep): boolean {
  return action === 'copy' || action === 'retag';
}
