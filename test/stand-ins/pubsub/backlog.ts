import type { Clock, Timer } from './clock.ts';
import type { Message } from './message.ts';
import type { Random } from './random.ts';

/**
 * Where a message stands in a subscription: `queued` behind another of its ordering key, `waiting`
 * for its time, `ready` to be delivered, `outstanding` with a subscriber, or `acknowledged`.
 */
export type EntryState = 'queued' | 'waiting' | 'ready' | 'outstanding' | 'acknowledged';

/** A message in a subscription. */
export interface Entry {
  readonly message: Message;
  readonly state: EntryState;
  /** Deliveries that ended in a nack or an expired deadline. */
  readonly failures: number;
}

interface MutableEntry extends Entry {
  state: EntryState;
  failures: number;
  timer: Timer | undefined;
}

/** What decides how a backlog gives out its messages. */
export interface BacklogOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Whether any ready message comes next instead of the oldest. */
  readonly shuffled: boolean;
  /** Whether messages with an ordering key come one at a time, in the order they were published. */
  readonly ordered: boolean;
  /** Called when a message became ready by itself. */
  readonly onReady: () => void;
}

/** How long a backlog keeps messages, counted from their publication. */
export interface Retention {
  readonly unacknowledgedMs: number;
  /** The same as the other where acknowledged messages are not kept. */
  readonly acknowledgedMs: number;
}

/** The messages of one subscription and what has become of each. */
export class Backlog {
  readonly #options: BacklogOptions;
  /** By message id, in the order of publication. */
  #entries = new Map<string, MutableEntry>();
  #ready: MutableEntry[] = [];
  /** Of each ordering key: the one that is on its way, and those behind it. */
  readonly #keys = new Map<string, MutableEntry[]>();
  readonly #counts: Record<EntryState, number> = {
    queued: 0,
    waiting: 0,
    ready: 0,
    outstanding: 0,
    acknowledged: 0,
  };

  constructor(options: BacklogOptions) {
    this.#options = options;
  }

  /** How many messages stand where. */
  get counts(): Readonly<Record<EntryState, number>> {
    return this.#counts;
  }

  /** Takes in a published message; it becomes ready after `delayMs` (0: at once). */
  add(message: Message, delayMs: number): void {
    const entry = this.#insert(message);
    this.#enqueue(entry, delayMs);
  }

  /** The next message to deliver, now outstanding; undefined where none is ready. */
  take(): Entry | undefined {
    const { random, shuffled } = this.#options;
    const index = shuffled ? Math.floor(random() * this.#ready.length) : 0;
    const entry = this.#ready[index];
    if (entry === undefined) return undefined;
    if (shuffled) {
      const last = this.#ready.pop();
      if (last !== undefined && last !== entry) this.#ready[index] = last;
    } else {
      this.#ready.shift();
    }
    this.#move(entry, 'outstanding');
    return entry;
  }

  /** Counts a failed delivery of an outstanding message. */
  fail(entry: Entry): void {
    (entry as MutableEntry).failures += 1;
  }

  /** Gives an outstanding message back; it becomes ready after `delayMs` (0: at once). */
  release(entry: Entry, delayMs: number): void {
    if (entry.state === 'outstanding') this.#schedule(entry as MutableEntry, delayMs);
  }

  /** Marks a message as acknowledged, and forgets it unless acknowledged ones are kept. */
  acknowledge(entry: Entry, keep: boolean): void {
    if (entry.state === 'acknowledged') return;
    this.#leave(entry as MutableEntry);
    this.#move(entry as MutableEntry, 'acknowledged');
    if (!keep) this.#forget(entry as MutableEntry);
  }

  /** The messages not acknowledged, oldest first. */
  unacknowledged(): readonly Message[] {
    return [...this.#entries.values()]
      .filter(({ state }) => state !== 'acknowledged')
      .map(({ message }) => message);
  }

  /** All messages kept here, acknowledged or not, oldest first. */
  messages(): readonly Message[] {
    return [...this.#entries.values()].map(({ message }) => message);
  }

  /**
   * Makes exactly the messages unacknowledged of which `wanted` says so, among those kept here and
   * `others` (retained elsewhere). One that was acknowledged starts over, one on its way stays on it.
   */
  seek(
    others: readonly Message[],
    wanted: (message: Message) => boolean,
    keepAcknowledged: boolean,
  ): void {
    for (const entry of [...this.#entries.values()]) {
      if (wanted(entry.message)) this.#revive(entry);
      else this.acknowledge(entry, keepAcknowledged);
    }
    for (const message of others) {
      if (!this.#entries.has(message.messageId) && wanted(message)) this.add(message, 0);
    }
    const bySequence = ([, a]: [string, Entry], [, b]: [string, Entry]): number =>
      a.message.sequence - b.message.sequence;
    this.#entries = new Map([...this.#entries].sort(bySequence));
  }

  /** Drops what is older than its retention. */
  purge(retention: Retention): void {
    const nowMs = this.#options.clock.nowMs();
    const shortestMs = Math.min(retention.unacknowledgedMs, retention.acknowledgedMs);
    for (const entry of this.#entries.values()) {
      const ageMs = nowMs - entry.message.publishTimeMs;
      if (ageMs <= shortestMs) return;
      const acknowledged = entry.state === 'acknowledged';
      const limitMs = acknowledged ? retention.acknowledgedMs : retention.unacknowledgedMs;
      if (ageMs > limitMs) {
        if (!acknowledged) this.#leave(entry);
        this.#forget(entry);
      }
    }
  }

  /** Drops what is acknowledged. */
  forgetAcknowledged(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === 'acknowledged') this.#forget(entry);
    }
  }

  /** Drops all messages and stops all timers. */
  clear(): void {
    for (const entry of this.#entries.values()) {
      entry.timer?.cancel();
      this.#forget(entry);
    }
    this.#ready = [];
    this.#keys.clear();
  }

  #insert(message: Message): MutableEntry {
    const entry: MutableEntry = { message, state: 'queued', failures: 0, timer: undefined };
    this.#entries.set(message.messageId, entry);
    this.#counts.queued += 1;
    return entry;
  }

  #revive(entry: MutableEntry): void {
    if (entry.state !== 'acknowledged') return;
    entry.failures = 0;
    this.#enqueue(entry, 0);
  }

  /** Lines a message up: at once, or behind the others of its ordering key. */
  #enqueue(entry: MutableEntry, delayMs: number): void {
    const key = this.#keyOf(entry);
    if (key === undefined) {
      this.#schedule(entry, delayMs);
      return;
    }
    const line = this.#keys.get(key) ?? [];
    this.#keys.set(key, line);
    line.push(entry);
    const [first, ...behind] = line;
    if (first === entry) {
      this.#schedule(entry, delayMs);
      return;
    }
    // The first is on its way already; those behind it stand in the order of publication.
    behind.sort((a, b) => a.message.sequence - b.message.sequence);
    line.splice(1, line.length, ...behind);
    this.#move(entry, 'queued');
  }

  #schedule(entry: MutableEntry, delayMs: number): void {
    if (delayMs <= 0) {
      this.#move(entry, 'ready');
      this.#ready.push(entry);
      return;
    }
    this.#move(entry, 'waiting');
    entry.timer = this.#options.clock.after(delayMs, () => {
      entry.timer = undefined;
      this.#move(entry, 'ready');
      this.#ready.push(entry);
      this.#options.onReady();
    });
  }

  /** Takes a message off its way, and lets the next of its ordering key go. */
  #leave(entry: MutableEntry): void {
    entry.timer?.cancel();
    entry.timer = undefined;
    if (entry.state === 'ready') this.#ready = this.#ready.filter((other) => other !== entry);
    const key = this.#keyOf(entry);
    const line = key === undefined ? undefined : this.#keys.get(key);
    if (key === undefined || line === undefined) return;
    const wasFirst = line[0] === entry;
    line.splice(line.indexOf(entry), 1);
    const [next] = line;
    if (next === undefined) this.#keys.delete(key);
    else if (wasFirst) this.#schedule(next, 0);
  }

  #keyOf({ message }: Entry): string | undefined {
    return this.#options.ordered && message.orderingKey !== '' ? message.orderingKey : undefined;
  }

  #move(entry: MutableEntry, state: EntryState): void {
    this.#counts[entry.state] -= 1;
    this.#counts[state] += 1;
    entry.state = state;
  }

  #forget(entry: MutableEntry): void {
    this.#counts[entry.state] -= 1;
    // Whoever still holds it can do nothing with it any more.
    entry.state = 'acknowledged';
    this.#entries.delete(entry.message.messageId);
  }
}
