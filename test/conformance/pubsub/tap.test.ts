import assert from 'node:assert/strict';
import { it } from 'node:test';

import { PubSub } from '@google-cloud/pubsub';

import { startPubsub } from '../../stand-ins/pubsub/server.ts';
import { tapTopics } from '../../stand-ins/pubsub/tap.ts';

it('a tap reads along with topics without taking messages from their subscriptions', async () => {
  const pubsub = await startPubsub({ duplicateShare: 0 });
  const client = new PubSub({ apiEndpoint: pubsub.host, projectId: 'local', emulatorMode: true });
  const [topic] = await client.createTopic('events');
  await topic.createSubscription('worker');
  const heard = Promise.withResolvers<string>();
  const tap = await tapTopics({
    host: pubsub.host,
    projectId: 'local',
    topics: ['events'],
    onMessage: (name, { attributes, data }) => {
      heard.resolve(`${name} ${attributes['a'] ?? ''} ${data.toString()}`);
    },
  });
  try {
    await topic.publishMessage({ data: Buffer.from('hello'), attributes: { a: 'b' } });
    assert.equal(await heard.promise, 'events b hello');
    const worker = pubsub.view.subscriptions().find(({ name }) => name.endsWith('/worker'));
    assert.equal(worker?.undelivered, 1);
  } finally {
    await tap.close();
    await client.close();
    await pubsub.close();
  }
});
