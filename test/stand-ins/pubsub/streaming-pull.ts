import type { Broker } from './broker.ts';
import type { StreamPeer } from './grpc.ts';
import { requireArgument } from './refusal.ts';
import { Stream } from './stream.ts';
import { readAckDeadline } from './subscription-config.ts';
import { modifyAckDeadline, pullable, received, requireAckIds } from './subscriber-service.ts';
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

/** One StreamingPull from its first request to its end. */
export class StreamingPull {
  readonly #broker: Broker;
  readonly #peer: StreamPeer<WireStreamingPullResponse>;
  #open: { readonly subscription: Subscription; readonly stream: Stream } | undefined;

  constructor(broker: Broker, peer: StreamPeer<WireStreamingPullResponse>) {
    this.#broker = broker;
    this.#peer = peer;
  }

  /** Takes a request of the client. @throws Refusal which ends the stream */
  receive(request: WireStreamingPullRequest): void {
    if (this.#open === undefined) this.#begin(request);
    else this.#continue(request, this.#open);
  }

  /** The client has gone; what it holds comes again after its deadline. */
  end(): void {
    this.#open?.subscription.detach(this.#open.stream);
  }

  #begin(request: WireStreamingPullRequest): void {
    requireArgument(request.subscription !== '', 'The first request must name the subscription');
    const subscription = pullable(this.#broker, request.subscription);
    requireArgument(
      request.streamAckDeadlineSeconds !== 0,
      'The first request must give stream_ack_deadline_seconds',
    );
    const settings = {
      ackDeadlineMs: readAckDeadline(request.streamAckDeadlineSeconds, 0),
      maxOutstandingMessages: request.maxOutstandingMessages,
      maxOutstandingBytes: request.maxOutstandingBytes,
    };
    const { send, fail } = this.#peer;
    const stream = new Stream(settings, {
      fail,
      send: (deliveries) => {
        send({
          receivedMessages: received(subscription, deliveries),
          subscriptionProperties: {
            exactlyOnceDeliveryEnabled: false,
            messageOrderingEnabled: subscription.config.ordered,
          },
        });
      },
    });
    this.#open = { subscription, stream };
    subscription.attach(stream);
  }

  #continue(
    request: WireStreamingPullRequest,
    { subscription, stream }: { readonly subscription: Subscription; readonly stream: Stream },
  ): void {
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
      stream.ackDeadlineMs = readAckDeadline(request.streamAckDeadlineSeconds, 0);
    }
    for (const ackId of request.ackIds) subscription.acknowledge(ackId);
    request.modifyDeadlineAckIds.forEach((ackId, index) => {
      modifyAckDeadline(subscription, ackId, request.modifyDeadlineSeconds[index] ?? 0);
    });
  }
}
