import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createPacer } from '../../bridge/pacer.ts';

describe('createPacer', () => {
  it('lets so many through a second', () => {
    const pacer = createPacer(20, 0);
    let passed = 0;
    for (let nowMs = 0; nowMs <= 10_000; nowMs += 10) {
      const count = pacer.available(nowMs);
      pacer.spend(count);
      passed += count;
    }
    assert.equal(passed, 201);
  });

  it('holds no more than one second', () => {
    assert.equal(createPacer(20, 0).available(3_600_000), 20);
  });

  it('tells how long the next must wait', () => {
    const pacer = createPacer(20, 0);
    assert.equal(pacer.waitMs(0), 0);
    pacer.spend(1);
    assert.equal(pacer.waitMs(0), 50);
    assert.equal(pacer.waitMs(30), 20);
    assert.equal(pacer.waitMs(50), 0);
    assert.equal(pacer.waitMs(500), 0);
  });

  it('lets everything through at 0', () => {
    const pacer = createPacer(0, 0);
    pacer.spend(1000);
    assert.equal(pacer.available(0), Infinity);
    assert.equal(pacer.waitMs(0), 0);
  });
});
