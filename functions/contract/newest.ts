import {
  configurationDigest,
  strongerReason,
  type MirrorEvent,
  type MirrorRequest,
  type Verify,
} from './event.ts';

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

/** What an event has compared at the destination, by its own word or by the service's options. */
export type Compares = (data: MirrorRequest) => Verify;

/** From least to most. */
const RANKS: readonly Verify[] = ['none', 'mutable', 'all'];

/** Whether `one` compares no less than `other`. */
function comparesEnough(one: Verify, other: Verify): boolean {
  return RANKS.indexOf(one) >= RANKS.indexOf(other);
}

/** Whether the work of `one` does that of `other`: equal configuration, no weaker reason, comparing no less. */
export function doesWorkOf(one: MirrorRequest, other: MirrorRequest, compares: Compares): boolean {
  return (
    configurationDigest(one) === configurationDigest(other) &&
    strongerReason(one.reason, other.reason) === one.reason &&
    comparesEnough(compares(one), compares(other))
  );
}

/**
 * Of events of one object the newest, and the event to execute for all: that one with the strongest
 * reason among them, comparing as much as the one that compares most. An event's own time counts only within
 * its arrival: one that claims to come from the future is older than any that does not. Of equal times the later arrival is newer.
 * @param arrivals in the order of arrival, of equal {@link objectKey}; at least one
 * @returns the newest event itself where the others ask for no more
 */
export function newestOf<A extends Arrival>(
  arrivals: readonly [A, ...A[]],
  compares: Compares,
): { readonly newest: A; readonly event: MirrorEvent } {
  const newest = arrivals.reduce((found, other) => (isOlder(other, found) ? found : other));
  const reason = arrivals
    .map(({ event }) => event.data.reason)
    .reduce((strongest, other) => strongerReason(strongest, other));
  const verify = arrivals
    .map(({ event }) => compares(event.data))
    .reduce((most, other) => (comparesEnough(most, other) ? most : other));
  const { event } = newest;
  const data = { ...event.data, reason };
  if (compares(data) !== verify) return { newest, event: { ...event, data: { ...data, verify } } };
  return { newest, event: reason === event.data.reason ? event : { ...event, data } };
}

function isOlder(left: Arrival, right: Arrival): boolean {
  return timeOf(left) < timeOf(right);
}

function timeOf({ event, arrivedAtMs }: Arrival): number {
  const timeMs = Date.parse(event.time);
  if (timeMs > arrivedAtMs + CLOCK_TOLERANCE_MS) return Number.NEGATIVE_INFINITY;
  return Math.min(timeMs, arrivedAtMs);
}
