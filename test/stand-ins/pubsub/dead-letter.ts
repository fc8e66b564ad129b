import type { Message, MessageContent } from './message.ts';
import { projectOf, shortNameOf } from './names.ts';

/** Where a dead letter comes from. */
export interface DeadLetterSource {
  /** Full name of the subscription that gave it up. */
  readonly subscription: string;
  /** Deliveries that failed. */
  readonly attempts: number;
}

/** The copy of a message that goes to the dead-letter topic: the same, and where it comes from (Pub/Sub, "Dead-letter topics"). */
export function deadLetterOf(message: Message, source: DeadLetterSource): MessageContent {
  return {
    data: message.data,
    orderingKey: message.orderingKey,
    attributes: {
      ...message.attributes,
      CloudPubSubDeadLetterSourceDeliveryCount: String(source.attempts),
      CloudPubSubDeadLetterSourceSubscription: shortNameOf(source.subscription),
      CloudPubSubDeadLetterSourceSubscriptionProject: shortNameOf(projectOf(source.subscription)),
      CloudPubSubDeadLetterSourceTopicPublishTime: new Date(message.publishTimeMs).toISOString(),
    },
  };
}
