import { Readable } from 'node:stream';

import { MirrorError, type ErrorCode, type Side } from '../../../functions/errors.ts';
import { blobsOf, parseManifest } from '../../../functions/oci/manifest.ts';
import type {
  BlobArrival,
  Descriptor,
  DestinationRepository,
  ListPart,
  ManifestBytes,
  ManifestHead,
  MountSource,
  OpenBlob,
  PutAnswer,
  ReferrersAnswer,
  SourceRepository,
  TagListing,
} from '../../../functions/mirror/ports.ts';
import { TagList } from '../../../functions/registry/tag-list.ts';
import { descriptorOf, type Image } from './images.ts';

/** What one call asked for, such as `source getManifest v1`. */
export type Call = string;

/** Decides about a call before it is answered: throws to fail it, waits to delay it. */
export type Before = (call: Call, signal: AbortSignal) => Promise<void> | void;

/** Fails the first `times` calls that begin with `prefix`. */
export function failing(prefix: string, code: ErrorCode, times = Number.POSITIVE_INFINITY): Before {
  let left = times;
  return (call) => {
    if (!call.startsWith(prefix) || left <= 0) return;
    left -= 1;
    throw new MirrorError(code, `injected into ${call}`, { side: call.split(' ', 1)[0] as Side });
  };
}

/** Calls that wait until they are released. */
interface Hold {
  /** Resolves as the first of them waits. */
  readonly reached: Promise<unknown>;
  readonly release: () => void;
}

/** Everything that a fake records. */
class Recorder {
  readonly calls: Call[] = [];
  readonly before: Before[] = [];
  active = 0;
  mostActive = 0;

  /** The calls that begin with `prefix`. */
  count(prefix: string): number {
    return this.calls.filter((call) => call.startsWith(prefix)).length;
  }

  /** Holds the first `times` calls that begin with `prefix` until they are released. */
  hold(prefix: string, times = Number.POSITIVE_INFINITY): Hold {
    const gate = Promise.withResolvers<undefined>();
    const reached = Promise.withResolvers<undefined>();
    let left = times;
    this.before.push(async (call) => {
      if (!call.startsWith(prefix) || left <= 0) return;
      left -= 1;
      reached.resolve(undefined);
      await gate.promise;
    });
    return {
      reached: reached.promise,
      release: () => {
        gate.resolve(undefined);
      },
    };
  }

  async call<T>(call: Call, signal: AbortSignal, answer: () => T | Promise<T>): Promise<T> {
    requireRunning(signal);
    this.calls.push(call);
    this.active += 1;
    this.mostActive = Math.max(this.mostActive, this.active);
    try {
      // Whoever could run beside this call gets its chance to.
      await new Promise((resolve) => setImmediate(resolve));
      for (const before of this.before) await before(call, signal);
      requireRunning(signal);
      return await answer();
    } finally {
      this.active -= 1;
    }
  }
}

function requireRunning(signal: AbortSignal): void {
  if (signal.aborted) throw new MirrorError('ABORTED', 'the fake was interrupted');
}

/** Images by tag and digest, and what both sides are asked. */
class FakeRepository extends Recorder {
  readonly tags = new Map<string, ManifestBytes>();
  readonly manifests = new Map<string, ManifestBytes>();
  readonly blobs = new Map<string, Buffer>();
  readonly #side: Side;

  constructor(side: Side) {
    super();
    this.#side = side;
  }

  /** Puts an image under a tag. */
  tag(tag: string, image: Image): this {
    this.add(image);
    this.tags.set(tag, image.manifest);
    return this;
  }

  /** Puts an image without a tag. */
  add(image: Image): this {
    this.manifests.set(image.manifest.digest, image.manifest);
    for (const { descriptor, bytes } of image.blobs) this.blobs.set(descriptor.digest, bytes);
    for (const child of image.children) this.add(child);
    return this;
  }

  async headManifest(reference: string, signal: AbortSignal): Promise<ManifestHead | undefined> {
    return this.call(`${this.#side} headManifest ${reference}`, signal, () =>
      headOf(this.#manifest(reference)),
    );
  }

  async getManifest(reference: string, signal: AbortSignal): Promise<ManifestBytes | undefined> {
    const call = `${this.#side} getManifest ${reference}`;
    return this.call(call, signal, () => this.#manifest(reference));
  }

  #manifest(reference: string): ManifestBytes | undefined {
    return this.tags.get(reference) ?? this.manifests.get(reference);
  }
}

/** A source repository of seeded images that records every call. */
export class FakeSource extends FakeRepository implements SourceRepository {
  readonly name: string;
  readonly host: string;
  google = false;
  readonly referrers = new Map<string, Descriptor[]>();
  /** Names in its list that nobody can ask for. */
  invalidTags: string[] = [];
  /** Tells digests in its list, as Artifact Registry does. */
  tellsDigests = false;
  /** 404 to everything. */
  missing = false;
  referrersApi = false;
  /** Answers no question for referrers, as with 403. */
  refusesReferrers = false;
  mayHaveReferrersApi = true;

  constructor(name = 'ghcr.io/org/app') {
    super('source');
    this.name = name;
    [this.host = ''] = name.split('/', 1);
  }

  /** Has the API, which tells of a subject that these refer to it. */
  refer(subject: Image, ...referrers: readonly Image[]): this {
    this.referrersApi = true;
    for (const one of referrers) this.add(one);
    const list = referrers.map(({ manifest }) => descriptorOf(manifest));
    this.referrers.set(subject.manifest.digest, list);
    return this;
  }

  async listTags(signal: AbortSignal, part: ListPart = {}): Promise<TagListing | undefined> {
    return this.call('source listTags', signal, () => {
      if (this.missing) return undefined;
      const list = new TagList({}, part.isWanted);
      list.add({
        tags: [...this.tags.keys()],
        invalidTags: this.invalidTags,
        map: this.tellsDigests ? mapOf(this.tags, this.manifests, undefined) : undefined,
        sizeBytes: 0,
      });
      return list.listing();
    });
  }

  async openBlob(
    blob: Descriptor,
    offsetBytes: number,
    signal: AbortSignal,
  ): Promise<Readable | undefined> {
    return this.call(`source openBlob ${blob.digest}`, signal, () => {
      const bytes = this.blobs.get(blob.digest);
      return bytes === undefined ? undefined : Readable.from(chunksOf(bytes, offsetBytes));
    });
  }

  async blobSize(digest: string, signal: AbortSignal): Promise<number | undefined> {
    return this.call(`source blobSize ${digest}`, signal, () => this.blobs.get(digest)?.length);
  }

  async listReferrers(digest: string, signal: AbortSignal): Promise<ReferrersAnswer> {
    return this.call(`source listReferrers ${digest}`, signal, () => {
      if (this.refusesReferrers) return 'refused';
      if (this.referrersApi) return this.referrers.get(digest) ?? [];
      this.mayHaveReferrersApi = false;
      return 'unsupported';
    });
  }
}

function repositoryOf(from: MountSource | undefined): string | undefined {
  return from?.origin === undefined ? from?.path : `${from.origin}/${from.path}`;
}

/** Blobs and repositories that the fake destinations of one host share. */
export class FakeHost {
  /** By path; those of other hosts by `host/path`. */
  readonly repositories = new Map<string, { readonly blobs: ReadonlyMap<string, Buffer> }>();
}

/** A destination repository that records every call and refuses what is incomplete. */
export class FakeDestination extends FakeRepository implements DestinationRepository {
  readonly name: string;
  readonly host: string;
  readonly path: string;
  google = true;
  readonly uploadedAtMs = new Map<string, number>();
  readonly #others: FakeHost;
  /** Artifact Registry's map, none (a plain registry), or one cut at so many tags. */
  map: 'complete' | 'none' | number = 'complete';
  immutable = false;
  acknowledgesSubjects = false;
  /** Lists what it acknowledges. */
  listsReferrers = true;
  tagDigests = false;
  /** Accepts indexes whose entries are no manifests. */
  acceptsAnyChild = true;
  /** Its list takes more than is given to one for tags that are asked for by name. */
  listIsLong = false;
  /** What is said of an index that lacks children; `taken`: nothing. */
  sparseIndexes: 'refused' | 'refused-unnamed' | 'refused-itself' | 'refused-otherwise' | 'taken' =
    'refused';
  /** Wants the bytes of foreign layers. */
  wantsForeignLayers = false;
  bytesReceived = 0;
  /** Told every chunk of a blob before it is taken. */
  onChunk: (sizeBytes: number) => Promise<void> | void = () => undefined;
  uploadsUnderWay = 0;
  mostUploads = 0;

  constructor(path = 'p/r/app', host = 'europe-docker.pkg.dev', others = new FakeHost()) {
    super('destination');
    this.host = host;
    this.path = path;
    this.name = `${host}/${path}`;
    this.#others = others;
    others.repositories.set(path, this);
  }

  /** A plain registry: it tells names only. */
  plain(): this {
    this.map = 'none';
    this.google = false;
    return this;
  }

  /** Digest under a tag. */
  digestOf(tag: string): string | undefined {
    return this.tags.get(tag)?.digest;
  }

  async listTags(signal: AbortSignal, part: ListPart = {}): Promise<TagListing | undefined> {
    return this.call('destination listTags', signal, () => {
      if (this.manifests.size === 0) return undefined;
      if (this.listIsLong && part.maxKeptBytes !== undefined) {
        throw new MirrorError('LIST_TOO_LARGE', 'long', { side: 'destination' });
      }
      const tags = [...this.tags.keys()];
      if (this.map === 'none') return { tags, invalidTags: [], map: undefined };
      const limit = this.map === 'complete' ? undefined : this.map;
      return {
        tags,
        invalidTags: [],
        map: mapOf(this.tags, this.manifests, limit, this.uploadedAtMs),
      };
    });
  }

  async listTagDigests(signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> {
    if (!this.tagDigests) return undefined;
    return this.call(
      'destination listTagDigests',
      signal,
      () => new Map([...this.tags].map(([tag, { digest }]) => [tag, digest])),
    );
  }

  async hasBlob(blob: Descriptor, signal: AbortSignal): Promise<boolean> {
    return this.call(`destination hasBlob ${blob.digest}`, signal, () =>
      this.blobs.has(blob.digest),
    );
  }

  /** Tells whoever began the last upload that so many bytes went. */
  tellBytes: (count: number) => void = () => undefined;

  async uploadBlob(
    blob: Descriptor,
    open: OpenBlob,
    options: {
      readonly mountFrom?: MountSource;
      readonly force?: boolean;
      readonly onBytes?: (count: number) => void;
    },
    signal: AbortSignal,
  ): Promise<BlobArrival> {
    const from = repositoryOf(options.mountFrom);
    const how = `${options.force === true ? ' force' : ''}${from === undefined ? '' : ` from ${from}`}`;
    this.uploadsUnderWay += 1;
    this.mostUploads = Math.max(this.mostUploads, this.uploadsUnderWay);
    try {
      return await this.call(`destination uploadBlob ${blob.digest}${how}`, signal, async () => {
        if (options.force !== true) {
          const there = this.#mount(blob, from);
          if (there !== undefined) return there;
        }
        const stream = await open(signal);
        // As the registry's client does, which asks for an upload's token with the first bytes in hand.
        await firstBytes(stream);
        for (const before of this.before) await before(`destination take ${blob.digest}`, signal);
        this.tellBytes = (count) => options.onBytes?.(count);
        const chunks: Buffer[] = [];
        for await (const chunk of stream as AsyncIterable<Buffer>) {
          await this.onChunk(chunk.length);
          requireRunning(signal);
          chunks.push(chunk);
          this.bytesReceived += chunk.length;
          options.onBytes?.(chunk.length);
        }
        for (const before of this.before) await before(`destination commit ${blob.digest}`, signal);
        requireRunning(signal);
        this.blobs.set(blob.digest, Buffer.concat(chunks));
        return 'uploaded';
      });
    } finally {
      this.uploadsUnderWay -= 1;
    }
  }

  #mount(blob: Descriptor, from: string | undefined): BlobArrival | undefined {
    if (from !== undefined) {
      const bytes = this.#others.repositories.get(from)?.blobs.get(blob.digest);
      if (bytes === undefined) return undefined;
      this.blobs.set(blob.digest, bytes);
      return 'mounted';
    }
    return this.blobs.has(blob.digest) ? 'present' : undefined;
  }

  async listsReferrer(subject: string, _referrer: string, signal: AbortSignal): Promise<boolean> {
    if (this.count('destination listsReferrer') > 0) return this.listsReferrers;
    return this.call(`destination listsReferrer ${subject}`, signal, () => this.listsReferrers);
  }

  async putManifest(
    reference: string,
    manifest: ManifestBytes,
    signal: AbortSignal,
    mayStart?: () => boolean,
  ): Promise<PutAnswer> {
    return this.call(`destination putManifest ${reference}`, signal, () => {
      requireTurn(mayStart);
      const parsed = parseManifest(manifest.bytes, manifest.mediaType);
      const missing = [
        ...blobsOf(parsed).filter(({ digest }) => !this.blobs.has(digest)),
        ...(this.wantsForeignLayers ? parsed.foreignLayers : []),
      ];
      const children = parsed.children.filter(({ digest }) => !this.manifests.has(digest));
      if (children.length > 0) {
        if (this.sparseIndexes === 'refused-otherwise') refuse('MANIFEST_REFUSED');
        if (this.sparseIndexes === 'refused-unnamed') refuse('DESTINATION_INCOMPLETE');
        if (this.sparseIndexes === 'refused-itself')
          refuse('DESTINATION_INCOMPLETE', [manifest.digest]);
        if (this.sparseIndexes === 'refused') missing.push(...children);
      }
      const digests = missing.map(({ digest }) => digest);
      if (digests.length > 0) refuse('DESTINATION_INCOMPLETE', digests);
      if (parsed.blobChildren.length > 0 && !this.acceptsAnyChild) refuse('MANIFEST_REFUSED');
      const isTag = !reference.includes(':');
      const moves =
        isTag && this.tags.has(reference) && this.digestOf(reference) !== manifest.digest;
      if (moves && this.immutable) refuse('TAG_IMMUTABLE');
      this.manifests.set(manifest.digest, manifest);
      if (isTag) this.tags.set(reference, manifest);
      return {
        digest: manifest.digest,
        subjectAcknowledged: parsed.subject !== undefined && this.acknowledgesSubjects,
      };
    });
  }
}

function requireTurn(mayStart: () => boolean = () => true): void {
  if (!mayStart()) throw new MirrorError('ABORTED', 'its turn came too late');
}

function refuse(code: ErrorCode, digests?: readonly string[]): never {
  const named = digests === undefined ? {} : { digests };
  throw new MirrorError(code, 'the fake refuses it', { side: 'destination', ...named });
}

/** A quarter of a MiB at a time. */
function* chunksOf(bytes: Buffer, fromByte: number): Generator<Buffer> {
  for (let at = fromByte; at < bytes.length; at += 256 * 1024) {
    yield bytes.subarray(at, at + 256 * 1024);
  }
}

function headOf(manifest: ManifestBytes | undefined): ManifestHead | undefined {
  if (manifest === undefined) return undefined;
  const { digest, mediaType, bytes } = manifest;
  return { digest, mediaType, sizeBytes: bytes.length };
}

function mapOf(
  tags: ReadonlyMap<string, ManifestBytes>,
  manifests: ReadonlyMap<string, ManifestBytes>,
  limit: number | undefined,
  uploadedAtMs: ReadonlyMap<string, number> = new Map(),
): TagListing['map'] {
  const kept = [...tags].slice(0, limit);
  const shown =
    limit === undefined ? [...manifests.keys()] : kept.map(([, manifest]) => manifest.digest);
  return {
    digestOfTag: new Map(kept.map(([tag, { digest }]) => [tag, digest])),
    manifests: new Map(shown.map((digest) => [digest, uploadedAtMs.get(digest)])),
    complete: limit === undefined || tags.size <= limit,
  };
}

async function firstBytes(stream: Readable): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const settled = (): void => {
    resolve(undefined);
  };
  for (const name of ['readable', 'error', 'close']) stream.once(name, settled);
  await promise;
  for (const name of ['readable', 'error', 'close']) stream.off(name, settled);
}
