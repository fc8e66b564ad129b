import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import {
  abortError,
  backoffMs,
  forwardClock,
  KeyedMutex,
  raceSignal,
  Semaphore,
  settledWithin,
  SingleFlight,
  sleep,
  SYSTEM_TIMING,
  timeLimit,
  TokenBucket,
  type Timing,
} from '../../functions/concurrency.ts';
import { MirrorError } from '../../functions/errors.ts';
import { rejection } from '../faults.ts';
import { fakeTiming, NEVER, settle } from './registry/setting.ts';

describe('forwardClock', () => {
  it('goes on where the wall clock is set back, and follows it forward', () => {
    let [wallMs, steadyMs] = [1_000_000, 50.25];
    const now = forwardClock(
      () => wallMs,
      () => steadyMs,
    );
    const pass = (ms: number, wall = ms): number => {
      steadyMs += ms;
      wallMs += wall;
      return now();
    };
    assert.equal(now(), 1_000_000);
    assert.equal(pass(10), 1_000_010);
    assert.equal(pass(10, -3_600_000), 1_000_020);
    assert.equal(pass(5000), 1_005_020);
    // The machine slept for an hour and more.
    assert.equal(pass(0, 7_200_000), 4_605_010);
    assert.equal(pass(1), 4_605_011);
  });

  it('is the clock of the machine', (t) => {
    const before = SYSTEM_TIMING.now();
    t.mock.method(Date, 'now', () => 0);
    assert.ok(SYSTEM_TIMING.now() >= before);
  });
});

describe('timing', () => {
  it('sleeps as long as it is told', async () => {
    const timing = fakeTiming();
    let awake = false;
    const asleep = sleep(timing, 100, NEVER).then(() => (awake = true));
    await timing.pass(99);
    assert.equal(awake, false);
    await timing.pass(1);
    assert.equal(awake, true);
    await asleep;
  });

  it('wakes at once when the signal aborts, with the reason where that is a fault', async () => {
    const controller = new AbortController();
    const asleep = sleep(fakeTiming(), 1e9, controller.signal);
    controller.abort(new MirrorError('DEADLINE_EXCEEDED', 'over'));
    await rejection(asleep, 'DEADLINE_EXCEEDED');
    await rejection(sleep(fakeTiming(), 1, controller.signal), 'DEADLINE_EXCEEDED');
    assert.equal(abortError(AbortSignal.abort()).code, 'ABORTED');
  });

  it('lets who waits go while the promise goes on', async () => {
    const controller = new AbortController();
    const { promise, resolve } = Promise.withResolvers<number>();
    const one = raceSignal(promise, controller.signal);
    const other = raceSignal(promise, NEVER);
    controller.abort();
    await rejection(one, 'ABORTED');
    resolve(7);
    assert.equal(await other, 7);
    await rejection(raceSignal(Promise.reject(new Error('unheard')), controller.signal), 'ABORTED');
  });

  it('takes timers of the machine back', async () => {
    const stop = SYSTEM_TIMING.setTimer(1, () => {
      assert.fail('was taken back');
    });
    stop();
    await sleep(SYSTEM_TIMING, 5, NEVER);
    assert.ok(SYSTEM_TIMING.now() > 1_700_000_000_000);
  });

  it('waits no longer than a timer of Node can: it would fire at once', ({ mock }) => {
    const timeouts = mock.method(globalThis, 'setTimeout');
    SYSTEM_TIMING.setTimer(2 ** 40, () => undefined)();
    assert.equal(timeouts.mock.calls[0]?.arguments[1], 2 ** 31 - 1);
  });

  it('leaves neither a listener nor a timer behind, however a wait ends', async () => {
    for (const aborts of [false, true]) {
      const controller = new AbortController();
      const { signal } = controller;
      const timers = new Set<() => void>();
      const timing: Timing = {
        now: () => 0,
        setTimer: (_delayMs, action) => {
          const timer = (): void => {
            timers.delete(timer);
            action();
          };
          timers.add(timer);
          return () => timers.delete(timer);
        },
      };
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const place = new Semaphore(1);
      const release = await place.acquire(signal);
      const waits = [
        sleep(timing, 1, signal),
        raceSignal(promise, signal),
        settledWithin(timing, promise, 1, signal),
        new SingleFlight<undefined>().run('key', signal, async () => promise),
        place.acquire(signal),
      ];
      assert.equal(getEventListeners(signal, 'abort').length, waits.length + 1);
      if (aborts) controller.abort();
      else {
        resolve(undefined);
        release();
        const [first] = timers;
        first?.();
      }
      await Promise.allSettled(waits);
      await settle();
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      assert.equal(timers.size, 0);
    }
  });
});

describe('settledWithin', () => {
  it('tells whether a promise settled in time, however it did', async () => {
    const timing = fakeTiming();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const inTime = settledWithin(timing, promise, 100, NEVER);
    resolve(undefined);
    assert.equal(await inTime, true);
    assert.equal(await settledWithin(timing, Promise.reject(new Error('no')), 100, NEVER), true);
    const late = settledWithin(timing, new Promise(() => undefined), 100, NEVER);
    await timing.pass(100);
    assert.equal(await late, false);
  });

  it('ends with the signal', async () => {
    const controller = new AbortController();
    const waiting = settledWithin(fakeTiming(), new Promise(() => undefined), 1, controller.signal);
    controller.abort();
    await rejection(waiting, 'ABORTED');
    const late = settledWithin(fakeTiming(), Promise.resolve(), 1, controller.signal);
    await rejection(late, 'ABORTED');
  });
});

describe('timeLimit', () => {
  it('aborts with TIMEOUT, unless it is released', async () => {
    const timing = fakeTiming();
    const one = timeLimit(timing, 100);
    const other = timeLimit(timing, 100);
    other.release();
    await timing.pass(100);
    assert.equal(abortError(one.signal).code, 'TIMEOUT');
    assert.equal(other.signal.aborted, false);
  });
});

describe('backoffMs', () => {
  it('doubles up to its bound, and is a part of that by chance', () => {
    const policy = { baseMs: 500, maxMs: 2000 };
    assert.deepEqual(
      [1, 2, 3, 4, 50].map((attempt) => backoffMs(policy, attempt, 1)),
      [500, 1000, 2000, 2000, 2000],
    );
    assert.equal(backoffMs(policy, 1, 0), 0);
    assert.equal(backoffMs(policy, 1, 0.5), 250);
  });
});

/** Work that ends when told to, or when it is aborted. */
function held(): {
  readonly work: (signal: AbortSignal) => Promise<string>;
  readonly finish: (value: string) => void;
  readonly fail: (error: Error) => void;
  readonly signals: AbortSignal[];
} {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const signals: AbortSignal[] = [];
  return {
    work: async (signal) => {
      signals.push(signal);
      return raceSignal(promise, signal);
    },
    finish: resolve,
    fail: reject,
    signals,
  };
}

describe('single flight', () => {
  it('does the work once for all who wait, and tells one of them that it is its own', async () => {
    const flights = new SingleFlight<string>();
    const { work, finish, signals } = held();
    const joined = [1, 2, 3].map(async () => flights.run('key', NEVER, work));
    await settle();
    finish('done');
    assert.deepEqual(await Promise.all(joined), [
      { value: 'done', first: true },
      { value: 'done', first: false },
      { value: 'done', first: false },
    ]);
    assert.equal(signals.length, 1);
    assert.equal(flights.size, 0);
  });

  it('never lets in whose signal is aborted', async () => {
    const flights = new SingleFlight<string>();
    const { work, signals } = held();
    await rejection(flights.run('key', AbortSignal.abort(), work), 'ABORTED');
    await settle();
    assert.equal(signals.length, 0);
    assert.equal(flights.size, 0);
  });

  it('goes on while anybody waits, and is then of who has waited longest', async () => {
    const flights = new SingleFlight<string>();
    const { work, finish, signals } = held();
    const leaving = new AbortController();
    const leader = flights.run('key', leaving.signal, work);
    const other = flights.run('key', NEVER, work);
    await settle();
    leaving.abort();
    await rejection(leader, 'ABORTED');
    assert.equal(signals[0]?.aborted, false);
    finish('done');
    assert.deepEqual(await other, { value: 'done', first: true });
  });

  it('aborts the work when the last one leaves, and nobody joins what is aborted', async () => {
    const flights = new SingleFlight<string>();
    const dying = new Promise<string>(() => undefined);
    const leaving = new AbortController();
    let aborted: AbortSignal | undefined;
    const left = [1, 2].map(async () =>
      flights.run('key', leaving.signal, async (signal) => {
        aborted = signal;
        return dying;
      }),
    );
    await settle();
    leaving.abort();
    for (const one of left) await rejection(one, 'ABORTED');
    assert.equal(aborted?.aborted, true);
    assert.equal(flights.has('key'), false);
    const next = await flights.run('key', NEVER, async () => Promise.resolve('anew'));
    assert.deepEqual(next, { value: 'anew', first: true });
  });

  it('is not forgotten when the one before it, which all have left, ends', async () => {
    const flights = new SingleFlight<string>();
    const { promise, resolve } = Promise.withResolvers<string>();
    const leaving = new AbortController();
    const left = flights.run('key', leaving.signal, async () => promise);
    await settle();
    leaving.abort();
    await rejection(left, 'ABORTED');
    const { work, finish } = held();
    const next = flights.run('key', NEVER, work);
    resolve('too late');
    await settle();
    assert.equal(flights.has('key'), true);
    finish('anew');
    assert.deepEqual(await next, { value: 'anew', first: true });
  });

  it('does not begin what everybody has left in the same turn', async () => {
    const flights = new SingleFlight<string>();
    const leaving = new AbortController();
    let begun = false;
    const left = flights.run('key', leaving.signal, async () => {
      begun = true;
      return Promise.resolve('');
    });
    leaving.abort();
    await rejection(left, 'ABORTED');
    await settle();
    assert.equal(begun, false);
  });

  it('forgets work that failed or threw', async () => {
    const flights = new SingleFlight<string>();
    const broken = flights.run('key', NEVER, () => {
      throw new MirrorError('NETWORK', 'at once');
    });
    await rejection(broken, 'NETWORK');
    assert.equal(flights.size, 0);
  });
});

describe('semaphore', () => {
  it('lets so many in at once, in the order of coming', async () => {
    const places = new Semaphore(2);
    const order: number[] = [];
    const releases: (() => void)[] = [];
    for (const number of [1, 2, 3, 4]) {
      void places.acquire(NEVER).then((release) => {
        order.push(number);
        releases.push(release);
      });
    }
    await settle();
    assert.deepEqual(order, [1, 2]);
    assert.equal(places.load, 4);
    releases[0]?.();
    releases[0]?.();
    await settle();
    assert.deepEqual(order, [1, 2, 3]);
    for (const release of releases) release();
    await settle();
    for (const release of releases) release();
    assert.equal(places.load, 0);
  });

  it('forgets who aborts', async () => {
    const places = new Semaphore(1);
    const release = await places.acquire(NEVER);
    const leaving = new AbortController();
    const left = places.acquire(leaving.signal);
    const next = places.acquire(NEVER);
    leaving.abort();
    await rejection(left, 'ABORTED');
    await rejection(places.acquire(leaving.signal), 'ABORTED');
    release();
    (await next)();
    assert.equal(places.load, 0);
  });
});

describe('keyed mutex', () => {
  it('does the work of a key one after the other, that of others beside it', async () => {
    const mutex = new KeyedMutex();
    const told: string[] = [];
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const work = [
      mutex.run('a', NEVER, async () => {
        told.push('a1');
        await promise;
      }),
      mutex.run('a', NEVER, async () => Promise.resolve(told.push('a2'))),
      mutex.run('b', NEVER, async () => Promise.resolve(told.push('b'))),
    ];
    await settle();
    assert.deepEqual(told, ['a1', 'b']);
    assert.equal(mutex.size, 1);
    resolve(undefined);
    await Promise.all(work);
    assert.deepEqual(told, ['a1', 'b', 'a2']);
    assert.equal(mutex.size, 0);
  });

  it('frees a key whose work throws or whose caller leaves', async () => {
    const mutex = new KeyedMutex();
    await assert.rejects(
      mutex.run('a', NEVER, async () => Promise.reject(new Error('no'))),
      /no/,
    );
    await rejection(
      mutex.run('a', AbortSignal.abort(), async () => Promise.resolve()),
      'ABORTED',
    );
    assert.equal(mutex.size, 0);
  });
});

describe('token bucket', () => {
  it('lets the burst pass at once and then the rate', () => {
    const bucket = new TokenBucket({ perSecond: 50, burst: 500 });
    for (let taken = 0; taken < 500; taken++) assert.equal(bucket.take(1000), 0);
    assert.equal(bucket.take(1000), 20);
    assert.ok(bucket.take(1010) > 0);
    assert.equal(bucket.take(1025), 0);
    assert.ok(bucket.take(1025) > 0);
  });

  it('never lets more pass than burst + rate × time', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 200 }), { minLength: 1, maxLength: 400 }), (gaps) => {
        const bucket = new TokenBucket({ perSecond: 10, burst: 5 });
        let now = 0;
        let passed = 0;
        for (const gap of gaps) {
          now += gap;
          if (bucket.take(now) === 0) passed += 1;
          assert.ok(passed <= 5 + (now / 1000) * 10 + 1e-6);
        }
      }),
    );
  });

  it('gives no more for a clock that goes back', () => {
    const bucket = new TokenBucket({ perSecond: 1, burst: 1 });
    assert.equal(bucket.take(10_000), 0);
    assert.ok(bucket.take(5_000) > 0);
  });
});
