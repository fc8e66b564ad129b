import { Fault, isFault, toFault } from '../fault.ts';

/** How a shared piece of work ended. */
export type FlightEnding<T> =
  | {
      readonly ok: true;
      readonly value: T;
      /** Whether the result counts for this participant: exactly one of them is told so. */
      readonly mine: boolean;
    }
  | { readonly ok: false; readonly fault: Fault };

interface Participant<T> {
  readonly finish: (ending: FlightEnding<T>) => void;
}

/**
 * One piece of work that many wait for. It is aborted only when every one of them has gone; the
 * result counts for whoever has waited longest.
 */
export class Flight<T> {
  readonly #participants = new Set<Participant<T>>();
  readonly #abort = new AbortController();
  /** Settles, never rejects, when the work has ended and all participants were told. */
  readonly ended: Promise<void>;

  constructor(work: (signal: AbortSignal) => Promise<T>) {
    this.ended = this.#run(work);
  }

  /**
   * Waits for the ending. A flight that every participant left still ends, with `ABORTED`.
   * @throws Fault `ABORTED` when this participant's own signal aborts
   */
  async join(signal: AbortSignal): Promise<FlightEnding<T>> {
    if (signal.aborted) {
      if (this.#participants.size === 0) this.#abort.abort();
      throw interrupted();
    }
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#participants.delete(participant);
        if (this.#participants.size === 0) this.#abort.abort();
        reject(interrupted());
      };
      const participant: Participant<T> = {
        finish: (ending) => {
          signal.removeEventListener('abort', leave);
          resolve(ending);
        },
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#participants.add(participant);
    });
  }

  async #run(work: (signal: AbortSignal) => Promise<T>): Promise<void> {
    // The first participant joins in the same turn in which the flight is made.
    await Promise.resolve();
    try {
      if (this.#abort.signal.aborted) throw interrupted();
      const value = await work(this.#abort.signal);
      let mine = true;
      for (const participant of this.#participants) {
        participant.finish({ ok: true, value, mine });
        mine = false;
      }
    } catch (error) {
      const fault = this.#abort.signal.aborted ? interrupted(error) : toFault(error, 'copy blob');
      for (const participant of this.#participants) participant.finish({ ok: false, fault });
    }
    this.#participants.clear();
  }
}

function interrupted(cause?: unknown): Fault {
  return isFault(cause, 'ABORTED')
    ? cause
    : new Fault('ABORTED', 'the work was interrupted', { operation: 'copy blob', cause });
}
