/** What a process has learnt about one registry host, and keeps. */
export interface HostMemory {
  /** `POST ?mount=` answered 201 for a blob of the repository itself: it is an existence check here. */
  mountProven: boolean;
  /** The host refuses to be asked for mounts; plain uploads pass. */
  mountRefused: boolean;
  /** Upload sessions outside `/v2/` are no capabilities here: they want the registry's authorization. */
  sessionNeedsAuthorization: boolean;
  /** The referrers API was asked for once and is not there. */
  referrersUnsupported: boolean;
  /** The host refuses to be asked for a page size. */
  pageSizeRefused: boolean;
  /** The tag list of the registry's own API is closed to us. */
  tagApiRefused: boolean;
  /** Blobs whose resumed download came to wrong bytes: read in one piece or not at all. */
  readonly rangeRefused: Set<string>;
}

/** Nothing is known yet: every way is tried the cheap way first. */
export function newHostMemory(): HostMemory {
  return {
    mountProven: false,
    mountRefused: false,
    sessionNeedsAuthorization: false,
    referrersUnsupported: false,
    pageSizeRefused: false,
    tagApiRefused: false,
    rangeRefused: new Set(),
  };
}
