import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';

import { PublishLoop, type PublishLoopOptions } from '../../bridge/publish-loop.ts';
import { PublishQueue, type Lane } from '../../bridge/publish-queue.ts';
import type { MirrorEvent, Reason } from '../../functions/contract/event.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { idleMetrics, subject } from './objects.ts';
import { aWhile, eventually, quick } from './stand-ins.ts';

interface Sent {
  readonly lane: Lane;
  readonly names: readonly string[];
}

const benches: Bench[] = [];
afterEach(() => Promise.all(benches.splice(0).map(({ loop }) => loop.drain(0))));

/** A loop over a broker that answers as it is told; it ends with its test. */
class Bench {
  readonly queue = new PublishQueue();
  readonly sent: Sent[] = [];
  readonly accepted: string[] = [];
  readonly refused: string[] = [];
  readonly metrics = idleMetrics();
  readonly lines: string[] = [];
  /** What becomes of an event; default it is accepted. */
  answer: (lane: Lane, name: string) => MirrorError | undefined = () => undefined;
  /** Requests wait for this before they are answered. */
  gate: Promise<unknown> = Promise.resolve();
  mayPublish = true;
  readonly loop: PublishLoop;

  constructor(options: Partial<PublishLoopOptions> = {}) {
    this.loop = new PublishLoop({
      queue: this.queue,
      publisher: {
        publish: async (lane, events) => {
          this.sent.push({ lane, names: events.map(({ data }) => data.imageRepository.name) });
          await this.gate;
          return events.map(({ data }) => this.answer(lane, data.imageRepository.name));
        },
      },
      observer: {
        accepted: (taken) => this.accepted.push(taken.subject.uid),
        refused: (taken) => this.refused.push(taken.subject.uid),
      },
      clusterName: 'test',
      wallNow: () => Date.now(),
      concurrent: 4,
      replayRate: 0,
      logger: createLogger({ write: (line) => this.lines.push(line) }),
      metrics: this.metrics,
      leadingSinceMs: () => (this.mayPublish ? 0 : undefined),
      now: () => performance.now(),
      backoff: quick,
      ...options,
    });
    benches.push(this);
  }

  offer(uid: string, reason: Reason): void {
    this.queue.offer({ subject: subject(uid), reason, nowMs: performance.now() });
    this.loop.wake();
  }

  /** All names sent to a lane, in order. */
  names(lane?: Lane): readonly string[] {
    return this.sent
      .filter((each) => lane === undefined || each.lane === lane)
      .flatMap(({ names }) => names);
  }
}

const away = new MirrorError('PUBLISH_FAILED', 'away');

describe('PublishLoop', () => {
  it('sends what is offered together in one request, each lane its own', async () => {
    const bench = new Bench();
    for (const name of ['a', 'b']) bench.offer(name, 'changed');
    for (const name of ['c', 'd']) bench.offer(name, 'initial');
    await eventually('all accepted', () => bench.accepted.length === 4);
    assert.deepEqual(bench.sent, [
      { lane: 'events', names: ['a', 'b'] },
      { lane: 'bulk', names: ['c', 'd'] },
    ]);
    assert.deepEqual(bench.lines, []);
  });

  it('sends changes first, then follow-ups, resyncs and the replay', async () => {
    const bench = new Bench({ concurrent: 1 });
    bench.offer('replay', 'initial');
    bench.offer('resync', 'resync');
    bench.offer('follow-up', 'follow-up');
    bench.offer('change', 'changed');
    await eventually('all accepted', () => bench.accepted.length === 4);
    assert.deepEqual(bench.accepted, ['change', 'follow-up', 'resync', 'replay']);
  });

  it('sends again later what failed in a way that nobody foresaw', async () => {
    let requests = 0;
    const pause = { minMs: 60_000, maxMs: 60_000 };
    const bench = new Bench({
      backoff: pause,
      publisher: {
        publish: () => {
          requests += 1;
          return Promise.reject(new TypeError('a defect'));
        },
      },
    });
    bench.offer('a', 'changed');
    await eventually('the lane fails', () => bench.loop.failingSinceMs() !== undefined);
    assert.deepEqual([requests, bench.queue.depth('change')], [1, 1]);
  });

  it('has no more requests under way than it may, of no more than 100 events', async () => {
    const bench = new Bench({ concurrent: 2 });
    const open = Promise.withResolvers<undefined>();
    bench.gate = open.promise;
    for (let index = 0; index < 450; index += 1) bench.offer(`uid-${index}`, 'changed');
    await eventually('two requests', () => bench.sent.length === 2);
    await aWhile(50);
    assert.equal(bench.sent.length, 2);
    open.resolve(undefined);
    await eventually('all accepted', () => bench.accepted.length === 450);
    assert.equal(bench.sent.length, 5);
    assert.ok(bench.sent.every(({ names }) => names.length <= 100));
  });

  it('holds the replay and the resync to their rate, and changes to none', async () => {
    const bench = new Bench({ replayRate: 20 });
    for (let index = 0; index < 100; index += 1) {
      bench.offer(`replay-${index}`, 'initial');
      bench.offer(`change-${index}`, 'changed');
    }
    await eventually('all changes', () => bench.names('events').length === 100);
    await aWhile(300);
    const count = bench.names('bulk').length;
    assert.ok(count >= 2 && count <= 20, String(count));
  });

  it('publishes nothing while it may not', async () => {
    const bench = new Bench();
    bench.mayPublish = false;
    bench.offer('a', 'changed');
    await aWhile(50);
    assert.deepEqual(bench.sent, []);
    bench.mayPublish = true;
    bench.loop.wake();
    await eventually('accepted', () => bench.accepted.length === 1);
  });

  it('tries a failing lane with one request at a time until it takes something', async () => {
    const bench = new Bench({ concurrent: 8 });
    let failing = true;
    bench.answer = (lane) => (failing && lane === 'events' ? away : undefined);
    for (let index = 0; index < 250; index += 1) bench.offer(`uid-${index}`, 'changed');
    await eventually('some tries', () => bench.sent.length >= 6);
    assert.ok(bench.loop.failingSinceMs() !== undefined);
    assert.deepEqual(bench.accepted, []);
    const before = bench.sent.length;
    await aWhile(50);
    // With waits of 10 to 100 ms between tries of one request each.
    assert.ok(bench.sent.length - before <= 8);
    bench.offer('other-lane', 'initial');
    await eventually('the other lane goes on', () => bench.accepted.includes('other-lane'));
    failing = false;
    await eventually('all accepted', () => bench.accepted.length === 251);
    assert.equal(new Set(bench.accepted).size, 251);
    assert.equal(bench.loop.failingSinceMs(), undefined);
  });

  it('waits longer each time until something is taken, and says when it is', async () => {
    const bench = new Bench({ backoff: { minMs: 100, random: () => 0 } });
    const outcomes = [away, away, undefined, away];
    bench.answer = () => outcomes.shift();
    for (const name of ['a', 'b']) {
      bench.offer(name, 'changed');
      await eventually(`${name} is accepted`, () => bench.accepted.includes(name));
    }
    const told = bench.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      told.map(({ retrySeconds, message }) => retrySeconds ?? message),
      [0.1, 0.2, 'publishing again', 0.1, 'publishing again'],
    );
  });

  it('gives back only what was not taken', async () => {
    const bench = new Bench();
    let tries = 0;
    bench.answer = (_lane, name) => (name === 'b' && (tries += 1) === 1 ? away : undefined);
    for (const name of ['a', 'b', 'c']) bench.offer(name, 'changed');
    await eventually('all accepted', () => bench.accepted.length === 3);
    assert.deepEqual(bench.accepted, ['a', 'c', 'b']);
    assert.deepEqual(bench.refused, ['b']);
    assert.deepEqual(bench.names(), ['a', 'b', 'c', 'b']);
  });

  it('drops what can never be taken', async () => {
    const bench = new Bench();
    bench.answer = () => new MirrorError('EVENT_TOO_LARGE', 'too large');
    bench.offer('a', 'changed');
    await eventually('refused', () => bench.refused.length === 1);
    await aWhile(50);
    assert.equal(bench.sent.length, 1);
    assert.equal(bench.loop.failingSinceMs(), undefined);
    assert.equal(bench.queue.oldestSinceMs(), undefined);
  });

  it('makes the event of the object as it is when it is sent', async () => {
    const events: MirrorEvent[] = [];
    const bench = new Bench({
      publisher: {
        publish: (_lane, sent) => {
          events.push(...sent);
          return Promise.resolve(sent.map(() => undefined));
        },
      },
      wallNow: () => Date.parse('2026-08-10T10:00:00Z'),
    });
    const one = subject('a', '1');
    const gone = subject('gone');
    const published = { image: 'ghcr.io/org/a', revision: '0', configurationDigest: 'c' };
    bench.queue.offer({ subject: one, reason: 'requested', requestedAt: 'now', nowMs: 0 });
    bench.queue.offer({ subject: gone, reason: 'changed', nowMs: 0 });
    bench.loop.wake();
    Object.assign(one, { published, publishable: subject('a', '2').publishable });
    Object.assign(gone, { publishable: undefined });
    await eventually('accepted', () => bench.accepted.length === 1);
    assert.deepEqual(
      events.map(({ time, data: { revision, previousRevision, reason } }) => ({
        ...{ time, revision, previousRevision, reason },
      })),
      [
        {
          ...{ time: '2026-08-10T10:00:00.000Z', revision: '2', previousRevision: '0' },
          reason: 'requested',
        },
      ],
    );
    assert.equal(bench.queue.oldestSinceMs(), undefined);
  });

  it('counts what was published and what failed', async () => {
    const bench = new Bench();
    let tries = 0;
    bench.answer = () => ((tries += 1) === 1 ? away : undefined);
    bench.offer('a', 'changed');
    await eventually('accepted', () => bench.accepted.length === 1);
    const text = await bench.metrics.text();
    assert.match(text, /events_published_total\{reason="changed"\} 1/);
    assert.match(text, /publish_failures_total\{lane="events",code="PUBLISH_FAILED"\} 1/);
    assert.match(text, /publish_duration_seconds_count\{lane="events"\} 1/);
    assert.match(text, /detection_to_publish_seconds_count 1/);
  });

  it('measures what changed from when it was seen, or from when it led', async () => {
    let [nowMs, leadingSinceMs]: [number, number | undefined] = [6000, 2000];
    const bench = new Bench({ now: () => nowMs, leadingSinceMs: () => leadingSinceMs });
    bench.answer = (_lane, name) => {
      nowMs += 3000;
      if (name === 'c') leadingSinceMs = undefined;
      return undefined;
    };
    const sums: (string | undefined)[] = [];
    for (const [uid, reason, seenMs] of [
      ['a', 'changed', 1000],
      ['b', 'changed', 8000],
      ['c', 'changed', 10_000],
    ] as const) {
      bench.queue.offer({ subject: subject(uid), reason, nowMs: seenMs });
      bench.loop.wake();
      await eventually(`${uid} is accepted`, () => bench.accepted.includes(uid));
      const text = await bench.metrics.text();
      for (const name of ['detection_to_publish', 'publish_duration']) {
        sums.push(new RegExp(`${name}_seconds_sum.* (.*)`).exec(text)?.[1]);
      }
    }
    assert.deepEqual(sums, ['7', '3', '11', '6', '16', '9']);
  });
});

describe('PublishLoop.drain', () => {
  it('waits for what is under way and for changes, and takes up nothing else', async () => {
    const bench = new Bench({ concurrent: 1 });
    const open = Promise.withResolvers<undefined>();
    bench.gate = open.promise;
    bench.offer('a', 'changed');
    await eventually('one request', () => bench.sent.length === 1);
    bench.offer('b', 'changed');
    bench.offer('c', 'initial');
    const drained = bench.loop.drain(5000);
    open.resolve(undefined);
    await drained;
    assert.deepEqual(bench.accepted, ['a', 'b']);
    bench.offer('d', 'changed');
    await aWhile(50);
    assert.deepEqual(bench.accepted, ['a', 'b']);
  });

  it('sends what was offered just before', async () => {
    const bench = new Bench();
    bench.offer('a', 'changed');
    await bench.loop.drain(60_000);
    assert.deepEqual(bench.accepted, ['a']);
  });

  it('does not wait for a lane that fails', async () => {
    const bench = new Bench();
    bench.answer = () => away;
    bench.offer('a', 'changed');
    await eventually('refused', () => bench.refused.length > 0);
    // Days, if it waited.
    await bench.loop.drain(1e9);
  });

  it('gives up at its time', async () => {
    const bench = new Bench();
    bench.gate = new Promise(() => undefined);
    bench.offer('a', 'changed');
    await eventually('one request', () => bench.sent.length === 1);
    await bench.loop.drain(20);
    assert.deepEqual(bench.accepted, []);
  });
});
