import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FRESH_MS, TagTurns } from '../../../functions/mirror/tag-turns.ts';
import { NEVER as never } from '../../faults.ts';
import { FakeDestination } from './fakes.ts';

describe('TagTurns', () => {
  const destination = new FakeDestination('p/r/app', 'pkg.dev');

  it('believes for 5 s what was learnt after the last push', () => {
    let nowMs = 1000;
    const turns = new TagTurns(() => nowMs);
    assert.equal(turns.isStale(destination, 'v1', 1000), false);
    turns.pushed(destination, 'v1');
    assert.equal(turns.isStale(destination, 'v1', 1000), true);
    assert.equal(turns.isStale(destination, 'v2', 1000), false);
    nowMs = 1001;
    assert.equal(turns.isStale(destination, 'v1', 1001), false);
    nowMs += FRESH_MS;
    assert.equal(turns.isStale(destination, 'v1', 1001), false);
    nowMs += 1;
    assert.equal(turns.isStale(destination, 'v1', 1001), true);
  });

  it('lets one piece of work at a tag at a time', async () => {
    const turns = new TagTurns(() => 0);
    let [running, most] = [0, 0];
    const work = async (): Promise<void> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running -= 1;
    };
    await Promise.all(['v1', 'v1'].map(async (tag) => turns.run(destination, tag, never, work)));
    assert.equal(most, 1);
    await Promise.all(['v1', 'v2'].map(async (tag) => turns.run(destination, tag, never, work)));
    assert.equal(most, 2);
    assert.equal(turns.size, 0);
  });
});
