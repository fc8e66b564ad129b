import { SYSTEM_TIMING, type Timing } from './concurrency.ts';

/** Exit code where the process has nothing to wait for and work is unsettled (sysexits.h, EX_SOFTWARE). */
export const UNSETTLED_EXIT_CODE = 70;

/** What Node ends with when a top-level await never settles (Node, "Exit codes"). */
const UNSETTLED_AWAIT_EXIT_CODE = 13;
/** So many operations are named; the others are counted. */
const MAX_NAMED = 20;
/** After so long without any sign of life the open work is told; longer than any time limit of a request. */
const SILENCE_MS = 5 * 60_000;

/** Where a watchdog tells what it saw; a logger fits. */
export interface WatchdogLog {
  warning(message: string, fields?: WatchdogFields): void;
  error(message: string, fields?: WatchdogFields): void;
}

/** What stands beside its messages. */
export interface WatchdogFields {
  readonly entry: 'watchdog';
  /** How many operations are open. */
  readonly open: number;
  /** The first of them, the oldest first. */
  readonly operations: readonly string[];
  readonly [name: string]: unknown;
}

/** Time that does not keep the process alive: a watchdog must not be what it watches for. */
const LOOSE_TIMING: Timing = {
  now: () => SYSTEM_TIMING.now(),
  setTimer: (delayMs, action) => {
    const timer = setTimeout(action, delayMs).unref();
    return () => {
      clearTimeout(timer);
    };
  },
};

/**
 * Knows what the process works on, so that work which never ends has a name: operations are begun
 * and ended, and a sign of life is told in between.
 */
export class Watchdog {
  /** By a key of their own, since several may have one name; true: a standing one. */
  readonly #open = new Map<symbol, { readonly operation: string; readonly standing: boolean }>();
  #timing = LOOSE_TIMING;
  #movedAtMs = 0;

  /**
   * Something is begun.
   * @param operation verb and object, such as `copy blob sha256:… of ghcr.io/org/app`; no secrets
   * @param kind `standing`: it lasts as long as the process, and its silence means nothing
   * @returns ends it; further calls do nothing
   */
  begin(operation: string, kind: 'work' | 'standing' = 'work'): () => void {
    const key = Symbol(operation);
    this.#open.set(key, { operation, standing: kind === 'standing' });
    this.moved();
    return () => {
      if (this.#open.delete(key)) this.moved();
    };
  }

  /** A sign of life: bytes moved, or a request was answered. */
  moved(): void {
    this.#movedAtMs = this.#timing.now();
  }

  /**
   * Tells what is waited for when nothing has moved for {@link SILENCE_MS} while work is open, and
   * again after each further such time.
   * @returns ends the watch
   */
  watchSilence(log: WatchdogLog, timing: Timing = LOOSE_TIMING): () => void {
    this.#timing = timing;
    let toldAtMs = 0;
    let cancel = (): void => undefined;
    const look = (): void => {
      const quietSinceMs = Math.max(toldAtMs, this.#movedAtMs);
      const leftMs = quietSinceMs + SILENCE_MS - timing.now();
      if (leftMs <= 0) {
        toldAtMs = timing.now();
        const minutes = Math.round((toldAtMs - this.#movedAtMs) / 60_000);
        const fields = this.#fields(({ standing }) => !standing);
        if (fields.open > 0) {
          log.warning(`nothing has moved for ${minutes} minutes: ${inWords(fields)}`, fields);
        }
      }
      cancel = timing.setTimer(leftMs <= 0 ? SILENCE_MS : leftMs, look);
    };
    cancel = timing.setTimer(SILENCE_MS, look);
    return () => {
      cancel();
    };
  }

  /** Tells what is still open although the process ends now, where something is. */
  tellUnsettled(log: WatchdogLog): void {
    const fields = this.#fields(({ standing }) => !standing);
    if (fields.open > 0) log.error(`ended without what never settled: ${inWords(fields)}`, fields);
  }

  /**
   * Ends the process with {@link UNSETTLED_EXIT_CODE} where it has nothing to wait for any more and
   * yet something is open: whatever it was, it can never settle. Warnings of Node and of libraries, which
   * Node writes as they are, become lines of the log.
   */
  watchEnd(log: WatchdogLog, target: NodeJS.Process = process): void {
    target.removeAllListeners('warning');
    target.on('warning', ({ name, message }) => {
      log.warning(`${name}: ${message}`);
    });
    target.on('beforeExit', () => {
      const fields = this.#fields(() => true);
      if (fields.open === 0) return;
      log.error(`the process waits for nothing, but never ended: ${inWords(fields)}`, fields);
      target.exit(UNSETTLED_EXIT_CODE);
    });
    target.on('exit', (code) => {
      if (code === UNSETTLED_AWAIT_EXIT_CODE) target.exitCode = UNSETTLED_EXIT_CODE;
    });
  }

  #fields(
    isTold: (open: { readonly operation: string; readonly standing: boolean }) => boolean,
  ): WatchdogFields {
    const open = [...this.#open.values()].filter(isTold);
    const operations = open.slice(0, MAX_NAMED).map(({ operation }) => operation);
    return { entry: 'watchdog', open: open.length, operations };
  }
}

function inWords({ open, operations }: WatchdogFields): string {
  const more = open - operations.length;
  return operations.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/** The watchdog of this process. */
export const watchdog = new Watchdog();
