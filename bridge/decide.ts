import type { Reason } from '../functions/contract/event.ts';
import type { PublishedState } from './request.ts';

/** What is known of an object from before; nothing where it is seen for the first time. */
export interface TrackedState {
  /** The state last published, or being published. */
  readonly published?: PublishedState | undefined;
  /**
   * The state an object was first seen with, until it is published: it was held back then
   * (suspended, disabled or refused) or waits in the replay.
   */
  readonly baseline?: PublishedState | undefined;
  /** The requestedAt value last acted upon, or one from long before it was first seen. */
  readonly requestedAt?: string | undefined;
}

/** What an object is now. */
export interface CurrentState {
  readonly deleting: boolean;
  readonly enabled: boolean;
  readonly suspended: boolean;
  readonly requestedAt?: string | undefined;
  /** Undefined where there is no scan with a revision. */
  readonly state: PublishedState | undefined;
  /** Seen in a list or as added: it may have been scanned long ago. */
  readonly firstSeen: boolean;
}

/** Why something is published. */
export type PublishCause =
  /** A scan found other tags. */
  | 'RevisionChanged'
  /** The object names another repository. */
  | 'ImageChanged'
  /** A new object's first scan. */
  | 'FirstScan'
  /** First seen with a scan from before. */
  | 'FirstSeen'
  /** Not published since it was first seen, and not held back (any more). */
  | 'Released'
  /** Annotations, exclusion list, provider or plain HTTP changed. */
  | 'ConfigurationChanged'
  /** A new value of the requestedAt annotation. */
  | 'Requested';

/** Why nothing is published. */
export type SkipCause = 'Deleting' | 'Disabled' | 'NotScanned' | 'Suspended' | 'Unchanged';

/** Publish for a reason, or skip; either with its cause. */
export type Decision =
  | { readonly publish: true; readonly reason: Reason; readonly cause: PublishCause }
  | { readonly publish: false; readonly cause: SkipCause };

/**
 * Decides whether what an object is now is to be published. In this order: nothing of an object
 * that is being deleted, disabled or not scanned; a new requestedAt at once; then what differs from
 * the published state, of a suspended object only another image or revision (a late patch).
 */
export function decide(tracked: TrackedState, current: CurrentState): Decision {
  if (current.deleting) return skip('Deleting');
  if (!current.enabled) return skip('Disabled');
  if (current.state === undefined) return skip('NotScanned');
  if (current.requestedAt !== undefined && current.requestedAt !== tracked.requestedAt) {
    return publish('requested', 'Requested');
  }
  const before = tracked.published ?? tracked.baseline;
  if (before === undefined) return decideFirst(current);
  if (before.image !== current.state.image) return publish('changed', 'ImageChanged');
  if (before.revision !== current.state.revision) return publish('changed', 'RevisionChanged');
  if (current.suspended) return skip('Suspended');
  if (tracked.published === undefined) return publish('initial', 'Released');
  if (before.configurationDigest !== current.state.configurationDigest) {
    return publish('configured', 'ConfigurationChanged');
  }
  return skip('Unchanged');
}

function decideFirst(current: CurrentState): Decision {
  if (current.suspended) return skip('Suspended');
  return current.firstSeen ? publish('initial', 'FirstSeen') : publish('changed', 'FirstScan');
}

function publish(reason: Reason, cause: PublishCause): Decision {
  return { publish: true, reason, cause };
}

function skip(cause: SkipCause): Decision {
  return { publish: false, cause };
}
