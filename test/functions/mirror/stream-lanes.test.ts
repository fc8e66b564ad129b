import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault, type FaultCode } from '../../../functions/fault.ts';
import type { StartDecision } from '../../../functions/mirror/deadline.ts';
import {
  DEFAULT_LANE_WIDTHS,
  SMALL_BLOB_BYTES,
  StreamLanes,
  type StreamWish,
} from '../../../functions/mirror/stream-lanes.ts';

const never = new AbortController().signal;

function wish(turn: object, more: Partial<StreamWish> = {}): StreamWish {
  return { turn, sizeBytes: SMALL_BLOB_BYTES, decide: () => 'start', ...more };
}

function coded(code: FaultCode): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code;
}

/** Lets everything that is ready go on. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe('StreamLanes', () => {
  it('runs at most 16 streams, half of them small ones', async () => {
    const { small, large } = DEFAULT_LANE_WIDTHS;
    assert.equal(small + large, 16);
    const lanes = new StreamLanes({ small: 1, large: 2 });
    const started: string[] = [];
    const ends: (() => void)[] = [];
    for (const name of ['a', 'b', 'c']) {
      void lanes.take(wish({}), never).then((end) => {
        started.push(name);
        ends.push(end);
      });
    }
    void lanes.take(wish({}, { sizeBytes: SMALL_BLOB_BYTES - 1 }), never).then(() => {
      started.push('small');
    });
    await settled();
    assert.deepEqual(started.sort(), ['a', 'b', 'small']);
    ends[0]?.();
    await settled();
    assert.deepEqual(started, ['a', 'b', 'small', 'c']);
  });

  it('lets events take turns', async () => {
    const lanes = new StreamLanes({ small: 1, large: 1 });
    const [busy, other] = [{ name: 'busy' }, { name: 'other' }];
    const order: string[] = [];
    const end = await lanes.take(wish(busy), never);
    const takes = [busy, busy, busy, other].map(async (turn) => {
      const done = await lanes.take(wish(turn), never);
      order.push(turn.name);
      done();
    });
    end();
    await Promise.all(takes);
    assert.deepEqual(order, ['busy', 'other', 'busy', 'busy']);
  });

  it('passes over who has to wait until something moves', async () => {
    const lanes = new StreamLanes({ small: 1, large: 2 });
    const order: string[] = [];
    let decision: StartDecision = 'wait';
    const turn = {};
    const waiting = lanes.take(wish(turn, { decide: () => decision }), never).then(() => {
      order.push('first');
    });
    await lanes.take(wish(turn), never);
    order.push('second');
    await settled();
    assert.deepEqual(order, ['second']);
    decision = 'start';
    lanes.look();
    await waiting;
    assert.deepEqual(order, ['second', 'first']);
  });

  it('tells the one that it lets in before it asks the next', async () => {
    const lanes = new StreamLanes({ small: 1, large: 4 });
    let under = 0;
    const decide = (): StartDecision => (under === 0 ? 'start' : 'wait');
    const onStart = (): void => {
      under += 1;
    };
    const turn = {};
    let started = 0;
    const gate = { decide, onStart };
    const blocked = { ...gate, decide: (): StartDecision => (started === 0 ? 'wait' : decide()) };
    for (let wishes = 0; wishes < 3; wishes += 1) void lanes.take(wish(turn, blocked), never);
    started = 1;
    lanes.look();
    await settled();
    assert.equal(under, 1);
  });

  it('refuses who is too late, or too large for any delivery', async () => {
    const lanes = new StreamLanes({ small: 1, large: 1 });
    await assert.rejects(
      lanes.take(wish({}, { decide: () => 'too-late' }), never),
      coded('DEADLINE_EXCEEDED'),
    );
    await assert.rejects(
      lanes.take(wish({}, { decide: () => 'too-large' }), never),
      coded('DELIVERY_TOO_SHORT'),
    );
  });

  it('refuses who becomes too late while waiting', async () => {
    const lanes = new StreamLanes({ small: 1, large: 1 });
    const end = await lanes.take(wish({}), never);
    let decision: StartDecision = 'start';
    const late = lanes.take(wish({}, { decide: () => decision }), never);
    decision = 'too-late';
    end();
    await assert.rejects(late, coded('DEADLINE_EXCEEDED'));
    await lanes.take(wish({}), never);
  });

  it('lets who waits leave, and who comes too late', async () => {
    const lanes = new StreamLanes({ small: 1, large: 1 });
    const end = await lanes.take(wish({}), never);
    const leaving = new AbortController();
    const left = lanes.take(wish({}), leaving.signal);
    leaving.abort();
    await assert.rejects(left, coded('ABORTED'));
    await assert.rejects(lanes.take(wish({}), leaving.signal), coded('ABORTED'));
    end();
    await lanes.take(wish({}), never);
  });
});
