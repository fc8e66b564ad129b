import type { Broker } from './broker.ts';
import { applyMask } from './field-mask.ts';
import type { Methods } from './methods.ts';
import { requireProject } from './names.ts';
import { pageOf } from './pages.ts';
import { readTopic, toWireTopic } from './topic.ts';
import type { WireFieldMask, WireMessage, WirePageRequest, WireTopic } from './wire.ts';

interface TopicRequest {
  readonly topic: string;
}

interface UpdateTopicRequest {
  readonly topic: WireTopic;
  readonly updateMask: WireFieldMask | null;
}

interface PublishRequest extends TopicRequest {
  readonly messages: readonly WireMessage[];
}

interface ListTopicsRequest extends WirePageRequest {
  readonly project: string;
}

/** The methods of google.pubsub.v1.Publisher; what is missing answers UNIMPLEMENTED. */
export function publisherMethods(broker: Broker): Methods {
  return {
    CreateTopic: (request: WireTopic) => toWireTopic(broker.createTopic(readTopic(request)).config),

    GetTopic: ({ topic }: TopicRequest) => toWireTopic(broker.topic(topic).config),

    UpdateTopic: ({ topic: wanted, updateMask }: UpdateTopicRequest) => {
      const topic = broker.topic(wanted.name);
      topic.config = readTopic(
        applyMask(toWireTopic(topic.config), wanted, updateMask, [
          'labels',
          'messageRetentionDuration',
          'messageStoragePolicy',
          'schemaSettings',
          'ingestionDataSourceSettings',
          'messageTransforms',
        ]),
      );
      return toWireTopic(topic.config);
    },

    DeleteTopic: ({ topic }: TopicRequest) => {
      broker.deleteTopic(topic);
      return {};
    },

    ListTopics: (request: ListTopicsRequest) => {
      requireProject(request.project);
      const inProject = [...broker.topics.values()]
        .map(({ config }) => config)
        .filter(({ name }) => name.startsWith(`${request.project}/`));
      const { entries, nextPageToken } = pageOf(inProject, request);
      return { topics: entries.map(toWireTopic), nextPageToken };
    },

    ListTopicSubscriptions: (request: TopicRequest & WirePageRequest) => {
      const topic = broker.topic(request.topic);
      const names = [...broker.subscriptions.values()]
        .filter((subscription) => subscription.topic === topic)
        .map(({ config }) => config.name);
      const { entries, nextPageToken } = pageOf(names, request);
      return { subscriptions: entries, nextPageToken };
    },

    ListTopicSnapshots: (request: TopicRequest & WirePageRequest) => {
      broker.topic(request.topic);
      const names = [...broker.snapshots.values()]
        .filter(({ content }) => content.topic === request.topic)
        .map(({ content }) => content.name);
      const { entries, nextPageToken } = pageOf(names, request);
      return { snapshots: entries, nextPageToken };
    },

    Publish: ({ topic, messages }: PublishRequest) => ({
      messageIds: broker.publish(topic, messages),
    }),
  };
}
