import { isDeepStrictEqual } from 'node:util';

import type { KubeAccess } from '../kubernetes/client.ts';
import { parseImage, type Image } from './image.ts';
import {
  FINALIZER,
  patchRepository,
  pendingRequest,
  REQUESTED_AT,
  type Condition,
  type Repository,
  type RepositoryStatus,
  type ScanResult,
} from './repository.ts';
import {
  effectiveExclusion,
  latestTags,
  revisionOf,
  sortTags,
  withoutExcluded,
} from './revision.ts';
import { durationMs, shouldScan, type ScanDecision } from './should-scan.ts';
import { listTags } from './tag-list.ts';

/** What all reconciliations of a scanner share. */
export interface ScannerState {
  readonly access: KubeAccess;
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
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string }
  | { readonly kind: 'stalled'; readonly message: string };

/** Where Flux sorts conditions first: Stalled, Reconciling, Ready. */
const CONDITION_ORDER = ['Stalled', 'Reconciling', 'Ready'];

/**
 * Brings one ImageRepository to where its spec wants it, by the steps and in the order of Flux's
 * image-reflector-controller. `forced`: scan although it is not due.
 * @throws Error where the API server refuses or cannot be reached
 */
export async function reconcile(
  state: ScannerState,
  repository: Repository,
  forced: boolean,
): Promise<Outcome> {
  const { finalizers = [], deletionTimestamp } = repository.metadata;
  if (deletionTimestamp !== undefined) {
    if (finalizers.includes(FINALIZER)) {
      const rest = finalizers.filter((each) => each !== FINALIZER);
      await patchRepository(state.access, repository, 'main', finalizersPatch(repository, rest));
    }
    return { kind: 'done' };
  }
  if (!finalizers.includes(FINALIZER)) {
    const patch = finalizersPatch(repository, [...finalizers, FINALIZER]);
    await patchRepository(state.access, repository, 'main', patch);
    return { kind: 'again' };
  }
  return new Reconciliation(state, repository, forced).run();
}

/** A list is replaced as a whole: the version says that nobody else has changed it meanwhile. */
function finalizersPatch({ metadata }: Repository, finalizers: readonly string[]): object {
  const { resourceVersion } = metadata;
  return { metadata: { finalizers: finalizers.length === 0 ? null : finalizers, resourceVersion } };
}

/** One run over an object that is not being deleted. */
class Reconciliation {
  private readonly state: ScannerState;
  private readonly forced: boolean;
  private readonly startedMs: number;
  /** The newest version of the object that the API server has answered. */
  private repository: Repository;
  /** The conditions as they are to be written. */
  private conditions: readonly Condition[];

  constructor(state: ScannerState, repository: Repository, forced: boolean) {
    this.state = state;
    this.forced = forced;
    this.startedMs = state.nowMs();
    this.repository = repository;
    this.conditions = this.persisted;
  }

  async run(): Promise<Outcome> {
    if (this.repository.spec.suspend === true) {
      await this.writeRest(this.closing());
      return { kind: 'done' };
    }
    await this.announce();
    const attempt = await this.attempt();
    this.conclude(attempt);
    await this.writeConditions();
    await this.writeRest({ ...('status' in attempt ? attempt.status : {}), ...this.closing() });
    if (attempt.kind === 'stalled') return { kind: 'done' };
    if (attempt.kind === 'failed') return { kind: 'failed', message: attempt.message };
    return { kind: 'done', afterMs: attempt.afterMs };
  }

  /** The conditions that the API server has. */
  private get persisted(): readonly Condition[] {
    return this.repository.status?.conditions ?? [];
  }

  /** Tells what is about to happen where the spec is new or somebody asked. */
  private async announce(): Promise<void> {
    const { metadata, status } = this.repository;
    const observed = status?.observedGeneration ?? 0;
    this.progress('reconciliation in progress');
    const isNew = metadata.generation !== observed;
    if (isNew)
      this.progress(`processing object: new generation ${observed} -> ${metadata.generation}`);
    if (isNew || pendingRequest(this.repository) !== undefined) await this.writeConditions();
  }

  private async attempt(): Promise<Attempt> {
    const { spec } = this.repository;
    let image: Image;
    try {
      image = parseImage(spec.image);
    } catch (error) {
      return { kind: 'stalled', message: messageOf(error) };
    }
    if (spec.secretRef !== undefined || (spec.provider ?? 'generic') !== 'generic') {
      const message =
        'failed to configure authentication options: only anonymous scans are made here';
      return { kind: 'failed', reason: 'AuthenticationFailed', message };
    }
    const observed = {
      canonicalImageName: image.canonicalName,
      observedExclusionList: effectiveExclusion(spec.exclusionList),
    };
    const decision = this.decide(image);
    if (!decision.scan) return { kind: 'scanned', status: observed, afterMs: decision.dueInMs };
    if (decision.reason === 'no tags in database') {
      this.set('Ready', 'Unknown', 'Progressing', `scanning: ${decision.reason}`);
    }
    this.progress(`scanning: ${decision.reason}`);
    await this.writeConditions();
    try {
      const timeoutMs = Math.max(1000, durationMs(spec.timeout ?? spec.interval));
      const signal = AbortSignal.any([this.state.signal, AbortSignal.timeout(timeoutMs)]);
      const found = await listTags(image, spec.insecure === true, signal);
      const lastScanResult = this.remember(image, found, observed.observedExclusionList);
      const status = { ...observed, lastScanResult };
      return { kind: 'scanned', status, afterMs: durationMs(spec.interval) };
    } catch (error) {
      const message = `scan failed: ${messageOf(error)}`;
      return { kind: 'failed', reason: 'ReadOperationFailed', message };
    }
  }

  private decide({ canonicalName }: Image): ScanDecision {
    const hasTags = (this.state.database.get(canonicalName) ?? []).length > 0;
    const decision = shouldScan(this.repository, canonicalName, hasTags, this.startedMs);
    return this.forced && !decision.scan
      ? { scan: true, reason: 'triggered by interval' }
      : decision;
  }

  private remember(
    image: Image,
    found: readonly string[],
    exclusion: readonly string[],
  ): ScanResult {
    const sorted = sortTags(withoutExcluded(found, exclusion));
    this.state.database.set(image.canonicalName, sorted);
    const sample = latestTags(sorted);
    return {
      ...(sample.length === 0 ? {} : { latestTags: sample }),
      revision: revisionOf(sorted),
      scanTime: this.now(),
      tagCount: sorted.length,
    };
  }

  /** Sets the conditions by what the attempt came to. */
  private conclude(attempt: Attempt): void {
    if (attempt.kind === 'stalled') {
      this.set('Stalled', 'True', 'ImageURLInvalid', attempt.message);
      this.set('Ready', 'False', 'ImageURLInvalid', attempt.message);
      this.remove('Reconciling');
      return;
    }
    if (attempt.kind === 'failed') {
      this.set('Ready', 'False', attempt.reason, attempt.message);
      const { message = '' } = this.find('Reconciling') ?? {};
      this.set('Reconciling', 'True', 'ProgressingWithRetry', message);
      return;
    }
    const result = attempt.status.lastScanResult ?? this.repository.status?.lastScanResult;
    const message = `successful scan: found ${result?.tagCount ?? 0} tags with checksum ${result?.revision ?? ''}`;
    this.set('Ready', 'True', 'Succeeded', message);
    this.remove('Reconciling');
    this.remove('Stalled');
  }

  /** What the last patch says besides the result: the generation if it is settled, the request if any. */
  private closing(): RepositoryStatus {
    const { generation, annotations } = this.repository.metadata;
    const handled = annotations?.[REQUESTED_AT];
    const settled = this.find('Ready')?.status === 'True' || this.find('Stalled') !== undefined;
    return {
      ...(handled === undefined ? {} : { lastHandledReconcileAt: handled }),
      ...(settled ? { observedGeneration: generation } : {}),
    };
  }

  /** Reconciling is True; Ready says the same where it is not settled yet. */
  private progress(message: string): void {
    this.remove('Stalled');
    this.set('Reconciling', 'True', 'Progressing', message);
    if ((this.find('Ready')?.status ?? 'Unknown') === 'Unknown') {
      this.set('Ready', 'Unknown', 'Progressing', message);
    }
  }

  private find(type: string): Condition | undefined {
    return this.conditions.find((condition) => condition.type === type);
  }

  private remove(type: string): void {
    this.conditions = this.conditions.filter((condition) => condition.type !== type);
  }

  /** Its transition time moves only when status, reason or message differ from what the API server has. */
  private set(type: string, status: Condition['status'], reason: string, message: string): void {
    const before = this.persisted.find((condition) => condition.type === type);
    const same =
      before?.status === status && before.reason === reason && before.message === message;
    const next: Condition = {
      lastTransitionTime: same ? before.lastTransitionTime : this.now(),
      message,
      observedGeneration: this.repository.metadata.generation,
      reason,
      status,
      type,
    };
    this.remove(type);
    this.conditions = [...this.conditions, next].sort(
      (a, b) => CONDITION_ORDER.indexOf(a.type) - CONDITION_ORDER.indexOf(b.type),
    );
  }

  /** Replaces the list of conditions, where it is another one. */
  private async writeConditions(): Promise<void> {
    const { conditions } = this;
    if (isDeepStrictEqual(byType(conditions), byType(this.persisted))) return;
    await this.writeStatus({ conditions });
  }

  /** Changes the other fields of status that are given and differ. */
  private async writeRest(rest: RepositoryStatus): Promise<void> {
    const patch = difference(this.repository.status ?? {}, rest);
    if (Object.keys(patch).length > 0) await this.writeStatus(patch);
  }

  private async writeStatus(status: object): Promise<void> {
    const { access } = this.state;
    this.repository = await patchRepository(access, this.repository, 'status', { status });
  }

  private now(): string {
    return `${new Date(this.state.nowMs()).toISOString().slice(0, 19)}Z`;
  }
}

/** A merge patch from one object to another, for the fields that the other has. */
function difference(before: object, after: object): Record<string, unknown> {
  const old = new Map<string, unknown>(Object.entries(before));
  const patch: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(after) as readonly (readonly [string, unknown])[]) {
    const was = old.get(name);
    if (value === undefined || isDeepStrictEqual(was, value)) continue;
    patch[name] = name === 'lastScanResult' && was ? scanDifference(was, value as object) : value;
  }
  return patch;
}

/** Inside the scan result only what moved is sent, and what is gone is removed. */
function scanDifference(before: object, after: object): object {
  const gone = Object.keys(before).filter((name) => !(name in after));
  return { ...difference(before, after), ...Object.fromEntries(gone.map((name) => [name, null])) };
}

/** Their order does not count. */
function byType(conditions: readonly Condition[]): readonly Condition[] {
  return [...conditions].sort((a, b) => (a.type < b.type ? -1 : 1));
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
