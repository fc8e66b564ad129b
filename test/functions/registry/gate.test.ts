import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { openGate, type Gate, type Slot } from '../../../functions/registry/gate.ts';
import { tokenBucket } from '../../../functions/registry/token-bucket.ts';
import { fakeTiming, NEVER, rejection, settle } from './setting.ts';

const SMALL = { stream: false };
const STREAM = { stream: true };

/** Asks for many places; those granted so far are in the answer. */
function ask(gate: Gate, count: number, wish = SMALL): Slot[] {
  const granted: Slot[] = [];
  for (let asked = 0; asked < count; asked++) {
    void gate.acquire(wish, NEVER).then((slot) => granted.push(slot));
  }
  return granted;
}

/** Answers `count` requests one after another. */
async function answer(gate: Gate, count: number): Promise<void> {
  for (let done = 0; done < count; done++) (await gate.acquire(SMALL, NEVER)).release('answered');
}

describe('gate', () => {
  it('lets 8 pass at the start, and the next when one is done', async () => {
    const gate = openGate({ timing: fakeTiming() });
    const granted = ask(gate, 10);
    await settle();
    assert.equal(granted.length, 8);
    granted[0]?.release('abandoned');
    granted[0]?.release('abandoned');
    await settle();
    assert.equal(granted.length, 9);
  });

  it('grows by one per answer up to 32, and by one per window after a congestion', async () => {
    const gate = openGate({ timing: fakeTiming() });
    await answer(gate, 3);
    const granted = ask(gate, 40);
    await settle();
    assert.equal(granted.length, 8 + 3);
    const wide = openGate({ timing: fakeTiming() });
    await answer(wide, 100);
    const most = ask(wide, 40);
    await settle();
    assert.equal(most.length, 32);
    const burnt = openGate({ timing: fakeTiming() });
    (await burnt.acquire(SMALL, NEVER)).release('congested');
    await answer(burnt, 5);
    const few = ask(burnt, 40);
    await settle();
    assert.equal(few.length, 5);
  });

  it('halves once per congestion, and again at the next', async () => {
    const gate = openGate({ timing: fakeTiming() });
    const burst = ask(gate, 8);
    await settle();
    for (const slot of burst) slot.release('congested');
    const half = ask(gate, 20);
    await settle();
    assert.equal(half.length, 4);
    for (const slot of half) slot.release('congested');
    await settle();
    assert.equal(half.length, 4 + 2);
  });

  it('always lets one pass', async () => {
    const gate = openGate({ timing: fakeTiming() });
    for (let times = 0; times < 10; times++) {
      (await gate.acquire(SMALL, NEVER)).release('congested');
    }
    const granted = ask(gate, 2, STREAM);
    await settle();
    assert.equal(granted.length, 1);
  });

  it('keeps one place for small requests, which go before streams', async () => {
    const gate = openGate({ timing: fakeTiming() });
    const streams = ask(gate, 20, STREAM);
    await settle();
    assert.equal(streams.length, 7);
    const small = ask(gate, 2);
    await settle();
    assert.equal(small.length, 1);
    streams[0]?.release('abandoned');
    await settle();
    assert.deepEqual([small.length, streams.length], [2, 7]);
  });

  it('closes for all, and opens by itself', async () => {
    const timing = fakeTiming();
    const gate = openGate({ timing });
    gate.close(5000);
    const granted = ask(gate, 1);
    await timing.pass(4999);
    assert.equal(granted.length, 0);
    await timing.pass(1);
    assert.equal(granted.length, 1);
  });

  it('believes no pause beyond 10 minutes and shortens none', async () => {
    const timing = fakeTiming();
    const gate = openGate({ timing });
    gate.close(1e12);
    gate.close(1);
    const granted = ask(gate, 1);
    await timing.pass(10 * 60_000 - 1);
    assert.equal(granted.length, 0);
    await timing.pass(1);
    assert.equal(granted.length, 1);
  });

  it('tells at once who would wait beyond his deadline, before and after', async () => {
    const timing = fakeTiming();
    const gate = openGate({ timing });
    gate.close(60_000);
    const deadlineAtMs = timing.now() + 59_999;
    const fault = await rejection(
      gate.acquire({ stream: false, deadlineAtMs }, NEVER),
      'RATE_LIMITED',
    );
    assert.equal(fault.retryAfterMs, 60_000);
    const busy = openGate({ timing });
    const held = ask(busy, 8);
    await settle();
    const waiting = busy.acquire({ stream: false, deadlineAtMs }, NEVER);
    busy.close(60_000);
    await rejection(waiting, 'RATE_LIMITED');
    assert.equal(held.length, 8);
  });

  it('takes one from the bucket per request', async () => {
    const timing = fakeTiming();
    const gate = openGate({ timing, bucket: tokenBucket({ perSecond: 10, burst: 2 }) });
    const granted = ask(gate, 4);
    await settle();
    assert.equal(granted.length, 2);
    await timing.pass(100);
    assert.equal(granted.length, 3);
    await timing.pass(100);
    assert.equal(granted.length, 4);
  });

  it('forgets who aborts, and lets the next pass', async () => {
    const gate = openGate({ timing: fakeTiming() });
    const held = ask(gate, 8);
    await settle();
    const controller = new AbortController();
    const leaving = gate.acquire(SMALL, controller.signal);
    const next = ask(gate, 1);
    controller.abort();
    await rejection(leaving, 'ABORTED');
    await rejection(gate.acquire(SMALL, controller.signal), 'ABORTED');
    held[0]?.release('answered');
    await settle();
    assert.equal(next.length, 1);
  });
});
