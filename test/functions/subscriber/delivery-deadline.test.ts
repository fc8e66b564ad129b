import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { abortError, type Timing } from '../../../functions/concurrency.ts';
import { deliveryDeadline, processEnd } from '../../../functions/subscriber/delivery-deadline.ts';
import { fakeTiming } from '../registry/setting.ts';

const END_GRACE_MS = 7_000;

const WHOLE_MS = 540_000;

describe('delivery deadline', () => {
  it('counts from the arrival: no blob starts in the last ninth, and then all is cut', async () => {
    const timing = fakeTiming();
    const arrivedAtMs = timing.now() - 10_000;
    const deadline = deliveryDeadline(
      arrivedAtMs,
      WHOLE_MS,
      processEnd(() => timing.now()),
      timing,
    );
    assert.equal(deadline.earlyUntilMs, arrivedAtMs + 180_000);
    await timing.pass(469_999);
    assert.equal(deadline.passed(), false);
    await timing.pass(1);
    assert.equal(deadline.lastStart.aborted, true);
    assert.equal(deadline.passed(), true);
    await timing.pass(59_999);
    assert.equal(deadline.signal.aborted, false);
    await timing.pass(1);
    assert.equal(abortError(deadline.signal).code, 'DEADLINE_EXCEEDED');
    deadline.release();
  });

  it('has aborted at once where the time is over already', async () => {
    const timing = fakeTiming();
    const deadline = deliveryDeadline(
      0,
      1000,
      processEnd(() => timing.now()),
      timing,
    );
    await timing.pass(0);
    assert.equal(deadline.signal.aborted, true);
    deadline.release();
  });

  it('ends with the process: no new blob, and a few seconds for what is under way', async () => {
    const timing = fakeTiming();
    const end = processEnd(() => timing.now());
    const deadline = deliveryDeadline(timing.now(), WHOLE_MS, end, timing);
    await timing.pass(100_000);
    end.tell();
    assert.equal(deadline.lastStart.aborted, true);
    await timing.pass(1000);
    end.tell();
    await timing.pass(END_GRACE_MS - 1001);
    assert.equal(deadline.signal.aborted, false);
    await timing.pass(1);
    assert.equal(abortError(deadline.signal).code, 'ABORTED');
    deadline.release();
  });

  it('that begins when the process ends has those seconds too', async () => {
    const timing = fakeTiming();
    const end = processEnd(() => timing.now());
    end.tell();
    const deadline = deliveryDeadline(timing.now(), Number.POSITIVE_INFINITY, end, timing);
    assert.equal(deadline.passed(), true);
    assert.equal(deadline.earlyUntilMs, Number.NEGATIVE_INFINITY);
    await timing.pass(END_GRACE_MS);
    assert.equal(deadline.signal.aborted, true);
    deadline.release();
  });

  it('waits on where a timer is shorter than what is left', async () => {
    const timing = fakeTiming();
    const brief: Timing = {
      ...timing,
      setTimer: (delayMs, action) => timing.setTimer(Math.min(delayMs, 1000), action),
    };
    const end = processEnd(() => timing.now());
    const deadline = deliveryDeadline(timing.now(), 9000, end, brief);
    for (let second = 0; second < 8; second += 1) {
      assert.equal(deadline.passed(), false);
      await timing.pass(1000);
    }
    assert.equal(deadline.lastStart.aborted, true);
    assert.equal(deadline.signal.aborted, false);
    await timing.pass(1000);
    assert.equal(deadline.signal.aborted, true);
    deadline.release();
  });

  it('does nothing more once it is released', async () => {
    const timing = fakeTiming();
    const end = processEnd(() => timing.now());
    const deadline = deliveryDeadline(timing.now(), WHOLE_MS, end, timing);
    deadline.release();
    end.tell();
    await timing.pass(WHOLE_MS);
    assert.equal(deadline.passed(), false);
  });
});
