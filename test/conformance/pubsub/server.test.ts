import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { PubSub } from '@google-cloud/pubsub';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { startPubsub } from '../../stand-ins/pubsub/server.ts';
import { startEndpoint } from './endpoint.ts';
import { PROJECT, startSetting, subscriptionName, topicName } from './setting.ts';

describe('stand-in', () => {
  it('is found by the client through PUBSUB_EMULATOR_HOST', async (t) => {
    const pubsub = await startPubsub();
    const before = process.env['PUBSUB_EMULATOR_HOST'];
    process.env['PUBSUB_EMULATOR_HOST'] = pubsub.host;
    const client = new PubSub({ projectId: PROJECT });
    t.after(async () => {
      if (before === undefined) delete process.env['PUBSUB_EMULATOR_HOST'];
      else process.env['PUBSUB_EMULATOR_HOST'] = before;
      await client.close();
      await pubsub.close();
    });
    const [topic] = await client.createTopic('topic');
    await topic.publishMessage({ data: Buffer.from('x') });
    const [permissions] = await topic.iam.testPermissions(['pubsub.topics.publish']);
    assert.deepEqual(permissions, { 'pubsub.topics.publish': true });
    assert.equal(pubsub.view.messages(topicName('topic')).length, 1);
    assert.equal(pubsub.requests('Publish'), 1);
    assert.equal(pubsub.requests('TestIamPermissions'), 1);
  });

  it('is disturbed from the start: the client publishes again what is UNAVAILABLE', async (t) => {
    const { pubsub, topic, publish } = await startSetting(t, {
      disturbances: [{ method: 'Publish', kind: 'refused', status: 'UNAVAILABLE', times: 2 }],
    });
    await topic('topic');
    await publish('topic', 'x');
    assert.equal(pubsub.requests('Publish'), 3);
    assert.equal(pubsub.view.messages(topicName('topic')).length, 1);
  });

  it('has the message twice where the answer to its publication was lost', async (t) => {
    const { pubsub, topic, publish } = await startSetting(t);
    await topic('topic');
    pubsub.disturbances.add({ method: 'Publish', kind: 'answer-lost' });
    const messageId = await publish('topic', 'x');
    const messages = pubsub.view.messages(topicName('topic'));
    assert.deepEqual(
      messages.map(({ data }) => data.toString()),
      ['x', 'x'],
    );
    assert.equal(messages[1]?.messageId, messageId);
  });

  for (const [status, code] of [
    ['PERMISSION_DENIED', 7],
    ['NOT_FOUND', 5],
  ] as const) {
    it(`refuses a publication with ${status}, which the client does not repeat`, async (t) => {
      const { pubsub, topic, publish } = await startSetting(t);
      await topic('topic');
      pubsub.disturbances.add({ method: 'Publish', kind: 'refused', status });
      await assert.rejects(publish('topic', 'x'), { code });
      assert.equal(pubsub.requests('Publish'), 1);
    });
  }

  it('delivers everything, at least once, with all its chance', async (t) => {
    const endpoint = await startEndpoint(t, ({ index }) => (index % 10 === 3 ? 503 : 204));
    const setting = await startSetting(t, {
      shuffled: true,
      duplicateShare: 0.05,
      backoffFactor: 0.001,
      seed: 42,
    });
    await setting.topic('topic');
    await setting.subscription('topic', 'pushed', {
      pushConfig: { pushEndpoint: endpoint.url, noWrapper: { writeMetadata: true } },
      retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
    });
    const texts = Array.from({ length: 300 }, (_unused, index) => String(index));
    await Promise.all(texts.map((text) => setting.publish('topic', text)));
    await setting.until('pushed', ({ acknowledged }) => acknowledged === texts.length);
    const arrived = endpoint.requests.map(({ body }) => body.toString());
    assert.deepEqual([...new Set(arrived)].sort(), [...texts].sort());
    assert.notDeepEqual(arrived.slice(0, 50), texts.slice(0, 50));
  });

  it('ends what is under way when it is closed', async (t) => {
    const endpoint = await startEndpoint(t, () => undefined);
    const { pubsub, topic, subscription, publish, subscriber } = await startSetting(t, {
      duplicateShare: 1,
    });
    await topic('topic');
    await subscription('topic', 'pushed', { pushConfig: { pushEndpoint: endpoint.url } });
    await subscription('topic', 'pulled');
    const stream = (await subscriber()).streamingPull();
    const ended = once(stream, 'error') as Promise<[{ readonly code: number }]>;
    stream.write({ subscription: subscriptionName('pulled'), streamAckDeadlineSeconds: 10 });
    await publish('topic', 'x');
    const { abandoned } = await endpoint.next();
    await pubsub.view.until((view) => view.subscriptions().every((one) => one.outstanding === 1));
    await pubsub.close();
    await abandoned;
    assert.equal((await ended)[0].code, 14);
    const next = await startPubsub({ port: Number(pubsub.host.split(':')[1]) });
    assert.equal(next.host, pubsub.host);
    await next.close();
  });

  it('is closed though a request hangs', async (t) => {
    const { pubsub, topic, publish, arrived } = await startSetting(t, {
      clock: new ManualClock(),
      disturbances: [{ method: 'Publish', kind: 'slow', delayMs: 60_000 }],
    });
    await topic('topic');
    const hanging = publish('topic', 'x').catch(() => 'failed');
    await arrived('Publish', 1);
    await pubsub.close();
    assert.equal(pubsub.view.messages(topicName('topic')).length, 0);
    const next = await startPubsub({ port: Number(pubsub.host.split(':')[1]) });
    await next.close();
    t.after(() => hanging);
  });
});
