import { strongerReason, type MirrorEvent } from './event.ts';

/** An event, and when it came here by a clock of ours. */
export interface Arrival {
  readonly event: MirrorEvent;
  /** Milliseconds since 1970. */
  readonly arrivedAtMs: number;
}

/**
 * How far a cluster's clock may be ahead of ours, in milliseconds. Kubernetes asks for no more of its
 * nodes than NTP gives (seconds); this leaves room for a node without it.
 */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** What events replace each other by: one object of one cluster, and the image that it had. */
export function objectKey({ source, data }: MirrorEvent): string {
  return JSON.stringify([source, data.imageRepository.uid, data.image]);
}

/**
 * Of events of one object the newest, and the event to execute for all: that one with the strongest
 * reason among them, and comparing all tags where one of them did. An event's own time counts only within
 * its arrival: one that claims to come from the future is older than any that does not. Of equal times the later arrival is newer.
 * @param arrivals in the order of arrival, of equal {@link objectKey}; at least one
 */
export function newestOf<A extends Arrival>(
  arrivals: readonly [A, ...A[]],
): { readonly newest: A; readonly event: MirrorEvent } {
  const newest = arrivals.reduce((found, other) => (isOlder(other, found) ? found : other));
  const { reason, verify } = arrivals
    .map(({ event }) => event.data)
    .reduce((strongest, other) =>
      strongerReason(strongest.reason, other.reason) === strongest.reason ? strongest : other,
    );
  const isAll = arrivals.some((one) => one !== newest && verifiesAll(one.event));
  // A reason without the word that limits it would have more compared than anybody asked for.
  const compared = isAll ? 'all' : (newest.event.data.verify ?? verify);
  const data = { ...newest.event.data, reason, ...(compared && { verify: compared }) };
  return { newest, event: { ...newest.event, data } };
}

/** Whether it was to compare all tags: it says so, or was asked for and says nothing. */
function verifiesAll({ data: { verify, reason } }: MirrorEvent): boolean {
  return verify === 'all' || (reason === 'requested' && verify === undefined);
}

function isOlder(left: Arrival, right: Arrival): boolean {
  return timeOf(left) < timeOf(right);
}

function timeOf({ event, arrivedAtMs }: Arrival): number {
  const timeMs = Date.parse(event.time);
  if (timeMs > arrivedAtMs + CLOCK_TOLERANCE_MS) return Number.NEGATIVE_INFINITY;
  return Math.min(timeMs, arrivedAtMs);
}
