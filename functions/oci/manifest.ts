import { MirrorError, printable } from '../errors.ts';
import { UNKNOWN_SIZE, type Descriptor, type DescriptorPlatform } from './descriptor.ts';
import { digestOf, isDigest, parseDigest, type DigestAlgorithm } from './digest.ts';
import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  essence,
  isForeignLayer,
  manifestKind,
  OCI_INDEX,
  OCI_MANIFEST,
  type ManifestKind,
} from './media-types.ts';
import { schema1Payload } from './schema1.ts';
import { refuseDoubledKeys, withProperKeys } from './strict-json.ts';

/** Largest manifest that is read: 4 MiB, what registries must at least accept (OCI Distribution 1.1, "Pushing Manifests"). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Most children of one index: ten times the largest seen in the wild, and the budget of a tag. */
const MAX_CHILDREN = 1000;
/** Most layers or blobs of one manifest: fifteen times what Docker can run (127). */
const MAX_LAYERS = 2000;

/** A manifest as a graph: what it needs to be there before it can be pushed. */
export interface Manifest {
  readonly kind: ManifestKind;
  /** Type to push it with. */
  readonly mediaType: string;
  /** What artifact it is, where it says so (OCI 1.1 `artifactType`, else the config's type). */
  readonly artifactType: string | undefined;
  readonly config: Descriptor | undefined;
  /** Blobs that are copied, each digest once; the config and foreign layers are not among them. */
  readonly layers: readonly Descriptor[];
  /**
   * Layers of a non-distributable type that name third parties' URLs: never fetched, never copied.
   * Without URLs the bytes can only be at the source, and the layer is one like any.
   */
  readonly foreignLayers: readonly Descriptor[];
  /** Manifests of an index. */
  readonly children: readonly Descriptor[];
  /** Entries of an index that are no manifests (BuildKit cache exports): they are copied as blobs. */
  readonly blobChildren: readonly Descriptor[];
  /** Manifest that this one is about (OCI 1.1 `subject`). */
  readonly subject: Descriptor | undefined;
  readonly annotations: Readonly<Record<string, string>>;
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a manifest. A document that can be read as two things is refused, because two readers
 * would see two images (CVE-2021-41190): an index with layers, a key twice, a `mediaType` of another kind
 * than the Content-Type. Everything else that Go's clients read is read: a `null` is an absent field, what
 * names no list names an empty one, and keys are compared without their case.
 * @param contentType of the answer; where it is no manifest's type, the document's `mediaType`
 *   decides, and without one the fields that only one kind of manifest has
 * @throws MirrorError `MANIFEST_INVALID`, `MANIFEST_UNSUPPORTED`, `MANIFEST_TOO_LARGE`, `GRAPH_TOO_LARGE`, `DIGEST_INVALID`
 */
export function parseManifest(bytes: Buffer, contentType: string | undefined): Manifest {
  const document = parseDocument(bytes);
  const mediaType = decideMediaType(document, essence(contentType));
  const kind = manifestKind(mediaType);
  // guard: manifest-type
  if (kind === undefined) {
    throw new MirrorError(
      'MANIFEST_UNSUPPORTED',
      `'${printable(mediaType)}' is no manifest type that is mirrored`,
      { operation: 'parse manifest' },
    );
  }
  switch (kind) {
    case 'image':
      return imageManifest(document, mediaType);
    case 'index':
      return indexManifest(document, mediaType);
    case 'artifact':
      return artifactManifest(document, mediaType);
    case 'schema1':
      return schema1Manifest(document, mediaType);
  }
}

/** What a page of a list of referrers names. */
export interface ReferrersPage {
  readonly referrers: readonly Descriptor[];
  /** Entries that are left out: their digest is none that can be read, such as of another algorithm. */
  readonly unread: number;
}

/**
 * Reads a page of a list of referrers, an OCI index: one entry that nobody can read hides no other.
 * @throws MirrorError those of {@link parseManifest}
 */
export function parseReferrers(bytes: Buffer): ReferrersPage {
  const document = parseDocument(bytes);
  const mediaType = decideMediaType(document, OCI_INDEX);
  const manifests = document['manifests'];
  if (!Array.isArray(manifests)) {
    return { referrers: indexManifest(document, mediaType).children, unread: 0 };
  }
  const readable = manifests.filter(
    (entry: unknown) =>
      !isFields(entry) || typeof entry['digest'] !== 'string' || isDigest(entry['digest']),
  );
  const { children } = indexManifest({ ...document, manifests: readable }, mediaType);
  return { referrers: children, unread: manifests.length - readable.length };
}

/**
 * Digest of a manifest: over its bytes, of schema 1 over the JWS payload.
 * @throws MirrorError `MANIFEST_INVALID` where a schema 1 document has no usable payload
 */
export function manifestDigest(
  bytes: Buffer,
  contentType: string | undefined,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  if (manifestKind(essence(contentType)) !== 'schema1') return digestOf(bytes, algorithm);
  return digestOf(schema1Payload(bytes, parseDocument(bytes)), algorithm);
}

/**
 * Whether these bytes can be the manifest of that digest: they hash to it, or they are a signed
 * schema 1 document, whose digest covers its payload only. Never throws: what a proxy sent in a
 * manifest's place is not parsed as one before it has the digest.
 */
export function mayHaveDigest(bytes: Buffer, digest: string): boolean {
  const { algorithm } = parseDigest(digest);
  if (digestOf(bytes, algorithm) === digest) return true;
  try {
    const document = parseDocument(bytes);
    if (document['schemaVersion'] !== 1) return false;
    return digestOf(schema1Payload(bytes, document), algorithm) === digest;
  } catch {
    return false;
  }
}

/** Everything of a manifest that is copied as a blob: config, layers, index entries that are none. */
export function blobsOf(manifest: Manifest): readonly Descriptor[] {
  const config = manifest.config === undefined ? [] : [manifest.config];
  return distinct([...config, ...manifest.layers, ...manifest.blobChildren]);
}

function parseDocument(bytes: Buffer): Fields {
  // guard: manifest-size
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new MirrorError('MANIFEST_TOO_LARGE', `manifest of ${bytes.length} bytes`, {
      operation: 'parse manifest',
    });
  const text = bytes.toString('utf8');
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw invalid('is no JSON');
  }
  if (!isFields(document)) throw invalid('is no JSON object');
  refuseDoubledKeys(text);
  return withProperKeys(document) as Fields;
}

/**
 * Content-Type and `mediaType` contradict only where both are types of manifests, of different kinds. Where
 * they are of one kind (Docker's and OCI's image), the document's own is what its readers go by.
 */
function decideMediaType(document: Fields, announced: string): string {
  const { mediaType } = document;
  const named = mediaType === null || mediaType === '' ? undefined : mediaType;
  if (named !== undefined && typeof named !== 'string')
    throw invalid('has a mediaType that is no text');
  const own = named === undefined ? undefined : essence(named);
  const announcedKind = manifestKind(announced);
  const ownKind = own === undefined ? undefined : manifestKind(own);
  const contradicts =
    announcedKind !== undefined && ownKind !== undefined && announcedKind !== ownKind;
  // guard: manifest-media-type
  if (contradicts) throw invalid(`is announced as ${announced} and calls itself ${own ?? ''}`);
  if (announcedKind !== undefined) return ownKind === undefined ? announced : (own ?? announced);
  return own ?? mediaTypeOfFields(document) ?? announced;
}

/**
 * The type of a document that nothing names, by the fields that only one kind has. OCI's types allow
 * a document without `mediaType` (OCI Image 1.1, "Image Manifest", "Image Index"), Docker's do not.
 */
function mediaTypeOfFields(document: Fields): string | undefined {
  const version = Number(document['schemaVersion']);
  if (version === 1 && Array.isArray(document['fsLayers'])) {
    return document['signatures'] === undefined ? DOCKER_SCHEMA1 : DOCKER_SCHEMA1_SIGNED;
  }
  if (version !== 2) return undefined;
  if (isFields(document['config'])) return OCI_MANIFEST;
  return Array.isArray(document['manifests']) ? OCI_INDEX : undefined;
}

function imageManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'fsLayers', 'blobs']);
  requireSchemaVersion(document, 2);
  const config = descriptor(document['config'], 'config');
  requireFewLayers(document['layers']);
  const layers = descriptors(document['layers'] ?? [], 'layers');
  return {
    ...nothing(document, 'image', mediaType),
    artifactType: optionalText(document['artifactType']) ?? config.mediaType,
    config,
    layers: distinct(layers.filter((layer) => !isForeign(layer))), // guard: foreign-layers, without: layers: distinct(layers),
    foreignLayers: distinct(layers.filter(isForeign)),
    subject: subjectOf(document),
  };
}

function indexManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['layers', 'config', 'fsLayers', 'blobs']);
  requireSchemaVersion(document, 2);
  const entries = descriptors(orEmpty(document['manifests']), 'manifests');
  // guard: index-children
  if (entries.length > MAX_CHILDREN)
    throw new MirrorError('GRAPH_TOO_LARGE', `index of ${entries.length} entries`, {
      operation: 'parse manifest',
    });
  return {
    ...nothing(document, 'index', mediaType),
    children: distinct(withAllPlatforms(entries.filter(isManifest))),
    blobChildren: distinct(entries.filter((entry) => !isManifest(entry))),
    subject: subjectOf(document),
  };
}

function artifactManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'layers', 'config', 'fsLayers']);
  requireFewLayers(document['blobs']);
  return {
    ...nothing(document, 'artifact', mediaType),
    layers: distinct(descriptors(document['blobs'] ?? [], 'blobs')),
    subject: subjectOf(document),
  };
}

function schema1Manifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'layers', 'config', 'blobs']);
  requireSchemaVersion(document, 1);
  const fsLayers = orEmpty(document['fsLayers']);
  if (!Array.isArray(fsLayers)) throw invalid('has no fsLayers');
  requireFewLayers(fsLayers);
  const layers = fsLayers.map((layer: unknown, index): Descriptor => ({
    mediaType: 'application/octet-stream',
    digest: digestAt(isFields(layer) ? layer['blobSum'] : undefined, `fsLayers[${index}].blobSum`),
    sizeBytes: UNKNOWN_SIZE,
  }));
  return { ...nothing(document, 'schema1', mediaType), layers: distinct(layers) };
}

function nothing(document: Fields, kind: ManifestKind, mediaType: string): Manifest {
  return {
    kind,
    mediaType,
    artifactType: optionalText(document['artifactType']),
    config: undefined,
    layers: [],
    foreignLayers: [],
    children: [],
    blobChildren: [],
    subject: undefined,
    annotations: annotations(document['annotations']),
  };
}

/** Counted before they are read: every layer is held in memory until its manifest is pushed. */
function requireFewLayers(list: unknown): void {
  // guard: manifest-layers
  if (Array.isArray(list) && list.length > MAX_LAYERS)
    throw new MirrorError('MANIFEST_TOO_LARGE', `manifest of ${list.length} layers`, {
      operation: 'parse manifest',
    });
}

/** Parts that another kind of manifest has make a document ambiguous; an empty list names none. */
function refuseForeignFields(document: Fields, names: readonly string[]): void {
  const isEmpty = (value: unknown): boolean => Array.isArray(value) && value.length === 0;
  const found = names.find(
    (name) => (document[name] ?? undefined) !== undefined && !isEmpty(document[name]),
  );
  // guard: manifest-ambiguous
  if (found !== undefined) throw invalid(`has the field '${found}' of another kind of manifest`);
}

/** A document without a version is what its type says; one of another version is not. Some write it as text. */
function requireSchemaVersion(document: Fields, version: number): void {
  const own = document['schemaVersion'] ?? version;
  if (own !== version && own !== String(version)) throw invalid(`has no schemaVersion ${version}`);
}

/** Go writes an empty list as `null`. A list that is absent stays so: another document has that form. */
function orEmpty(list: unknown): unknown {
  return list === null ? [] : list;
}

function isForeign({ mediaType, hasUrls }: Descriptor): boolean {
  return isForeignLayer(mediaType) && hasUrls === true;
}

/** An entry of an index that tells no type is a manifest: that is what an index lists. */
function isManifest({ mediaType }: Descriptor): boolean {
  return mediaType === UNTYPED || manifestKind(mediaType) !== undefined;
}

/** Type of a part whose manifest tells none. */
const UNTYPED = 'application/octet-stream';

function descriptors(value: unknown, path: string): readonly Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`has no list '${path}'`);
  return value.map((entry, index) => descriptor(entry, `${path}[${index}]`));
}

/** A subject decides nothing of what is copied: one that names no digest is none, whatever else it says. */
function subjectOf(document: Fields): Descriptor | undefined {
  const { subject } = document;
  if (!isFields(subject) || typeof subject['digest'] !== 'string') return undefined;
  const { digest, mediaType, size } = subject;
  if (!isDigest(digest)) return undefined;
  return descriptor({ digest, mediaType: optionalText(mediaType), size }, 'subject');
}

function descriptor(value: unknown, path: string): Descriptor {
  if (!isFields(value)) throw invalid(`has no descriptor '${path}'`);
  const mediaType = value['mediaType'] ?? '';
  const sizeBytes = value['size'];
  // RFC 6838 allows 127 characters on either side of the slash.
  if (typeof mediaType !== 'string' || mediaType.length > 255) {
    throw invalid(`has no media type at '${path}'`);
  }
  const isSized =
    typeof sizeBytes === 'number' && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0;
  const { data, urls } = value;
  const platform = platformOf(value['platform']);
  const describes = annotations(value['annotations'])[DESCRIBES];
  return {
    mediaType: mediaType === '' ? UNTYPED : mediaType,
    digest: digestAt(value['digest'], path),
    sizeBytes: isSized ? sizeBytes : UNKNOWN_SIZE,
    ...(typeof data === 'string' && data !== '' && { data }),
    ...(Array.isArray(urls) && urls.length > 0 && { hasUrls: true }),
    ...(platform && { platforms: [platform] }),
    ...(describes !== undefined && isDigest(describes) && { describes }),
  };
}

/** BuildKit's annotation of an attestation in an index (docs.docker.com, "Image attestation storage"). */
const DESCRIBES = 'vnd.docker.reference.digest';

/** Undefined where nothing is said that could be compared; `unknown/unknown` is BuildKit's word for that. */
function platformOf(value: unknown): DescriptorPlatform | undefined {
  if (!isFields(value)) return undefined;
  const os = optionalText(value['os']);
  const architecture = optionalText(value['architecture']);
  const variant = optionalText(value['variant']);
  if (os === undefined || architecture === undefined || os === 'unknown') return undefined;
  return { os, architecture, ...(variant !== undefined && { variant }) };
}

/** An index may name one manifest for several platforms; named without any, it is for all. */
function withAllPlatforms(entries: readonly Descriptor[]): readonly Descriptor[] {
  const byDigest = new Map<string, readonly DescriptorPlatform[]>();
  for (const { digest, platforms = [] } of entries) {
    const others = byDigest.get(digest);
    const isForAll = platforms.length === 0 || others?.length === 0;
    byDigest.set(digest, isForAll ? [] : [...(others ?? []), ...platforms]);
  }
  return entries.map(({ platforms: _own, ...entry }) => {
    const platforms = byDigest.get(entry.digest) ?? [];
    return platforms.length === 0 ? entry : { ...entry, platforms };
  });
}

function digestAt(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalid(`has no digest at '${path}'`);
  // guard: descriptor-digest
  if (!isDigest(value))
    throw new MirrorError('DIGEST_INVALID', `'${printable(value)}' at '${path}' is no digest`, {
      operation: 'parse manifest',
    });
  return value;
}

function annotations(value: unknown): Readonly<Record<string, string>> {
  if (!isFields(value)) return {};
  return Object.fromEntries(
    Object.entries(value).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    ),
  );
}

function optionalText(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function distinct(list: readonly Descriptor[]): readonly Descriptor[] {
  return [...new Map(list.map((entry) => [entry.digest, entry])).values()];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): MirrorError {
  return new MirrorError('MANIFEST_INVALID', `manifest ${printable(what)}`, {
    operation: 'parse manifest',
  });
}
