import type { Timing } from '../concurrency.ts';
import { encodeEvent, type EncodedEvent } from '../contract/codec.ts';
import { REVISION_CHANGED, type MirrorEvent } from '../contract/event.ts';
import { heartbeatOf } from '../contract/heartbeat.ts';
import { toMirrorError, type MirrorError } from '../errors.ts';
import type { Logger } from '../telemetry/logger.ts';
import { traceFields } from '../telemetry/trace.ts';
import { admit, type AdmissionRules } from './admission.ts';
import { deadLetter } from './dead-letter.ts';
import { decideAfterError, decideShared, Redelivery, type Decision } from './decision.ts';
import { comparesBy, type VerificationSettings } from '../mirror/verification.ts';
import { offloadOf, type OffloadTargets, type OffloadLimits } from './offload.ts';
import { decodeDelivery, readDelivery, type Delivery } from './delivery.ts';
import { deliveryDeadline, type DeliveryDeadline, type ProcessEnd } from './delivery-deadline.ts';
import { executeEvent, type DoWork, type Executed } from './execute-event.ts';
import { batchesOf, continuationsOf } from './derived-events.ts';
import { eventFields, logEvent, logHeartbeat } from './log-lines.ts';
import { publishAll, type Publisher } from '../pubsub/publisher.ts';
import { PerRepositoryQueue, type Turn } from './per-repository-queue.ts';

/** The rules, the engine, the topics and the clock of a subscriber. */
export interface SubscriberParts extends OffloadTargets {
  readonly rules: AdmissionRules;
  readonly limits: OffloadLimits & {
    /** `DEADLINE_SECONDS`, in milliseconds. */
    readonly deadlineMs: number;
  };
  readonly acceptFluxEvents: boolean;
  /** Project of the traces that log lines link to. */
  readonly projectId: string | undefined;
  readonly doWork: DoWork;
  /** What events compare that do not say it. */
  readonly verification: VerificationSettings;
  readonly deadLetters?: Publisher | undefined;
  /** Writes and sends what was counted; awaited at the end of every event. Must not throw. */
  readonly flush: () => Promise<void>;
  readonly end: ProcessEnd;
  readonly logger: Logger;
  readonly timing: Timing;
}

/** What is known of the request that brought a message. */
export interface PushRequest {
  /** When it arrived, milliseconds since 1970: the deadline counts from here. */
  readonly arrivedAtMs: number;
  /** Id of the execution, for the log lines. */
  readonly executionId?: string | undefined;
  /** W3C Trace Context of the request. */
  readonly traceparent?: string | undefined;
  /** Pub/Sub's id of the message, where its metadata comes as headers. */
  readonly messageId?: string | undefined;
}

/** Executes pushed messages. */
export interface Subscriber {
  /**
   * Executes one message to the end of its delivery. It resolves where the message is to be
   * acknowledged.
   * @throws Redelivery where it is to be delivered again
   */
  handle(incoming: unknown, request: PushRequest): Promise<void>;
}

/** A subscriber; one for the process, since deliveries of one repository take turns. */
export function createSubscriber(parts: SubscriberParts): Subscriber {
  const turns = new PerRepositoryQueue<Executed>(
    () => parts.timing.now(),
    comparesBy(parts.verification),
  );

  return {
    handle: async (incoming, request) => {
      const delivery = readDelivery(incoming);
      const logger = parts.logger.child(requestFields(delivery, request, parts.projectId));
      try {
        const event = await readEvent(delivery, parts, logger);
        if (event !== undefined)
          await new Handling(event, delivery, request, parts, logger).run(turns);
      } finally {
        await parts.flush();
      }
    },
  };
}

/** One event from its admission to the end of what its decision asks for. */
class Handling {
  readonly #event: MirrorEvent;
  readonly #delivery: Delivery;
  readonly #arrivedAtMs: number;
  readonly #parts: SubscriberParts;
  readonly #deadline: DeliveryDeadline;
  readonly #logger: Logger;

  constructor(
    event: MirrorEvent,
    delivery: Delivery,
    { arrivedAtMs }: PushRequest,
    parts: SubscriberParts,
    logger: Logger,
  ) {
    const { end, limits, timing } = parts;
    this.#event = event;
    this.#delivery = delivery;
    this.#arrivedAtMs = arrivedAtMs;
    this.#parts = parts;
    this.#deadline = deliveryDeadline(arrivedAtMs, limits.deadlineMs, end, timing);
    this.#logger = logger.child(eventFields(event));
  }

  /** @throws Redelivery */
  async run(turns: PerRepositoryQueue<Executed>): Promise<void> {
    try {
      const { result, shared } = await this.#takeTurn(turns);
      this.#conclude(result, shared);
    } finally {
      this.#deadline.release();
    }
  }

  async #takeTurn(turns: PerRepositoryQueue<Executed>): Promise<Turn<Executed>> {
    const event = this.#event;
    const execute = async (effective: MirrorEvent): Promise<Executed> => this.#execute(effective);
    try {
      const { destinationPath } = admit(event, this.#parts.rules);
      if (event.type !== REVISION_CHANGED) return { result: await execute(event), shared: false };
      const key = `${event.data.image} → ${destinationPath}`;
      return await turns.enter(key, { event, signal: this.#deadline.signal, execute });
    } catch (error) {
      const fault = toMirrorError(error, 'mirror repository');
      const result = await this.#apply({ fault, decision: decideAfterError(fault) }, event);
      return { result, shared: false };
    }
  }

  async #execute(event: MirrorEvent): Promise<Executed> {
    const { doWork, rules, bulk } = this.#parts;
    const { signal } = this.#deadline;
    const executed = await executeEvent(event, {
      doWork,
      rules,
      signal,
      deadline: this.#deadline,
      offload: offloadOf(event, this.#parts, this.#logger, signal),
      canContinue: bulk !== undefined,
      logger: this.#logger,
    });
    return this.#apply(executed, event);
  }

  /** Does what a decision asks for beside the answer; where that fails, the message comes again. */
  async #apply(executed: Executed, event: MirrorEvent): Promise<Executed> {
    const { bulk, limits } = this.#parts;
    const { decision } = executed;
    try {
      if (decision.action === 'dead-letter') {
        return { ...executed, decision: await this.#bury(decision, event) };
      }
      if (decision.action === 'continue' && bulk !== undefined) {
        await publishAll(bulk, continuationsOf(event, decision.tags, limits.batchTags));
      }
      if (decision.action === 'batch' && bulk !== undefined) {
        await publishAll(bulk, batchesOf(event, decision.tags, limits.batchTags));
      }
      return executed;
    } catch (error) {
      const fault = toMirrorError(error, 'publish event');
      const never = decideAfterError(fault);
      // What is too large to be sent on would come again for ever.
      if (never.action === 'dead-letter')
        return this.#apply({ ...executed, fault, decision: never }, event);
      return { ...executed, decision: { action: 'retry', reason: 'PublishFailed' }, fault };
    }
  }

  async #bury(
    decision: Extract<Decision, { action: 'dead-letter' }>,
    event: MirrorEvent,
  ): Promise<Decision> {
    const { fault } = decision;
    const message = this.#buriedAs(fault, event);
    return (await bury(message, fault, this.#parts))
      ? decision
      : { action: 'retry', reason: 'NoDeadLetterTopic' };
  }

  /** The message as it came, unless it stood for others too: they are acknowledged with it. */
  #buriedAs({ code }: MirrorError, event: MirrorEvent): EncodedEvent {
    if (code === 'CONTINUATIONS_EXHAUSTED') return beginning(event);
    const isAsItCame = event === this.#event || code === 'EVENT_TOO_LARGE';
    return isAsItCame ? this.#delivery : encodeEvent(event);
  }

  #conclude(executed: Executed, shared: boolean): void {
    const nowMs = this.#parts.timing.now();
    const decision = shared ? decideShared(executed.decision) : executed.decision;
    const durationMs = nowMs - this.#arrivedAtMs;
    logEvent(this.#logger, this.#event, { ...executed, decision, shared, durationMs, nowMs });
    if (decision.action === 'retry') throw new Redelivery(decision.reason);
  }
}

/**
 * The event of a delivery. Undefined: it is dealt with, being an event of Flux that asks for
 * nothing, or no event at all and now a dead letter.
 * @throws Redelivery
 */
async function readEvent(
  delivery: Delivery,
  parts: SubscriberParts,
  logger: Logger,
): Promise<MirrorEvent | undefined> {
  try {
    const event = decodeDelivery(delivery, parts);
    if (event === undefined) logNothing(delivery, logger);
    return event;
  } catch (error) {
    await refuse(delivery, toMirrorError(error, 'decode event'), parts, logger);
    return undefined;
  }
}

/** The line of a message that asks for nothing: a bridge's sign of life, which a metric counts. */
function logNothing({ attributes }: Delivery, logger: Logger): void {
  const heartbeat = heartbeatOf(attributes);
  if (heartbeat === undefined) logger.debug('an event of Flux asks for nothing');
  else logHeartbeat(logger, heartbeat);
}

/** What becomes of a message that is no event. @throws Redelivery */
async function refuse(
  delivery: Delivery,
  fault: MirrorError,
  parts: SubscriberParts,
  logger: Logger,
): Promise<void> {
  const retryReason = await bury(delivery, fault, parts).then(
    (buried) => (buried ? undefined : 'NoDeadLetterTopic'),
    () => 'PublishFailed',
  );
  logger.error(`a message is no event: ${fault.message}`, {
    entry: 'event',
    code: fault.code,
    error: fault,
    decision: retryReason === undefined ? 'dead-letter' : 'retry',
    decisionReason: retryReason ?? 'NeverSucceeds',
    messageBytes: delivery.data.length,
    eventId: typeof delivery.received.id === 'string' ? delivery.received.id : undefined,
  });
  if (retryReason !== undefined) throw new Redelivery(retryReason);
}

/** Publishes to the dead-letter topic; false where there is none. @throws MirrorError `PUBLISH_FAILED` */
async function bury(
  message: EncodedEvent,
  fault: MirrorError,
  { deadLetters }: SubscriberParts,
): Promise<boolean> {
  if (deadLetters === undefined) return false;
  await deadLetters.publish(deadLetter(message, fault));
  return true;
}

/** The event as it was before its first delivery, so that a replay has all continuations again. */
function beginning(event: MirrorEvent): EncodedEvent {
  const { continuation: _continuation, ...data } = event.data;
  return encodeEvent({ ...event, data });
}

function requestFields(
  delivery: Delivery,
  request: PushRequest,
  projectId: string | undefined,
): Record<string, unknown> {
  const messageId = delivery.messageId ?? request.messageId;
  return {
    ...traceFields(delivery.traceparent ?? request.traceparent, projectId),
    ...(request.executionId !== undefined && {
      'logging.googleapis.com/labels': { execution_id: request.executionId },
    }),
    messageId,
    deliveryAttempt: delivery.deliveryAttempt,
  };
}
