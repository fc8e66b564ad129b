import type { WatchState } from './flux/watcher.ts';

/** What readiness depends on. */
export interface ReadinessInput {
  readonly watch: WatchState;
  /** The list was complete at least once. */
  readonly synced: boolean;
  /** Whether this replica publishes; a standby is ready when its watch is. */
  readonly leading: boolean;
  /** Age of the oldest change that waits, or of a lane's failing, ms; 0 where neither is. */
  readonly unpublishedAgeMs: number;
  /** What the credentials may not do, sentences. */
  readonly missingPermissions: readonly string[];
}

/** A change that waits longer than this is no delay but a fault. */
const MAX_UNPUBLISHED_MS = 120_000;

/** Why the bridge is not ready, one sentence a reason; empty: it is. */
export function unreadyReasons(input: ReadinessInput): readonly string[] {
  const { watch } = input;
  const reasons: string[] = [];
  if ('fault' in watch) reasons.push(`watch: ${watch.fault.message}`);
  else if (!input.synced) reasons.push('watch: the list of ImageRepositories is not complete');
  if (input.leading && input.unpublishedAgeMs > MAX_UNPUBLISHED_MS) {
    const seconds = Math.round(input.unpublishedAgeMs / 1000);
    reasons.push(`publish: the oldest unpublished event waits for ${seconds} s`);
  }
  reasons.push(...input.missingPermissions.map((sentence) => `permission: ${sentence}`));
  return reasons;
}
