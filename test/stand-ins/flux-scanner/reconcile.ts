import type { ApiClient } from './api-client.ts';
import { find, set, without, type NewCondition } from './conditions.ts';
import { credentialsOf } from './credentials.ts';
import { durationMs } from './duration.ts';
import { effectiveExclusion, withoutExcluded } from './exclusion.ts';
import { parseImage, type Image } from './image.ts';
import {
  FINALIZER,
  pendingRequest,
  REQUESTED_AT,
  type Condition,
  type Repository,
  type RepositoryStatus,
  type ScanResult,
} from './repository.ts';
import { latestTags, revisionOf, sortTags, type TagStorage } from './revision.ts';
import { shouldScan, type ScanDecision } from './should-scan.ts';
import { StatusWriter } from './status-writer.ts';
import { listTags } from './tag-list.ts';

/** What reconciling stands on. */
export interface ReconcileParts {
  readonly api: ApiClient;
  readonly storage: TagStorage;
  /** Tags of earlier scans by canonical image name; empty after a start, as Flux's own is. */
  readonly database: Map<string, readonly string[]>;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

/** When the object is to be looked at again. */
export type Outcome =
  /** Everything is as it should be; `afterMs` until the next scan, absent: at the next change. */
  | { readonly kind: 'done'; readonly afterMs?: number }
  /** At once: one step was taken, others follow. */
  | { readonly kind: 'again' }
  /** It failed and is tried again with back-off. */
  | { readonly kind: 'failed'; readonly message: string };

/** What an attempt to scan came to. */
type Attempt =
  | { readonly kind: 'scanned'; readonly status: RepositoryStatus; readonly afterMs: number }
  | { readonly kind: 'unchanged'; readonly status: RepositoryStatus; readonly afterMs: number }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string }
  | { readonly kind: 'stalled'; readonly message: string };

/**
 * Brings one ImageRepository to where its spec wants it, by the steps and in the order of Flux's
 * image-reflector-controller. `forced`: scan although it is not due.
 * @throws ApiRefusal, or an Error of the connection to the API server
 */
export async function reconcile(
  parts: ReconcileParts,
  repository: Repository,
  forced = false,
): Promise<Outcome> {
  const { api } = parts;
  const { finalizers = [], deletionTimestamp } = repository.metadata;
  if (deletionTimestamp !== undefined) {
    if (finalizers.includes(FINALIZER)) {
      await api.patch(
        repository,
        'main',
        finalizersPatch(repository, withoutFinalizer(finalizers)),
      );
    }
    return { kind: 'done' };
  }
  if (!finalizers.includes(FINALIZER)) {
    await api.patch(repository, 'main', finalizersPatch(repository, [...finalizers, FINALIZER]));
    return { kind: 'again' };
  }
  const writer = new StatusWriter(api, repository);
  if (repository.spec.suspend === true) {
    await writer.writeRest(closing(repository, writer.conditions));
    return { kind: 'done' };
  }
  return new Reconciliation(parts, writer, forced).run();
}

function withoutFinalizer(finalizers: readonly string[]): readonly string[] {
  return finalizers.filter((each) => each !== FINALIZER);
}

/** A list is replaced as a whole: the version says that nobody else has changed it meanwhile. */
function finalizersPatch({ metadata }: Repository, finalizers: readonly string[]): object {
  const { resourceVersion } = metadata;
  return { metadata: { finalizers: finalizers.length === 0 ? null : finalizers, resourceVersion } };
}

/** What the last patch says besides the result: the generation if it is settled, the request if any. */
function closing(
  { metadata }: Repository,
  conditions: readonly Condition[],
): Omit<RepositoryStatus, 'conditions'> {
  const handled = metadata.annotations?.[REQUESTED_AT];
  const settled =
    find(conditions, 'Ready')?.status === 'True' || find(conditions, 'Stalled') !== undefined;
  return {
    ...(handled === undefined ? {} : { lastHandledReconcileAt: handled }),
    ...(settled ? { observedGeneration: metadata.generation } : {}),
  };
}

/** One run over an object that is neither suspended nor being deleted. */
class Reconciliation {
  private readonly parts: ReconcileParts;
  private readonly writer: StatusWriter;
  private readonly forced: boolean;
  private readonly startedMs: number;
  private conditions: readonly Condition[];

  constructor(parts: ReconcileParts, writer: StatusWriter, forced: boolean) {
    this.parts = parts;
    this.writer = writer;
    this.forced = forced;
    this.startedMs = parts.nowMs();
    this.conditions = writer.conditions;
  }

  async run(): Promise<Outcome> {
    await this.announce();
    const attempt = await this.attempt();
    this.conclude(attempt);
    await this.writer.writeConditions(this.conditions);
    const status = 'status' in attempt ? attempt.status : {};
    await this.writer.writeRest({
      ...status,
      ...closing(this.writer.repository, this.conditions),
    });
    if (attempt.kind === 'stalled') return { kind: 'done' };
    if (attempt.kind === 'failed') return { kind: 'failed', message: attempt.message };
    return { kind: 'done', afterMs: attempt.afterMs };
  }

  /** Tells what is about to happen where the spec is new or somebody asked. */
  private async announce(): Promise<void> {
    const { metadata, status } = this.writer.repository;
    const observed = status?.observedGeneration ?? 0;
    this.progress('reconciliation in progress');
    if (metadata.generation !== observed) {
      this.progress(`processing object: new generation ${observed} -> ${metadata.generation}`);
      await this.writer.writeConditions(this.conditions);
    } else if (pendingRequest(this.writer.repository) !== undefined) {
      await this.writer.writeConditions(this.conditions);
    }
  }

  private async attempt(): Promise<Attempt> {
    const { repository } = this.writer;
    const { spec } = repository;
    let image: Image;
    try {
      image = parseImage(spec.image);
    } catch (error) {
      return { kind: 'stalled', message: messageOf(error) };
    }
    let credentials;
    try {
      credentials = await credentialsOf(repository, image.registry, this.parts.api);
    } catch (error) {
      return { kind: 'failed', reason: 'AuthenticationFailed', message: messageOf(error) };
    }
    const decision = this.decide(image);
    const observed = {
      canonicalImageName: image.canonicalName,
      observedExclusionList: effectiveExclusion(spec.exclusionList),
    };
    if (!decision.scan) {
      return { kind: 'unchanged', status: observed, afterMs: decision.dueInMs };
    }
    if (decision.reason === 'no tags in database') {
      this.set('Ready', 'Unknown', 'Progressing', `scanning: ${decision.reason}`);
    }
    this.progress(`scanning: ${decision.reason}`);
    await this.writer.writeConditions(this.conditions);
    try {
      const timeoutMs = Math.max(1000, durationMs(spec.timeout ?? spec.interval));
      const found = await listTags(image, {
        insecure: spec.insecure === true,
        ...(credentials === undefined ? {} : { credentials }),
        signal: AbortSignal.any([this.parts.signal, AbortSignal.timeout(timeoutMs)]),
      });
      const lastScanResult = this.remember(image, found, observed.observedExclusionList);
      const status = { ...observed, lastScanResult };
      return { kind: 'scanned', status, afterMs: durationMs(spec.interval) };
    } catch (error) {
      const message = `scan failed: ${messageOf(error)}`;
      return { kind: 'failed', reason: 'ReadOperationFailed', message };
    }
  }

  private decide(image: Image): ScanDecision {
    const tags = this.parts.database.get(image.canonicalName) ?? [];
    const decision = shouldScan(
      this.writer.repository,
      image.canonicalName,
      tags.length > 0,
      this.startedMs,
    );
    return !decision.scan && this.forced
      ? { scan: true, reason: 'triggered by interval' }
      : decision;
  }

  private remember(
    image: Image,
    found: readonly string[],
    exclusion: readonly string[],
  ): ScanResult {
    const sorted = sortTags(withoutExcluded(found, exclusion));
    this.parts.database.set(image.canonicalName, sorted);
    const sample = latestTags(sorted);
    return {
      ...(sample.length === 0 ? {} : { latestTags: sample }),
      revision: revisionOf(sorted, this.parts.storage),
      scanTime: this.now(),
      tagCount: sorted.length,
    };
  }

  /** Sets the conditions by what the attempt came to. */
  private conclude(attempt: Attempt): void {
    if (attempt.kind === 'stalled') {
      this.set('Stalled', 'True', 'ImageURLInvalid', attempt.message);
      this.set('Ready', 'False', 'ImageURLInvalid', attempt.message);
      this.conditions = without(this.conditions, 'Reconciling');
      return;
    }
    if (attempt.kind === 'failed') {
      this.set('Ready', 'False', attempt.reason, attempt.message);
      const { message = '' } = find(this.conditions, 'Reconciling') ?? {};
      this.set('Reconciling', 'True', 'ProgressingWithRetry', message);
      return;
    }
    const result = attempt.status.lastScanResult ?? this.writer.repository.status?.lastScanResult;
    const message = `successful scan: found ${result?.tagCount ?? 0} tags with checksum ${result?.revision ?? ''}`;
    this.set('Ready', 'True', 'Succeeded', message);
    this.conditions = without(this.conditions, 'Reconciling', 'Stalled');
  }

  /** Reconciling is True; Ready says the same where it is not settled yet. */
  private progress(message: string): void {
    this.conditions = without(this.conditions, 'Stalled');
    this.set('Reconciling', 'True', 'Progressing', message);
    const ready = find(this.conditions, 'Ready');
    if (ready === undefined || ready.status === 'Unknown') {
      this.set('Ready', 'Unknown', 'Progressing', message);
    }
  }

  private set(type: string, status: NewCondition['status'], reason: string, message: string): void {
    this.conditions = set(
      this.conditions,
      { type, status, reason, message },
      {
        persisted: this.writer.conditions,
        generation: this.writer.repository.metadata.generation,
        now: this.now(),
      },
    );
  }

  private now(): string {
    return `${new Date(this.parts.nowMs()).toISOString().slice(0, 19)}Z`;
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
