import type { Timing } from '../../functions/concurrency.ts';
import type { Random } from '../random.ts';

/**
 * What a pending step is: `arrival` (something moves between two sides), `timer` (somebody only
 * waits), `world` (something happens that nobody above the cut asked for).
 */
export type StepKind = 'arrival' | 'timer' | 'world';

/** One step that will be taken. */
interface Step {
  readonly dueMs: number;
  readonly kind: StepKind;
  readonly label: string;
  readonly action: () => void;
  /** The wait for it is part of the scenario: no stall before it. */
  readonly expected: boolean;
}

/** How {@link Scheduler.run} ended. */
export type Ending =
  | { readonly kind: 'ended' }
  /** Nothing will ever happen again and the work has not ended. */
  | { readonly kind: 'hang' }
  /** Nothing moved for longer than any limit allows although work waits. */
  | { readonly kind: 'stall'; readonly idleMs: number; readonly next: string }
  | { readonly kind: 'endless' };

/** Start of virtual time: a Thursday, milliseconds since 1970. */
export const EPOCH_MS = Date.UTC(2026, 0, 1);

/** Most steps of a run; the largest take some ten thousand. */
const MAX_STEPS = 200_000;

/**
 * Virtual time, and the one queue of everything that can happen next. Whoever waits comes to rest
 * first; then one step is drawn by chance among those that are due within the slack of the earliest,
 * so that what happens at about the same time happens in every order.
 */
export class Scheduler {
  readonly #random: Random;
  readonly #slackMs: number;
  #steps: Step[] = [];
  #nowMs = EPOCH_MS;
  #added = 0;
  #taken = 0;
  #movedAtMs = EPOCH_MS;
  #fingerprint = 0x811c9dc5;
  readonly #trace: string[] | undefined;

  /** @param slackMs how much later than due a step may be taken for another's sake */
  constructor(random: Random, slackMs: number, tracing: boolean) {
    this.#random = random;
    this.#slackMs = slackMs;
    this.#trace = tracing ? [] : undefined;
  }

  get now(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#taken;
  }

  /** A number that two runs share only where they took the same steps at the same times. */
  get fingerprint(): number {
    return this.#fingerprint >>> 0;
  }

  /** The steps taken and the notes made, where they are kept. */
  get trace(): readonly string[] {
    return this.#trace ?? [];
  }

  /** Timers that nobody has taken back. */
  get timersPending(): readonly string[] {
    return this.#steps.filter(({ kind }) => kind === 'timer').map(({ label }) => label);
  }

  /** Takes back what a label names: the timers of a process that died. */
  forget(isForgotten: (label: string) => boolean): void {
    this.#steps = this.#steps.filter(({ kind, label }) => kind !== 'timer' || !isForgotten(label));
  }

  /** Takes the step once `delayMs` have passed, or a little later; the result takes it back. */
  after(
    delayMs: number,
    kind: StepKind,
    label: string,
    action: () => void,
    expected = false,
  ): () => void {
    const step = { dueMs: this.#nowMs + Math.max(0, delayMs), kind, label, action, expected };
    this.#steps.push(step);
    this.#added += 1;
    return () => {
      const at = this.#steps.indexOf(step);
      if (at === -1) return;
      const last = this.#steps.pop();
      if (last !== undefined && last !== step) this.#steps[at] = last;
    };
  }

  /** Time as everything above the cut sees it. `isAlive` false: its timers do nothing any more. */
  timing(owner: string, isAlive: () => boolean): Timing {
    return {
      now: () => this.#nowMs,
      setTimer: (delayMs, action) =>
        this.after(delayMs, 'timer', `timer of ${owner}`, () => {
          if (isAlive()) action();
        }),
    };
  }

  /** Writes into the trace and the fingerprint. */
  note(text: string): void {
    this.#mix(text);
    this.#trace?.push(`${this.#nowMs - EPOCH_MS}\t${text}`);
  }

  /** What is known to take until then is no stall. */
  expectNothingUntil(untilMs: number): void {
    this.#movedAtMs = Math.max(this.#movedAtMs, untilMs);
  }

  /**
   * Takes steps until the work has ended.
   * @param stallMs longest time in which nothing may move while work waits
   */
  async run(hasEnded: () => boolean, isWaiting: () => boolean, stallMs: number): Promise<Ending> {
    this.#movedAtMs = Math.max(this.#movedAtMs, this.#nowMs);
    for (;;) {
      await this.#rest();
      if (hasEnded()) return { kind: 'ended' };
      if (this.#taken >= MAX_STEPS) return { kind: 'endless' };
      const step = this.#draw();
      if (step === undefined) return { kind: 'hang' };
      const atMs = Math.max(this.#nowMs, step.dueMs);
      const idleMs = atMs - this.#movedAtMs;
      if (isWaiting() && !step.expected && idleMs > stallMs) {
        return { kind: 'stall', idleMs, next: step.label };
      }
      this.#nowMs = atMs;
      if (step.kind !== 'timer' || !isWaiting()) this.#movedAtMs = Math.max(this.#movedAtMs, atMs);
      this.#taken += 1;
      this.note(step.label);
      step.action();
    }
  }

  /** Two turns of the event loop in which nothing new was queued: nobody has anything left to do. */
  async #rest(): Promise<void> {
    for (let quiet = 0; quiet < 2;) {
      const before = this.#added;
      await new Promise((resolve) => setImmediate(resolve));
      quiet = this.#added === before ? quiet + 1 : 0;
    }
  }

  #draw(): Step | undefined {
    let earliestMs = Infinity;
    for (const { dueMs } of this.#steps) earliestMs = Math.min(earliestMs, dueMs);
    if (earliestMs === Infinity) return undefined;
    const latestMs = Math.max(earliestMs, this.#nowMs) + this.#slackMs;
    let due = 0;
    for (const { dueMs } of this.#steps) if (dueMs <= latestMs) due += 1;
    let drawn = this.#random.below(due);
    const at = this.#steps.findIndex(({ dueMs }) => dueMs <= latestMs && drawn-- === 0);
    const step = this.#steps[at];
    const last = this.#steps.pop();
    if (last !== undefined && last !== step) this.#steps[at] = last;
    return step;
  }

  #mix(text: string): void {
    let mixed = this.#fingerprint;
    mixed = Math.imul(mixed ^ (this.#nowMs % 0xffffffff), 0x01000193);
    for (let at = 0; at < text.length; at += 1) {
      mixed = Math.imul(mixed ^ text.charCodeAt(at), 0x01000193);
    }
    this.#fingerprint = mixed;
  }
}
