import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { isMirrorError, type MirrorError } from '../../../functions/errors.ts';
import type { QueueClient } from '../../../functions/pubsub/client.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import {
  pullSubscription,
  type PulledMessage,
  type Puller,
} from '../../../functions/pubsub/puller.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { until } from '../../until.ts';
import { brokerOf, PROJECT, proxied } from './broker.ts';

const SUBSCRIPTION = `projects/${PROJECT}/subscriptions/drain`;

/** Pulls from the subscription, which is to fail in nothing. */
function pull(
  client: QueueClient,
  onMessage: (message: PulledMessage) => void,
  maxMessages = 10,
): Promise<Puller> {
  const onFault = (fault: MirrorError): never => assert.fail(fault);
  return pullSubscription(client, 'drain', {
    maxMessages,
    maxExtensionSeconds: 600,
    onMessage,
    onFault,
  });
}

describe('puller', () => {
  it('gives messages, acknowledges, and hands back what was not settled', async (t) => {
    const broker = await brokerOf(t, 'drain');
    const messages = [sampleEvent({ tags: ['a'] }), sampleEvent({ tags: ['b'] })].map(encodeEvent);
    for (const message of messages) await topicPublisher(broker.client, 'drain').publish(message);
    const received: PulledMessage[] = [];
    const { promise: both, resolve } = Promise.withResolvers<undefined>();
    const puller = await pull(broker.client, (message) => {
      if (received.push(message) === 2) resolve(undefined);
    });
    await both;
    received[0]?.ack();
    await puller.close();
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.outstanding === 0);
    assert.equal(broker.pubsub.view.subscription(SUBSCRIPTION)?.undelivered, 1);
    assert.deepEqual(
      new Set(received.map(({ data }) => data.toString('utf8'))),
      new Set(messages.map(({ data }) => data.toString('utf8'))),
    );
  });

  it('leases no more than it may, and goes on as messages are settled', async (t) => {
    const broker = await brokerOf(t, 'drain');
    const count = 7;
    for (let n = 0; n < count; n++) {
      await topicPublisher(broker.client, 'drain').publish(
        encodeEvent(sampleEvent({ tags: [String(n)] })),
      );
    }
    let [held, mostHeld, settled] = [0, 0, 0];
    const { promise: all, resolve } = Promise.withResolvers<undefined>();
    const take = (message: PulledMessage): void => {
      held += 1;
      mostHeld = Math.max(mostHeld, held);
      setTimeout(() => {
        held -= 1;
        message.ack();
        settled += 1;
        if (settled === count) resolve(undefined);
      }, 100);
    };
    const puller = await pull(broker.client, take, 2);
    await all;
    await puller.close();
    assert.equal(mostHeld, 2);
    await broker.pubsub.view.until(
      (view) => view.subscription(SUBSCRIPTION)?.acknowledged === count,
    );
  });

  it('is full while as much is leased as may be', async (t) => {
    const broker = await brokerOf(t, 'drain');
    await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
    let received: PulledMessage | undefined;
    const puller = await pull(broker.client, (message) => (received = message), 1);
    for (const settle of ['nack', 'ack'] as const) {
      await until(() => received !== undefined);
      assert.equal(puller.full, true);
      const message = received;
      received = undefined;
      message?.[settle]();
      assert.equal(puller.full, false);
    }
    await puller.close();
  });

  it('opens its stream anew where the server accepts the connection and says nothing', async (t) => {
    const { broker, proxy, client } = await proxied(t, 'drain', { timeoutMs: 3000 });
    await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
    proxy.silenceNew(true);
    const { promise: came, resolve } = Promise.withResolvers<PulledMessage>();
    const puller = await pull(client, resolve);
    await until(() => proxy.accepted > 0);
    // Not at once: the connection that is being opened stays mute for good.
    proxy.silenceNew(false);
    (await came).ack();
    await puller.close();
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
  });

  it('tells that the subscription is not there', async (t) => {
    const broker = await brokerOf(t);
    const { promise: fault, resolve } = Promise.withResolvers<MirrorError>();
    const puller = await pullSubscription(broker.client, 'absent', {
      maxMessages: 1,
      maxExtensionSeconds: 600,
      onMessage: () => undefined,
      onFault: resolve,
    });
    assert.ok(isMirrorError(await fault, 'PULL_FAILED'));
    await puller.close();
  });
});
