import type { DeliveryHabits } from './delivery.ts';
import type { Message } from './message.ts';

/** A message in a subscription; only the backlog changes where it stands. */
export interface Entry {
  readonly message: Message;
  /** `waiting` for its time, `ready` to be delivered, `outstanding` with a subscriber, or `acknowledged`. */
  state: 'waiting' | 'ready' | 'outstanding' | 'acknowledged';
  /** Deliveries that ended in a nack or an expired deadline. */
  failures: number;
  timer: NodeJS.Timeout | undefined;
}

/** The messages of one subscription that are not acknowledged, and what has become of each. */
export class Backlog {
  readonly #habits: DeliveryHabits;
  readonly #onReady: () => void;
  /** By message id. */
  readonly #entries = new Map<string, Entry>();
  #ready: Entry[] = [];
  #outstanding = 0;

  /** `onReady` is called when a message became ready by itself. */
  constructor(habits: DeliveryHabits, onReady: () => void) {
    this.#habits = habits;
    this.#onReady = onReady;
  }

  /** Messages that wait to be delivered, their back-off included. */
  get undelivered(): number {
    return this.#entries.size - this.#outstanding;
  }

  /** Messages that a subscriber holds. */
  get outstanding(): number {
    return this.#outstanding;
  }

  /** Takes in a published message; it becomes ready after `delayMs` (0: at once). */
  add(message: Message, delayMs: number): void {
    const entry: Entry = { message, state: 'waiting', failures: 0, timer: undefined };
    this.#entries.set(message.messageId, entry);
    this.#schedule(entry, delayMs);
  }

  /** The next message to deliver, now outstanding; undefined where none is ready. */
  take(): Entry | undefined {
    const { random, shuffled } = this.#habits;
    const index = shuffled ? Math.floor(random() * this.#ready.length) : 0;
    const entry = this.#ready[index];
    if (entry === undefined) return undefined;
    if (shuffled) {
      const last = this.#ready.pop();
      if (last !== undefined && last !== entry) this.#ready[index] = last;
    } else {
      this.#ready.shift();
    }
    entry.state = 'outstanding';
    this.#outstanding += 1;
    return entry;
  }

  /** Gives an outstanding message back; it becomes ready after `delayMs` (0: at once). */
  release(entry: Entry, delayMs: number): void {
    if (entry.state !== 'outstanding') return;
    this.#outstanding -= 1;
    this.#schedule(entry, delayMs);
  }

  /** Forgets a message, wherever it stands. */
  acknowledge(entry: Entry): void {
    if (entry.state === 'acknowledged') return;
    clearTimeout(entry.timer);
    if (entry.state === 'outstanding') this.#outstanding -= 1;
    if (entry.state === 'ready') this.#ready = this.#ready.filter((other) => other !== entry);
    entry.state = 'acknowledged';
    this.#entries.delete(entry.message.messageId);
  }

  /** The messages not acknowledged, oldest first. */
  unacknowledged(): readonly Message[] {
    return [...this.#entries.values()]
      .map(({ message }) => message)
      .sort((a, b) => a.sequence - b.sequence);
  }

  /**
   * Makes exactly the messages unacknowledged of which `wanted` says so, among those kept here and
   * those retained elsewhere. One that was acknowledged starts over, one on its way stays on it.
   */
  seek(retained: readonly Message[], wanted: (message: Message) => boolean): void {
    for (const entry of [...this.#entries.values()]) {
      if (!wanted(entry.message)) this.acknowledge(entry);
    }
    for (const message of retained) {
      if (!this.#entries.has(message.messageId) && wanted(message)) this.add(message, 0);
    }
  }

  /** Drops all messages and stops all timers. */
  clear(): void {
    this.#ready = [];
    for (const entry of [...this.#entries.values()]) this.acknowledge(entry);
  }

  #schedule(entry: Entry, delayMs: number): void {
    if (delayMs <= 0) {
      this.#becomeReady(entry);
      return;
    }
    entry.state = 'waiting';
    entry.timer = setTimeout(() => {
      this.#becomeReady(entry);
      this.#onReady();
    }, delayMs / this.#habits.speed);
  }

  #becomeReady(entry: Entry): void {
    entry.state = 'ready';
    this.#ready.push(entry);
  }
}
