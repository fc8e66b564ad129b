import { randomBytes } from 'node:crypto';

import { isMirrorError, printable } from '../../functions/errors.ts';
import type { Logger } from '../../functions/telemetry/logger.ts';
import { backoff } from '../backoff.ts';
import { answerError, type ApiAnswer, type ApiServer } from '../kubernetes/api-server.ts';
import type { ImageRepository } from './image-repository.ts';

/** What an Event says of an object. */
export interface ObjectWarning {
  /** PascalCase, as `kubectl describe` shows it. */
  readonly reason: string;
  readonly message: string;
}

interface ObjectEventsOptions {
  readonly apiServer: ApiServer;
  readonly logger: Logger;
  /** Only the leader writes. */
  readonly mayWrite: () => boolean;
  /** Pod or host name. */
  readonly instance: string;
  /** Wall clock. */
  readonly now: () => Date;
  /** Ends what is being written. */
  readonly signal: AbortSignal;
}

/** The name under which the bridge reports. */
const COMPONENT = 'imagerepo-mirror';
/** The API server keeps Events for an hour (`--event-ttl`); a lasting state is told again before. */
const REPEAT_MS = 55 * 60 * 1000;
/** Kubernetes: longest message of an Event. */
const MAX_MESSAGE_LENGTH = 1024;
/** Longest name is 253; the suffix takes a dot and 16 digits. */
const MAX_NAME_LENGTH = 236;

interface Standing {
  readonly object: ImageRepository;
  readonly warning: ObjectWarning;
  /** Name of the Event written, to be counted up. */
  eventName: string | undefined;
  writtenAtMs: number;
  count: number;
}

/**
 * Warning Events on ImageRepositories for what lasts until somebody mends it: written once when it
 * begins, counted up about every hour while it lasts. A failure to write is logged and tried again
 * after a pause.
 */
export class ObjectEvents {
  readonly #options: ObjectEventsOptions;
  readonly #standing = new Map<string, Standing>();
  readonly #pauses = backoff();
  #pause = { fromMs: 0, forMs: 0 };
  #writing: Promise<void> | undefined;

  constructor(options: ObjectEventsOptions) {
    this.#options = options;
  }

  /** Something is wrong with an object from now on. */
  warn(object: ImageRepository, warning: ObjectWarning): void {
    this.#standing.set(object.uid, {
      object,
      warning,
      eventName: undefined,
      writtenAtMs: 0,
      count: 0,
    });
    this.tick();
  }

  /** It is no longer. */
  clear(uid: string): void {
    this.#standing.delete(uid);
  }

  /** Writes what is due; to be called now and then. */
  tick(): void {
    const { logger, mayWrite, now, signal } = this.#options;
    if (this.#writing !== undefined || !mayWrite()) return;
    const pausedMs = now().getTime() - this.#pause.fromMs;
    // A wall clock that was set back ends the pause.
    if (pausedMs >= 0 && pausedMs < this.#pause.forMs) return;
    this.#writing = this.#writeDue()
      .then(() => {
        this.#pauses.reset();
      })
      .catch((error: unknown) => {
        if (signal.aborted) return;
        const askedMs = isMirrorError(error) ? (error.retryAfterMs ?? 0) : 0;
        this.#pause = { fromMs: now().getTime(), forMs: Math.max(this.#pauses.next(), askedMs) };
        logger.warning('cannot write Kubernetes Events; trying again', { error });
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Resolves when nothing is being written. */
  async idle(): Promise<void> {
    await this.#writing;
  }

  async #writeDue(): Promise<void> {
    // Warned objects that come while this is under way are seen too: a Map's iteration is live.
    for (const standing of this.#standing.values()) {
      const nowMs = this.#options.now().getTime();
      if (standing.writtenAtMs !== 0 && nowMs - standing.writtenAtMs < REPEAT_MS) continue;
      if (!this.#options.mayWrite()) return;
      try {
        await this.#write(standing);
      } catch (error) {
        this.#putLast(standing);
        throw error;
      }
      standing.writtenAtMs = nowMs;
    }
  }

  /** What fails for one object (a webhook of its namespace) keeps none of the others waiting. */
  #putLast(standing: Standing): void {
    const { uid } = standing.object;
    if (this.#standing.get(uid) !== standing) return;
    this.#standing.delete(uid);
    this.#standing.set(uid, standing);
  }

  async #write(standing: Standing): Promise<void> {
    const { apiServer, logger, signal } = this.#options;
    const { namespace, name } = standing.object;
    const path = `/api/v1/namespaces/${namespace}/events`;
    const what = `write an Event about ${namespace}/${name}`;
    const at = this.#options.now().toISOString().replace(/\.\d+/, '');
    if (standing.eventName !== undefined) {
      const counted = { count: standing.count + 1, lastTimestamp: at };
      const eventPath = `${path}/${standing.eventName}`;
      const { status } = settled(
        await apiServer.send('PATCH', eventPath, counted, { signal }),
        what,
      );
      if (status === 200) {
        standing.count += 1;
        return;
      }
    }
    const eventName = `${name.slice(0, MAX_NAME_LENGTH)}.${randomBytes(8).toString('hex')}`;
    const event = this.#eventOf(standing, eventName, at);
    const answer = settled(await apiServer.send('POST', path, event, { signal }), what);
    if (answer.status === 201) {
      Object.assign(standing, { eventName, count: 1 });
    } else {
      logger.warning('a Kubernetes Event was refused', {
        namespace,
        name,
        status: answer.status,
        reason: printable(JSON.stringify(answer.body)),
      });
    }
  }

  #eventOf({ object, warning }: Standing, eventName: string, at: string): object {
    const { namespace, name, uid } = object;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace, name: eventName },
      involvedObject: {
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageRepository',
        namespace,
        name,
        uid,
      },
      type: 'Warning',
      reason: warning.reason,
      message: warning.message.slice(0, MAX_MESSAGE_LENGTH),
      source: { component: COMPONENT },
      reportingComponent: COMPONENT,
      reportingInstance: this.#options.instance,
      firstTimestamp: at,
      lastTimestamp: at,
      count: 1,
    };
  }
}

/** An answer that stands. @throws MirrorError where the API server is busy or fails, which passes */
function settled(answer: ApiAnswer, operation: string): ApiAnswer {
  if (answer.status === 429 || answer.status >= 500) throw answerError(answer, operation);
  return answer;
}
