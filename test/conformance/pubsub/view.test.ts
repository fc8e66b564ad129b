import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { startSetting, subscriptionName, topicName } from './setting.ts';

describe('view', () => {
  it('tells topics and their messages', async (t) => {
    const { pubsub, topic, publish } = await startSetting(t);
    await topic('topic');
    await topic('other');
    await publish('topic', 'x', { a: 'b' });
    assert.deepEqual(pubsub.view.topics(), [
      { name: topicName('topic'), published: 1 },
      { name: topicName('other'), published: 0 },
    ]);
    const [message, ...others] = pubsub.view.messages(topicName('topic'));
    assert.deepEqual(others, []);
    assert.deepEqual([message?.data.toString(), message?.attributes], ['x', { a: 'b' }]);
    assert.deepEqual(pubsub.view.messages(topicName('none')), []);
  });

  it('tells how a subscription stands', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await setting.topic('topic');
    await setting.subscription('topic', 'abc', {
      retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 10 } },
    });
    const subscriber = await setting.subscriber();
    const subscription = subscriptionName('abc');
    for (const text of ['1', '2', '3', '4']) await setting.publish('topic', text);
    const [{ receivedMessages }] = await subscriber.pull({ subscription, maxMessages: 3 });
    const [first, second] = (receivedMessages ?? []).map(({ ackId }) => ackId ?? '');
    await subscriber.acknowledge({ subscription, ackIds: [first ?? ''] });
    await subscriber.modifyAckDeadline({
      subscription,
      ackIds: [second ?? ''],
      ackDeadlineSeconds: 0,
    });
    assert.deepEqual(setting.look('abc'), {
      name: subscription,
      topic: topicName('topic'),
      undelivered: 2,
      outstanding: 1,
      delivered: 3,
      acknowledged: 1,
      nacked: 1,
      expired: 0,
      deadLettered: 0,
    });
  });

  it('waits until something holds', async (t) => {
    const { pubsub, topic, publish } = await startSetting(t);
    await topic('topic');
    const published = pubsub.view.until((view) => view.topics()[0]?.published === 1);
    await publish('topic', 'x');
    await published;
    await pubsub.view.until(() => true);
  });

  it('stops waiting when it is told to, and when the question itself fails', async (t) => {
    const { pubsub, topic } = await startSetting(t);
    const abort = new AbortController();
    const waiting = pubsub.view.until(() => false, abort.signal);
    abort.abort(new Error('enough'));
    await assert.rejects(waiting, { message: 'enough' });
    await assert.rejects(
      pubsub.view.until(() => false, abort.signal),
      { message: 'enough' },
    );
    const failing = pubsub.view.until((view) => {
      if (view.topics().length > 0) throw new Error('no more');
      return false;
    });
    const failed = assert.rejects(failing, { message: 'no more' });
    await topic('topic');
    await failed;
  });
});
