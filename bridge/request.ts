import {
  configurationDigest,
  type MirrorRequest,
  type Reason,
  type Verify,
} from '../functions/contract/event.ts';
import { defined } from '../functions/contract/fields.ts';
import { isMirrorError } from '../functions/errors.ts';
import type { ObjectSettings } from './flux/annotations.ts';
import type { ImageRepository, Scan } from './flux/image-repository.ts';

/** What may be published of an object as it is now. */
export interface Publishable {
  readonly object: ImageRepository;
  readonly settings: ObjectSettings;
  readonly scan: Scan;
  readonly state: PublishedState;
}

/**
 * What may be published of an object; undefined where it is not scanned or its annotations are refused.
 * @param before its state before: kept where it is the same, so that ten thousand objects hold one each
 */
export function publishableOf(
  object: ImageRepository,
  before?: PublishedState,
): Publishable | undefined {
  const { settings, scan } = object;
  if (isMirrorError(settings) || scan === undefined) return undefined;
  const request = requestOf({ object, settings, scan }, { reason: 'changed' });
  const state = stateOf(request);
  const isKnown = before !== undefined && isSameState(before, state);
  return { object, settings, scan, state: isKnown ? before : state };
}

/** What a request has beside the object's own words. */
export interface RequestOccasion {
  readonly reason: Reason;
  readonly previousRevision?: string | undefined;
  readonly tags?: readonly string[] | undefined;
  readonly verify?: Verify | undefined;
}

/** The request that an event carries for an object. */
export function requestOf(
  { object, settings, scan }: Omit<Publishable, 'state'>,
  occasion: RequestOccasion,
): MirrorRequest {
  const { previousRevision, tags, verify } = occasion;
  return defined({
    imageRepository: { namespace: object.namespace, name: object.name, uid: object.uid },
    image: scan.image,
    revision: scan.revision,
    previousRevision,
    tagCount: scan.tagCount,
    scanTime: scan.scanTime,
    exclusionList: scan.exclusionList,
    reason: occasion.reason,
    selection: settings.selection,
    platforms: settings.platforms,
    tags,
    destination: settings.destination,
    verify,
    provider: object.provider,
    insecure: object.insecure || undefined,
  });
}

/** What change detection compares: publish when any of the three differs from what was published. */
export interface PublishedState {
  readonly image: string;
  readonly revision: string;
  readonly configurationDigest: string;
}

/** Whether two states are the same. */
export function isSameState(one: PublishedState, other: PublishedState): boolean {
  return (
    one.image === other.image &&
    one.revision === other.revision &&
    one.configurationDigest === other.configurationDigest
  );
}

function stateOf(request: MirrorRequest): PublishedState {
  return {
    image: request.image,
    revision: request.revision,
    configurationDigest: shared(configurationDigest(request)),
  };
}

/** Digests in use; nearly all objects have one of a few configurations. */
const digests = new Map<string, string>();
/** More than that is forgotten: what is kept elsewhere stays. */
const MAX_DIGESTS = 1000;

/** One text for all that are equal: ten thousand of them are a megabyte. */
function shared(digest: string): string {
  const known = digests.get(digest);
  if (known !== undefined) return known;
  if (digests.size >= MAX_DIGESTS) digests.clear();
  digests.set(digest, digest);
  return digest;
}
