import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import { Gates } from '../../stand-ins/pubsub/gates.ts';

const call = { signal: new AbortController().signal };

describe('gates', () => {
  it('count every request, then disturb, then check', async () => {
    const gates = new Gates(new ManualClock());
    let done = 0;
    const { Publish: publish } = gates.around({
      Publish: () => {
        done += 1;
        return {};
      },
    });
    const request = async (): Promise<unknown> => publish?.({} as never, call);
    gates.permissions.deny('pubsub.topics.publish');
    gates.disturbances.add({ method: 'Publish', kind: 'refused', status: 'UNAVAILABLE' });
    await assert.rejects(request(), { status: 'UNAVAILABLE' });
    await assert.rejects(request(), { status: 'PERMISSION_DENIED' });
    gates.permissions.allow('pubsub.topics.publish');
    await request();
    assert.equal(gates.requests('Publish'), 3);
    assert.equal(gates.requests('Pull'), 0);
    assert.equal(done, 1);
  });

  it('are passed by streams too', () => {
    const gates = new Gates(new ManualClock());
    const admit = (): void => {
      gates.admitStream('StreamingPull', { subscription: 'a' });
    };
    gates.disturbances.add({ method: 'StreamingPull', kind: 'refused', status: 'UNAVAILABLE' });
    assert.throws(admit, { status: 'UNAVAILABLE' });
    gates.permissions.deny('pubsub.subscriptions.consume');
    assert.throws(admit, { status: 'PERMISSION_DENIED' });
    gates.permissions.allow('pubsub.subscriptions.consume');
    admit();
    assert.equal(gates.requests('StreamingPull'), 3);
  });
});
