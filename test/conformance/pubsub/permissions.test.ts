import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { startSetting, topicName } from './setting.ts';

const PUBLISH = 'pubsub.topics.publish';

describe('permissions', () => {
  it('are all there at first', async (t) => {
    const { client, topic } = await startSetting(t);
    await topic('topic');
    const [permissions] = await client
      .topic('topic')
      .iam.testPermissions([PUBLISH, 'pubsub.topics.get']);
    assert.deepEqual(permissions, { [PUBLISH]: true, 'pubsub.topics.get': true });
  });

  it('can be taken away and given back, which both the test and the call see', async (t) => {
    const { client, topic, publish, pubsub } = await startSetting(t);
    await topic('topic');
    pubsub.permissions.deny(PUBLISH);
    const { iam } = client.topic('topic');
    assert.deepEqual((await iam.testPermissions([PUBLISH]))[0], { [PUBLISH]: false });
    await assert.rejects(publish('topic', 'x'), { code: 7 });
    assert.equal(pubsub.view.messages(topicName('topic')).length, 0);
    pubsub.permissions.allow(PUBLISH);
    assert.deepEqual((await iam.testPermissions([PUBLISH]))[0], { [PUBLISH]: true });
    await publish('topic', 'x');
  });

  it('are none for what does not exist', async (t) => {
    const { client } = await startSetting(t);
    assert.deepEqual((await client.topic('none').iam.testPermissions([PUBLISH]))[0], {
      [PUBLISH]: false,
    });
  });

  it('are tested for a subscription too', async (t) => {
    const { client, topic, subscription } = await startSetting(t);
    await topic('topic');
    await subscription('topic', 'abc');
    const consume = 'pubsub.subscriptions.consume';
    assert.deepEqual((await client.subscription('abc').iam.testPermissions([consume]))[0], {
      [consume]: true,
    });
  });

  it('have no wildcards', async (t) => {
    const { client, topic } = await startSetting(t);
    await topic('topic');
    await assert.rejects(client.topic('topic').iam.testPermissions(['pubsub.topics.*']), {
      code: 3,
    });
  });

  it('are one for each method: one who may only publish cannot look', async (t) => {
    const { client, topic, publish, pubsub } = await startSetting(t);
    await topic('topic');
    pubsub.permissions.deny('pubsub.topics.get', 'pubsub.topics.create', 'pubsub.topics.list');
    await publish('topic', 'x');
    await assert.rejects(client.topic('topic').exists(), { code: 7 });
    await assert.rejects(client.createTopic('other'), { code: 7 });
    await assert.rejects(client.getTopics(), { code: 7 });
  });
});
