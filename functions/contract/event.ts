import { createHash } from 'node:crypto';

import type { Selection } from './selection.ts';

/** Type of the bridge's event: mirror this repository. */
export const REVISION_CHANGED = 'io.imagerepo-mirror.revision.changed.v1';
/** Type of a batch or an operator's wish: mirror exactly these tags. */
export const TAGS_REQUESTED = 'io.imagerepo-mirror.tags.requested.v1';

/** Why an event was published, weakest first: of several waiting ones the strongest counts. */
export const REASONS = [
  'initial',
  'configured',
  'changed',
  'follow-up',
  'resync',
  'requested',
] as const;

/** See {@link REASONS}. */
export type Reason = (typeof REASONS)[number];

/** Which existing tags are compared with the source: those that look movable, all, or none. */
export const VERIFY = ['mutable', 'all', 'none'] as const;

/** See {@link VERIFY}. */
export type Verify = (typeof VERIFY)[number];

/** Registry login kinds of `ImageRepository.spec.provider`. */
export const PROVIDERS = ['generic', 'aws', 'azure', 'gcp'] as const;

/** See {@link PROVIDERS}. */
export type Provider = (typeof PROVIDERS)[number];

/** Most tags in one message. */
export const MAX_TAGS = 1000;
/** Largest message that is published, bytes of its JSON. */
export const MAX_PUBLISHED_BYTES = 256 * 1024;
/** Largest message that is read, bytes of its JSON. */
export const MAX_ACCEPTED_BYTES = 1024 * 1024;
/** Continuations of one event before it goes to the dead-letter topic. */
export const MAX_CONTINUATIONS = 50;

/** The object of the cluster that an event speaks of. */
export interface ObjectIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** What an event asks for: the JSON that travels as its data. */
export interface MirrorRequest {
  readonly imageRepository: ObjectIdentity;
  /** `status.canonicalImageName`: registry/repository, no tag, no scheme. */
  readonly image: string;
  /** Flux's scan revision: opaque, compared for equality only. */
  readonly revision: string;
  /** The revision published before it, absent on the first. */
  readonly previousRevision?: string;
  /** `status.lastScanResult.tagCount`. */
  readonly tagCount: number;
  /** `status.lastScanResult.scanTime`, RFC 3339. */
  readonly scanTime: string;
  /** `status.observedExclusionList`, RE2 patterns: the list in force at the scan. */
  readonly exclusionList: readonly string[];
  readonly reason: Reason;
  /** From annotations; absent: the subscriber's defaults select. */
  readonly selection?: Selection;
  /**
   * From the annotation: platforms in normal form, such as `linux/arm64`, or `all` alone; absent: the
   * subscriber's default. Children of an index for other platforms stay behind.
   */
  readonly platforms?: readonly string[];
  /**
   * Exactly these tags (final: neither exclusion nor selection applies), each compared with the source
   * where `verify` is absent; `tags.requested` only.
   */
  readonly tags?: readonly string[];
  /** Path below the destination registry instead of the layout's; needs the subscriber's consent. */
  readonly destination?: string;
  readonly verify?: Verify;
  readonly provider?: Provider;
  /** The source speaks plain HTTP; counts only where the subscriber allows it. */
  readonly insecure?: boolean;
  /** How many deliveries this work went through before, 0 to 50. Default 0. */
  readonly continuation?: number;
}

/** A CloudEvent (1.0) of this project. */
export interface MirrorEvent {
  readonly type: typeof REVISION_CHANGED | typeof TAGS_REQUESTED;
  /** For tracing only: nothing discards an event because its id was seen. */
  readonly id: string;
  /** Cluster, namespace and object: `//CLUSTER/namespaces/NS/imagerepositories/NAME`. */
  readonly source: string;
  /** The canonical image name. */
  readonly subject: string;
  /** When the event was made, RFC 3339; of several of one object the newest counts. */
  readonly time: string;
  readonly data: MirrorRequest;
}

/** What beside the request itself tells one event from another. */
export interface EventOccasion {
  readonly clusterName: string;
  readonly time: Date;
  /** Value of the requestedAt annotation that caused it. */
  readonly requestedAt?: string | undefined;
  /** Number of the resync slot that caused it. */
  readonly resyncSlot?: number | undefined;
  /** Number of the batch among those of one fan-out. */
  readonly batchIndex?: number;
}

/** The event for a request: `tags.requested` where it names tags, else `revision.changed`. */
export function eventOf(data: MirrorRequest, occasion: EventOccasion): MirrorEvent {
  const { namespace, name } = data.imageRepository;
  return {
    type: data.tags === undefined ? REVISION_CHANGED : TAGS_REQUESTED,
    id: eventId(data, occasion),
    source: `//${occasion.clusterName}/namespaces/${namespace}/imagerepositories/${name}`,
    subject: data.image,
    time: occasion.time.toISOString(),
    data,
  };
}

/** The stronger of two reasons by the order of {@link REASONS}. */
export function strongerReason(left: Reason, right: Reason): Reason {
  return REASONS.indexOf(left) >= REASONS.indexOf(right) ? left : right;
}

/**
 * Digest of what annotations and exclusion list put into an event, 64 hex digits: two events with
 * one digest ask for the same selection into the same destination.
 */
export function configurationDigest(data: MirrorRequest): string {
  return digestOf([
    data.exclusionList,
    data.selection ?? null,
    data.destination ?? null,
    data.verify ?? null,
    data.provider ?? 'generic',
    data.insecure ?? false,
    // Only where it is said, so that a digest of an older version stays what it was.
    ...(data.platforms === undefined ? [] : [data.platforms]),
  ]);
}

function eventId(data: MirrorRequest, occasion: EventOccasion): string {
  return digestOf([
    data.imageRepository.uid,
    data.image,
    data.revision,
    data.scanTime,
    data.reason,
    occasion.requestedAt ?? null,
    occasion.resyncSlot ?? null,
    configurationDigest(data),
    occasion.batchIndex ?? null,
    data.continuation ?? 0,
  ]).slice(0, 32);
}

function digestOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(canonicalJson(parts)).digest('hex');
}

/** JSON with sorted keys, so that equal values have equal text. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    inner !== null && typeof inner === 'object' && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
