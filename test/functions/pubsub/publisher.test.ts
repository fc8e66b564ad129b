import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { encodeEvent, type EncodedEvent } from '../../../functions/contract/codec.ts';
import { publishAll, topicPublisher } from '../../../functions/pubsub/publisher.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { PROJECT, startBroker, type Broker } from './broker.ts';
import { rejection } from '../../faults.ts';

const FULL_NAME = `projects/${PROJECT}/topics/bulk`;

describe('topic publisher', () => {
  let broker: Broker;
  before(async () => {
    broker = await startBroker('bulk');
  });
  after(async () => broker.close());

  it('returns when the broker has the message, attributes and bytes as they are', async () => {
    const message = encodeEvent(sampleEvent());
    await topicPublisher(broker.client, 'bulk').publish(message);
    const [received] = broker.pubsub.view.messages(FULL_NAME);
    assert.deepEqual({ ...received?.attributes }, message.attributes);
    assert.deepEqual(Buffer.from(received?.data ?? ''), message.data);
  });

  it('takes a full name, and publishes many side by side', async () => {
    const before = broker.pubsub.view.messages(FULL_NAME).length;
    const events = Array.from({ length: 5 }, (_, n) => sampleEvent({ tags: [`1.${n}`] }));
    await publishAll(topicPublisher(broker.client, FULL_NAME), events);
    assert.equal(broker.pubsub.view.messages(FULL_NAME).length - before, 5);
  });

  it('survives a passing trouble', async () => {
    broker.pubsub.faults.add({ kind: 'refused', status: 'UNAVAILABLE', method: 'Publish' });
    await topicPublisher(broker.client, 'bulk').publish(encodeEvent(sampleEvent()));
  });

  it('repeats nothing where the caller does', async () => {
    broker.pubsub.faults.add({ kind: 'refused', status: 'UNAVAILABLE', method: 'Publish' });
    const publisher = topicPublisher(broker.client, 'bulk', { repeats: false });
    const message = encodeEvent(sampleEvent());
    assert.equal((await rejection(publisher.publish(message), 'PUBLISH_FAILED')).status, 14);
    await publisher.publish(message);
  });

  it('sends many in one request for each 100, and tells the outcome of each', async () => {
    const before = broker.pubsub.requests('Publish');
    const messages = Array<EncodedEvent>(101).fill(encodeEvent(sampleEvent()));
    const outcomes = await topicPublisher(broker.client, 'bulk').publishEach(messages);
    assert.deepEqual([...new Set(outcomes), outcomes.length], [undefined, 101]);
    assert.equal(broker.pubsub.requests('Publish') - before, 2);
    const refused = await topicPublisher(broker.client, 'absent').publishEach(messages.slice(99));
    assert.deepEqual(
      refused.map((fault) => fault?.code),
      ['PUBLISH_FAILED', 'PUBLISH_FAILED'],
    );
  });

  it('fails where the topic is not there', async () => {
    const publisher = topicPublisher(broker.client, 'absent');
    const sent = publisher.publish(encodeEvent(sampleEvent()));
    assert.equal((await rejection(sent, 'PUBLISH_FAILED')).cause, undefined);
  });

  it('refuses an event that is too large before anything is published', async () => {
    const before = broker.pubsub.view.messages(FULL_NAME).length;
    const tags = Array.from({ length: 1001 }, (_, n) => String(n));
    await rejection(
      publishAll(topicPublisher(broker.client, 'bulk'), [sampleEvent(), sampleEvent({ tags })]),
      'EVENT_TOO_LARGE',
    );
    assert.equal(broker.pubsub.view.messages(FULL_NAME).length, before);
  });
});
