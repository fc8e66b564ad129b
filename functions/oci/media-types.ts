/** OCI image manifest (OCI Image 1.1). */
export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
/** OCI image index (OCI Image 1.1). */
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
/** OCI artifact manifest, of a release candidate of OCI Image 1.1; still found in registries. */
const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';
/** Docker image manifest, version 2 schema 2. */
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
/** Docker manifest list. */
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
/** Docker image manifest, version 2 schema 1, without signatures. */
export const DOCKER_SCHEMA1 = 'application/vnd.docker.distribution.manifest.v1+json';
/** Docker image manifest, version 2 schema 1, as a JSON web signature. */
export const DOCKER_SCHEMA1_SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** Which document a media type announces. */
export type ManifestKind = 'image' | 'index' | 'artifact' | 'schema1';

const KINDS: ReadonlyMap<string, ManifestKind> = new Map([
  [OCI_MANIFEST, 'image'],
  [DOCKER_MANIFEST, 'image'],
  [OCI_INDEX, 'index'],
  [DOCKER_LIST, 'index'],
  [OCI_ARTIFACT, 'artifact'],
  [DOCKER_SCHEMA1, 'schema1'],
  [DOCKER_SCHEMA1_SIGNED, 'schema1'],
]);

/**
 * Media types of layers that are not distributable: their bytes lie at URLs of third parties
 * (OCI Image 1.1, "Non-Distributable Layers"; Docker's foreign layers).
 */
const FOREIGN =
  /^application\/vnd\.(?:docker\.image\.rootfs\.foreign|oci\.image\.layer\.nondistributable)\./;

/**
 * `Accept` of every manifest request: all types at once, because a registry that is not offered
 * the stored type converts it (another digest) or denies having it.
 */
export const MANIFEST_ACCEPT = [...KINDS.keys()].join(', ');

/** Which document `mediaType` announces, whatever its case and parameters; undefined: it is no manifest's. */
export function manifestKind(mediaType: string): ManifestKind | undefined {
  return KINDS.get(essence(mediaType));
}

/** Whether a layer of this type is skipped by a mirror. */
export function isForeignLayer(mediaType: string): boolean {
  return FOREIGN.test(essence(mediaType));
}

/** A media type, such as that of a `Content-Type`, without its parameters, in lower case (RFC 9110 §8.3). */
export function essence(contentType: string | undefined): string {
  return (contentType ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
}
