import type { MirrorEvent } from '../contract/event.ts';
import { doesWorkOf, newestOf, objectKey, type Compares } from '../contract/newest.ts';
import { MirrorError } from '../errors.ts';

/** A whole-repository event that wants to be executed. */
export interface Entrant<R> {
  readonly event: MirrorEvent;
  /** Aborted at the delivery's deadline or when the process ends: the entrant leaves the queue. */
  readonly signal: AbortSignal;
  /** Executes the event, perhaps with a stronger reason than its own. */
  readonly execute: (event: MirrorEvent) => Promise<R>;
}

/** What an entrant gets: the result, and whether another entrant's execution brought it. */
export interface Turn<R> {
  readonly result: R;
  readonly shared: boolean;
}

interface Waiting<R> extends Entrant<R> {
  /** When it entered, milliseconds since 1970. */
  readonly arrivedAtMs: number;
  /** Its execution begins: from now on the signal is the execution's business. */
  readonly stay: () => void;
  readonly settle: (turn: Promise<Turn<R>>) => void;
}

/**
 * Lets one whole-repository event at a time work on a source and destination. Those that came while
 * another was executed wait; of the waiting ones of one object only the newest is executed, with the
 * strongest reason among them, and the others share its result. So does a waiting event of another
 * object that asks for the same (equal configuration) and has no stronger reason and compares no more.
 *
 * What came after an execution began never shares it: it may be about a tag that was pushed since.
 */
export class PerRepositoryQueue<R> {
  readonly #waiting = new Map<string, Waiting<R>[]>();
  readonly #clock: () => number;
  readonly #compares: Compares;

  /**
   * @param clock milliseconds since 1970; an event's own time counts only until it arrives
   * @param compares what an event has compared
   */
  constructor(clock: () => number, compares: Compares) {
    this.#clock = clock;
    this.#compares = compares;
  }

  /**
   * @param key source and destination
   * @throws MirrorError `DEADLINE_EXCEEDED` when the entrant's signal aborts first; whatever the execution
   *   throws, also to those that share it
   */
  async enter(key: string, entrant: Entrant<R>): Promise<Turn<R>> {
    if (entrant.signal.aborted) throw left();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        const queue = this.#waiting.get(key);
        const index = queue?.indexOf(waiting) ?? -1;
        if (index !== -1) queue?.splice(index, 1);
        reject(left());
      };
      const stay = (): void => {
        entrant.signal.removeEventListener('abort', leave);
      };
      const waiting: Waiting<R> = {
        ...entrant,
        arrivedAtMs: this.#clock(),
        stay,
        settle: (turn) => {
          turn.finally(stay).then(resolve, reject);
        },
      };
      entrant.signal.addEventListener('abort', leave, { once: true });
      const queue = this.#waiting.get(key);
      if (queue !== undefined) queue.push(waiting);
      else {
        this.#waiting.set(key, [waiting]);
        void this.#serve(key);
      }
    });
  }

  /** Executes what waits under a key, one group after the other, until nothing does. */
  async #serve(key: string): Promise<void> {
    for (;;) {
      const queue = this.#waiting.get(key) ?? [];
      const first = queue[0];
      if (first === undefined) {
        this.#waiting.delete(key);
        return;
      }
      const { leader, event, followers } = groupOf(first, queue, this.#compares);
      const group = new Set([leader, ...followers]);
      this.#waiting.set(
        key,
        queue.filter((waiting) => !group.has(waiting)),
      );
      leader.stay();
      const result = leader.execute(event);
      leader.settle(result.then((value) => ({ result: value, shared: false })));
      for (const follower of followers) {
        follower.settle(result.then((value) => ({ result: value, shared: true })));
      }
      await Promise.allSettled([result]);
    }
  }
}

/** Whom to execute next, as what, and who shares it. */
function groupOf<R>(
  first: Waiting<R>,
  queue: readonly Waiting<R>[],
  compares: Compares,
): {
  readonly leader: Waiting<R>;
  readonly event: MirrorEvent;
  readonly followers: readonly Waiting<R>[];
} {
  const object = objectKey(first.event);
  const others = queue.filter(
    (waiting) => waiting !== first && objectKey(waiting.event) === object,
  );
  const { newest: leader, event } = newestOf([first, ...others], compares);
  const followers = queue.filter(
    (waiting) =>
      waiting !== leader &&
      (objectKey(waiting.event) === object || doesWorkOf(event.data, waiting.event.data, compares)),
  );
  return { leader, event, followers };
}

function left(): MirrorError {
  return new MirrorError(
    'DEADLINE_EXCEEDED',
    'the delivery ended while another event was executed',
    {
      operation: 'wait for turn',
    },
  );
}
