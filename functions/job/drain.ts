import { receivedEvent } from '../contract/codec.ts';
import { REVISION_CHANGED, type MirrorEvent } from '../contract/event.ts';
import { toMirrorError, type MirrorError } from '../errors.ts';
import { comparesBy, type VerificationSettings } from '../mirror/verification.ts';
import { ERROR_CODE, deadLetter } from '../subscriber/dead-letter.ts';
import { decideAfterError } from '../subscriber/decision.ts';
import { decodeDelivery } from '../subscriber/delivery.ts';
import type { Publisher } from '../pubsub/publisher.ts';
import type { PulledMessage } from '../pubsub/puller.ts';
import type { Logger } from '../telemetry/logger.ts';
import { Backlog, type BacklogEntry } from './backlog.ts';

/** How an event's work ended: done, to be tried again, or such that it can never succeed. */
export type WorkEnding = 'done' | 'transient' | { readonly never: MirrorError };

/** Who executes events, who takes dead letters, and how many at once. */
export interface DrainParts {
  /** `--workers`: events executed at once. */
  readonly workers: number;
  readonly acceptFluxEvents: boolean;
  /** Say what would be done: every message is handed back, none is published. */
  readonly dryRun: boolean;
  /** Executes one event; never throws. */
  readonly execute: (event: MirrorEvent) => Promise<WorkEnding>;
  /** What events compare that do not say it. */
  readonly verification: VerificationSettings;
  /** Takes what can never succeed; undefined: it is kept and handed back. */
  readonly deadLetters: Publisher | undefined;
  readonly logger: Logger;
}

/** What became of the messages of a drain; of a dry run what would have. */
export interface DrainCounts {
  readonly received: number;
  /** Events executed to their end. */
  readonly executed: number;
  /** Older events of an object that a newer one replaced. */
  readonly replaced: number;
  readonly deadLettered: number;
  /** Messages that are not done: to be tried again, refused by the dead-letter topic, or not begun. */
  readonly undone: number;
  /** Messages kept and handed back at the end. */
  readonly handedBack: number;
}

/**
 * Executes the events of pulled messages, at most `workers` at once. A message whose event fails
 * transiently is kept leased, so that it does not come back at once, and handed back at the end.
 */
export class Drain {
  readonly #parts: DrainParts;
  readonly #backlog: Backlog<PulledMessage>;
  readonly #running = new Map<BacklogEntry<PulledMessage>, Promise<void>>();
  readonly #putting = new Set<Promise<void>>();
  /** Handed back at the end. */
  readonly #kept: PulledMessage[] = [];
  readonly #counts = { received: 0, executed: 0, replaced: 0, deadLettered: 0, undone: 0 };
  #stopped = false;

  constructor(parts: DrainParts) {
    this.#parts = parts;
    this.#backlog = new Backlog(comparesBy(parts.verification));
  }

  /** Whether nothing is being executed or waits; messages that are kept do not count. */
  get idle(): boolean {
    return this.#backlog.size + this.#running.size + this.#putting.size === 0;
  }

  get counts(): DrainCounts {
    return { ...this.#counts, handedBack: this.#kept.length };
  }

  /** Takes a message. */
  receive(message: PulledMessage): void {
    this.#counts.received += 1;
    if (this.#stopped) {
      this.#leave(message);
      return;
    }
    let event: MirrorEvent | undefined;
    try {
      event = decodeDelivery({ ...message, received: receivedEvent(message) }, this.#parts);
    } catch (error) {
      this.#putAside(message, toMirrorError(error, 'decode event'));
      return;
    }
    if (event === undefined) this.#done(message);
    else {
      this.#backlog.add(event, message, message.publishedAtMs);
      this.#startWaiting();
    }
  }

  /** Starts nothing more, waits for what runs, and hands back all that is not done. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { messages } of this.#backlog.clear()) this.#leave(...messages);
    await Promise.all(this.#running.values());
    await Promise.all(this.#putting);
    for (const message of this.#kept) message.nack();
  }

  #startWaiting(): void {
    while (!this.#stopped && this.#running.size < this.#parts.workers) {
      const entry = this.#backlog.take((event) => !this.#isBusy(event));
      if (entry === undefined) return;
      this.#running.set(
        entry,
        this.#run(entry).finally(() => {
          this.#running.delete(entry);
          this.#startWaiting();
        }),
      );
    }
  }

  /** One whole-repository event at a time on an image; batches run side by side. */
  #isBusy({ data }: MirrorEvent): boolean {
    return [...this.#running.keys()].some(
      ({ event }) => event.type === REVISION_CHANGED && event.data.image === data.image,
    );
  }

  async #run({ event, messages }: BacklogEntry<PulledMessage>): Promise<void> {
    const ending = await this.#parts.execute(event);
    if (ending === 'transient') {
      this.#leave(...messages);
      return;
    }
    if (ending !== 'done') {
      for (const message of messages) this.#putAside(message, ending.never);
      return;
    }
    this.#counts.executed += 1;
    this.#counts.replaced += messages.length - 1;
    for (const message of messages) this.#done(message);
  }

  /** It is done; a dry run has done nothing. */
  #done(message: PulledMessage): void {
    if (this.#parts.dryRun) this.#kept.push(message);
    else message.ack();
  }

  #leave(...messages: readonly PulledMessage[]): void {
    this.#counts.undone += messages.length;
    this.#kept.push(...messages);
  }

  /** A message that can never succeed goes to the dead-letter topic, unless it came from there. */
  #putAside(message: PulledMessage, fault: MirrorError): void {
    const { deadLetters, dryRun, logger } = this.#parts;
    const never = decideAfterError(fault).action === 'dead-letter';
    logger.error(`message ${message.id} cannot succeed: ${fault.message}`, {
      messageId: message.id,
      code: fault.code,
      error: fault,
    });
    if (!never || deadLetters === undefined || message.attributes[ERROR_CODE] !== undefined) {
      this.#leave(message);
      return;
    }
    if (dryRun) {
      this.#counts.deadLettered += 1;
      this.#kept.push(message);
      return;
    }
    const putting = deadLetters.publish(deadLetter(message, fault)).then(
      () => {
        this.#counts.deadLettered += 1;
        message.ack();
      },
      (error: unknown) => {
        logger.warning(`message ${message.id} could not be put aside`, {
          messageId: message.id,
          error,
        });
        this.#leave(message);
      },
    );
    this.#putting.add(putting);
    void putting.then(() => this.#putting.delete(putting));
  }
}
