import { Fault } from '../fault.ts';
import type { StartDecision } from './deadline.ts';

/** Blobs under 1 MiB use a lane of their own, so that configs never wait behind layers. */
export const SMALL_BLOB_BYTES = 1024 * 1024;

/** Streams of small blobs and of large ones; together the 16 of a process. */
export interface LaneWidths {
  readonly small: number;
  readonly large: number;
}

/** At most 16 blob streams a process, half of them for blobs under 1 MiB. */
export const DEFAULT_LANE_WIDTHS: LaneWidths = { small: 8, large: 8 };

/** Whoever takes turns with others: one object an event. */
export type Turn = object;

/** A wish for a stream. */
export interface StreamWish {
  readonly turn: Turn;
  readonly sizeBytes: number;
  /** Asked when the wish is next: `wait` lets others pass until something ends or moves. */
  readonly decide: () => StartDecision;
  /** Called the moment it is let in, before anybody else is asked to decide. */
  readonly onStart?: () => void;
}

interface Waiting {
  readonly wish: StreamWish;
  readonly start: () => void;
  readonly refuse: (fault: Fault) => void;
}

/**
 * Two lanes of blob streams. In each, events take turns: a free stream goes to the event that was
 * served longest ago, so one event's thousand layers do not keep another's single layer waiting.
 */
export class StreamLanes {
  readonly #small: Lane;
  readonly #large: Lane;

  constructor(widths: LaneWidths = DEFAULT_LANE_WIDTHS) {
    this.#small = new Lane(widths.small);
    this.#large = new Lane(widths.large);
  }

  /**
   * Waits for a stream; the result gives it back.
   * @throws Fault `ABORTED` when the signal does, `DEADLINE_EXCEEDED` when it is too late to start
   */
  async take(wish: StreamWish, signal: AbortSignal): Promise<() => void> {
    const lane = wish.sizeBytes < SMALL_BLOB_BYTES ? this.#small : this.#large;
    return lane.take(wish, signal);
  }

  /** Looks again at those that wait: something moved. */
  look(): void {
    this.#small.look();
    this.#large.look();
  }
}

class Lane {
  readonly #width: number;
  #running = 0;
  /** Queues by turn; the first was served longest ago. */
  readonly #queues = new Map<Turn, Waiting[]>();

  constructor(width: number) {
    this.#width = width;
  }

  async take(wish: StreamWish, signal: AbortSignal): Promise<() => void> {
    if (signal.aborted) throw aborted();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#remove(waiting);
        reject(aborted());
      };
      const waiting: Waiting = {
        wish,
        start: () => {
          signal.removeEventListener('abort', leave);
          resolve(() => {
            this.#running -= 1;
            this.look();
          });
        },
        refuse: (fault) => {
          signal.removeEventListener('abort', leave);
          reject(fault);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      const queue = this.#queues.get(wish.turn);
      if (queue === undefined) this.#queues.set(wish.turn, [waiting]);
      else queue.push(waiting);
      this.look();
    });
  }

  look(): void {
    for (const [turn, queue] of [...this.#queues]) {
      this.#refuseLate(queue);
      if (queue.length === 0) this.#queues.delete(turn);
    }
    while (this.#running < this.#width) {
      const next = this.#next();
      if (next === undefined) return;
      this.#running += 1;
      next.wish.onStart?.();
      next.start();
    }
  }

  /** Takes the first that may start, from the event that was served longest ago. */
  #next(): Waiting | undefined {
    for (const [turn, queue] of this.#queues) {
      const index = queue.findIndex(({ wish }) => wish.decide() === 'start');
      if (index === -1) continue;
      const [waiting] = queue.splice(index, 1);
      this.#queues.delete(turn);
      if (queue.length > 0) this.#queues.set(turn, queue);
      return waiting;
    }
    return undefined;
  }

  #refuseLate(queue: Waiting[]): void {
    for (const waiting of [...queue]) {
      const decision = waiting.wish.decide();
      if (decision === 'start' || decision === 'wait') continue;
      queue.splice(queue.indexOf(waiting), 1);
      waiting.refuse(refusal(decision, waiting.wish.sizeBytes));
    }
  }

  #remove(waiting: Waiting): void {
    const queue = this.#queues.get(waiting.wish.turn);
    if (queue === undefined) return;
    const index = queue.indexOf(waiting);
    if (index !== -1) queue.splice(index, 1);
    if (queue.length === 0) this.#queues.delete(waiting.wish.turn);
  }
}

function aborted(): Fault {
  return new Fault('ABORTED', 'the work was interrupted', { operation: 'copy blob' });
}

function refusal(decision: StartDecision, sizeBytes: number): Fault {
  return decision === 'too-large'
    ? new Fault('DELIVERY_TOO_SHORT', `a blob of ${sizeBytes} bytes takes more than one delivery`, {
        operation: 'copy blob',
      })
    : new Fault('DEADLINE_EXCEEDED', 'too late in this delivery to start a blob', {
        operation: 'copy blob',
      });
}
