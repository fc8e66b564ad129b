import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Slots } from '../../../functions/mirror/slots.ts';

/** What has been taken, in the order of its coming, each with what gives it back. */
function takers(slots: Slots, count: number): { taken: number[]; giveBack: (() => void)[] } {
  const taken: number[] = [];
  const giveBack: (() => void)[] = [];
  for (let index = 0; index < count; index += 1) {
    void slots.take().then((give) => {
      taken.push(index);
      giveBack[index] = give;
    });
  }
  return { taken, giveBack };
}

const settled = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('slots', () => {
  it('are so many, and who comes later waits in the order of coming', async () => {
    const { taken, giveBack } = takers(new Slots(2), 4);
    await settled();
    assert.deepEqual(taken, [0, 1]);
    giveBack[1]?.();
    await settled();
    assert.deepEqual(taken, [0, 1, 2]);
    giveBack[0]?.();
    await settled();
    assert.deepEqual(taken, [0, 1, 2, 3]);
  });

  it('are given back once, however often that is said', async () => {
    const slots = new Slots(1);
    const { taken, giveBack } = takers(slots, 3);
    await settled();
    giveBack[0]?.();
    giveBack[0]?.();
    await settled();
    assert.deepEqual(taken, [0, 1]);
    giveBack[1]?.();
    await settled();
    giveBack[2]?.();
    assert.deepEqual(taken, [0, 1, 2]);
    (await slots.take())();
  });
});
