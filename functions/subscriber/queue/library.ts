// Loaded when a topic or subscription is first used: by itself it takes longer to load than all else.
export { Duration, PubSub } from '@google-cloud/pubsub';
