import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { queueClient } from '../../../functions/pubsub/client.ts';
import { topicPublisher, type TopicPublisher } from '../../../functions/pubsub/publisher.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { lateMetadata, withMetadata } from '../auth/metadata.ts';
import { withEnvironment } from '../environment.ts';
import { serve } from '../registry/setting.ts';
import { PROJECT, proxied } from './broker.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';

const message = encodeEvent(sampleEvent());

/** Publishes what gets no answer in time. */
async function isLate(publisher: TopicPublisher): Promise<void> {
  assert.equal((await rejection(publisher.publish(message), 'PUBLISH_FAILED')).status, 4);
}

/** An error as gRPC and Node give them. */
function coded(code: number | string): Error {
  return Object.assign(new Error('x'), { code });
}

describe('queue client', () => {
  it('is made once', async (t) => {
    const { client } = await proxied(t, 'events', {});
    const [first, second] = [await client.open(), await client.open()];
    assert.equal(first.pubsub, second.pubsub);
  });

  it('closes without having been used', async () => {
    await queueClient(undefined).close();
  });

  it('closes its connections, those of streams too', async (t) => {
    const { client } = await proxied(t, 'events', {});
    const [call, stream] = [await client.open(), await client.openStream()];
    await client.close();
    assert.deepEqual([call.pubsub.isOpen, stream.pubsub.isOpen], [false, false]);
  });

  for (const [name, error, isKept] of [
    ['a call that ended well', undefined, true],
    ['an error of Pub/Sub', coded(5), true],
    ['credentials that are refused', coded(16), false],
    ['an error of its own', new Error('x'), false],
    ['an error of the network', coded('ECONNREFUSED'), false],
  ] as const) {
    it(`is ${isKept ? 'kept' : 'made anew once'} after ${name}`, async (t) => {
      const { client } = await proxied(t, 'events', {});
      const [first, second] = [await client.open(), await client.open()];
      first.ended(error);
      const { pubsub } = await client.open();
      assert.equal(pubsub === first.pubsub, isKept);
      second.ended(error);
      assert.equal((await client.open()).pubsub, pubsub);
      await until(() => first.pubsub.isOpen === isKept);
    });
  }

  it('is made anew, with a connection of its own, when two calls had no answer', async (t) => {
    const { proxy, client } = await proxied(t, 'events', { timeoutMs: 3000 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    assert.equal(proxy.accepted, 1);
    proxy.silence();
    await isLate(publisher);
    assert.equal((await client.open()).pubsub, pubsub);
    await isLate(publisher);
    await publisher.publish(message);
    assert.equal(proxy.accepted, 2);
  });

  it('shares no connection with another that a silent server has accepted', async (t) => {
    const { proxy, client } = await proxied(t, 'events', { timeoutMs: 3000 });
    const other = queueClient(PROJECT, { timeoutMs: 60_000 });
    proxy.silenceNew(true);
    const waiting = topicPublisher(other, 'events', { repeats: false }).publish(message);
    waiting.catch(() => undefined);
    const publisher = topicPublisher(client, 'events', { repeats: false });
    for (let call = 0; call < 2; call += 1) await isLate(publisher);
    proxy.silenceNew(false);
    // The connection that the other still waits for stays silent for ever.
    await publisher.publish(message);
    await other.close();
  });

  it('is kept where an answer comes between two calls without one', async (t) => {
    const { broker, client } = await proxied(t, 'events', { timeoutMs: 3000 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    for (let round = 0; round < 2; round += 1) {
      broker.pubsub.faults.add({ kind: 'slow', method: 'Publish', delayMs: 60_000, times: 1 });
      await isLate(publisher);
      await publisher.publish(message);
    }
    assert.equal((await client.open()).pubsub, pubsub);
  });

  it('keeps the client of its streams when calls get no answer', async (t) => {
    const { proxy, client } = await proxied(t, 'events', { timeoutMs: 3000 });
    const { pubsub: stream } = await client.openStream();
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    assert.notEqual(pubsub, stream);
    proxy.silence();
    for (let call = 0; call < 2; call += 1) await isLate(publisher);
    assert.notEqual((await client.open()).pubsub, pubsub);
    assert.equal((await client.openStream()).pubsub, stream);
    assert.equal(stream.isOpen, true);
  });

  it('is made anew once for all streams that gave it up', async (t) => {
    const { client } = await proxied(t, 'events', {});
    const [one, two] = [await client.openStream(), await client.openStream()];
    one.giveUp();
    const { pubsub } = await client.openStream();
    assert.notEqual(pubsub, one.pubsub);
    two.giveUp();
    assert.equal((await client.openStream()).pubsub, pubsub);
  });

  it('notices a connection that is dead while nothing is called', async (t) => {
    const { proxy, client } = await proxied(t, 'events', { keepaliveMs: 100, timeoutMs: 60_000 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    proxy.silence();
    // The call under way fails with the connection, long before its own time is over.
    assert.equal((await rejection(publisher.publish(message), 'PUBLISH_FAILED')).status, 14);
    await publisher.publish(message);
    assert.equal(proxy.accepted, 2);
  });
});

describe('queue client, its credentials', () => {
  it('come from a metadata server that comes late, with the project', async (t) => {
    const metadata = await lateMetadata(t);
    const client = queueClient(undefined, { timeoutMs: 80_000 });
    t.after(() => client.close());
    await rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
    await metadata.come();
    const { pubsub } = await client.open();
    assert.equal(pubsub.projectId, 'late-project');
    const asked = metadata.asked();
    await client.open();
    assert.equal(metadata.asked(), asked);
  });

  it('come from a file that was not there', async (t) => {
    withEnvironment(t, { GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/key.json' });
    const client = queueClient(PROJECT);
    for (let tries = 0; tries < 2; tries += 1) {
      const { message } = await rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
      assert.match(message, /\/nowhere\/key\.json/);
    }
    await rejection(topicPublisher(client, 'x').publish(message), 'CREDENTIALS_UNAVAILABLE');
  });

  it('are waited for no longer than the signal says', { timeout: 20_000 }, async (t) => {
    const metadata = await serve(t, () => undefined);
    withMetadata(t, metadata.host);
    const controller = new AbortController();
    const client = queueClient(PROJECT, { signal: controller.signal, timeoutMs: 3_600_000 });
    const opened = rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
    await until(() => metadata.seen.length > 0);
    controller.abort();
    assert.match((await opened).message, /gcloud auth .*: the run ended before they came/);
    await rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
    await client.close();
  });

  it('are had after the signal where they came before it', async (t) => {
    const controller = new AbortController();
    const { signal } = controller;
    const { client } = await proxied(t, 'events', { signal });
    await client.open();
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    controller.abort();
    await topicPublisher(client, 'events').publish(message);
  });
});
