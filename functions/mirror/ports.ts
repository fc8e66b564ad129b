import type { Readable } from 'node:stream';

/** A content descriptor (OCI Image 1.1, "Content Descriptors"): what a manifest says of its parts. */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` + 64 hex digits, or `sha512:` + 128. */
  readonly digest: string;
  /** -1 where the manifest does not tell; {@link SourceRepository.blobSize} does. */
  readonly sizeBytes: number;
  /** The content itself in base64, where the manifest embeds it. */
  readonly data?: string;
}

/** A manifest as its registry gave it: the bytes are never rewritten. */
export interface ManifestBytes {
  /** Media type to push it with: the Content-Type where that is one of a manifest, else the document's. */
  readonly mediaType: string;
  /** Computed over the bytes (schema 1: over the JWS payload), never taken from a header alone. */
  readonly digest: string;
  readonly bytes: Buffer;
}

/** What a registry knows of a tag or digest without its bytes. */
export interface ManifestHead {
  readonly digest: string;
  readonly mediaType: string | undefined;
  readonly sizeBytes: number | undefined;
}

/** One `tags/list`, all pages. */
export interface TagListing {
  /** Each once. */
  readonly tags: readonly string[];
  /** Names of the list that break OCI's grammar, made printable: nobody can ask for them. */
  readonly invalidTags: readonly string[];
  /**
   * Of a registry that tells digests in its list (Artifact Registry's `manifest` map); undefined
   * elsewhere.
   */
  readonly map: ManifestMap | undefined;
  /** How many names the list has, where only a part of it was wanted. */
  readonly listedCount?: number;
}

/** What of a list is wanted: a batch of a hundred tags need not hold the names of a million. */
export interface ListPart {
  /** Only these tags are told, and no manifests but theirs. Default: all. */
  readonly isWanted?: (tag: string) => boolean;
  /** A list that takes more memory than this is given up (`LIST_TOO_LARGE`). Default: 72 MiB. */
  readonly maxKeptBytes?: number;
}

/** Artifact Registry's extension of `tags/list`. */
export interface ManifestMap {
  readonly digestOfTag: ReadonlyMap<string, string>;
  /** Every manifest there, tagged or not, hence children of indexes too; value: upload time in ms since 1970, if told. */
  readonly manifests: ReadonlyMap<string, number | undefined>;
  /** False from 10,000 tags + manifests or with a next page: presences count, absences do not. */
  readonly complete: boolean;
}

/**
 * Manifests that refer to a subject. `unsupported`: the registry has no such question (404, 405, no index);
 * `refused`: this repository does not answer it (401, 403, a page, or one failure after the other).
 */
export type ReferrersAnswer = readonly Descriptor[] | 'unsupported' | 'refused';

/** Another repository that a blob can be mounted from (OCI Distribution 1.1, "Mounting a blob from another repository"). */
export interface MountSource {
  /** Path below its host, such as `mirror/ghcr.io/org/app`. */
  readonly path: string;
  /** Its host, where that is not the destination's: Google's registries mount from one another. */
  readonly origin?: string;
}

/** How a blob is made to be there. */
export interface UploadOptions {
  readonly mountFrom?: MountSource | undefined;
  /** Send the bytes whatever a probe would say: the registry named this blob as missing. */
  readonly force?: boolean;
  readonly onBytes?: (count: number) => void;
}

/** A source repository. Methods throw `MirrorError`s with side `source`; undefined means: it is not there (404). */
export interface SourceRepository {
  /** `registry/repository`, for logs and errors. */
  readonly name: string;
  /** Host with port: blobs can be mounted where the destination has the same. */
  readonly host: string;
  /** A Google registry: others of Google's can mount from it. */
  readonly google: boolean;
  /** All tags, all pages. Undefined: the repository is not there. */
  listTags(signal: AbortSignal, part?: ListPart): Promise<TagListing | undefined>;
  /** Digest of a tag or presence of a digest: one HEAD, or a GET and its hash where HEAD tells no digest. */
  headManifest(reference: string, signal: AbortSignal): Promise<ManifestHead | undefined>;
  /** Reads a manifest by tag or digest; a digest is verified, of a tag the announced one. At most 4 MiB. */
  getManifest(reference: string, signal: AbortSignal): Promise<ManifestBytes | undefined>;
  /**
   * Opens a blob from a byte offset. The reader resumes broken connections by itself and ends with
   * an error where bytes or digest differ; the last chunk is withheld until both agree.
   * Undefined: it is not there. A host that wants no request for a while is not waited for, since
   * whoever opens holds a place for it: the fault's `retryAfterMs` tells how long.
   */
  openBlob(
    blob: Descriptor,
    offsetBytes: number,
    signal: AbortSignal,
  ): Promise<Readable | undefined>;
  /** Content-Length of a blob, one HEAD: for descriptors without a size. Undefined: it is not there. */
  blobSize(digest: string, signal: AbortSignal): Promise<number | undefined>;
  /**
   * Asks the referrers API. `unsupported` is remembered until the host has given a list, for it or for the
   * repository, and `refused` for the repository, either with an age. Where there is no answer for now, that
   * is thrown to all who ask within minutes. `onUnread` is told how many entries of a page have a digest that
   * cannot be read; they are left out.
   */
  listReferrers(
    digest: string,
    signal: AbortSignal,
    onUnread?: (count: number) => void,
  ): Promise<ReferrersAnswer>;
  /** False while this repository is known to have no referrers API. */
  readonly mayHaveReferrersApi: boolean;
}

/** How a blob came to be at the destination. */
export type BlobArrival = 'present' | 'mounted' | 'uploaded';

/** Opens the bytes of a blob from their beginning, for an upload that is about to start. */
export type OpenBlob = (signal: AbortSignal) => Promise<Readable>;

/** What the destination answered to a pushed manifest. */
export interface PutAnswer {
  readonly digest: string;
  /** The header `OCI-Subject`: the registry keeps the referrers list itself. */
  readonly subjectAcknowledged: boolean;
}

/** A destination repository. Methods throw `MirrorError`s with side `destination`; undefined: not there (404). */
export interface DestinationRepository {
  /** `registry/repository`, for logs and errors. */
  readonly name: string;
  /** Host with port: blobs can be mounted between repositories of one host. */
  readonly host: string;
  /** A Google registry: a 404 to its tag list is a complete empty map. */
  readonly google: boolean;
  listTags(signal: AbortSignal, part?: ListPart): Promise<TagListing | undefined>;
  /** Digest of every tag asked for, by an API beyond the OCI one; undefined where there is none. */
  listTagDigests?(signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined>;
  /**
   * As that of the source. `isListed`: its own list has it, or a 404 that is believed wrongly would break
   * a promise, so that a host whose HEAD is not known to work is asked by GET before that.
   */
  headManifest(
    reference: string,
    signal: AbortSignal,
    isListed?: boolean,
  ): Promise<ManifestHead | undefined>;
  getManifest(reference: string, signal: AbortSignal): Promise<ManifestBytes | undefined>;
  /** One HEAD. */
  hasBlob(blob: Descriptor, signal: AbortSignal): Promise<boolean>;
  /**
   * Makes a blob be there: `POST ?mount=` first (from `mountFrom`, where one is known to hold it), a HEAD where the probe is unproven and the blob is 4 MiB or
   * more, otherwise one PUT of what `open` gives. `open` is called only when bytes are needed, once.
   * `onBytes` is told the bytes sent as they go. `open` may wait long for its turn, so no slot of
   * the gate may be held while it is awaited; what it throws is thrown on as it is. Where all bytes
   * were sent and no answer came, a HEAD tells whether the blob is there before a fault is thrown.
   */
  uploadBlob(
    blob: Descriptor,
    open: OpenBlob,
    options: UploadOptions,
    signal: AbortSignal,
  ): Promise<BlobArrival>;
  /**
   * Pushes the bytes under a tag or a digest. Throws `DESTINATION_INCOMPLETE` with the digests that
   * the registry misses (none where it names none), `TAG_IMMUTABLE` where it says that the tag may
   * not be moved, `MANIFEST_REFUSED` where it has judged the manifest, `ABORTED` where
   * `mayStart` says no when its turn has come, the first time or again.
   */
  putManifest(
    reference: string,
    manifest: ManifestBytes,
    signal: AbortSignal,
    mayStart?: () => boolean,
  ): Promise<PutAnswer>;
  /**
   * Whether the host's referrers API lists a referrer whose push it acknowledged: some send `OCI-Subject`
   * without having the list. Asked once per host, whatever subject comes first; who refuses to say tells of its
   * repository alone.
   */
  listsReferrer(subject: string, referrer: string, signal: AbortSignal): Promise<boolean>;
}

/** Milliseconds since 1970; injected, so that tests own the time. */
export type Clock = () => number;
