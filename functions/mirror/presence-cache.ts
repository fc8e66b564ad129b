import { isMirrorError, type MirrorError } from '../errors.ts';
import { RecentMap } from '../recent-map.ts';
import type { Clock, DestinationRepository, SourceRepository } from './ports.ts';

/**
 * How long the presence of a blob or manifest is believed, in milliseconds. A registry's own
 * clean-up can remove what no manifest refers to; asking again costs one request, and a manifest
 * that misses something says so.
 */
const BELIEVED_MS = 15 * 60_000;

/** After so long a host that wanted whole indexes is asked again: it costs a PUT, and one answer may have been a mistake. */
const WHOLE_INDEXES_MS = 60 * 60_000;

/** Most facts that a process keeps; the oldest go first. About 200 bytes each. */
const MAX_FACTS = 100_000;
/** Hosts and repositories of which a single thing is remembered; the longest unused go first. */
const MAX_NAMES = 10_000;

/** Where blobs and manifests are known to be, for all events of the process. */
export class PresenceCache {
  /** Destination repositories that refused to move a tag. */
  readonly #immutable = new RecentMap<string, true>(MAX_NAMES);
  readonly #clock: Clock;
  /** Repository paths by host and blob digest; the value tells when it was learnt, and its version. */
  readonly #blobs = new Map<string, Map<string, Learnt>>();
  /** Manifest digests by repository name. */
  readonly #manifests = new Map<string, Map<string, number>>();
  /** Whether a host keeps the list of referrers itself (header `OCI-Subject`). */
  readonly #acknowledging = new RecentMap<string, boolean>(MAX_NAMES);
  /** When a host, or one repository of it, was seen to have no lists under referrers tags. */
  readonly #refusingTags = new RecentMap<string, number>(MAX_NAMES);
  /** Hosts and repositories that have answered under a referrers tag as they should. */
  readonly #answeringTags = new RecentMap<string, true>(MAX_NAMES);
  /** Hosts that have answered there with a server error, once. */
  readonly #brokenTags = new RecentMap<string, true>(MAX_NAMES);
  /**
   * Whether the last blob that a mount was asked for was mounted: from a source, by the names of both
   * repositories; from another repository of a host, by the host.
   */
  readonly #mounting = new RecentMap<string, boolean>(MAX_NAMES);
  /** When a host refused an index whose children of other platforms were left out, and took it whole. */
  readonly #wholeIndexes = new RecentMap<string, number>(MAX_NAMES);
  #facts = 0;
  #version = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A repository refused to move a tag: what is pushed there can never be mended. */
  setImmutable(repository: string): void {
    this.#immutable.set(repository, true);
  }

  /** Whether a repository has refused to move a tag in this process. */
  isImmutable(repository: string): boolean {
    return this.#immutable.has(repository);
  }

  /** A blob was to be mounted from the source: as it went, so will others. */
  setMounts(source: SourceRepository, destination: DestinationRepository, mounted: boolean): void {
    this.#mounting.set(`${source.name} ${destination.name}`, mounted);
  }

  /** Whether the last mount between the two succeeded. */
  mounts(source: SourceRepository, destination: DestinationRepository): boolean {
    return this.#mounting.get(`${source.name} ${destination.name}`) === true;
  }

  /** A blob was to be mounted from another repository of the host. */
  setMountsWithin(host: string, mounted: boolean): void {
    this.#mounting.set(host, mounted);
  }

  /** Whether a blob that another repository of the host is believed to hold will cost no bytes, as far as is known. */
  isMountable(destination: DestinationRepository, digest: string): boolean {
    const isHeld = this.otherHolder(destination, digest) !== undefined;
    return isHeld && this.#mounting.get(destination.host) !== false;
  }

  /**
   * A host takes indexes with all their children only.
   * @returns whether that is news
   */
  setWantsWholeIndexes(host: string): boolean {
    const isNews = this.#wholeIndexes.get(host) === undefined;
    this.#wholeIndexes.set(host, this.#clock());
    return isNews;
  }

  /** Whether a host has refused an index without all its children, within the hour. */
  wantsWholeIndexes(host: string): boolean {
    const atMs = this.#wholeIndexes.get(host);
    return atMs !== undefined && this.#clock() - atMs < WHOLE_INDEXES_MS;
  }

  /** A point in the order of what is learnt, to compare later facts with. */
  version(): number {
    return this.#version;
  }

  /** The blob is there now. */
  addBlob(destination: DestinationRepository, digest: string): void {
    const key = blobKey(destination.host, digest);
    const holders = this.#blobs.get(key) ?? new Map<string, Learnt>();
    if (!holders.has(pathOf(destination))) this.#facts += 1;
    this.#version += 1;
    holders.set(pathOf(destination), { atMs: this.#clock(), version: this.#version });
    this.#blobs.delete(key);
    this.#blobs.set(key, holders);
    this.#makeRoom();
  }

  /** Whether the blob is believed to be in this repository, learnt after `since` where given. */
  hasBlob(destination: DestinationRepository, digest: string, since = 0): boolean {
    const learnt = this.#blobs.get(blobKey(destination.host, digest))?.get(pathOf(destination));
    return learnt !== undefined && this.#isFresh(learnt.atMs) && learnt.version > since;
  }

  /** Path of another repository of the host that is believed to hold the blob. */
  otherHolder(destination: DestinationRepository, digest: string): string | undefined {
    const holders = this.#blobs.get(blobKey(destination.host, digest)) ?? [];
    const own = pathOf(destination);
    for (const [path, { atMs }] of holders) {
      if (path !== own && this.#isFresh(atMs)) return path;
    }
    return undefined;
  }

  /** The blob proved to be missing. */
  forgetBlob(destination: DestinationRepository, digest: string): void {
    const key = blobKey(destination.host, digest);
    const holders = this.#blobs.get(key);
    if (holders?.delete(pathOf(destination)) !== true) return;
    this.#facts -= 1;
    // Nothing would be won by letting it go as the oldest.
    if (holders.size === 0) this.#blobs.delete(key);
  }

  /** The manifest is there now. */
  addManifest(repository: string, digest: string): void {
    const digests = this.#manifests.get(repository) ?? new Map<string, number>();
    if (!digests.has(digest)) this.#facts += 1;
    digests.set(digest, this.#clock());
    this.#manifests.set(repository, digests);
    this.#makeRoom();
  }

  /** Whether the manifest is believed to be there. */
  hasManifest(repository: string, digest: string): boolean {
    const atMs = this.#manifests.get(repository)?.get(digest);
    return atMs !== undefined && this.#isFresh(atMs);
  }

  /** The manifest proved to be missing. */
  forgetManifest(repository: string, digest: string): void {
    if (this.#manifests.get(repository)?.delete(digest) === true) this.#facts -= 1;
  }

  /** A complete map was read: it knows better than what was learnt before `atMs`. */
  supersedeManifests(repository: string, atMs: number): void {
    for (const [digest, learntMs] of this.#manifests.get(repository) ?? []) {
      if (learntMs < atMs) this.forgetManifest(repository, digest);
    }
  }

  /** Whether the host answers a manifest with `subject` by keeping its list; undefined: not seen. */
  keepsReferrersList(host: string): boolean | undefined {
    return this.#acknowledging.get(host);
  }

  /** Whether a repository has no lists under referrers tags, as it or its host answered to one of them. */
  refusesReferrersTags({ host, name }: DestinationRepository): boolean {
    return [host, name].some((place) => {
      const atMs = this.#refusingTags.get(place);
      return atMs !== undefined && this.#isFresh(atMs);
    });
  }

  /** A repository answered as it should under a referrers tag: whatever else it or its host answers will pass. */
  setAnswersReferrersTags({ host, name }: DestinationRepository): void {
    for (const place of [host, name]) this.#answeringTags.set(place, true);
  }

  /**
   * A repository answered strangely under a referrers tag. A right is one to the repository; all else is its
   * host's way. A server error is believed the second time.
   * @returns whether it is taken for one without such lists from now on
   */
  refusedReferrersTag({ host, name }: DestinationRepository, fault: MirrorError): boolean {
    const isRight = fault.status === 403 || isMirrorError(fault, 'FORBIDDEN', 'UNAUTHORIZED');
    const place = isRight ? name : host;
    if (this.#answeringTags.has(place)) return false;
    if (isMirrorError(fault, 'SERVER_ERROR') && !this.#brokenTags.has(host)) {
      this.#brokenTags.set(host, true);
      return false;
    }
    this.#refusingTags.set(place, this.#clock());
    return true;
  }

  /** What a host answered to a manifest with `subject`. */
  setAcknowledges(host: string, acknowledged: boolean): void {
    this.#acknowledging.set(host, acknowledged);
  }

  #isFresh(atMs: number): boolean {
    return this.#clock() - atMs < BELIEVED_MS;
  }

  #makeRoom(): void {
    if (this.#facts <= MAX_FACTS) return;
    const oldestBlob = this.#blobs.entries().next().value;
    if (oldestBlob !== undefined) {
      this.#facts -= oldestBlob[1].size;
      this.#blobs.delete(oldestBlob[0]);
    }
    const oldestRepository = this.#manifests.entries().next().value;
    if (this.#facts > MAX_FACTS && oldestRepository !== undefined) {
      this.#facts -= oldestRepository[1].size;
      this.#manifests.delete(oldestRepository[0]);
    }
  }
}

interface Learnt {
  readonly atMs: number;
  readonly version: number;
}

function blobKey(host: string, digest: string): string {
  return `${host} ${digest}`;
}

/** Path of a repository below its host. */
export function pathOf({ name, host }: { readonly name: string; readonly host: string }): string {
  return name.startsWith(`${host}/`) ? name.slice(host.length + 1) : name;
}
