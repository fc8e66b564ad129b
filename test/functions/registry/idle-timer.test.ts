import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { idleTimer } from '../../../functions/registry/idle-timer.ts';

const MIN_MOVED_BYTES = 4096;

/** A timer of 100 ms over a clock that the test moves. */
function rig({ mock }: TestContext): {
  readonly timer: ReturnType<typeof idleTimer>;
  readonly idle: () => number;
  readonly pass: (ms: number) => void;
} {
  mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  let idle = 0;
  const timer = idleTimer(
    100,
    () => (idle += 1),
    () => nowMs,
  );
  return {
    timer,
    idle: () => idle,
    pass(ms) {
      for (let passed = 0; passed < ms; passed++) {
        nowMs += 1;
        mock.timers.tick(1);
      }
    },
  };
}

describe('idle timer', () => {
  it('never fires once it is stopped, whatever is waited for then', (t) => {
    const { timer, idle, pass } = rig(t);
    timer.stop();
    timer.wait();
    timer.restart();
    pass(1000);
    assert.equal(idle(), 0);
  });

  it('runs only while we wait, and adds up what does not move', (t) => {
    const { timer, idle, pass } = rig(t);
    pass(1000);
    timer.wait();
    pass(50);
    timer.rest();
    timer.moved(MIN_MOVED_BYTES - 1);
    pass(1000);
    timer.wait();
    pass(49);
    assert.equal(idle(), 0);
    pass(1);
    assert.equal(idle(), 1);
    pass(1000);
    assert.equal(idle(), 1);
  });

  it('begins anew when enough has moved, and for another wait', (t) => {
    const { timer, idle, pass } = rig(t);
    timer.wait();
    for (const bytes of [1000, 3096]) {
      pass(49);
      timer.moved(bytes);
    }
    pass(99);
    assert.equal(idle(), 0);
    timer.restart();
    pass(99);
    assert.equal(idle(), 0);
    pass(1);
    assert.equal(idle(), 1);
  });

  it('forgives what was waited before, and waits longer where it is told to', (t) => {
    const { timer, idle, pass } = rig(t);
    timer.wait();
    pass(60);
    timer.rest();
    timer.moved(MIN_MOVED_BYTES);
    pass(1000);
    assert.equal(idle(), 0);
    timer.wait();
    pass(60);
    timer.rest();
    pass(1000);
    timer.restart(50);
    pass(149);
    assert.equal(idle(), 0);
    pass(1);
    assert.equal(idle(), 1);
  });

  it('ends for good', (t) => {
    const { timer, idle, pass } = rig(t);
    timer.wait();
    timer.stop();
    timer.wait();
    pass(1000);
    assert.equal(idle(), 0);
  });
});
