// Loaded when a topic or subscription is first used: by itself it takes longer to load than all else.
export { gcpMetadata } from '../auth/library.ts';
export { Duration, PubSub } from '@google-cloud/pubsub';
