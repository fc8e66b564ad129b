import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { startEndpoint } from './endpoint.ts';
import { startSetting, subscriptionName } from './setting.ts';

describe('change of a push configuration', () => {
  it('sends the next messages to the new endpoint, and lets the old one finish', async (t) => {
    let finish: (() => void) | undefined;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const before = await startEndpoint(t, async () => {
      await finished;
      return 204;
    });
    const after = await startEndpoint(t);
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pushed', { pushConfig: { pushEndpoint: before.url } });
    await setting.publish('topic', 'old');
    await before.next();
    await setting.client.subscription('pushed').modifyPushConfig({ pushEndpoint: after.url });
    await setting.publish('topic', 'new');
    await after.next();
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 1);
    finish?.();
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 2);
    assert.equal(before.requests.length, 1);
  });

  it('makes a pull subscription of it, and one that pushes again', async (t) => {
    const endpoint = await startEndpoint(t);
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pushed', { pushConfig: { pushEndpoint: endpoint.url } });
    const subscription = setting.client.subscription('pushed');
    await subscription.modifyPushConfig({});
    await setting.publish('topic', 'x');
    assert.equal(setting.look('pushed').undelivered, 1);
    assert.equal(setting.look('pushed').pushEndpoint, undefined);
    await subscription.modifyPushConfig({ pushEndpoint: endpoint.url });
    await setting.until('pushed', ({ acknowledged }) => acknowledged === 1);
    assert.equal(endpoint.requests.length, 1);
  });

  it('ends the requests of a subscription that is deleted', async (t) => {
    const endpoint = await startEndpoint(t, () => undefined);
    const setting = await startSetting(t);
    await setting.topic('topic');
    await setting.subscription('topic', 'pushed', { pushConfig: { pushEndpoint: endpoint.url } });
    await setting.publish('topic', 'x');
    const { abandoned } = await endpoint.next();
    await setting.client.subscription('pushed').delete();
    await abandoned;
    assert.equal(setting.pubsub.view.subscription(subscriptionName('pushed')), undefined);
  });
});
