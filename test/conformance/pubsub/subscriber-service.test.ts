import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { PROJECT, startSetting, subscriptionName, topicName, type Setting } from './setting.ts';

const snapshotName = (name: string): string => `projects/${PROJECT}/snapshots/${name}`;

describe('subscription methods', () => {
  it('make, tell and change a subscription', async (t) => {
    const { client, topic, subscription } = await startSetting(t);
    await topic('topic', 1_200);
    await subscription('topic', 'abc', {
      ackDeadlineSeconds: 60,
      enableMessageOrdering: true,
      filter: 'attributes:a',
      labels: { a: 'b' },
      messageRetentionDuration: { seconds: 600 },
      retainAckedMessages: true,
    });
    const [made] = await client.subscription('abc').getMetadata();
    assert.deepEqual(
      [
        made.name,
        made.topic,
        made.ackDeadlineSeconds,
        made.enableMessageOrdering,
        made.filter,
        made.labels,
        made.retainAckedMessages,
        made.topicMessageRetentionDuration?.seconds,
        made.state,
      ],
      [
        subscriptionName('abc'),
        topicName('topic'),
        60,
        true,
        'attributes:a',
        { a: 'b' },
        true,
        '1200',
        'ACTIVE',
      ],
    );
    await client.subscription('abc').setMetadata({ ackDeadlineSeconds: 120 });
    const [changed] = await client.subscription('abc').getMetadata();
    assert.deepEqual([changed.ackDeadlineSeconds, changed.labels], [120, { a: 'b' }]);
  });

  it('change one field of a policy and leave the other', async (t) => {
    const { client, topic, subscription, subscriber } = await startSetting(t);
    await topic('topic');
    await subscription('topic', 'abc', {
      retryPolicy: { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 30 } },
    });
    await (
      await subscriber()
    ).updateSubscription({
      subscription: {
        name: subscriptionName('abc'),
        retryPolicy: { minimumBackoff: { seconds: 5 } },
      },
      updateMask: { paths: ['retry_policy.minimum_backoff'] },
    });
    const [{ retryPolicy }] = await client.subscription('abc').getMetadata();
    assert.deepEqual(
      [retryPolicy?.minimumBackoff?.seconds, retryPolicy?.maximumBackoff?.seconds],
      ['5', '30'],
    );
  });

  it('can change a subscription whose topic was deleted', async (t) => {
    const { client, topic, subscription } = await startSetting(t);
    await topic('topic');
    await subscription('topic', 'abc');
    await client.topic('topic').delete();
    await client.subscription('abc').setMetadata({ ackDeadlineSeconds: 120 });
    const [changed] = await client.subscription('abc').getMetadata();
    assert.deepEqual([changed.ackDeadlineSeconds, changed.topic], [120, '_deleted-topic_']);
  });

  it('name a subscription and a snapshot that come without a name', async (t) => {
    const { topic, subscriber } = await startSetting(t);
    await topic('topic');
    const api = await subscriber();
    const [made] = await api.createSubscription({ topic: topicName('topic') });
    assert.match(made.name ?? '', new RegExp(`^projects/${PROJECT}/subscriptions/.{10}`));
    const [snapshot] = await api.createSnapshot({ subscription: made.name ?? '' });
    assert.match(snapshot.name ?? '', new RegExp(`^projects/${PROJECT}/snapshots/.{10}`));
  });

  it('list subscriptions and snapshots of the project', async (t) => {
    const { client, topic, subscription, subscriber } = await startSetting(t);
    const api = await subscriber();
    await topic('topic');
    for (const name of ['first', 'second']) await subscription('topic', name);
    await client.subscription('first').createSnapshot('snapshot');
    const [subscriptions] = await client.getSubscriptions();
    const [snapshots] = await api.listSnapshots({ project: `projects/${PROJECT}` });
    assert.deepEqual(
      subscriptions.map(({ name }) => name),
      ['first', 'second'].map(subscriptionName),
    );
    assert.deepEqual(
      snapshots.map(({ name }) => name),
      [snapshotName('snapshot')],
    );
  });
});

describe('message methods', () => {
  it('acknowledge and extend', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    const [first, second] = await pulled(setting, ['1', '2']);
    const api = await setting.subscriber();
    const subscription = subscriptionName('pulled');
    await api.acknowledge({ subscription, ackIds: [first ?? ''] });
    await api.modifyAckDeadline({
      subscription,
      ackIds: [second ?? ''],
      ackDeadlineSeconds: 600,
    });
    clock.advance(599_999);
    assert.deepEqual(
      [setting.look('pulled').acknowledged, setting.look('pulled').outstanding],
      [1, 1],
    );
    clock.advance(1);
    assert.equal(setting.look('pulled').expired, 1);
  });

  it('let an acknowledgement be repeated', async (t) => {
    const setting = await startSetting(t);
    const ackIds = await pulled(setting, ['1']);
    const api = await setting.subscriber();
    for (let time = 0; time < 2; time += 1) {
      await api.acknowledge({ subscription: subscriptionName('pulled'), ackIds: [...ackIds] });
    }
    assert.equal(setting.look('pulled').acknowledged, 1);
  });

  it('seek to a time: what is older is acknowledged, what is newer comes again', async (t) => {
    const clock = new ManualClock();
    const setting = await startSetting(t, { clock });
    await setting.topic('topic', 3_600);
    await setting.subscription('topic', 'pulled');
    await setting.publish('topic', 'old');
    clock.advance(60_000);
    const time = new Date(clock.nowMs());
    await setting.publish('topic', 'new');
    await setting.subscription('topic', 'late');
    for (const name of ['pulled', 'late']) await setting.client.subscription(name).seek(time);
    assert.equal(setting.look('pulled').undelivered, 1);
    assert.equal(setting.look('late').undelivered, 1);
  });

  it('seek to a snapshot', async (t) => {
    const setting = await startSetting(t);
    const ackIds = await pulled(setting, ['1', '2']);
    const subscription = setting.client.subscription('pulled');
    await subscription.createSnapshot('snapshot');
    await (
      await setting.subscriber()
    ).acknowledge({ subscription: subscriptionName('pulled'), ackIds: [...ackIds] });
    assert.equal(setting.look('pulled').outstanding, 0);
    await subscription.seek('snapshot');
    assert.equal(setting.look('pulled').undelivered, 2);
    await setting.client.snapshot('snapshot').delete();
    await assert.rejects(subscription.seek('snapshot'), { code: 5 });
  });
});

describe('subscriber service', () => {
  it('refuses what the product refuses', async (t) => {
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.topic('other');
    await setting.subscription('topic', 'abc');
    await setting.subscription('other', 'other');
    await setting.client.subscription('abc').createSnapshot('snapshot');
    const api = await setting.subscriber();
    const name = subscriptionName('abc');
    const none = subscriptionName('none');
    const topic = topicName('topic');
    const mask = (...paths: string[]): { updateMask: { paths: string[] } } => ({
      updateMask: { paths },
    });
    const cases: readonly (readonly [number, string, () => Promise<unknown>])[] = [
      [6, 'a second one of the name', () => api.createSubscription({ name, topic })],
      [
        5,
        'one without its topic',
        () => api.createSubscription({ name: none, topic: topicName('none') }),
      ],
      [
        3,
        'an ack deadline',
        () => api.createSubscription({ name: none, topic, ackDeadlineSeconds: 9 }),
      ],
      [5, 'to get none', () => api.getSubscription({ subscription: none })],
      [5, 'to delete none', () => api.deleteSubscription({ subscription: none })],
      [3, 'an empty mask', () => api.updateSubscription({ subscription: { name }, ...mask() })],
      [
        3,
        'another topic',
        () => api.updateSubscription({ subscription: { name }, ...mask('topic') }),
      ],
      [
        3,
        'another filter',
        () => api.updateSubscription({ subscription: { name }, ...mask('filter') }),
      ],
      [
        3,
        'another ordering',
        () =>
          api.updateSubscription({ subscription: { name }, ...mask('enable_message_ordering') }),
      ],
      [
        5,
        'a dead-letter topic that is missing',
        () =>
          api.updateSubscription({
            subscription: { name, deadLetterPolicy: { deadLetterTopic: topicName('none') } },
            ...mask('dead_letter_policy'),
          }),
      ],
      [
        3,
        'a push to nowhere',
        () =>
          api.modifyPushConfig({ subscription: name, pushConfig: { pushEndpoint: 'nonsense' } }),
      ],
      [
        3,
        'a malformed ack id',
        () => api.acknowledge({ subscription: name, ackIds: ['nonsense'] }),
      ],
      [3, 'no ack id', () => api.acknowledge({ subscription: name, ackIds: [] })],
      [5, 'an ack for none', () => api.acknowledge({ subscription: none, ackIds: ['1-1'] })],
      [
        3,
        'a negative deadline',
        () =>
          api.modifyAckDeadline({ subscription: name, ackIds: ['1-1'], ackDeadlineSeconds: -1 }),
      ],
      [
        3,
        'a deadline of 601 s',
        () =>
          api.modifyAckDeadline({ subscription: name, ackIds: ['1-1'], ackDeadlineSeconds: 601 }),
      ],
      [3, 'a seek to nothing', () => api.seek({ subscription: name })],
      [
        5,
        'an unknown snapshot',
        () => api.seek({ subscription: name, snapshot: snapshotName('none') }),
      ],
      [
        9,
        'a snapshot of another topic',
        () =>
          api.seek({
            subscription: subscriptionName('other'),
            snapshot: snapshotName('snapshot'),
          }),
      ],
      [
        6,
        'a second snapshot of the name',
        () => api.createSnapshot({ name: snapshotName('snapshot'), subscription: name }),
      ],
      [
        5,
        'a snapshot of none',
        () => api.createSnapshot({ name: snapshotName('another'), subscription: none }),
      ],
      [5, 'to get no snapshot', () => api.getSnapshot({ snapshot: snapshotName('none') })],
      [5, 'to delete no snapshot', () => api.deleteSnapshot({ snapshot: snapshotName('none') })],
      [3, 'no project', () => api.listSubscriptions({ project: 'nonsense' })],
      [
        12,
        'to change a snapshot',
        () =>
          api.updateSnapshot({ snapshot: { name: snapshotName('snapshot') }, ...mask('labels') }),
      ],
    ];
    for (const [code, what, request] of cases) {
      await assert.rejects(request(), { code }, what);
    }
  });
});

/** Publishes texts to a subscription `pulled` and pulls them; answers with their ack ids. */
async function pulled(setting: Setting, texts: readonly string[]): Promise<readonly string[]> {
  await setting.topic('topic');
  await setting.subscription('topic', 'pulled');
  for (const text of texts) await setting.publish('topic', text);
  const [{ receivedMessages }] = await (
    await setting.subscriber()
  ).pull({ subscription: subscriptionName('pulled'), maxMessages: texts.length });
  const ackIds = (receivedMessages ?? []).map(({ ackId }) => ackId ?? '');
  assert.equal(ackIds.length, texts.length);
  return ackIds;
}
