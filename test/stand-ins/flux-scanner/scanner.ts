import { setTimeout as sleep } from 'node:timers/promises';

import { ApiClient, type ApiAccess, type RepositoryEvent } from './api-client.ts';
import { reconcile, type Outcome } from './reconcile.ts';
import { REQUESTED_AT, type Repository } from './repository.ts';
import type { TagStorage } from './revision.ts';
import { WorkQueue, type WorkResult } from './work-queue.ts';

/** How a scanner works. */
export interface ScannerOptions extends ApiAccess {
  /** The one namespace that it looks after; default all. */
  readonly namespace?: string;
  /** How revisions look; default `badger`, as Flux's. */
  readonly storage?: TagStorage;
  /** ImageRepositories scanned at once; default 4, as Flux's `--concurrent`. */
  readonly concurrency?: number;
  /** First back-off after a failure; default 750 ms, as Flux's `--min-retry-delay`. */
  readonly minRetryMs?: number;
  /** Longest back-off; default 15 minutes, as Flux's `--max-retry-delay`. */
  readonly maxRetryMs?: number;
  /** Epoch milliseconds; default the machine's clock. */
  readonly nowMs?: () => number;
  /** Told of each reconciliation, and of failures of the API server (key empty). */
  readonly onOutcome?: (key: string, outcome: Outcome) => void;
}

/** A running scanner. */
export interface Scanner {
  /** Scans an object at once, due or not, and waits until its status is written. */
  scanNow(namespace: string, name: string): Promise<void>;
  /** Ends it; what is being written is waited for. */
  close(): Promise<void>;
}

/** Pause before the API server is asked again after a failure. */
const RECONNECT_MS = 500;

/** Does what Flux's image-reflector-controller does for the ImageRepositories of an API server. */
export function startScanner(options: ScannerOptions): Promise<Scanner> {
  const scanner = new RunningScanner(options);
  return scanner.start();
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class RunningScanner {
  private readonly options: ScannerOptions;
  private readonly api: ApiClient;
  private readonly queue: WorkQueue;
  private readonly database = new Map<string, readonly string[]>();
  private readonly repositories = new Map<string, Repository>();
  private readonly waiters = new Map<string, Waiter[]>();
  /** Objects to scan whether they are due or not, until a scan has not failed. */
  private readonly forced = new Set<string>();
  private readonly ending = new AbortController();

  constructor(options: ScannerOptions) {
    this.options = options;
    this.api = new ApiClient(options);
    this.queue = new WorkQueue(
      {
        concurrency: options.concurrency ?? 4,
        minRetryMs: options.minRetryMs ?? 750,
        maxRetryMs: options.maxRetryMs ?? 15 * 60_000,
      },
      (key) => this.work(key),
    );
  }

  async start(): Promise<Scanner> {
    const resourceVersion = await this.list();
    const watching = this.follow(resourceVersion);
    return {
      scanNow: (namespace, name) =>
        new Promise((resolve, reject) => {
          const key = `${namespace}/${name}`;
          this.waiters.set(key, [...(this.waiters.get(key) ?? []), { resolve, reject }]);
          this.forced.add(key);
          this.queue.add(key);
        }),
      close: async () => {
        this.ending.abort();
        await this.queue.close();
        await watching;
        for (const waiters of this.waiters.values()) {
          settle(waiters, new Error('the scanner was closed'));
        }
      },
    };
  }

  /** Watches for as long as the scanner runs; whatever ends a watch, the next begins with a list. */
  private async follow(from: string): Promise<void> {
    let resourceVersion = from;
    while (!this.ending.signal.aborted) {
      try {
        for await (const event of this.api.watch(
          this.options.namespace,
          resourceVersion,
          this.ending.signal,
        )) {
          if (event.type === 'ERROR') throw new Error(JSON.stringify(event.object));
          resourceVersion = event.object.metadata.resourceVersion;
          this.see(event);
        }
      } catch (error) {
        resourceVersion = await this.recover(error);
      }
    }
  }

  private async recover(cause: unknown): Promise<string> {
    let error = cause;
    while (!this.ending.signal.aborted) {
      const message = error instanceof Error ? error.message : String(error);
      this.options.onOutcome?.('', { kind: 'failed', message });
      await sleep(RECONNECT_MS, undefined, { signal: this.ending.signal }).catch(() => undefined);
      try {
        return await this.list();
      } catch (again) {
        error = again;
      }
    }
    return '';
  }

  private async list(): Promise<string> {
    const { items, resourceVersion } = await this.api.list(
      this.options.namespace,
      this.ending.signal,
    );
    const present = new Set(items.map(keyOf));
    for (const key of this.repositories.keys()) if (!present.has(key)) this.drop(key);
    for (const object of items) this.see({ type: 'MODIFIED', object });
    return resourceVersion;
  }

  /** Keeps what a watch tells; works on what has a new spec, a new request or was not known. */
  private see({ type, object }: RepositoryEvent): void {
    if (type === 'BOOKMARK') return;
    const key = keyOf(object);
    if (type === 'DELETED') {
      this.drop(key);
      return;
    }
    const known = this.repositories.get(key);
    this.keepNewer(key, object);
    const moved =
      known?.metadata.uid !== object.metadata.uid ||
      known.metadata.generation !== object.metadata.generation ||
      requestOf(known) !== requestOf(object);
    if (moved) this.queue.add(key);
  }

  private keepNewer(key: string, object: Repository): void {
    const known = this.repositories.get(key);
    const older =
      known?.metadata.uid === object.metadata.uid &&
      Number(known.metadata.resourceVersion) > Number(object.metadata.resourceVersion);
    if (!older) this.repositories.set(key, object);
  }

  private drop(key: string): void {
    this.repositories.delete(key);
    this.queue.forget(key);
    settle(this.waiters.get(key) ?? [], gone(key));
    this.waiters.delete(key);
    this.forced.delete(key);
  }

  private async work(key: string): Promise<WorkResult> {
    // Who asks from now on is asking for the next run: this one may have listed already.
    const waiters = this.waiters.get(key) ?? [];
    this.waiters.delete(key);
    let outcome: Outcome | undefined;
    try {
      outcome = await this.reconcile(key);
    } catch (error) {
      outcome = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
    if (outcome === undefined) {
      settle(waiters, gone(key));
      return { kind: 'done' };
    }
    this.options.onOutcome?.(key, outcome);
    if (outcome.kind === 'again') {
      const later = this.waiters.get(key) ?? [];
      if (waiters.length > 0) this.waiters.set(key, [...waiters, ...later]);
      return { kind: 'done', afterMs: 0 };
    }
    if (outcome.kind === 'done' && !this.waiters.has(key)) this.forced.delete(key);
    settle(waiters, outcome.kind === 'failed' ? new Error(outcome.message) : undefined);
    return outcome;
  }

  /** What came of a key; undefined where its object is gone. */
  private async reconcile(key: string): Promise<Outcome | undefined> {
    const [namespace = '', name = ''] = key.split('/');
    // The watch may be behind what this scanner has written itself.
    const repository = await this.api.get(namespace, name);
    if (repository === undefined) {
      this.drop(key);
      return undefined;
    }
    this.keepNewer(key, repository);
    return reconcile(
      {
        api: this.api,
        storage: this.options.storage ?? 'badger',
        database: this.database,
        nowMs: this.options.nowMs ?? Date.now,
        signal: this.ending.signal,
      },
      repository,
      this.forced.has(key),
    );
  }
}

function settle(waiters: readonly Waiter[], error: Error | undefined): void {
  for (const { resolve, reject } of waiters) {
    if (error === undefined) resolve();
    else reject(error);
  }
}

function gone(key: string): Error {
  return new Error(`ImageRepository ${key} is gone`);
}

function requestOf({ metadata }: Repository): string | undefined {
  return metadata.annotations?.[REQUESTED_AT];
}

function keyOf({ metadata }: Repository): string {
  return `${metadata.namespace}/${metadata.name}`;
}
