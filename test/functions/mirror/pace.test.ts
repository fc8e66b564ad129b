import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Pace } from '../../../functions/mirror/pace.ts';

const MIB = 1024 * 1024;

describe('Pace', () => {
  it('knows no rate before half a second and 256 KiB were seen', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    pace.started();
    nowMs = 400;
    pace.sent(MIB);
    assert.equal(pace.bytesPerSecond(), undefined);
    nowMs = 500;
    assert.equal(pace.bytesPerSecond(), 2 * MIB);
  });

  it('adds up what all streams send', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    pace.started();
    pace.started();
    for (nowMs = 100; nowMs <= 1000; nowMs += 100) {
      pace.sent(MIB);
      pace.sent(MIB);
    }
    nowMs = 1000;
    assert.equal(pace.bytesPerSecond(), 20 * MIB);
  });

  it('looks back 10 seconds', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    pace.started();
    pace.sent(1000 * MIB);
    for (nowMs = 1000; nowMs <= 20_000; nowMs += 1000) pace.sent(MIB);
    nowMs = 20_000;
    const rate = pace.bytesPerSecond() ?? 0;
    assert.ok(rate >= MIB && rate < 1.2 * MIB, `${rate}`);
  });

  it('forgets what was before a pause', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    pace.started();
    nowMs = 1000;
    pace.sent(MIB);
    pace.ended();
    nowMs = 2000;
    pace.started();
    nowMs = 3000;
    assert.equal(pace.bytesPerSecond(), undefined);
  });

  it('says from time to time that it is worth a look', () => {
    let nowMs = 0;
    const pace = new Pace(() => nowMs);
    pace.started();
    assert.equal(pace.sent(1), true);
    assert.equal(pace.sent(1), false);
    nowMs = 100;
    assert.equal(pace.sent(1), true);
  });
});
