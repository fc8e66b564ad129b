import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLanes } from '../../stand-ins/pubsub/lanes.ts';
import { startEndpoint } from './endpoint.ts';
import { PROJECT, startSetting, topicName } from './setting.ts';

describe('createLanes', () => {
  it('delivers each lane to its endpoint and dead-letters what is refused', async (t) => {
    const events = await startEndpoint(t);
    const bulk = await startEndpoint(t, () => 500);
    const { pubsub, publish, until } = await startSetting(t, { backoffFactor: 0 });
    await createLanes({
      host: pubsub.host,
      projectId: PROJECT,
      eventsEndpoint: events.url,
      bulkEndpoint: bulk.url,
      maxDeliveryAttempts: 5,
    });

    await publish('events', 'live', { 'ce-id': '1', 'Content-Type': 'application/json' });
    await publish('bulk', 'backfill');
    const request = await events.next();
    assert.equal(request.body.toString(), 'live');
    assert.equal(request.headers['ce-id'], '1');
    assert.equal(request.headers['content-type'], 'application/json');
    await until('events', ({ acknowledged }) => acknowledged === 1);
    await until('dead-letter', ({ undelivered }) => undelivered === 1);
    assert.equal(bulk.requests.length, 5);
    const [dead] = pubsub.view.messages(topicName('dead-letter'));
    assert.equal(dead?.attributes['CloudPubSubDeadLetterSourceSubscription'], 'bulk');
  });

  it('has the configuration that the function counts on', async (t) => {
    const { pubsub, client } = await startSetting(t);
    const endpoints = {
      eventsEndpoint: 'http://127.0.0.1:1/events',
      bulkEndpoint: 'http://127.0.0.1:1/bulk',
    };
    await createLanes({ host: pubsub.host, projectId: PROJECT, ...endpoints });
    for (const [name, endpoint] of [
      ['events', endpoints.eventsEndpoint],
      ['bulk', endpoints.bulkEndpoint],
    ] as const) {
      const [metadata] = await client.subscription(name).getMetadata();
      assert.equal(metadata.pushConfig?.pushEndpoint, endpoint);
      assert.deepEqual(metadata.pushConfig.noWrapper, { writeMetadata: true });
      assert.equal(metadata.ackDeadlineSeconds, 600);
      assert.equal(metadata.retryPolicy?.minimumBackoff?.seconds, '10');
      assert.equal(metadata.retryPolicy.maximumBackoff?.seconds, '600');
      assert.equal(metadata.deadLetterPolicy?.deadLetterTopic, topicName('dead-letter'));
      assert.equal(metadata.deadLetterPolicy.maxDeliveryAttempts, 100);
      assert.equal(metadata.topicMessageRetentionDuration?.seconds, String(7 * 24 * 3600));
    }
    const [dead] = await client.subscription('dead-letter').getMetadata();
    assert.equal(dead.pushConfig?.pushEndpoint, '');
    assert.equal(dead.expirationPolicy?.ttl, null);
  });

  it('leaves what is there as it is', async (t) => {
    const { pubsub, client } = await startSetting(t);
    const options = {
      host: pubsub.host,
      projectId: PROJECT,
      eventsEndpoint: 'http://127.0.0.1:1/events',
      bulkEndpoint: 'http://127.0.0.1:1/bulk',
    };
    await createLanes(options);
    await createLanes({ ...options, eventsEndpoint: 'http://127.0.0.1:2/other' });
    const [metadata] = await client.subscription('events').getMetadata();
    assert.equal(metadata.pushConfig?.pushEndpoint, options.eventsEndpoint);
  });
});
