import { Fault, printable } from '../fault.ts';
import { UNKNOWN_SIZE, type Descriptor } from './descriptor.ts';
import { digestOf, isDigest, type DigestAlgorithm } from './digest.ts';
import { essence, isForeignLayer, manifestKind, type ManifestKind } from './media-types.ts';
import { schema1Payload } from './schema1.ts';
import { refuseDoubledKeys } from './strict-json.ts';

/** Largest manifest that is read: 4 MiB, what registries must at least accept (OCI Distribution 1.1, "Pushing Manifests"). */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
/** Most children of one index: ten times the largest seen in the wild, and the budget of a tag. */
export const MAX_CHILDREN = 1000;
/** Most layers or blobs of one manifest: fifteen times what Docker can run (127). */
export const MAX_LAYERS = 2000;

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
  /** Layers that lie at third parties' URLs: never fetched, never copied. */
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
 * would see two images (CVE-2021-41190): an index with layers, a key twice or in another case, a
 * `mediaType` that contradicts the Content-Type.
 * @param contentType of the answer; where it is no manifest's type, the document's `mediaType` decides
 * @throws Fault `MANIFEST_INVALID`, `MANIFEST_UNSUPPORTED`, `MANIFEST_TOO_LARGE`, `GRAPH_TOO_LARGE`, `DIGEST_INVALID`
 */
export function parseManifest(bytes: Buffer, contentType: string | undefined): Manifest {
  const document = parseDocument(bytes);
  const mediaType = decideMediaType(document, essence(contentType));
  const kind = manifestKind(mediaType);
  // guard: manifest-type
  if (kind === undefined) {
    throw new Fault(
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

/**
 * Digest of a manifest: over its bytes, of schema 1 over the JWS payload.
 * @throws Fault `MANIFEST_INVALID` where a schema 1 document has no usable payload
 */
export function manifestDigest(
  bytes: Buffer,
  contentType: string | undefined,
  algorithm: DigestAlgorithm = 'sha256',
): string {
  if (manifestKind(essence(contentType)) !== 'schema1') return digestOf(bytes, algorithm);
  return digestOf(schema1Payload(bytes, parseDocument(bytes)), algorithm);
}

/** Everything of a manifest that is copied as a blob: config, layers, index entries that are none. */
export function blobsOf(manifest: Manifest): readonly Descriptor[] {
  const config = manifest.config === undefined ? [] : [manifest.config];
  return distinct([...config, ...manifest.layers, ...manifest.blobChildren]);
}

function parseDocument(bytes: Buffer): Fields {
  // guard: manifest-size
  if (bytes.length > MAX_MANIFEST_BYTES)
    throw new Fault('MANIFEST_TOO_LARGE', `manifest of ${bytes.length} bytes`, {
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
  return document;
}

/** Content-Type and `mediaType` contradict only where both are manifest types. */
function decideMediaType(document: Fields, announced: string): string {
  const own = document['mediaType'];
  if (own !== undefined && typeof own !== 'string')
    throw invalid('has a mediaType that is no text');
  const announcedKind = manifestKind(announced);
  const ownKind = own === undefined ? undefined : manifestKind(own);
  const contradicts = announcedKind !== undefined && ownKind !== undefined && announced !== own;
  // guard: manifest-media-type
  if (contradicts) throw invalid(`is announced as ${announced} and calls itself ${own ?? ''}`);
  if (announcedKind !== undefined) return announced;
  return own ?? announced;
}

function imageManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'fsLayers', 'blobs', 'history']);
  requireSchemaVersion(document, 2);
  const config = descriptor(document['config'], 'config');
  requireFewLayers(document['layers']);
  const layers = descriptors(document['layers'], 'layers');
  return {
    ...nothing(document, 'image', mediaType),
    artifactType: optionalText(document['artifactType']) ?? config.mediaType,
    config,
    layers: distinct(layers.filter((layer) => !isForeignLayer(layer.mediaType))), // guard: foreign-layers, without: layers: distinct(layers),
    foreignLayers: distinct(layers.filter((layer) => isForeignLayer(layer.mediaType))),
    subject: optionalDescriptor(document['subject'], 'subject'),
  };
}

function indexManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['layers', 'config', 'fsLayers', 'blobs', 'history']);
  requireSchemaVersion(document, 2);
  const entries = descriptors(document['manifests'], 'manifests');
  // guard: index-children
  if (entries.length > MAX_CHILDREN)
    throw new Fault('GRAPH_TOO_LARGE', `index of ${entries.length} entries`, {
      operation: 'parse manifest',
    });
  return {
    ...nothing(document, 'index', mediaType),
    children: distinct(entries.filter((entry) => manifestKind(entry.mediaType) !== undefined)),
    blobChildren: distinct(entries.filter((entry) => manifestKind(entry.mediaType) === undefined)),
    subject: optionalDescriptor(document['subject'], 'subject'),
  };
}

function artifactManifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'layers', 'config', 'fsLayers', 'history']);
  const blobs = document['blobs'];
  requireFewLayers(blobs);
  return {
    ...nothing(document, 'artifact', mediaType),
    layers: blobs === undefined || blobs === null ? [] : distinct(descriptors(blobs, 'blobs')),
    subject: optionalDescriptor(document['subject'], 'subject'),
  };
}

function schema1Manifest(document: Fields, mediaType: string): Manifest {
  refuseForeignFields(document, ['manifests', 'layers', 'config', 'blobs']);
  requireSchemaVersion(document, 1);
  const fsLayers = document['fsLayers'];
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
    throw new Fault('MANIFEST_TOO_LARGE', `manifest of ${list.length} layers`, {
      operation: 'parse manifest',
    });
}

/** Fields of another kind of manifest make a document ambiguous. */
function refuseForeignFields(document: Fields, names: readonly string[]): void {
  const found = names.find((name) => document[name] !== undefined);
  // guard: manifest-ambiguous
  if (found !== undefined) throw invalid(`has the field '${found}' of another kind of manifest`);
}

function requireSchemaVersion(document: Fields, version: number): void {
  if (document['schemaVersion'] !== version) throw invalid(`has no schemaVersion ${version}`);
}

function descriptors(value: unknown, path: string): readonly Descriptor[] {
  if (!Array.isArray(value)) throw invalid(`has no list '${path}'`);
  return value.map((entry, index) => descriptor(entry, `${path}[${index}]`));
}

function optionalDescriptor(value: unknown, path: string): Descriptor | undefined {
  return value === undefined || value === null ? undefined : descriptor(value, path);
}

function descriptor(value: unknown, path: string): Descriptor {
  if (!isFields(value)) throw invalid(`has no descriptor '${path}'`);
  const mediaType = value['mediaType'];
  const sizeBytes = value['size'];
  // RFC 6838 allows 127 characters on either side of the slash.
  if (typeof mediaType !== 'string' || mediaType === '' || mediaType.length > 255) {
    throw invalid(`has no media type at '${path}'`);
  }
  const usable = typeof sizeBytes === 'number' && Number.isSafeInteger(sizeBytes) && sizeBytes >= 0;
  if (!usable) throw invalid(`has no size at '${path}'`);
  return { mediaType, digest: digestAt(value['digest'], path), sizeBytes };
}

function digestAt(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalid(`has no digest at '${path}'`);
  // guard: descriptor-digest
  if (!isDigest(value))
    throw new Fault('DIGEST_INVALID', `'${printable(value)}' at '${path}' is no digest`, {
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

function invalid(what: string): Fault {
  return new Fault('MANIFEST_INVALID', `manifest ${printable(what)}`, {
    operation: 'parse manifest',
  });
}
