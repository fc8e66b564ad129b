/** Keys waiting for work: each at most once at a time, with back-off after failures. */
export class WorkQueue {
  private readonly work: (key: string) => Promise<WorkResult>;
  private readonly options: WorkQueueOptions;
  private readonly waiting = new Set<string>();
  private readonly running = new Map<string, Promise<void>>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private readonly failures = new Map<string, number>();
  private closed = false;

  constructor(options: WorkQueueOptions, work: (key: string) => Promise<WorkResult>) {
    this.options = options;
    this.work = work;
  }

  /** Works on a key as soon as there is a free hand; a key being worked on comes again after. */
  add(key: string): void {
    if (this.closed) return;
    this.waiting.add(key);
    this.next();
  }

  /** Works on a key later, unless it is forgotten or comes earlier; the earlier of two times counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.closed) return;
    clearTimeout(this.timers.get(key));
    this.timers.set(
      key,
      setTimeout(
        () => {
          this.timers.delete(key);
          this.add(key);
        },
        Math.min(delayMs, MAX_TIMER_MS),
      ),
    );
  }

  /** A key that is of no interest any more. */
  forget(key: string): void {
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    this.failures.delete(key);
    this.waiting.delete(key);
  }

  /** Takes no more work and waits for what is under way. */
  async close(): Promise<void> {
    this.closed = true;
    this.waiting.clear();
    for (const timer of this.timers.values()) clearTimeout(timer);
    await Promise.all(this.running.values());
  }

  private next(): void {
    for (const key of this.waiting) {
      if (this.running.size >= this.options.concurrency) return;
      if (this.running.has(key)) continue;
      this.waiting.delete(key);
      this.running.set(key, this.run(key));
    }
  }

  private async run(key: string): Promise<void> {
    // The timer of an earlier plan is void: this run makes a new one.
    clearTimeout(this.timers.get(key));
    this.timers.delete(key);
    const result = await this.work(key);
    this.running.delete(key);
    if (result.kind === 'failed') {
      const failures = this.failures.get(key) ?? 0;
      this.failures.set(key, failures + 1);
      this.addAfter(
        key,
        Math.min(this.options.minRetryMs * 2 ** failures, this.options.maxRetryMs),
      );
    } else {
      this.failures.delete(key);
      if (result.afterMs !== undefined) this.addAfter(key, result.afterMs);
    }
    if (!this.closed) this.next();
  }
}

/** Longest delay that a timer takes, about 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** How a queue works. */
export interface WorkQueueOptions {
  /** Keys worked on at once. */
  readonly concurrency: number;
  /** Back-off after the first failure of a key, doubled by each further one, in milliseconds. */
  readonly minRetryMs: number;
  readonly maxRetryMs: number;
}

/** What work on a key came to; `afterMs` until it comes again, absent: not by itself. */
export type WorkResult =
  { readonly kind: 'done'; readonly afterMs?: number } | { readonly kind: 'failed' };
