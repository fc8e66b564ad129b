import { RecentMap } from '../recent-map.ts';
import type { MirrorError } from '../errors.ts';

/** A question for referrers that got no answer; the next one is not asked before its time. */
export interface ReferrersFailure {
  readonly fault: MirrorError;
  readonly untilMs: number;
  /** How often it failed since it was last answered. */
  readonly times: number;
}

/** Pairs of repositories of a host that are remembered; the longest unused is asked anew. */
const MAX_REFUSED_PAIRS = 1000;
/** Repositories of a host of which one thing is known; the longest unused is learnt anew. */
const MAX_KNOWN_REPOSITORIES = 10_000;

/** What a process has learnt about one registry host, and keeps. */
export interface HostCapabilities {
  /** `POST ?mount=` answered 201 for a blob of the repository itself: it is an existence check here. */
  mountProven: boolean;
  /**
   * Until when, ms since 1970, it is not asked for mounts: between two repositories, from any other, or of any
   * from itself. For ever where it refuses to be asked, for a time where it failed at them and plain uploads
   * pass. A repository with itself as a pair is one that lacks the right.
   */
  readonly noMountsUntilMs: RecentMap<string, number>;
  /** A small blob that came with its POST was not taken: from then on it is a POST and a PUT. */
  singlePostRefused: boolean;
  /** Upload sessions outside `/v2/` are no capabilities here: they want the registry's authorization. */
  sessionNeedsAuthorization: boolean;
  /**
   * A GET found what a HEAD of a manifest had denied, refused or not told: it is asked in place of one, except in
   * repositories where a HEAD works.
   */
  headUseless: boolean;
  /** Repositories in which a HEAD told a digest, by path: one host may have several kinds of them (Nexus, Artifactory). */
  readonly headWorks: RecentMap<string, true>;
  /** Forms in which this host answers 404 without an error body: method, type, text. */
  readonly bareNotFound: Set<string>;
  /** The referrers API gave a list: what it denies from then on is one subject. */
  referrersProven: boolean;
  /**
   * Until when the referrers API, which was asked for and is not there, is not asked again: by repository
   * path, of the whole host under the empty path. Means nothing once it is proven.
   */
  readonly referrersUnsupportedUntilMs: Map<string, number>;
  /** Until when a repository that refused the question is not asked again, by its path. */
  readonly referrersRefusedUntilMs: Map<string, number>;
  /** Where that question failed, by repository path; of the whole host under the empty path. */
  readonly referrersFailures: Map<string, ReferrersFailure>;
  /** Whether the referrers API lists what a push was acknowledged for; undefined: not looked yet. */
  listsReferrers: boolean | undefined;
  /** The host refuses to be asked for a page size. */
  pageSizeRefused: boolean;
  /** Repositories, by path, whose tag list of the registry's own API is closed to us: IAM opens them one by one. */
  readonly tagApiRefused: RecentMap<string, true>;
  /** Blobs whose resumed download came to wrong bytes: read in one piece or not at all. */
  readonly rangeRefused: Set<string>;
}

/** Nothing is known yet: every way is tried the cheap way first. */
export function newHostMemory(): HostCapabilities {
  return {
    mountProven: false,
    noMountsUntilMs: new RecentMap(MAX_REFUSED_PAIRS),
    singlePostRefused: false,
    sessionNeedsAuthorization: false,
    headUseless: false,
    headWorks: new RecentMap(MAX_KNOWN_REPOSITORIES),
    bareNotFound: new Set(),
    referrersProven: false,
    referrersUnsupportedUntilMs: new Map(),
    referrersRefusedUntilMs: new Map(),
    referrersFailures: new Map(),
    listsReferrers: undefined,
    pageSizeRefused: false,
    tagApiRefused: new RecentMap(MAX_KNOWN_REPOSITORIES),
    rangeRefused: new Set(),
  };
}
