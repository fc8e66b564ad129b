import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { idleTimer } from '../../../functions/registry/idle-timer.ts';

describe('idle timer', () => {
  it('runs only while we wait, and anew at every wait', () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      let idle = 0;
      const timer = idleTimer(100, () => (idle += 1));
      mock.timers.tick(1000);
      assert.equal(idle, 0);
      timer.wait();
      mock.timers.tick(99);
      timer.wait();
      mock.timers.tick(99);
      assert.equal(idle, 0);
      timer.rest();
      mock.timers.tick(1000);
      assert.equal(idle, 0);
      timer.wait();
      mock.timers.tick(100);
      assert.equal(idle, 1);
    } finally {
      mock.timers.reset();
    }
  });
});
