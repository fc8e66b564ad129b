import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Backlog, type Entry } from '../../stand-ins/pubsub/backlog.ts';
import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import type { Message } from '../../stand-ins/pubsub/message.ts';
import { seededRandom } from '../../stand-ins/pubsub/random.ts';

interface Setting {
  readonly clock: ManualClock;
  readonly backlog: Backlog;
  readonly woken: () => number;
}

function setting(options: { shuffled?: boolean; ordered?: boolean } = {}): Setting {
  const clock = new ManualClock(0);
  let wakes = 0;
  const backlog = new Backlog({
    clock,
    random: seededRandom(1),
    shuffled: options.shuffled ?? false,
    ordered: options.ordered ?? false,
    onReady: () => {
      wakes += 1;
    },
  });
  return { clock, backlog, woken: () => wakes };
}

function message(sequence: number, orderingKey = '', publishTimeMs = 0): Message {
  const messageId = `m${sequence}`;
  const data = Buffer.from('x');
  return { messageId, data, attributes: {}, orderingKey, publishTimeMs, sequence };
}

function taken(backlog: Backlog): Entry {
  const entry = backlog.take();
  assert.ok(entry, 'nothing is ready');
  return entry;
}

function takeAll(backlog: Backlog): readonly Entry[] {
  const entries: Entry[] = [];
  for (let entry = backlog.take(); entry !== undefined; entry = backlog.take()) entries.push(entry);
  return entries;
}

function idsOf(entries: readonly Entry[]): readonly string[] {
  return entries.map((entry) => entry.message.messageId);
}

describe('backlog', () => {
  it('gives out the oldest first where it is not shuffled', () => {
    const { backlog } = setting();
    for (const sequence of [1, 2, 3]) backlog.add(message(sequence), 0);
    assert.deepEqual(idsOf(takeAll(backlog)), ['m1', 'm2', 'm3']);
    assert.equal(backlog.counts.outstanding, 3);
  });

  it('gives out each message once, in any order, where it is shuffled', () => {
    const { backlog } = setting({ shuffled: true });
    const all = Array.from({ length: 50 }, (_unused, index) => message(index));
    for (const one of all) backlog.add(one, 0);
    const ids = idsOf(takeAll(backlog));
    const inOrder = all.map(({ messageId }) => messageId);
    assert.notDeepEqual(ids, inOrder);
    assert.deepEqual([...ids].sort(), [...inOrder].sort());
  });

  it('lets a message wait', () => {
    const { backlog, clock, woken } = setting();
    backlog.add(message(1), 100);
    assert.equal(backlog.take(), undefined);
    assert.equal(backlog.counts.waiting, 1);
    clock.advance(99);
    assert.equal(woken(), 0);
    clock.advance(1);
    assert.equal(woken(), 1);
    assert.equal(taken(backlog).message.messageId, 'm1');
  });

  it('gives a released message out again, after its wait and with its failures', () => {
    const { backlog, clock } = setting();
    backlog.add(message(1), 0);
    const entry = taken(backlog);
    backlog.fail(entry);
    backlog.release(entry, 50);
    assert.equal(backlog.take(), undefined);
    clock.advance(50);
    assert.equal(taken(backlog).failures, 1);
  });

  it('forgets an acknowledged message, unless it is to be kept', () => {
    const { backlog } = setting();
    for (const sequence of [1, 2]) backlog.add(message(sequence), 0);
    backlog.acknowledge(taken(backlog), false);
    backlog.acknowledge(taken(backlog), true);
    assert.deepEqual(
      backlog.messages().map(({ messageId }) => messageId),
      ['m2'],
    );
    assert.deepEqual(backlog.unacknowledged(), []);
    assert.equal(backlog.counts.acknowledged, 1);
    backlog.forgetAcknowledged();
    assert.deepEqual(backlog.messages(), []);
    assert.equal(backlog.counts.acknowledged, 0);
  });

  it('takes an acknowledgement while a message waits or is ready', () => {
    const { backlog, clock } = setting();
    for (const sequence of [1, 2]) backlog.add(message(sequence), 0);
    const [first, second] = takeAll(backlog);
    assert.ok(first && second);
    backlog.release(first, 100);
    backlog.release(second, 0);
    backlog.acknowledge(first, false);
    backlog.acknowledge(second, false);
    clock.advance(1_000);
    assert.equal(backlog.take(), undefined);
    assert.equal(clock.timers, 0);
  });

  it('does nothing more with a message that is acknowledged', () => {
    const { backlog } = setting();
    backlog.add(message(1), 0);
    const entry = taken(backlog);
    backlog.acknowledge(entry, false);
    backlog.acknowledge(entry, false);
    backlog.release(entry, 0);
    assert.equal(backlog.take(), undefined);
    assert.deepEqual(Object.values(backlog.counts), [0, 0, 0, 0, 0]);
  });
});

describe('backlog with ordering keys', () => {
  it('gives out one message of a key at a time, in the order of publication', () => {
    const { backlog } = setting({ ordered: true });
    for (const [sequence, key] of [
      [1, 'a'],
      [2, 'a'],
      [3, 'b'],
      [4, ''],
      [5, ''],
    ] as const) {
      backlog.add(message(sequence, key), 0);
    }
    const [first, ...others] = takeAll(backlog);
    assert.ok(first);
    assert.deepEqual(idsOf([first, ...others]), ['m1', 'm3', 'm4', 'm5']);
    assert.equal(backlog.counts.queued, 1);
    backlog.acknowledge(first, false);
    assert.deepEqual(idsOf(takeAll(backlog)), ['m2']);
  });

  it('holds a key back while its first message waits', () => {
    const { backlog, clock } = setting({ ordered: true });
    for (const sequence of [1, 2]) backlog.add(message(sequence, 'a'), 0);
    backlog.release(taken(backlog), 100);
    assert.equal(backlog.take(), undefined);
    clock.advance(100);
    const again = taken(backlog);
    assert.equal(again.message.messageId, 'm1');
    backlog.acknowledge(again, false);
    assert.equal(taken(backlog).message.messageId, 'm2');
  });

  it('ignores the keys where ordering is off', () => {
    const { backlog } = setting();
    for (const sequence of [1, 2]) backlog.add(message(sequence, 'a'), 0);
    assert.equal(takeAll(backlog).length, 2);
  });

  it('puts what a seek brings back before what was published later', () => {
    const { backlog } = setting({ ordered: true });
    for (const sequence of [1, 2, 3]) backlog.add(message(sequence, 'a'), 0);
    backlog.acknowledge(taken(backlog), true);
    const second = taken(backlog);
    backlog.seek([], () => true, true);
    backlog.acknowledge(second, true);
    const next = taken(backlog);
    assert.equal(next.message.messageId, 'm1');
    backlog.acknowledge(next, true);
    assert.equal(taken(backlog).message.messageId, 'm3');
  });

  it('leaves the first message of a key alone when one behind it goes', () => {
    const { backlog } = setting({ ordered: true });
    for (const sequence of [1, 2, 3]) backlog.add(message(sequence, 'a'), 0);
    const first = taken(backlog);
    backlog.seek([], ({ sequence }) => sequence !== 2, false);
    assert.equal(first.state, 'outstanding');
    assert.equal(backlog.take(), undefined);
    backlog.acknowledge(first, false);
    assert.equal(taken(backlog).message.messageId, 'm3');
  });

  it('keeps the order of publication after a seek', () => {
    const { backlog } = setting({ ordered: true });
    for (const sequence of [1, 2, 3]) backlog.add(message(sequence, 'a'), 0);
    for (let count = 0; count < 3; count += 1) backlog.acknowledge(taken(backlog), true);
    backlog.seek([], () => true, true);
    const order: string[] = [];
    for (let entry = backlog.take(); entry !== undefined; entry = backlog.take()) {
      order.push(entry.message.messageId);
      backlog.acknowledge(entry, true);
    }
    assert.deepEqual(order, ['m1', 'm2', 'm3']);
  });
});

describe('seek in a backlog', () => {
  it('acknowledges what is not wanted and brings back what is', () => {
    const { backlog } = setting();
    for (const sequence of [1, 2, 3, 4]) backlog.add(message(sequence), 0);
    for (const entry of takeAll(backlog).slice(2)) backlog.acknowledge(entry, true);
    backlog.seek([message(5), message(0)], ({ sequence }) => sequence >= 2, true);
    assert.deepEqual(
      backlog.unacknowledged().map(({ messageId }) => messageId),
      ['m2', 'm3', 'm4', 'm5'],
    );
    // The second is with a subscriber still; the others are to be delivered.
    assert.deepEqual([...idsOf(takeAll(backlog))].sort(), ['m3', 'm4', 'm5']);
    assert.equal(backlog.counts.acknowledged, 1);
  });

  it('lets a message that comes back start over', () => {
    const { backlog } = setting();
    backlog.add(message(1), 0);
    const entry = taken(backlog);
    backlog.fail(entry);
    backlog.acknowledge(entry, true);
    backlog.seek([], () => true, true);
    assert.equal(taken(backlog).failures, 0);
  });

  it('takes a message that waits off its way', () => {
    const { backlog, clock } = setting();
    backlog.add(message(1), 100);
    backlog.seek([], () => false, false);
    clock.advance(1_000);
    assert.equal(backlog.take(), undefined);
    assert.deepEqual(backlog.messages(), []);
  });
});

describe('retention of a backlog', () => {
  it('drops what is older, wherever it stands', () => {
    const { backlog, clock } = setting();
    backlog.add(message(1, '', 0), 0);
    backlog.add(message(2, '', 0), 5_000);
    backlog.add(message(3, '', 500), 0);
    const first = taken(backlog);
    clock.advance(1_001);
    backlog.purge({ unacknowledgedMs: 1_000, acknowledgedMs: 1_000 });
    assert.deepEqual(
      backlog.messages().map(({ messageId }) => messageId),
      ['m3'],
    );
    backlog.release(first, 0);
    assert.deepEqual(idsOf(takeAll(backlog)), ['m3']);
    assert.equal(clock.timers, 0);
  });

  it('can be longer for what is not acknowledged', () => {
    const { backlog, clock } = setting();
    for (const sequence of [1, 2]) backlog.add(message(sequence), 0);
    backlog.acknowledge(taken(backlog), true);
    clock.advance(1_001);
    backlog.purge({ unacknowledgedMs: 2_000, acknowledgedMs: 1_000 });
    assert.deepEqual(
      backlog.messages().map(({ messageId }) => messageId),
      ['m2'],
    );
    clock.advance(1_000);
    backlog.purge({ unacknowledgedMs: 2_000, acknowledgedMs: 1_000 });
    assert.deepEqual(backlog.messages(), []);
  });

  it('lets the next message of a key go when the first is dropped', () => {
    const { backlog, clock } = setting({ ordered: true });
    backlog.add(message(1, 'a', 0), 0);
    backlog.add(message(2, 'a', 500), 0);
    taken(backlog);
    clock.advance(1_200);
    backlog.purge({ unacknowledgedMs: 1_000, acknowledgedMs: 1_000 });
    assert.equal(taken(backlog).message.messageId, 'm2');
  });

  it('leaves nothing behind when cleared', () => {
    const { backlog, clock } = setting({ ordered: true });
    backlog.add(message(1, 'a'), 0);
    backlog.add(message(2, 'a'), 0);
    backlog.add(message(3), 100);
    backlog.clear();
    assert.equal(clock.timers, 0);
    assert.deepEqual(Object.values(backlog.counts), [0, 0, 0, 0, 0]);
    assert.equal(backlog.take(), undefined);
  });
});
