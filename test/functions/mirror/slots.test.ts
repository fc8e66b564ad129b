import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Slots } from '../../../functions/mirror/slots.ts';

describe('slots', () => {
  it('run so much at once, the others in the order of their coming', async () => {
    const slots = new Slots(2);
    const begun: number[] = [];
    const ends = [0, 1, 2, 3].map(() => Promise.withResolvers<number>());
    const works = ends.map(async ({ promise }, index) =>
      slots.run(async () => {
        begun.push(index);
        return promise;
      }),
    );
    await Promise.resolve();
    assert.deepEqual(begun, [0, 1]);
    ends[1]?.resolve(1);
    assert.equal(await works[1], 1);
    assert.deepEqual(begun, [0, 1, 2]);
    for (const { resolve } of ends) resolve(7);
    assert.deepEqual(await Promise.all(works), [7, 1, 7, 7]);
    assert.deepEqual(begun, [0, 1, 2, 3]);
  });

  it('are free again after work that failed', async () => {
    const slots = new Slots(1);
    await assert.rejects(
      slots.run(async () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await slots.run(async () => Promise.resolve('yes')), 'yes');
  });
});
