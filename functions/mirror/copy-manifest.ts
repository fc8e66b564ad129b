import { SingleFlight } from '../concurrency.ts';
import { MirrorError, isMirrorError, toMirrorError } from '../errors.ts';
import { blobsOf } from '../oci/manifest.ts';
import { watchdog } from '../watchdog.ts';
import type { BackupTag } from './backup-tag.ts';
import type { BlobCopier, BlobWish } from './copy-blob.ts';
import type { Deadline } from './deadline.ts';
import type { DestinationManifests } from './destination-manifests.ts';
import type {
  Clock,
  Descriptor,
  DestinationRepository,
  PutAnswer,
  SourceRepository,
} from './ports.ts';
import {
  chooseChildren,
  childrenForPlatforms,
  mayLackChildren,
  platformCount,
  type Platforms,
} from './platforms.ts';
import { runAll, runAllStarted } from './run-all.ts';
import type { ManifestNode, SourceManifests } from './source-manifests.ts';
import type { TagTurns } from './tag-turns.ts';
import { TransferStats } from './transfer-stats.ts';
import { enterIndex, descend, type GraphPath } from './graph-limits.ts';

/** Blobs of one manifest on their way at once: what a registry's limiter lets start at most. */
const BLOB_CONCURRENCY = 32;
/** Children of a tag's index at once; of an index below, two: memory grows with their product. */
const CHILD_CONCURRENCY = 8;
const NESTED_CONCURRENCY = 2;

const NEVER_ABORTED = new AbortController().signal;

/** What copying needs to know of its event. */
export interface CopyContext {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  readonly pool: BlobCopier;
  readonly read: SourceManifests;
  readonly there: DestinationManifests;
  readonly deadline: Deadline;
  readonly tagTurns: TagTurns;
  readonly clock: Clock;
  readonly onDrift: 'overwrite' | 'report';
  /** What an overwritten tag pointed at gets a tag of this name first. */
  readonly backupTag?: BackupTag | undefined;
  /** Children of an index for other platforms are left out; undefined: nobody said any. */
  readonly platforms?: Platforms | undefined;
  /** Told a host that takes no index without all its children, once. */
  readonly onWholeIndexes?: (host: string) => void;
  /** When the destination was asked for its tags, ms since 1970. */
  readonly listedAtMs: number;
  /** A tag that no list has and that is answered 403 is taken for missing: it may be moved, and nothing of it is kept. */
  readonly mayMoveUnseen: boolean;
  /** A wrong belief that a tag is missing would break a promise: each push is preceded by a look. */
  readonly looksBeforeEveryPush: boolean;
  /** The event, for sharing streams out fairly. */
  readonly event: object;
  readonly signal: AbortSignal;
  /** Told the bytes sent, as they go. */
  readonly onBytes: (count: number) => void;
}

/** Copies manifests with all that they name, in the order in which readers may see them. */
export class ManifestCopy {
  readonly #context: CopyContext;
  readonly #children = new SingleFlight<void>();
  readonly #bodies = new SingleFlight<void>();
  /** Indexes that were refused without all their children, and whose push with them came too late. */
  readonly #completed = new Set<string>();

  constructor(context: CopyContext) {
    this.#context = context;
  }

  /**
   * Brings everything that a manifest names: its blobs, and its children, each pushed by digest
   * after its own parts; of an index, those of the platforms that are wanted.
   * @param onUnderWay told when every blob of a manifest without children is there or being sent
   * @throws MirrorError the worst of its parts
   */
  async bringParts(
    node: ManifestNode,
    walk: GraphPath,
    stats: TransferStats,
    onUnderWay?: () => void,
  ): Promise<void> {
    const { chosen: children, leftOut } = chooseChildren(node.manifest, this.#context);
    // Those of a tag's own index are told by whoever reads it.
    if (walk.path.length > 1) stats.leaveOut(platformCount(leftOut));
    if (node.manifest.foreignLayers.length > 0) stats.leaveForeignLayers();
    if (node.manifest.kind === 'index') enterIndex(walk, children);
    const stop = new AbortController();
    const signal = AbortSignal.any([this.#context.signal, stop.signal]);
    const named = blobsOf(node.manifest);
    const waiting = new Set(named);
    const underWay = (blob: Descriptor): void => {
      if (waiting.delete(blob) && waiting.size + children.length === 0) onUnderWay?.();
    };
    const blobs = runAll(
      named,
      async (blob) =>
        this.#bringBlob(blob, stats, signal, {
          onUnderWay: () => {
            underWay(blob);
          },
        }).finally(() => {
          underWay(blob);
        }),
      {
        concurrency: BLOB_CONCURRENCY,
        operation: 'copy blob',
        onFault: (fault) => {
          // Nothing else of a manifest is worth moving that can never be complete.
          if (fault.disposition === 'permanent') stop.abort();
        },
      },
    );
    const below = runAll(children, async (child) => this.bringChild(child, walk, stats), {
      concurrency: walk.path.length === 1 ? CHILD_CONCURRENCY : NESTED_CONCURRENCY,
      operation: 'copy manifest',
    });
    await runAllStarted([blobs, below], 'copy manifest');
  }

  /**
   * Brings everything that a tag's manifest names, once for all tags of the event that have it.
   * @returns `shared` where another tag's work brought it
   * @param onUnderWay as that of {@link bringParts}
   * @throws MirrorError the worst of its parts
   */
  async bringBody(
    node: ManifestNode,
    walk: GraphPath,
    stats: TransferStats,
    onUnderWay?: () => void,
  ): Promise<'brought' | 'shared'> {
    const shared = await this.#join(this.#bodies, node.digest, async () =>
      this.bringParts(node, walk, stats, onUnderWay),
    );
    return shared ? 'shared' : 'brought';
  }

  /**
   * Makes a manifest be at the destination by digest, with all that it names. Tags of one event
   * that share it wait for the first. @throws MirrorError
   */
  async bringChild(child: Descriptor, walk: GraphPath, stats: TransferStats): Promise<void> {
    await this.#join(this.#children, child.digest, async () => this.#copyChild(child, walk, stats));
  }

  /**
   * Pushes a manifest whose parts are at the destination. Where the registry misses some after all,
   * they are brought once more (a registry's clean-up may have taken them) and it is pushed again. A host
   * that refuses an index for the platforms that were left out gets them, and whole indexes from then on.
   * @param mayStart as that of the port
   * @throws MirrorError `FOREIGN_LAYER_REFUSED`, `INDEX_CHILD_REFUSED`, and the port's
   */
  async push(
    reference: string,
    node: ManifestNode,
    walk: GraphPath,
    stats: TransferStats,
    mayStart?: () => boolean,
  ): Promise<PutAnswer> {
    const { destination, platforms, pool, signal, there } = this.#context;
    const version = pool.presence.version();
    // Its parts may have been chosen before its host was seen to want whole indexes.
    const { leftOut } = childrenForPlatforms(node.manifest.children, platforms);
    try {
      const answer = await destination
        .putManifest(reference, node.bytes, signal, mayStart)
        .catch(async (error: unknown) => {
          const missed = missedPlatforms(node, leftOut, error, there);
          if (missed.length === 0 && !isMirrorError(error, 'DESTINATION_INCOMPLETE')) throw error;
          const fault = toMirrorError(error, 'put manifest');
          refuseForeignLayers(node, fault);
          const healing = new TransferStats();
          await this.#heal(
            node,
            [...new Set([...fault.digests, ...missed])],
            version,
            walk,
            healing,
          ).finally(() => {
            stats.heal(healing);
          });
          try {
            const again = await destination.putManifest(reference, node.bytes, signal, mayStart);
            if (missed.length > 0) this.#completed.add(node.digest);
            return again;
          } catch (late) {
            if (missed.length > 0 && isMirrorError(late, 'ABORTED'))
              this.#completed.add(node.digest);
            throw late;
          }
        });
      if (this.#completed.delete(node.digest)) this.#learnWholeIndexes(walk, leftOut, stats);
      there.add(node.digest);
      stats.push();
      const { subject } = node.manifest;
      if (subject !== undefined) {
        pool.presence.setAcknowledges(destination.host, answer.subjectAcknowledged);
      }
      return answer;
    } catch (error) {
      throw namedRefusal(node, error);
    }
  }

  /** Does the work, or waits for whoever does it already; true: it was waited for. */
  async #join(
    running: SingleFlight<void>,
    digest: string,
    work: () => Promise<void>,
  ): Promise<boolean> {
    const { signal } = this.#context;
    for (;;) {
      const joined = running.has(digest);
      try {
        // All callers are of this event, and the work ends with its signal: its own fault says more.
        await running.run(digest, NEVER_ABORTED, work);
        return joined;
      } catch (error) {
        if (!joined || signal.aborted) throw error;
        // The other caller's attempt failed, perhaps on its own manifest limit. Try again ourselves.
      }
    }
  }

  /** An attestation may name its image, which some registries want before it (GitLab): that of the same index. */
  async #afterSubject({ manifest: { subject } }: ManifestNode): Promise<void> {
    if (subject === undefined || !this.#children.has(subject.digest)) return;
    // Whether it arrives is its own caller's to say. Digests name no circle, so nobody waits for himself.
    const nothing = (): Promise<void> => Promise.resolve();
    await this.#children.run(subject.digest, NEVER_ABORTED, nothing).catch(() => undefined);
  }

  async #copyChild(child: Descriptor, walk: GraphPath, stats: TransferStats): Promise<void> {
    const { there, read, signal } = this.#context;
    const isThere = await there.isSeen(child.digest, signal);
    if (isThere && !mayLackChildren(child.mediaType, this.#context)) return;
    const node = await read.child(child, signal);
    const below = descend(walk, child.digest);
    await this.bringParts(node, below, stats);
    await this.#afterSubject(node);
    if (!isThere) await this.push(child.digest, node, below, stats);
    await read.release(child.digest);
  }

  #learnWholeIndexes(walk: GraphPath, leftOut: readonly Descriptor[], stats: TransferStats): void {
    const { destination, pool, onWholeIndexes } = this.#context;
    if (walk.path.length > 1) stats.leaveOut(-platformCount(leftOut));
    if (pool.presence.setWantsWholeIndexes(destination.host)) onWholeIndexes?.(destination.host);
  }

  async #bringBlob(
    blob: Descriptor,
    stats: TransferStats,
    signal: AbortSignal,
    how: Pick<BlobWish, 'missedAtVersion' | 'onUnderWay'> = {},
  ): Promise<void> {
    const { source, destination, pool, deadline, event, onBytes } = this.#context;
    const end = watchdog.begin(`copy blob ${blob.digest} of ${source.name}`);
    try {
      const wish = { source, destination, blob, event, deadline, onBytes, ...how };
      stats.blob(await pool.copy(wish, signal), blob.sizeBytes);
    } finally {
      end();
    }
  }

  /** Brings again what the registry named; where it named nothing of this manifest, everything. */
  async #heal(
    node: ManifestNode,
    digests: readonly string[],
    version: number,
    walk: GraphPath,
    stats: TransferStats,
  ): Promise<void> {
    const { destination, pool, there, signal } = this.#context;
    const blobs = blobsOf(node.manifest);
    const namedBlobs = blobs.filter(({ digest }) => digests.includes(digest));
    const namedChildren = node.manifest.children.filter(({ digest }) => digests.includes(digest));
    for (const { digest } of namedChildren) there.forget(digest);
    if (namedBlobs.length + namedChildren.length === 0) {
      for (const { digest } of blobs) pool.presence.forgetBlob(destination, digest);
      for (const { digest } of node.manifest.children) there.forget(digest);
      await this.bringParts(node, walk, stats);
      return;
    }
    await runAll(
      namedBlobs,
      async (blob) => this.#bringBlob(blob, stats, signal, { missedAtVersion: version }),
      {
        concurrency: BLOB_CONCURRENCY,
        operation: 'copy blob',
      },
    );
    await runAll(namedChildren, async (child) => this.bringChild(child, walk, stats), {
      concurrency: CHILD_CONCURRENCY,
      operation: 'copy manifest',
    });
  }
}

/** A layer that lies at third parties' URLs is never fetched, so a registry that wants it cannot have it. */
function refuseForeignLayers(node: ManifestNode, fault: MirrorError): void {
  const named = node.manifest.foreignLayers.find(({ digest }) => fault.digests.includes(digest));
  if (named === undefined) return;
  throw new MirrorError(
    'FOREIGN_LAYER_REFUSED',
    `the destination wants the bytes of ${named.digest}`,
    {
      operation: 'put manifest',
      side: 'destination',
      digests: [named.digest],
      registryCodes: fault.registryCodes,
      cause: fault,
    },
  );
}

/**
 * Digests of the children that were left out and that a host refuses an index for: it names one of them,
 * or nothing at all. Which code says so differs (Sonatype Nexus, Artifact Registry, distribution), so
 * that a refusal that says something else is tried out too: the index is taken with them, or not.
 */
function missedPlatforms(
  node: ManifestNode,
  leftOut: readonly Descriptor[],
  error: unknown,
  there: DestinationManifests,
): readonly string[] {
  if (!isMirrorError(error, 'DESTINATION_INCOMPLETE', 'MANIFEST_REFUSED')) return [];
  const { code } = error;
  const parts = new Set(
    [...blobsOf(node.manifest), ...node.manifest.children].map(({ digest }) => digest),
  );
  // The index's own digest says nothing of what it lacks.
  const digests = error.digests.filter((digest) => parts.has(digest));
  const isNamed = ({ digest }: Descriptor): boolean => digests.includes(digest);
  if (digests.length > 0 && !leftOut.some(isNamed)) return [];
  if (code === 'MANIFEST_REFUSED' && node.manifest.blobChildren.length > 0) return [];
  return leftOut
    .filter((child) => isNamed(child) || !there.isKnown(child.digest))
    .map(({ digest }) => digest);
}

/** A refused index whose entries are no manifests is refused for that: no repetition can help. */
function namedRefusal(node: ManifestNode, error: unknown): unknown {
  const { blobChildren } = node.manifest;
  if (!isMirrorError(error, 'MANIFEST_REFUSED', 'DESTINATION_INCOMPLETE')) return error;
  const { digests } = error;
  const blamed = blobChildren.filter(({ digest }) => digests.includes(digest));
  if (digests.length === 0 ? blobChildren.length === 0 : blamed.length === 0) return error;
  return new MirrorError('INDEX_CHILD_REFUSED', error.message, {
    operation: 'put manifest',
    side: 'destination',
    registryCodes: error.registryCodes,
    digests: error.digests,
    cause: error,
  });
}
