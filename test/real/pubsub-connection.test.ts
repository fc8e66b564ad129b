import assert from 'node:assert/strict';
import { after, before, describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { queueClient, type QueueClientOptions } from '../../functions/pubsub/client.ts';
import { topicPublisher, type Publisher } from '../../functions/pubsub/publisher.ts';
import { pullSubscription } from '../../functions/pubsub/puller.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { startTcpProxy, type TcpProxy } from '../tcp-proxy.ts';
import { required, skipUnless } from './servers/found.ts';
import {
  findPubsubEmulator,
  startPubsubEmulator,
  type PubsubEmulator,
} from './servers/pubsub-emulator.ts';
import { rejection } from '../faults.ts';

const PROJECT = 'test-project';
const search = findPubsubEmulator();
const message = encodeEvent(sampleEvent());

describe(
  'connections to Google’s emulator that die without a word',
  { skip: skipUnless(search) },
  () => {
    let emulator: PubsubEmulator;
    before(async () => {
      emulator = await startPubsubEmulator(required(search));
      for (const path of ['topics/events', 'subscriptions/drain']) {
        const response = await fetch(`${emulator.url}/projects/${PROJECT}/${path}`, {
          method: 'PUT',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(
            path.startsWith('topics') ? {} : { topic: `projects/${PROJECT}/topics/events` },
          ),
        });
        assert.equal(response.status, 200, await response.text());
      }
    });
    after(() => emulator.stop());

    /** A publisher through a proxy, which has published once. */
    async function connected(
      t: TestContext,
      options: QueueClientOptions,
    ): Promise<{ proxy: TcpProxy; publisher: Publisher; client: ReturnType<typeof queueClient> }> {
      const proxy = await startTcpProxy(emulator.host);
      process.env['PUBSUB_EMULATOR_HOST'] = proxy.address;
      const client = queueClient(PROJECT, options);
      t.after(async () => {
        delete process.env['PUBSUB_EMULATOR_HOST'];
        await client.close();
        await proxy.close();
      });
      const publisher = topicPublisher(client, 'events', { repeats: false });
      await publisher.publish(message);
      return { proxy, publisher, client };
    }

    it('are noticed by their keepalive', async (t) => {
      const { proxy, publisher } = await connected(t, { keepaliveMs: 500, timeoutMs: 60_000 });
      proxy.silence();
      assert.equal((await rejection(publisher.publish(message), 'PUBLISH_FAILED')).status, 14);
      await publisher.publish(message);
    });

    it('are given up with their client after two calls without an answer', async (t) => {
      const { proxy, publisher } = await connected(t, { timeoutMs: 3000 });
      proxy.silence();
      for (let call = 0; call < 2; call += 1) {
        await rejection(publisher.publish(message), 'PUBLISH_FAILED');
      }
      await publisher.publish(message);
    });

    /**
     * Publishes past the proxy until one of the messages has come. The emulator gives a message to streams
     * that are dead, one acknowledgement deadline after the other, as readily as to those that live.
     */
    async function publishUntil(come: Promise<undefined>, text: string): Promise<void> {
      const data = Buffer.from(text).toString('base64');
      const messages = Array.from({ length: 20 }, () => ({ data }));
      for (let isCome = false; !isCome;) {
        const response = await fetch(`${emulator.url}/projects/${PROJECT}/topics/events:publish`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ messages }),
        });
        assert.equal(response.status, 200, await response.text());
        isCome = await Promise.race([come.then(() => true), delay(250, false)]);
      }
    }

    it('do not keep a pull from what is published later', async (t) => {
      const { proxy, client } = await connected(t, { keepaliveMs: 2000 });
      const before = Promise.withResolvers<undefined>();
      const later = Promise.withResolvers<undefined>();
      const puller = await pullSubscription(client, 'drain', {
        maxMessages: 10,
        maxExtensionSeconds: 60,
        onMessage: (received) => {
          received.ack();
          if (received.data.toString() === 'later') later.resolve(undefined);
          else before.resolve(undefined);
        },
        onFault: (fault) => {
          before.reject(fault);
          later.reject(fault);
        },
      });
      await publishUntil(before.promise, 'before');
      proxy.silence();
      await publishUntil(later.promise, 'later');
      await puller.close();
    });
  },
);
