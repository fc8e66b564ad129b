import { MirrorError } from '../errors.ts';
import type { Pause } from '../registry/request.ts';
import type { Logger } from '../telemetry/logger.ts';

/** A person waits so long without a word before the command seems to hang. */
const PATIENCE_MS = 10_000;
/** A pause that begins so soon after another is the same wait: one request lay between them. */
const SAME_WAIT_MS = 2_000;

interface Wait {
  untilMs: number;
  /** The end that was told last; before that, its beginning. */
  toldUntilMs: number;
}

/** The pauses that registries asked for during a run, and what is said of them. */
export class Pauses {
  readonly #logger: Logger;
  readonly #clock: () => number;
  /** By host, the latest. */
  readonly #waits = new Map<string, Wait>();

  constructor(logger: Logger, clock: () => number) {
    this.#logger = logger;
    this.#clock = clock;
  }

  /** Notes a pause. It is logged once the wait for its host exceeds 10 s, and again for each 10 s that it grows. */
  note({ side, host, untilMs }: Pause): void {
    const nowMs = this.#clock();
    const wait = this.#waitOf(host, nowMs);
    wait.untilMs = Math.max(wait.untilMs, untilMs);
    if (wait.untilMs - wait.toldUntilMs <= PATIENCE_MS) return;
    wait.toldUntilMs = wait.untilMs;
    const leftSeconds = Math.ceil((wait.untilMs - nowMs) / 1000);
    const until = new Date(wait.untilMs).toISOString();
    this.#logger.warning(`${host} (${side}) asks for a pause of ${leftSeconds} s, until ${until}`, {
      side,
      host,
    });
  }

  /** Why a run ends whose time is over: `RATE_LIMITED` where a host is still being waited for. */
  timeoutError(): MirrorError {
    const nowMs = this.#clock();
    for (const [host, { untilMs }] of this.#waits) {
      if (untilMs <= nowMs) continue;
      return new MirrorError(
        'RATE_LIMITED',
        `${host} asks for a longer pause than --timeout allows`,
        {
          retryAfterMs: untilMs - nowMs,
        },
      );
    }
    return new MirrorError('DEADLINE_EXCEEDED', 'the time of --timeout is over');
  }

  #waitOf(host: string, nowMs: number): Wait {
    const known = this.#waits.get(host);
    if (known !== undefined && nowMs - known.untilMs <= SAME_WAIT_MS) return known;
    const wait = { untilMs: nowMs, toldUntilMs: nowMs };
    this.#waits.set(host, wait);
    return wait;
  }
}
