import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { v1 } from '@google-cloud/pubsub';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { startSetting, subscriptionName, type Setting } from './setting.ts';

type Pulled = readonly {
  readonly text: string;
  readonly ackId: string;
  readonly attempt: number;
}[];

describe('pull', () => {
  it('takes what is ready, up to the limit', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    for (const text of ['1', '2', '3']) await setting.publish('topic', text);
    assert.deepEqual(textsOf(await pull(setting, 2)), ['1', '2']);
    assert.deepEqual(textsOf(await pull(setting, 2)), ['3']);
    assert.equal(setting.look('pulled').outstanding, 3);
  });

  it('answers with nothing at once where it is not to wait', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    const answer = pull(setting, 1, true);
    // Nothing is waited for: the clock only has to reach the present.
    await setting.arrived('Pull', 1);
    clock.advance(0);
    assert.deepEqual(await answer, []);
  });

  it('waits for a first message', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    const answer = pull(setting, 5);
    await setting.arrived('Pull', 1);
    await setting.publish('topic', 'late');
    assert.deepEqual(textsOf(await answer), ['late']);
  });

  it('ends its wait with nothing', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    const answer = pull(setting, 5);
    await setting.arrived('Pull', 1);
    clock.advance(10_000);
    assert.deepEqual(await answer, []);
  });

  it('gets nothing after its caller has given up', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    const subscriber = await setting.subscriber();
    // A first call opens the connection, so that the next one arrives within its time.
    await subscriber.getSubscription({ subscription: subscriptionName('pulled') });
    const given = assert.rejects(
      subscriber.pull(
        { subscription: subscriptionName('pulled'), maxMessages: 1 },
        { timeout: 500, retry: null },
      ),
      { code: 4 },
    );
    await setting.arrived('Pull', 1);
    await given;
    // On the same connection: the server knows by then that the first call is over.
    await subscriber.getSubscription({ subscription: subscriptionName('pulled') });
    await setting.publish('topic', 'x');
    assert.equal(setting.look('pulled').undelivered, 1);
    assert.deepEqual(textsOf(await pull(setting, 1)), ['x']);
  });

  it('tells the attempt under a dead-letter policy only', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.topic('dead');
    await setting.subscription('topic', 'pulled', {
      deadLetterPolicy: {
        deadLetterTopic: 'projects/test-project/topics/dead',
        maxDeliveryAttempts: 5,
      },
    });
    await setting.subscription('topic', 'uncounted');
    await setting.publish('topic', 'x');
    const subscriber = await setting.subscriber();
    for (const attempt of [1, 2, 3]) {
      const [pulled] = await pull(setting, 1);
      assert.equal(pulled?.attempt, attempt);
      await subscriber.modifyAckDeadline({
        subscription: subscriptionName('pulled'),
        ackIds: [pulled.ackId],
        ackDeadlineSeconds: 0,
      });
    }
    assert.equal((await pull(setting, 1, false, 'uncounted'))[0]?.attempt, 0);
  });

  it('ends when the subscription is deleted', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    const refused = assert.rejects(pull(setting, 1), { code: 5 });
    await setting.arrived('Pull', 1);
    await setting.client.subscription('pulled').delete();
    await refused;
  });

  it('is refused of a push subscription', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled', {
      pushConfig: { pushEndpoint: 'http://127.0.0.1:1/' },
    });
    await assert.rejects(pull(setting, 1), { code: 9 });
  });

  it('is refused without a number of messages', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pulled');
    await assert.rejects(pull(setting, 0), { code: 3 });
  });
});

async function pull(
  setting: Setting,
  maxMessages: number,
  returnImmediately = false,
  name = 'pulled',
): Promise<Pulled> {
  const subscriber: v1.SubscriberClient = await setting.subscriber();
  const [{ receivedMessages }] = await subscriber.pull({
    subscription: subscriptionName(name),
    maxMessages,
    returnImmediately,
  });
  return (receivedMessages ?? []).map(({ ackId, message, deliveryAttempt }) => ({
    ackId: ackId ?? '',
    text: Buffer.from((message?.data ?? '') as Uint8Array).toString(),
    attempt: deliveryAttempt ?? -1,
  }));
}

function textsOf(pulled: Pulled): readonly string[] {
  return pulled.map(({ text }) => text);
}
