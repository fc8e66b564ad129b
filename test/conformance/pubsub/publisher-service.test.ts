import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PROJECT, startSetting, topicName } from './setting.ts';

describe('publisher service', () => {
  it('makes, tells and changes a topic', async (t) => {
    const { client } = await startSetting(t);
    const name = topicName('topic');
    const messageRetentionDuration = { seconds: 600 };
    await client.createTopic({ name, labels: { a: 'b' }, messageRetentionDuration });
    const topic = client.topic('topic');
    const [made] = await topic.getMetadata();
    assert.deepEqual(
      [made.name, made.labels, made.messageRetentionDuration?.seconds, made.state],
      [name, { a: 'b' }, '600', 'ACTIVE'],
    );
    await topic.setMetadata({ messageRetentionDuration: { seconds: 1_200 } });
    const [changed] = await topic.getMetadata();
    assert.deepEqual(
      [changed.labels, changed.messageRetentionDuration?.seconds],
      [{ a: 'b' }, '1200'],
    );
    assert.deepEqual(await topic.exists(), [true]);
    assert.deepEqual(await client.topic('other').exists(), [false]);
  });

  it('lists topics of the project, page by page', async (t) => {
    const publisher = await (await startSetting(t)).publisher();
    const names = Array.from({ length: 25 }, (_unused, index) => topicName(`topic-${index + 10}`));
    for (const name of names) await publisher.createTopic({ name });
    await publisher.createTopic({ name: 'projects/another/topics/topic' });
    const project = `projects/${PROJECT}`;
    const [page, , { nextPageToken }] = await publisher.listTopics(
      { project, pageSize: 10 },
      { autoPaginate: false },
    );
    assert.equal(page.length, 10);
    assert.notEqual(nextPageToken, '');
    const [all] = await publisher.listTopics({ project });
    assert.deepEqual(
      all.map(({ name }) => name),
      names,
    );
  });

  it('lists what hangs on a topic', async (t) => {
    const { client, topic, subscription, publisher } = await startSetting(t);
    await topic('topic');
    await topic('other');
    await subscription('topic', 'first');
    await subscription('topic', 'second');
    await subscription('other', 'third');
    await client.subscription('first').createSnapshot('snapshot');
    const [subscriptions] = await client.topic('topic').getSubscriptions();
    assert.deepEqual(
      subscriptions.map(({ name }) => name),
      ['first', 'second'].map((name) => `projects/${PROJECT}/subscriptions/${name}`),
    );
    const [snapshots] = await (await publisher()).listTopicSnapshots({ topic: topicName('topic') });
    assert.deepEqual(snapshots, [`projects/${PROJECT}/snapshots/snapshot`]);
  });

  it('publishes in the order of the request, and answers with an id for each', async (t) => {
    const { pubsub, topic, publisher } = await startSetting(t);
    await topic('topic', 600);
    const [{ messageIds }] = await (
      await publisher()
    ).publish({
      topic: topicName('topic'),
      messages: ['1', '2', '3'].map((text) => ({ data: Buffer.from(text), attributes: { text } })),
    });
    const messages = pubsub.view.messages(topicName('topic'));
    assert.deepEqual(
      messages.map(({ messageId }) => messageId),
      messageIds,
    );
    assert.deepEqual(
      messages.map(({ data, attributes }) => [data.toString(), attributes]),
      ['1', '2', '3'].map((text) => [text, { text }]),
    );
  });

  it('deletes a topic', async (t) => {
    const { client, topic, subscription, publish } = await startSetting(t);
    await topic('topic');
    await subscription('topic', 'abc');
    await client.topic('topic').delete();
    await assert.rejects(publish('topic', 'x'), { code: 5 });
    const [metadata] = await client.subscription('abc').getMetadata();
    assert.equal(metadata.topic, '_deleted-topic_');
  });

  it('refuses what the product refuses', async (t) => {
    const { topic, publisher } = await startSetting(t);
    await topic('topic');
    const api = await publisher();
    const name = topicName('topic');
    const message = { data: Buffer.from('x') };
    const cases: readonly (readonly [number, string, () => Promise<unknown>])[] = [
      [6, 'a second topic of the name', () => api.createTopic({ name })],
      [3, 'a short name', () => api.createTopic({ name: topicName('ab') })],
      [5, 'to get none', () => api.getTopic({ topic: topicName('none') })],
      [5, 'to delete none', () => api.deleteTopic({ topic: topicName('none') })],
      [
        5,
        'to publish to none',
        () => api.publish({ topic: topicName('none'), messages: [message] }),
      ],
      [3, 'an empty message', () => api.publish({ topic: name, messages: [{}] })],
      [3, 'no message', () => api.publish({ topic: name, messages: [] })],
      [3, 'no project', () => api.listTopics({ project: 'nonsense' })],
      [5, 'subscriptions of none', () => api.listTopicSubscriptions({ topic: topicName('none') })],
      [3, 'no update mask', () => api.updateTopic({ topic: { name }, updateMask: { paths: [] } })],
      [
        3,
        'another name',
        () => api.updateTopic({ topic: { name }, updateMask: { paths: ['name'] } }),
      ],
      [
        3,
        'a retention out of bounds',
        () =>
          api.updateTopic({
            topic: { name, messageRetentionDuration: { seconds: 1 } },
            updateMask: { paths: ['message_retention_duration'] },
          }),
      ],
      [12, 'to detach a subscription', () => api.detachSubscription({ subscription: 'abc' })],
    ];
    for (const [code, what, request] of cases) {
      await assert.rejects(request(), { code }, what);
    }
  });
});
