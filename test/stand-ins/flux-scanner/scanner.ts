import { setTimeout as sleep } from 'node:timers/promises';

import type { KubeAccess } from '../kubernetes/client.ts';
import { reconcile, type Outcome, type ScannerState } from './reconcile.ts';
import {
  keyOf,
  listRepositories,
  readRepository,
  REQUESTED_AT,
  watchRepositories,
  type Repository,
} from './repository.ts';

/** How a scanner works. */
export interface ScannerOptions extends KubeAccess {
  /** First back-off after a failure; default 750 ms, as Flux's `--min-retry-delay`. */
  readonly minRetryMs?: number;
  /** Epoch milliseconds; default the machine's clock. */
  readonly nowMs?: () => number;
}

/** Pause before the API server is asked again after a failure. */
const RECONNECT_MS = 500;
/** Longest back-off, as Flux's `--max-retry-delay`. */
const MAX_RETRY_MS = 15 * 60_000;
/** Longest delay that a timer takes, about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** An ImageRepository and the work on it: one reconciliation at a time. */
interface Entry {
  /** The newest version that was seen; undefined while only its name is known. */
  repository: Repository | undefined;
  /** Whether it is to be reconciled, again where it is just being so. */
  wanted: boolean;
  running: Promise<void> | undefined;
  /** Next scan or retry. */
  timer: NodeJS.Timeout | undefined;
  failures: number;
  /** To scan whether due or not, until a scan has not failed. */
  forced: boolean;
  waiters: Waiter[];
}

/** Starts a scanner. @throws Error where the API server cannot be reached */
export async function startScanner(options: ScannerOptions): Promise<Scanner> {
  const scanner = new Scanner(options);
  await scanner.start();
  return scanner;
}

/** Does what Flux's image-reflector-controller does for the ImageRepositories of an API server. */
export class Scanner {
  private readonly minRetryMs: number;
  private readonly state: ScannerState;
  private readonly entries = new Map<string, Entry>();
  private readonly ending = new AbortController();
  private watching: Promise<void> | undefined;

  constructor({ minRetryMs = 750, nowMs = Date.now, ...access }: ScannerOptions) {
    this.minRetryMs = minRetryMs;
    this.state = { access, database: new Map(), nowMs, signal: this.ending.signal };
  }

  /** Lists, and watches from then on. */
  async start(): Promise<void> {
    const resourceVersion = await this.list();
    this.watching = this.follow(resourceVersion);
  }

  /**
   * Scans an object at once, due or not, and waits until its status is written. Rejects where the
   * scan fails or the object is gone.
   */
  scanNow(namespace: string, name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const key = `${namespace}/${name}`;
      // The watch may not have told of it yet.
      const entry = this.entryOf(key);
      entry.waiters.push({ resolve, reject });
      this.wake(key, entry);
    });
  }

  /** Ends it; what is being written is waited for. */
  async close(): Promise<void> {
    this.ending.abort();
    const entries = [...this.entries.values()];
    for (const key of this.entries.keys()) this.drop(key, 'the scanner was closed');
    for (const { running } of entries) await running;
    await this.watching;
  }

  /** Watches for as long as the scanner runs; whatever ends a watch badly, the next begins with a list. */
  private async follow(from: string): Promise<void> {
    const { access, signal } = this.state;
    let resourceVersion: string | undefined = from;
    while (!this.ending.signal.aborted) {
      try {
        resourceVersion ??= await this.list();
        for await (const { type, object } of watchRepositories(access, resourceVersion, signal)) {
          if (type === 'ERROR') throw new Error(JSON.stringify(object));
          const repository = object as Repository;
          resourceVersion = repository.metadata.resourceVersion;
          if (type === 'DELETED') this.drop(keyOf(repository), 'the object is gone');
          else if (type !== 'BOOKMARK') this.see(repository);
        }
      } catch {
        resourceVersion = undefined;
        await sleep(RECONNECT_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  private async list(): Promise<string> {
    const { access, signal } = this.state;
    const { items, resourceVersion } = await listRepositories(access, signal);
    const present = new Set(items.map(keyOf));
    for (const key of this.entries.keys()) {
      if (!present.has(key)) this.drop(key, 'the object is gone');
    }
    for (const object of items) this.see(object);
    return resourceVersion;
  }

  /** Keeps what a watch tells; works on what has a new spec, a new request or was not known. */
  private see(repository: Repository): void {
    const key = keyOf(repository);
    const entry = this.entryOf(key);
    const known = entry.repository;
    const { uid, generation, annotations, resourceVersion } = repository.metadata;
    const same = known?.metadata.uid === uid;
    // The watch may be behind what this scanner has written itself.
    if (same && Number(known.metadata.resourceVersion) > Number(resourceVersion)) return;
    entry.repository = repository;
    const moved =
      !same ||
      known.metadata.generation !== generation ||
      known.metadata.annotations?.[REQUESTED_AT] !== annotations?.[REQUESTED_AT];
    if (moved) this.wake(key, entry);
  }

  private entryOf(key: string): Entry {
    let entry = this.entries.get(key);
    if (entry === undefined) {
      entry = {
        repository: undefined,
        wanted: false,
        running: undefined,
        timer: undefined,
        failures: 0,
        forced: false,
        waiters: [],
      };
      this.entries.set(key, entry);
    }
    return entry;
  }

  private drop(key: string, why: string): void {
    const entry = this.entries.get(key);
    if (entry === undefined) return;
    this.entries.delete(key);
    entry.wanted = false;
    clearTimeout(entry.timer);
    for (const { reject } of entry.waiters.splice(0)) reject(new Error(`${key}: ${why}`));
  }

  private wake(key: string, entry: Entry): void {
    entry.wanted = true;
    entry.running ??= this.run(key, entry);
  }

  private async run(key: string, entry: Entry): Promise<void> {
    while (entry.wanted) {
      entry.wanted = false;
      clearTimeout(entry.timer);
      // Who asks from now on is asking for the next run: this one may have listed already.
      const waiters = entry.waiters.splice(0);
      if (waiters.length > 0) entry.forced = true;
      const outcome = await this.reconcile(key, entry);
      if (outcome.kind === 'again') {
        entry.waiters.unshift(...waiters);
        entry.wanted = this.entries.get(key) === entry;
        continue;
      }
      for (const { resolve, reject } of waiters) {
        if (outcome.kind === 'failed') reject(new Error(outcome.message));
        else resolve();
      }
      this.plan(key, entry, outcome);
    }
    // Within the same turn as the last look: who asks from now on starts the next run.
    entry.running = undefined;
  }

  private async reconcile(key: string, entry: Entry): Promise<Outcome> {
    try {
      const repository = await readRepository(this.state.access, key);
      if (repository === undefined) {
        this.drop(key, 'the object is gone');
        return { kind: 'failed', message: `${key}: the object is gone` };
      }
      entry.repository = repository;
      return await reconcile(this.state, repository, entry.forced);
    } catch (error) {
      return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
  }

  private plan(key: string, entry: Entry, outcome: Exclude<Outcome, { kind: 'again' }>): void {
    let afterMs: number | undefined;
    if (outcome.kind === 'failed') {
      afterMs = Math.min(this.minRetryMs * 2 ** entry.failures, MAX_RETRY_MS);
      entry.failures += 1;
    } else {
      ({ afterMs } = outcome);
      entry.failures = 0;
      if (entry.waiters.length === 0) entry.forced = false;
    }
    if (afterMs === undefined || this.entries.get(key) !== entry) return;
    entry.timer = setTimeout(
      () => {
        this.wake(key, entry);
      },
      Math.min(afterMs, MAX_TIMER_MS),
    );
  }
}
