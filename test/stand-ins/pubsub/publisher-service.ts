import type { Broker } from './broker.ts';
import type { Methods } from './grpc.ts';
import { Topic } from './topic.ts';
import type { WireMessage, WireTopic } from './wire.ts';

interface TopicRequest {
  readonly topic: string;
}

interface PublishRequest extends TopicRequest {
  readonly messages: readonly WireMessage[];
}

/** The methods of google.pubsub.v1.Publisher; what is missing answers UNIMPLEMENTED. */
export function publisherMethods(broker: Broker): Methods {
  return {
    CreateTopic: (request: WireTopic) => {
      const topic = new Topic(request);
      broker.addTopic(topic);
      return topic.wire;
    },

    GetTopic: ({ topic }: TopicRequest) => broker.topic(topic).wire,

    DeleteTopic: ({ topic }: TopicRequest) => {
      broker.deleteTopic(topic);
      return {};
    },

    Publish: ({ topic, messages }: PublishRequest) => ({
      messageIds: broker.publish(topic, messages),
    }),
  };
}
