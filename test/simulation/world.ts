import {
  bytesOf,
  digestOf,
  OCI_CONFIG,
  OCI_INDEX,
  OCI_LAYER,
  OCI_MANIFEST,
} from '../functions/mirror/images.ts';
import {
  partsOf,
  SimulatedRegistry,
  type Client,
  type Contents,
  type TagPush,
} from './registry.ts';
import type { BlobPlan, ImagePlan, Scenario, SourcePlan } from './scenario.ts';

interface Blob {
  readonly digest: string;
  readonly bytes: Buffer;
}

/** Blobs by name and size, made once for all runs of a process. */
const blobs = new Map<string, Blob>();
/** Bytes of small blobs that are kept at most; beyond it they are made anew. */
const MAX_BLOBS = 20_000;

function blobOf({ seed, sizeBytes }: BlobPlan): Blob {
  const key = `${sizeBytes} ${seed}`;
  const known = blobs.get(key);
  if (known !== undefined) return known;
  if (blobs.size > MAX_BLOBS) blobs.clear();
  const bytes = bytesOf(seed, sizeBytes);
  const blob = { bytes, digest: digestOf(bytes) };
  blobs.set(key, blob);
  return blob;
}

const WORLD: Client = { process: 'world' };

/** The registries of a run and what their sources hold. */
export class World {
  readonly scenario: Scenario;
  readonly contents: Contents = new Map();
  readonly registries = new Map<string, SimulatedRegistry>();
  readonly destination: SimulatedRegistry;
  readonly #versions = new Map<string, (string | undefined)[]>();

  constructor(scenario: Scenario, onTag: (push: TagPush) => void, now: () => number) {
    this.scenario = scenario;
    for (const traits of scenario.registries) {
      const registry = new SimulatedRegistry(traits, this.contents, onTag, now);
      this.registries.set(traits.host, registry);
    }
    this.destination = this.registries.get(scenario.destinationHost)!;
    for (const [index, source] of scenario.sources.entries()) {
      for (const [tag, image] of Object.entries(source.tags)) this.push(index, tag, image);
    }
  }

  /** Path of a source's mirror at the destination. */
  destinationPath({ host, path }: SourcePlan): string {
    return `project/mirror/${host}/${path}`;
  }

  sourceRegistry(index: number): SimulatedRegistry {
    return this.registries.get(this.scenario.sources[index]!.host)!;
  }

  /** Pushes an image to a source under a tag, complete but for what the source lacks. */
  push(index: number, tag: string, image: ImagePlan): string {
    const source = this.scenario.sources[index]!;
    const digest = this.#put(this.sourceRegistry(index), source.path, tag, image, source.lacks);
    this.#note(index, tag, digest);
    return digest;
  }

  /** Somebody else pushes to the destination. */
  pushToDestination(index: number, tag: string, image: ImagePlan): string {
    const path = this.destinationPath(this.scenario.sources[index]!);
    return this.#put(this.destination, path, tag, image, []);
  }

  removeTag(index: number, tag: string): void {
    const { path } = this.scenario.sources[index]!;
    this.sourceRegistry(index).repository(path).tags.delete(tag);
    this.#note(index, tag, undefined);
  }

  /** Puts what the sources lack where it belongs, as their owners would. */
  restore(): void {
    for (const { host, path } of this.scenario.sources) {
      const { blobs, manifests } = this.registries.get(host)!.repository(path);
      for (const { bytes } of manifests.values()) {
        for (const blob of partsOf(bytes).blobs) blobs.add(blob);
      }
    }
  }

  /** Digests that a tag of a source has had, oldest first; undefined: it was removed. */
  versionsOf(index: number, tag: string): readonly (string | undefined)[] {
    return this.#versions.get(`${index} ${tag}`) ?? [];
  }

  #note(index: number, tag: string, digest: string | undefined): void {
    const key = `${index} ${tag}`;
    this.#versions.set(key, [...(this.#versions.get(key) ?? []), digest]);
  }

  #put(
    registry: SimulatedRegistry,
    path: string,
    reference: string,
    image: ImagePlan,
    lacks: readonly string[],
  ): string {
    const digest = this.#putImage(registry, path, reference, image, lacks);
    if (image.signed) {
      const layers = [{ seed: `signature of ${image.seed}`, sizeBytes: 60 }];
      const signature = { ...NO_IMAGE, seed: `signature of ${image.seed}`, layers };
      this.#putImage(registry, path, `${digest.replace(':', '-')}.sig`, signature, []);
    }
    this.#putReferrers(registry, path, digest, image);
    return digest;
  }

  #putReferrers(registry: SimulatedRegistry, path: string, digest: string, image: ImagePlan): void {
    const entries: object[] = [];
    for (let number = 0; number < image.referrers; number += 1) {
      const seed = `referrer ${number} of ${image.seed}`;
      const layers = [{ seed, sizeBytes: 60 }];
      const subject = { mediaType: OCI_MANIFEST, digest, size: 1 };
      const document = this.#manifest(registry, path, { ...NO_IMAGE, seed, layers }, [], {
        subject,
      });
      const name = registry.putManifest(path, digestOf(document), document, OCI_MANIFEST, WORLD);
      entries.push({ mediaType: OCI_MANIFEST, digest: name, size: document.length });
    }
    if (entries.length === 0 || registry.traits.referrers === 'api') return;
    const index = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: entries };
    const bytes = Buffer.from(JSON.stringify(index));
    registry.putManifest(path, digest.replace(':', '-'), bytes, OCI_INDEX, WORLD);
  }

  #putImage(
    registry: SimulatedRegistry,
    path: string,
    reference: string | undefined,
    image: ImagePlan,
    lacks: readonly string[],
  ): string {
    if (image.children.length === 0) {
      const bytes = this.#manifest(registry, path, image, lacks);
      const name = reference ?? digestOf(bytes);
      return registry.putManifest(path, name, bytes, OCI_MANIFEST, WORLD);
    }
    const manifests = image.children.map((child) => {
      const digest = this.#putImage(registry, path, undefined, child, lacks);
      const { bytes } = registry.repository(path).manifests.get(digest)!;
      return { mediaType: OCI_MANIFEST, digest, size: bytes.length };
    });
    const document = { schemaVersion: 2, mediaType: OCI_INDEX, manifests };
    const bytes = Buffer.from(JSON.stringify(document));
    return registry.putManifest(path, reference ?? digestOf(bytes), bytes, OCI_INDEX, WORLD);
  }

  /** The bytes of an image's manifest, its blobs put there. */
  #manifest(
    registry: SimulatedRegistry,
    path: string,
    image: ImagePlan,
    lacks: readonly string[],
    more: object = {},
  ): Buffer {
    const entry = (blob: BlobPlan, mediaType: string): object => {
      const { digest, bytes } = blobOf(blob);
      this.contents.set(digest, bytes);
      if (!lacks.includes(blob.seed)) registry.repository(path).blobs.add(digest);
      return { mediaType, digest, size: bytes.length };
    };
    const config = { seed: `config of ${image.seed}`, sizeBytes: 64 };
    return Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: entry(config, OCI_CONFIG),
        layers: image.layers.map((layer) => entry(layer, OCI_LAYER)),
        ...more,
      }),
    );
  }
}

const NO_IMAGE: ImagePlan = { seed: '', layers: [], children: [], signed: false, referrers: 0 };
