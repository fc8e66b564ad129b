import { MirrorError } from '../errors.ts';
import { embeddedBytes } from '../oci/descriptor.ts';
import { parseManifest, type Manifest } from '../oci/manifest.ts';
import type { Clock, Descriptor, ManifestBytes, SourceRepository } from './ports.ts';

/** A manifest of the source: its bytes as they are, and what they name. */
export interface ManifestNode {
  /** Digest that it is addressed with. */
  readonly digest: string;
  readonly bytes: ManifestBytes;
  readonly manifest: Manifest;
}

/** A manifest read by tag. */
export interface ReadTag {
  readonly node: ManifestNode;
  /** When it was read, ms since 1970: a tag can move afterwards. */
  readonly readAtMs: number;
}

/** Bytes of manifests that one event keeps between reading and copying; more are read twice. */
const MAX_KEPT_BYTES = 32 * 1024 * 1024;

/** Reads the source's manifests, each once while it is needed. */
export class SourceManifests {
  readonly #source: SourceRepository;
  readonly #clock: Clock;
  readonly #children = new Map<string, Promise<ManifestNode>>();
  readonly #tags = new Map<string, ReadTag>();
  #keptBytes = 0;

  constructor(source: SourceRepository, clock: Clock) {
    this.#source = source;
    this.#clock = clock;
  }

  /** Reads a tag and keeps it for {@link takeTag}. Undefined: the tag is gone. @throws MirrorError */
  async readAhead(tag: string, signal: AbortSignal): Promise<ReadTag | undefined> {
    const read = await this.#readTag(tag, signal);
    if (read !== undefined && this.#keptBytes < MAX_KEPT_BYTES) {
      this.#keptBytes += read.node.bytes.bytes.length;
      this.#tags.set(tag, read);
    }
    return read;
  }

  /** What was read ahead, else reads the tag now. Undefined: the tag is gone. @throws MirrorError */
  async takeTag(tag: string, signal: AbortSignal): Promise<ReadTag | undefined> {
    const kept = this.#tags.get(tag);
    if (kept === undefined) return this.#readTag(tag, signal);
    this.#tags.delete(tag);
    this.#keptBytes -= kept.node.bytes.bytes.length;
    return kept;
  }

  /** Reads a manifest that another one names. @throws MirrorError `SOURCE_INCOMPLETE` where it is not there */
  async child(descriptor: Descriptor, signal: AbortSignal): Promise<ManifestNode> {
    const kept = this.#children.get(descriptor.digest);
    if (kept !== undefined) return kept;
    const reading = this.#readChild(descriptor, signal);
    this.#children.set(descriptor.digest, reading);
    const node = await reading.catch((error: unknown) => {
      this.#children.delete(descriptor.digest);
      throw error;
    });
    if (this.#keptBytes < MAX_KEPT_BYTES) this.#keptBytes += node.bytes.bytes.length;
    else this.#children.delete(descriptor.digest);
    return node;
  }

  /** A child is at the destination: its bytes are needed no more. */
  async release(digest: string): Promise<void> {
    const kept = this.#children.get(digest);
    if (kept === undefined) return;
    this.#children.delete(digest);
    this.#keptBytes -= (await kept).bytes.bytes.length;
  }

  async #readTag(tag: string, signal: AbortSignal): Promise<ReadTag | undefined> {
    const bytes = await this.#source.getManifest(tag, signal);
    if (bytes === undefined) return undefined;
    return { node: nodeOf(bytes, bytes.digest), readAtMs: this.#clock() };
  }

  async #readChild(descriptor: Descriptor, signal: AbortSignal): Promise<ManifestNode> {
    const bytes = await this.#source.getManifest(descriptor.digest, signal);
    if (bytes !== undefined) return nodeOf(bytes, descriptor.digest);
    // The index may embed what the registry lacks.
    const embedded = embeddedBytes(descriptor);
    if (embedded !== undefined) {
      const { digest, mediaType } = descriptor;
      return nodeOf({ mediaType, digest, bytes: embedded }, digest);
    }
    throw new MirrorError(
      'SOURCE_INCOMPLETE',
      `${this.#source.name} lacks the manifest ${descriptor.digest}`,
      { operation: 'get manifest', side: 'source', digests: [descriptor.digest] },
    );
  }
}

function nodeOf(bytes: ManifestBytes, digest: string): ManifestNode {
  return { digest, bytes, manifest: parseManifest(bytes.bytes, bytes.mediaType) };
}
