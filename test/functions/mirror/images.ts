import { createHash } from 'node:crypto';

import type { Descriptor, ManifestBytes } from '../../../functions/mirror/ports.ts';

export const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
export const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
export const OCI_CONFIG = 'application/vnd.oci.image.config.v1+json';
export const OCI_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** A blob with its bytes. */
export interface Blob {
  readonly descriptor: Descriptor;
  readonly bytes: Buffer;
}

/** A manifest with everything that it names, as a registry holds it. */
export interface Image {
  readonly manifest: ManifestBytes;
  readonly blobs: readonly Blob[];
  readonly children: readonly Image[];
}

/** Bytes that depend on `seed` only. */
export function bytesOf(seed: string, sizeBytes: number): Buffer {
  const block = createHash('sha256').update(seed).digest();
  return Buffer.alloc(sizeBytes, block);
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

export function blobOf(seed: string, sizeBytes = 100, mediaType = OCI_LAYER): Blob {
  const bytes = bytesOf(seed, sizeBytes);
  return { bytes, descriptor: { mediaType, digest: digestOf(bytes), sizeBytes } };
}

export function manifestOf(document: object, mediaType: string): ManifestBytes {
  const bytes = Buffer.from(JSON.stringify(document));
  return { mediaType, bytes, digest: digestOf(bytes) };
}

/** An image of a manifest whose fields a test writes itself. */
export function writtenImage(
  fields: object,
  blobs: readonly Blob[] = [],
  mediaType = OCI_MANIFEST,
  children: readonly Image[] = [],
): Image {
  const manifest = manifestOf({ schemaVersion: 2, mediaType, ...fields }, mediaType);
  return { manifest, blobs, children };
}

/** As a document has it. */
export function entryOf({ mediaType, digest, sizeBytes }: Descriptor): object {
  return { mediaType, digest, size: sizeBytes };
}

/** An OCI image of these layers; its config is named after `seed`. */
export function imageOf(
  seed: string,
  layers: readonly Blob[],
  more: {
    readonly subject?: ManifestBytes;
    readonly artifactType?: string;
    /** URLs of every layer. */
    readonly urls?: readonly string[];
  } = {},
): Image {
  const config = blobOf(`config of ${seed}`, 64, OCI_CONFIG);
  const fields = {
    artifactType: more.artifactType,
    config: entryOf(config.descriptor),
    layers: layers.map(({ descriptor }) => ({ ...entryOf(descriptor), urls: more.urls })),
    subject: more.subject && entryOf(descriptorOf(more.subject)),
  };
  return writtenImage(fields, [config, ...layers]);
}

/** What refers to an image, with a layer of its own. */
export function referrerOf(subject: Image, name: string): Image {
  return imageOf(name, [blobOf(`${name} payload`)], {
    subject: subject.manifest,
    artifactType: `application/x.${name}`,
  });
}

/** An image with so many layers of its own. */
export function imageWith(seed: string, layerCount: number, layerBytes = 100): Image {
  const layers = Array.from({ length: layerCount }, (_none, index) =>
    blobOf(`${seed} layer ${index}`, layerBytes),
  );
  return imageOf(seed, layers);
}

/** An index of these images. */
export function indexOf(children: readonly Image[], blobs: readonly Blob[] = []): Image {
  const manifests = [
    ...children.map((child) => entryOf(descriptorOf(child.manifest))),
    ...blobs.map(({ descriptor }) => entryOf(descriptor)),
  ];
  return writtenImage({ manifests }, blobs, OCI_INDEX, children);
}

/** A child of an index with what the index says of it. */
export interface Entry {
  readonly image: Image;
  /** `linux/arm/v7`; absent: nothing is said. */
  readonly platform?: string;
  /** Its attestation, as BuildKit stores it, describes this image. */
  readonly describes?: Image;
}

/** An index that tells the platforms of its children. */
export function platformIndex(entries: readonly Entry[]): Image {
  const manifests = entries.map(({ image, platform, describes }) => {
    const [os, architecture, variant] = (platform ?? '').split('/');
    return {
      ...entryOf(descriptorOf(image.manifest)),
      ...(platform === undefined ? {} : { platform: { os, architecture, variant } }),
      ...(describes === undefined
        ? {}
        : {
            platform: { os: 'unknown', architecture: 'unknown' },
            annotations: {
              'vnd.docker.reference.type': 'attestation-manifest',
              'vnd.docker.reference.digest': describes.manifest.digest,
            },
          }),
    };
  });
  const children = entries.map(({ image }) => image);
  return writtenImage({ manifests }, [], OCI_INDEX, children);
}

export function descriptorOf({ mediaType, digest, bytes }: ManifestBytes): Descriptor {
  return { mediaType, digest, sizeBytes: bytes.length };
}
