/** What a request is about; `download` is the far end of a blob's redirect. */
export type RequestKind =
  | 'ping'
  | 'token'
  | 'tags'
  | 'manifest'
  | 'blob'
  | 'upload'
  | 'referrers'
  | 'api'
  | 'download'
  | 'other';

const KINDS: readonly (readonly [RegExp, RequestKind])[] = [
  [/^\/v2\/token$|^\/token$/, 'token'],
  [/^\/v2\/?$/, 'ping'],
  [/^\/v2\/.+\/tags\/list$/, 'tags'],
  [/^\/v2\/.+\/manifests\/[^/]+$/, 'manifest'],
  [/^\/v2\/.+\/blobs\/uploads(?:\/[^/]*)?$|^\/artifacts-uploads\//, 'upload'],
  [/^\/v2\/.+\/blobs\/[^/]+$/, 'blob'],
  [/^\/v2\/.+\/referrers\/[^/]+$/, 'referrers'],
  [/^\/artifacts-downloads\/|^\/blob-downloads\//, 'download'],
  [/^\/v1\//, 'api'],
];

/** Kind of the request with this path. */
export function requestKind(path: string): RequestKind {
  return KINDS.find(([pattern]) => pattern.test(path))?.[1] ?? 'other';
}
