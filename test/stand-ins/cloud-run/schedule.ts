import { Execution, type JobTemplate } from './execution.ts';
import type { Overrides } from './overrides.ts';

/** Starts executions as far as their job's concurrency allows; the others wait in order. */
export class Schedule {
  readonly #clock: () => number;
  readonly #executions: Execution[] = [];
  readonly #running = new Map<Execution, { readonly job: string; readonly ended: Promise<void> }>();
  #waiting: { readonly job: JobTemplate; readonly execution: Execution }[] = [];

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** All executions, oldest first. */
  get executions(): readonly Execution[] {
    return this.#executions;
  }

  /** Makes an execution of a job; it runs now or as soon as it may. */
  add(job: JobTemplate, overrides: Overrides): Execution {
    const number = String(this.#executions.length).padStart(5, '0');
    const identity = `${job.name.split('/').pop() ?? ''}-${number}`;
    const execution = new Execution(job, overrides, identity, this.#clock);
    this.#executions.push(execution);
    this.#waiting.push({ job, execution });
    this.#startWaiting();
    return execution;
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) {
      await Promise.all([...this.#running.values()].map(async ({ ended }) => ended));
    }
  }

  /** Cancels what runs, forgets what waits, and resolves when all has ended. */
  async stop(): Promise<void> {
    this.#waiting = [];
    for (const execution of this.#running.keys()) execution.cancel();
    await this.idle();
  }

  #startWaiting(): void {
    this.#waiting = this.#waiting.filter(({ job, execution }) => {
      const running = [...this.#running.values()].filter((other) => other.job === job.name);
      if (running.length >= job.concurrency) return true;
      const ended = execution.run().finally(() => {
        this.#running.delete(execution);
        this.#startWaiting();
      });
      this.#running.set(execution, { job: job.name, ended });
      return false;
    });
  }
}
