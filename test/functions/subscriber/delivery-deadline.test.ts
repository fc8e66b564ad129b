import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  deliveryDeadline,
  END_GRACE_MS,
  processEnd,
} from '../../../functions/subscriber/delivery-deadline.ts';

describe('delivery deadline', () => {
  it('counts from the arrival, and starts no blob in the last ninth', () => {
    let nowMs = 1_000_000;
    const clock = (): number => nowMs;
    const deadline = deliveryDeadline(nowMs - 10_000, 540_000, processEnd(clock), clock);
    assert.equal(deadline.untilEndMs(), 530_000);
    assert.equal(deadline.untilLastStartMs(), 470_000);
    assert.equal(deadline.passed(), false);
    nowMs += 470_000;
    assert.equal(deadline.untilLastStartMs(), 0);
    assert.equal(deadline.passed(), true);
    assert.equal(deadline.signal.aborted, false);
    deadline.release();
  });

  it('aborts when its time is over', async () => {
    const end = processEnd(Date.now);
    const deadline = deliveryDeadline(Date.now(), 20, end, Date.now);
    await new Promise((resolve) => {
      deadline.signal.addEventListener('abort', resolve);
    });
    assert.equal(deadline.passed(), true);
    deadline.release();
  });

  it('has aborted at once where the time is over already', async () => {
    const deadline = deliveryDeadline(0, 1000, processEnd(Date.now), Date.now);
    await new Promise((resolve) => {
      deadline.signal.addEventListener('abort', resolve);
    });
    deadline.release();
  });

  it('ends with the process: no new blob, and a few seconds for what is under way', () => {
    let nowMs = 0;
    const clock = (): number => nowMs;
    const end = processEnd(clock);
    const deadline = deliveryDeadline(0, 540_000, end, clock);
    nowMs = 100_000;
    end.tell();
    nowMs = 101_000;
    end.tell();
    assert.equal(deadline.untilLastStartMs(), 0);
    assert.equal(deadline.untilEndMs(), END_GRACE_MS - 1000);
    assert.equal(deadline.passed(), true);
    deadline.release();
  });
});
