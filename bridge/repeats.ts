import { createHash } from 'node:crypto';

/** How often an object is published though nothing was seen to change. */
export interface RepeatOptions {
  /** Time between two resyncs of an object, ms; 0: none. */
  readonly resyncIntervalMs: number;
  /** Time from a change to its follow-up, ms; 0: none. */
  readonly followUpMs: number;
}

/**
 * When one object is published again: once every resync interval, and some time after a change, since
 * signatures usually follow an image.
 */
export class Repeats {
  readonly #options: RepeatOptions;
  /** Where the object's moment lies in the interval, if there is one, ms: the same for every replica and start. */
  readonly #offsetMs: number;
  #changedAtMs = 0;
  #followUpAtMs: number | undefined;

  constructor(uid: string, options: RepeatOptions) {
    this.#options = options;
    // 48 bits are exact in a number.
    const bits = createHash('sha256').update(uid).digest().readUIntBE(0, 6);
    this.#offsetMs = bits % options.resyncIntervalMs;
  }

  /**
   * The object changed.
   * @param ageMs how long ago, ms
   * @param nowMs monotonic clock, ms
   */
  changed(ageMs: number, nowMs: number): void {
    const { followUpMs } = this.#options;
    if (ageMs >= followUpMs) return;
    this.#changedAtMs = nowMs - ageMs;
    this.#followUpAtMs ??= this.#changedAtMs + followUpMs;
  }

  /** Whether a follow-up has become due; each is told once. */
  takeFollowUp(nowMs: number): boolean {
    if (this.#followUpAtMs === undefined || nowMs < this.#followUpAtMs) return false;
    const againAtMs = this.#changedAtMs + this.#options.followUpMs;
    // Another change came meanwhile: its own follow-up is due later.
    this.#followUpAtMs = againAtMs > nowMs ? againAtMs : undefined;
    return true;
  }

  /**
   * The number of the resync that became due between two times of the wall clock, ms; undefined: none.
   * It grows by one at the object's moment of every interval.
   */
  resyncBetween(beforeMs: number, nowMs: number): number | undefined {
    if (this.#options.resyncIntervalMs === 0) return undefined;
    const slot = this.#slotAt(nowMs);
    return slot > this.#slotAt(beforeMs) ? slot : undefined;
  }

  #slotAt(wallMs: number): number {
    return Math.floor((wallMs - this.#offsetMs) / this.#options.resyncIntervalMs);
  }
}
