import type { Broker } from './broker.ts';
import type { Consumer, Delivery } from './delivery.ts';
import type { StreamPeer } from './grpc.ts';
import { sizeOf } from './message.ts';
import { requireArgument, type Refusal } from './refusal.ts';
import { readAckDeadline } from './subscription-config.ts';
import { modifyAckDeadline, pullable, received, requireAckIds } from './methods.ts';
import type { Subscription } from './subscription.ts';
import type { WireReceivedMessage, WireStreamingPullRequest } from './wire.ts';

/** What goes out on a stream. */
export interface WireStreamingPullResponse {
  readonly receivedMessages: readonly WireReceivedMessage[];
  readonly subscriptionProperties: {
    readonly exactlyOnceDeliveryEnabled: boolean;
    readonly messageOrderingEnabled: boolean;
  };
}

/** Most bytes of messages in one answer, below the 20 MB that clients take. */
const MAX_BATCH_BYTES = 10_000_000;

/** One StreamingPull from its first request to its end: gets messages as long as its flow control allows. */
export class StreamingPull implements Consumer {
  /** How long a delivery may take; a later request may change it. */
  ackDeadlineMs = 0;
  readonly #broker: Broker;
  readonly #peer: StreamPeer<WireStreamingPullResponse>;
  #subscription: Subscription | undefined;
  /** Most messages and bytes outstanding on the stream; 0 or less: no limit. */
  #limits = { messages: 0, bytes: 0 };
  /** Size of each outstanding message by ack id. */
  readonly #outstanding = new Map<string, number>();
  #outstandingBytes = 0;
  #batch: Delivery[] = [];

  constructor(broker: Broker, peer: StreamPeer<WireStreamingPullResponse>) {
    this.#broker = broker;
    this.#peer = peer;
  }

  /** Takes a request of the client. @throws Refusal which ends the stream */
  receive(request: WireStreamingPullRequest): void {
    if (this.#subscription === undefined) this.#begin(request);
    else this.#continue(request, this.#subscription);
  }

  /** The client has gone; what it holds comes again after its deadline. */
  end(): void {
    this.#subscription?.detach(this);
  }

  hasRoom(): boolean {
    const { messages, bytes } = this.#limits;
    return (
      (messages <= 0 || this.#outstanding.size < messages) &&
      (bytes <= 0 || this.#outstandingBytes < bytes)
    );
  }

  accept(delivery: Delivery): void {
    const bytes = sizeOf(delivery.message);
    this.#outstanding.set(delivery.ackId, bytes);
    this.#outstandingBytes += bytes;
    this.#batch.push(delivery);
  }

  flush(): void {
    let batch: Delivery[] = [];
    let bytes = 0;
    for (const delivery of this.#batch) {
      const size = sizeOf(delivery.message);
      if (batch.length > 0 && bytes + size > MAX_BATCH_BYTES) {
        this.#send(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(delivery);
      bytes += size;
    }
    if (batch.length > 0) this.#send(batch);
    this.#batch = [];
  }

  ended(ackId: string): void {
    this.#outstandingBytes -= this.#outstanding.get(ackId) ?? 0;
    this.#outstanding.delete(ackId);
  }

  dismiss(reason: Refusal): void {
    this.#peer.fail(reason);
  }

  #begin(request: WireStreamingPullRequest): void {
    requireArgument(request.subscription !== '', 'The first request must name the subscription');
    const subscription = pullable(this.#broker, request.subscription);
    this.ackDeadlineMs = readAckDeadline(request.streamAckDeadlineSeconds);
    this.#limits = { messages: request.maxOutstandingMessages, bytes: request.maxOutstandingBytes };
    this.#subscription = subscription;
    subscription.attach(this);
  }

  #continue(request: WireStreamingPullRequest, subscription: Subscription): void {
    requireArgument(
      request.subscription === '' &&
        request.maxOutstandingMessages === 0 &&
        request.maxOutstandingBytes === 0,
      'Subscription and flow control belong in the first request only',
    );
    requireArgument(
      request.modifyDeadlineSeconds.length === request.modifyDeadlineAckIds.length,
      'modify_deadline_seconds and modify_deadline_ack_ids have different lengths',
    );
    requireAckIds([...request.ackIds, ...request.modifyDeadlineAckIds]);
    if (request.streamAckDeadlineSeconds !== 0) {
      this.ackDeadlineMs = readAckDeadline(request.streamAckDeadlineSeconds);
    }
    for (const ackId of request.ackIds) subscription.acknowledge(ackId);
    request.modifyDeadlineAckIds.forEach((ackId, index) => {
      modifyAckDeadline(subscription, ackId, request.modifyDeadlineSeconds[index] ?? 0);
    });
  }

  #send(deliveries: readonly Delivery[]): void {
    if (this.#subscription === undefined) return;
    this.#peer.send({
      receivedMessages: received(this.#subscription, deliveries),
      subscriptionProperties: { exactlyOnceDeliveryEnabled: false, messageOrderingEnabled: false },
    });
  }
}
