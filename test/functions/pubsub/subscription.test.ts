import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after, before, describe, it, type TestContext } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { queueClient, type QueueClient } from '../../../functions/pubsub/client.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import {
  fullTopicName,
  hasMessage,
  readSubscription,
} from '../../../functions/pubsub/subscription.ts';
import { withEnvironment } from '../environment.ts';
import { NEVER, tcp } from '../registry/setting.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { PROJECT, startBroker, type Broker } from './broker.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';

/** A client of whatever listens there. */
function clientOf(t: TestContext, host: string): QueueClient {
  withEnvironment(t, { PUBSUB_EMULATOR_HOST: host });
  const client = queueClient(PROJECT, { timeoutMs: 500 });
  t.after(() => client.close());
  return client;
}

describe('subscription', () => {
  let broker: Broker;
  before(async () => {
    broker = await startBroker('one');
  });
  after(async () => broker.close());

  it('tells its topic, and when what another reader took comes back', async () => {
    assert.deepEqual(await readSubscription(broker.client, 'one', NEVER), {
      name: 'one',
      topic: `projects/${PROJECT}/topics/one`,
      // The longest lease of another attempt of the job, and the margin.
      comesBackMs: 70_000,
      deadlineMs: 10_000,
      longestBackoffMs: 0,
    });
    assert.equal(await fullTopicName(broker.client, 'one'), `projects/${PROJECT}/topics/one`);
    await broker.admin.createSubscription('one', 'slow', {
      ackDeadlineSeconds: 120,
      retryPolicy: { minimumBackoff: { seconds: 20 }, maximumBackoff: { seconds: 300 } },
    });
    const { comesBackMs, longestBackoffMs } = await readSubscription(broker.client, 'slow', NEVER);
    assert.deepEqual([comesBackMs, longestBackoffMs], [430_000, 300_000]);
    await broker.admin.createSubscription('one', 'default', { retryPolicy: {} });
    const { signal } = new AbortController();
    assert.equal(
      (await readSubscription(broker.client, 'default', signal)).longestBackoffMs,
      600_000,
    );
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });

  it('takes a refusal to be read for an answer', async () => {
    const status = 'PERMISSION_DENIED';
    broker.pubsub.faults.add({ method: 'GetSubscription', kind: 'refused', status });
    assert.deepEqual(await readSubscription(broker.client, 'one', NEVER), {
      name: 'one',
      topic: undefined,
      comesBackMs: 1_200_000,
      deadlineMs: 600_000,
      longestBackoffMs: 600_000,
    });
  });

  it('refuses one that is not there, and one that pushes', async () => {
    await broker.admin.createSubscription('one', 'pushing', {
      pushConfig: { pushEndpoint: 'http://127.0.0.1:9/' },
    });
    for (const [name, why] of [
      ['absent', /^pull absent: 5 NOT_FOUND/],
      ['pushing', /^pull pushing: it pushes to http:\/\/127\.0\.0\.1:9\/ and cannot be pulled$/],
    ] as const) {
      const refused = readSubscription(broker.client, name, NEVER);
      assert.match((await rejection(refused, 'PULL_FAILED')).message, why);
    }
  });

  it('tells whether a message waits, and leaves it there', async () => {
    await broker.admin.createSubscription('one', 'waiting');
    assert.equal(await hasMessage(broker.client, 'waiting', NEVER), false);
    await topicPublisher(broker.client, 'one').publish(encodeEvent(sampleEvent()));
    // Twice: what was looked at comes back, when the broker likes.
    for (let looks = 0; looks < 2; looks += 1) {
      while (!(await hasMessage(broker.client, 'waiting', NEVER)));
      const waiting = `projects/${PROJECT}/subscriptions/waiting`;
      assert.equal(broker.pubsub.view.subscription(waiting)?.outstanding, 0);
    }
  });
});

describe('broker that is not there', () => {
  it('is none that accepts connections and says nothing', async (t) => {
    const client = clientOf(t, new URL(await tcp(t, () => undefined)).host);
    const { pubsub: first } = await client.open();
    for (let call = 0; call < 2; call += 1)
      await rejection(readSubscription(client, 'one', NEVER), 'PULL_FAILED');
    const { pubsub } = await client.open();
    assert.notEqual(pubsub, first);
    await rejection(readSubscription(client, 'one', AbortSignal.abort()), 'ABORTED');
    const end = new AbortController();
    const ended = rejection(readSubscription(client, 'one', end.signal), 'ABORTED');
    await until(() => getEventListeners(end.signal, 'abort').length > 0);
    end.abort();
    assert.match((await ended).message, /^Pub\/Sub had not answered when the run ended/);
    // A run that ends says nothing of the client.
    assert.equal((await client.open()).pubsub, pubsub);
  });

  it('is none that refuses connections', async (t) => {
    const client = clientOf(t, '127.0.0.1:9');
    await rejection(readSubscription(client, 'one', NEVER), 'PULL_FAILED');
    await rejection(hasMessage(client, 'one', NEVER), 'PULL_FAILED');
  });
});
