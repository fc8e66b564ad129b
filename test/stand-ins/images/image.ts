import { gzipSync } from 'node:zlib';
import { digestOf } from '../registry/digest.ts';
import type { DescriptorDocument } from '../registry/manifest.ts';
import * as types from '../registry/media-types.ts';
import { randomText } from './random.ts';
import { tarOf, type TarFile } from './tar.ts';

/** A blob with its bytes. */
export interface BuiltBlob {
  readonly digest: string;
  readonly bytes: Buffer;
}

/** A manifest with its bytes. */
export interface BuiltManifest {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

/** All of what one reference leads to. */
export interface BuiltImage {
  /** What a tag points at. */
  readonly root: BuiltManifest;
  /** Manifests that must be there before the root. */
  readonly children: readonly BuiltManifest[];
  readonly blobs: readonly BuiltBlob[];
}

/** A layer: a compressed archive, and the digest of the archive before compression. */
export interface BuiltLayer extends BuiltBlob {
  readonly diffId: string;
  /** What made it, for the image's history. */
  readonly createdBy: string;
}

/** Which specification an image follows. */
export type ImageFormat = 'oci' | 'docker';

/** A platform as an image names it (OCI Image 1.1, "Image Configuration"). */
export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}

/** What a single-platform image is made of. */
export interface ImageParts {
  readonly layers: readonly BuiltLayer[];
  readonly platform: Platform;
  readonly created: Date;
  /** Default `oci`. */
  readonly format?: ImageFormat;
  readonly labels?: Readonly<Record<string, string>>;
}

/** All times in images are this one or later: images depend on their seeds alone. */
export const EPOCH = new Date('2026-01-05T08:00:00Z');

/** A layer of real files. */
export function buildLayer(files: readonly TarFile[], createdBy: string): BuiltLayer {
  const archive = tarOf(files, EPOCH.getTime() / 1000);
  const bytes = gzipSync(archive, { level: 6 });
  return { bytes, digest: digestOf(bytes), diffId: digestOf(archive), createdBy };
}

/** A layer with a few files of text below a directory; `sizeBytes` before compression, about. */
export function textLayer(seed: string, directory: string, sizeBytes: number): BuiltLayer {
  const fileBytes = Math.max(Math.floor(sizeBytes / 4), 16);
  const files = [0, 1, 2, 3].map((number) => ({
    path: `${directory}/part-${number}.txt`,
    bytes: Buffer.from(randomText(`${seed}/${number}`, fileBytes)),
  }));
  return buildLayer([{ path: `${directory}/` }, ...files], `COPY ${directory} /${directory}`);
}

/** A single-platform image (OCI Image 1.1, or Docker Image Manifest V2, Schema 2). */
export function buildImage(parts: ImageParts): BuiltImage {
  const docker = parts.format === 'docker';
  const config = jsonBlob(configDocument(parts));
  const layerType = docker ? types.DOCKER_LAYER_GZIP : types.OCI_LAYER_GZIP;
  const root = buildManifest(docker ? types.DOCKER_MANIFEST : types.OCI_MANIFEST, {
    config: descriptorOf(config, docker ? types.DOCKER_CONFIG : types.OCI_CONFIG),
    layers: parts.layers.map((layer) => descriptorOf(layer, layerType)),
  });
  return { root, children: [], blobs: distinct([...parts.layers, config]) };
}

/** An image index, or Docker's manifest list, over images of one platform each. */
export function buildIndex(
  images: readonly { readonly image: BuiltImage; readonly platform: Platform }[],
  format: ImageFormat = 'oci',
): BuiltImage {
  const root = buildManifest(format === 'docker' ? types.DOCKER_LIST : types.OCI_INDEX, {
    manifests: images.map(({ image, platform }) => ({
      ...descriptorOf(image.root, image.root.mediaType),
      platform,
    })),
  });
  return {
    root,
    children: images.flatMap(({ image }) => [...image.children, image.root]),
    blobs: distinct(images.flatMap(({ image }) => image.blobs)),
  };
}

/** A manifest of any shape; `schemaVersion` and `mediaType` are added in front. */
export function buildManifest(
  mediaType: string,
  parts: Readonly<Record<string, unknown>>,
): BuiltManifest {
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType, ...parts }, undefined, 2),
  );
  return { mediaType, bytes, digest: digestOf(bytes) };
}

/** A JSON document as a blob. */
export function jsonBlob(document: unknown): BuiltBlob {
  const bytes = Buffer.from(JSON.stringify(document));
  return { bytes, digest: digestOf(bytes) };
}

/** What a manifest says of a blob or another manifest. */
export function descriptorOf(
  part: { readonly digest: string; readonly bytes: Buffer },
  mediaType: string,
): DescriptorDocument {
  return { mediaType, digest: part.digest, size: part.bytes.length };
}

function configDocument(parts: ImageParts): unknown {
  const created = parts.created.toISOString();
  return {
    created,
    ...parts.platform,
    config: {
      Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'],
      Entrypoint: ['/app/serve'],
      ...(parts.labels === undefined ? {} : { Labels: parts.labels }),
    },
    rootfs: { type: 'layers', diff_ids: parts.layers.map(({ diffId }) => diffId) },
    history: parts.layers.map(({ createdBy }) => ({ created, created_by: createdBy })),
  };
}

function distinct(blobs: readonly BuiltBlob[]): readonly BuiltBlob[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}
