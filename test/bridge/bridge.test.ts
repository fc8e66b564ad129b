import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { imageRepository } from './objects.ts';
import { aWhile, startStandIns, type StandIns } from './stand-ins.ts';

describe('the bridge', () => {
  let standIns: StandIns;
  before(async () => {
    standIns = await startStandIns();
  });
  after(() => standIns.close());

  it('publishes every object once on start, and then what changes', async () => {
    const { kubernetes } = standIns;
    kubernetes.put(imageRepository('app', { revision: '1' }));
    kubernetes.put(imageRepository('unscanned'));
    await standIns.start();
    const [initial] = await standIns.until(1, 'bulk');
    assert.equal(initial?.data.reason, 'initial');
    assert.equal(initial.data.image, 'ghcr.io/org/app');
    kubernetes.put(imageRepository('app', { revision: '1', scanTime: '2026-08-10T09:05:02Z' }));
    kubernetes.put(imageRepository('app', { revision: '2', scanTime: '2026-08-10T09:10:02Z' }));
    const [changed] = await standIns.until(1);
    assert.equal(changed?.data.reason, 'changed');
    assert.equal(changed.data.previousRevision, '1');
    await aWhile();
    assert.equal(standIns.events().length, 1);
    assert.equal(standIns.events('bulk').length, 1);
  });
});
