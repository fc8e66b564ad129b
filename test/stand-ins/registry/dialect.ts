/** Which product the registry stands in for. */
export type Dialect = 'distribution' | 'artifact-registry';

/** Ways in which registries differ. All may be changed while the registry runs. */
export interface RegistrySwitches {
  /** `POST ?mount=` without `from`: answered 201 where the digest is there, or like any upload. */
  readonly mountProbe: 'honoured' | 'ignored';
  /** `POST ?mount=&from=`: likewise. */
  readonly mountFrom: 'honoured' | 'ignored';
  /** `POST ?digest=` with a blob's bytes: taken, or they are dropped and it begins an upload like any other. */
  readonly singlePost: 'honoured' | 'ignored';
  /** Where GET of a blob sends its reader. `signed-other-host` refuses a request that bears credentials. */
  readonly blobRedirect: 'none' | 'same-host' | 'other-host' | 'signed-other-host';
  /** `Range` on blobs; `wrong` answers 206 with bytes and `Content-Range` from one byte further. */
  readonly range: 'honoured' | 'ignored' | 'wrong';
  /** Referrers API: there, 404, or a 200 whose body is no index. */
  readonly referrers: 'api' | 'absent' | 'lying';
  /** `Docker-Content-Digest` on manifests and blobs. */
  readonly contentDigest: boolean;
  /** Form of an upload's `Location`; `query` adds a signed state that must come back byte for byte. */
  readonly uploadLocation: 'relative' | 'absolute' | 'query';
  /** `n` above this is refused with 400; 0: any is taken. */
  readonly maxTagsPage: number;
  /** Tags a page has where the request has no `n`; 0: all. */
  readonly defaultTagsPage: number;
  /** Tags cannot be moved or deleted, only created. */
  readonly immutableTags: boolean;
  /** Whether a manifest is refused whose blobs or children are not there. */
  readonly manifestParts: 'checked' | 'unchecked';
  /** Artifact Registry: an OAuth access token as Bearer, without the token endpoint. */
  readonly accessTokens: 'taken' | 'refused';
  /** Artifact Registry: what a Bearer does on an upload's own address, which needs none. */
  readonly uploadBearer: 'taken' | 'refused';
  /** Manifest GETs that Docker Hub's `ratelimit-*` headers count down from; 0: no such headers. */
  readonly pullLimit: number;
  /** Round trip added to every request, in milliseconds. */
  readonly rttMs: number;
}

const DISTRIBUTION: RegistrySwitches = {
  mountProbe: 'ignored',
  mountFrom: 'honoured',
  singlePost: 'ignored',
  blobRedirect: 'none',
  range: 'honoured',
  referrers: 'api',
  contentDigest: true,
  uploadLocation: 'absolute',
  maxTagsPage: 0,
  defaultTagsPage: 0,
  immutableTags: false,
  manifestParts: 'checked',
  accessTokens: 'refused',
  uploadBearer: 'taken',
  pullLimit: 0,
  rttMs: 0,
};

const ARTIFACT_REGISTRY: RegistrySwitches = {
  ...DISTRIBUTION,
  mountProbe: 'honoured',
  blobRedirect: 'same-host',
  referrers: 'absent',
  uploadLocation: 'relative',
  accessTokens: 'taken',
};

/** How each product behaves unless told otherwise. */
export const DEFAULT_SWITCHES: Readonly<Record<Dialect, RegistrySwitches>> = {
  distribution: DISTRIBUTION,
  'artifact-registry': ARTIFACT_REGISTRY,
};
