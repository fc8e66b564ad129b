import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Refusal } from '../../bridge/destination-claims.ts';
import { readImageRepository } from '../../bridge/flux/image-repository.ts';
import { PublishQueue, URGENCIES, type TakenEvent } from '../../bridge/publish-queue.ts';
import { requestOf } from '../../bridge/request.ts';
import { Tracker, type TrackerOptions } from '../../bridge/tracker.ts';
import { eventOf, type MirrorEvent } from '../../functions/contract/event.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { idleMetrics, imageRepository, type Wanted } from './objects.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** A tracker with a clock of its own, whose queue is published by hand. */
class Bench {
  nowMs = 0;
  wallMs = Date.parse('2026-08-10T00:00:00Z');
  offers = 0;
  isLeading = false;
  readonly queue = new PublishQueue();
  readonly refusals = new Map<string, Refusal>();
  /** How often a refusal was told. */
  told = 0;
  readonly metrics = idleMetrics();
  readonly tracker: Tracker;

  constructor(options: Partial<TrackerOptions> = {}) {
    this.tracker = new Tracker({
      queue: this.queue,
      refusals: {
        refused: ({ name }, refusal) => {
          this.told += 1;
          this.refusals.set(name, refusal);
        },
        mended: (uid) => this.refusals.delete(uid.replace('uid-of-flux-system-', '')),
      },
      logger: createLogger({ write: () => undefined }),
      metrics: this.metrics,
      destinationLayout: 'host-path',
      resyncIntervalMs: 0,
      followUpMs: 0,
      replayOnStart: true,
      isLeading: () => this.isLeading,
      onOffer: () => {
        this.offers += 1;
      },
      now: () => this.nowMs,
      wallNow: () => this.wallMs,
      ...options,
    });
  }

  /** The list at the start, or again after an interruption. */
  list(...objects: readonly (readonly [string, Wanted?])[]): void {
    const read = objects.map(([name, wanted]) =>
      readImageRepository(imageRepository(name, { revision: '1', ...wanted })),
    );
    for (const object of read) this.tracker.listed(object);
    this.tracker.synced(new Set(read.map(({ uid }) => uid)));
  }

  /** The list at the start, all of it published. */
  published(...objects: readonly (readonly [string, Wanted?])[]): void {
    this.list(...objects);
    this.publish();
  }

  /** A watch event. */
  see(name: string, wanted: Wanted = {}): void {
    const object = imageRepository(name, { revision: '1', ...wanted });
    this.tracker.changed(readImageRepository(object));
  }

  /** Lets time go by, ticking every second. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 1000) {
      const stepMs = Math.min(1000, left);
      this.nowMs += stepMs;
      this.wallMs += stepMs;
      this.tracker.tick();
    }
  }

  take(): readonly TakenEvent[] {
    return URGENCIES.flatMap((urgency) => this.queue.take(urgency, 1000));
  }

  /** The one event that waits, taken out. */
  takeOne(): TakenEvent {
    const [taken, ...more] = this.take();
    assert.ok(taken !== undefined && more.length === 0);
    return taken;
  }

  /** Publishes what waits; gives the events. */
  publish(): readonly MirrorEvent[] {
    return this.take().map((taken) => this.accept(taken));
  }

  /** Pub/Sub takes an event that was taken out. */
  accept(taken: TakenEvent): MirrorEvent {
    const event = eventOf(requestOf(taken.publishable, taken), {
      clusterName: 'test',
      time: new Date(this.wallMs),
      requestedAt: taken.requestedAt,
      resyncSlot: taken.resyncSlot,
    });
    this.queue.settle(taken.subject.uid);
    this.tracker.accepted(taken, event);
    return event;
  }

  /** Pub/Sub does not take it. */
  refuse(taken: TakenEvent, fault: MirrorError): void {
    const { uid } = taken.subject;
    if (fault.disposition === 'transient') this.queue.giveBack(uid);
    else this.queue.settle(uid);
    this.tracker.refused(taken, fault);
  }

  /** `name:reason` of what is published now. */
  reasons(): readonly string[] {
    return this.publish().map(({ data }) => `${data.imageRepository.name}:${data.reason}`);
  }

  /** How often something was decided, by cause. */
  async decisions(): Promise<Readonly<Record<string, number>>> {
    const found = (await this.metrics.text()).matchAll(/decisions_total\{cause="(.*)"\} (.*)/g);
    return Object.fromEntries(
      [...found].map(([, cause = '', count]) => [cause, Number(count)] as const),
    );
  }

  /** Revisions of what is published now. */
  revisions(): readonly string[] {
    return this.publish().map(({ data }) => data.revision);
  }
}

/** Name and `verify` of what is published now. */
function verified(bench: Bench): readonly (readonly [string, string | undefined])[] {
  return bench.publish().map(({ data }) => [data.imageRepository.name, data.verify]);
}

describe('Tracker', () => {
  it('replays every scanned object once, as initial', () => {
    const bench = new Bench();
    bench.list(['a'], ['b'], ['unscanned', { revision: '' }]);
    assert.deepEqual([bench.tracker.size, bench.offers], [3, 2]);
    assert.deepEqual(bench.reasons(), ['a:initial', 'b:initial']);
    bench.list(['a'], ['b'], ['unscanned', { revision: '' }]);
    assert.deepEqual(bench.reasons(), []);
    bench.see('unscanned');
    assert.deepEqual(bench.reasons(), ['unscanned:changed']);
  });

  it('takes the first list for published without replay, and later changes for changes', () => {
    const bench = new Bench({ replayOnStart: false });
    bench.list(['a'], ['b']);
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { revision: '2' });
    assert.deepEqual(bench.reasons(), ['a:changed']);
    bench.see('entered');
    assert.deepEqual(bench.reasons(), ['entered:initial']);
  });

  it('tells the previous revision', () => {
    const bench = new Bench();
    bench.list(['a']);
    assert.equal(bench.publish()[0]?.data.previousRevision, undefined);
    bench.see('a', { revision: '2' });
    assert.equal(bench.publish()[0]?.data.previousRevision, '1');
  });

  it('leaves what waits in the replay there while its scans change nothing', () => {
    const bench = new Bench();
    bench.list(['a']);
    bench.see('a', { scanTime: '2026-08-10T10:00:00Z' });
    assert.equal(bench.queue.depth('replay'), 1);
    assert.equal(bench.queue.depth('change'), 0);
    bench.see('a', { revision: '2' });
    assert.equal(bench.queue.depth('replay'), 0);
    assert.deepEqual(bench.reasons(), ['a:changed']);
  });

  it('publishes the newest state, whatever was decided upon', () => {
    const bench = new Bench();
    bench.list();
    bench.see('a', { revision: '' });
    for (const revision of ['1', '2', '3']) bench.see('a', { revision });
    const [event, ...more] = bench.publish();
    assert.deepEqual([event?.data.revision, event?.data.reason, more], ['3', 'changed', []]);
  });

  it('publishes nothing twice that is being published', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.see('a', { scanTime: '2026-08-10T10:00:00Z' });
    assert.equal(bench.queue.waiting(taken.subject.uid), undefined);
    bench.accept(taken);
    bench.see('a', { scanTime: '2026-08-10T10:05:00Z' });
    assert.deepEqual(bench.reasons(), []);
  });

  it('publishes again what Pub/Sub did not take', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.refuse(taken, new MirrorError('PUBLISH_FAILED', 'away'));
    assert.deepEqual(bench.reasons(), ['a:initial']);
  });

  it('publishes again what came again while Pub/Sub did not take it', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.tracker.deleted('uid-of-flux-system-a');
    bench.see('a', { revision: '2' });
    bench.refuse(taken, new MirrorError('PUBLISH_FAILED', 'away'));
    assert.deepEqual(bench.revisions(), ['2']);
    assert.deepEqual(bench.reasons(), []);
  });

  it('publishes nothing of what is deleted while Pub/Sub does not take it', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.tracker.deleted('uid-of-flux-system-a');
    bench.refuse(taken, new MirrorError('PUBLISH_FAILED', 'away'));
    assert.deepEqual(bench.reasons(), []);
  });

  it('forgets what is deleted, waiting events included', () => {
    const bench = new Bench();
    bench.list(['a']);
    for (const _time of [1, 2]) bench.tracker.deleted('uid-of-flux-system-a');
    assert.deepEqual([bench.tracker.size, bench.queue.depth('replay')], [0, 0]);
    assert.deepEqual(bench.reasons(), []);
    bench.see('a');
    assert.deepEqual(bench.reasons(), ['a:initial']);
  });

  it('forgets what a new list lacks, and publishes what changed meanwhile', () => {
    const bench = new Bench();
    bench.published(['a'], ['b']);
    bench.list(['b', { revision: '2' }], ['c']);
    assert.equal(bench.tracker.size, 2);
    assert.deepEqual(bench.reasons(), ['b:changed', 'c:initial']);
  });

  it('keeps what a new list has malformed', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.tracker.synced(new Set(['uid-of-flux-system-a']));
    bench.see('a');
    assert.deepEqual(bench.reasons(), []);
  });
});

describe('Tracker, suspended and disabled objects', () => {
  it('publishes what is found suspended when it is resumed', () => {
    const bench = new Bench();
    bench.list(['a', { suspend: true }]);
    assert.deepEqual(bench.reasons(), []);
    bench.see('a');
    assert.deepEqual(bench.reasons(), ['a:initial']);
  });

  it('publishes what is found suspended when its revision moves', () => {
    const bench = new Bench();
    bench.list(['a', { suspend: true }]);
    bench.see('a', { suspend: true, revision: '2' });
    assert.deepEqual(bench.reasons(), ['a:changed']);
  });

  it('gives up a replay that waits when the object is suspended, until it is resumed', () => {
    const bench = new Bench();
    bench.list(['a']);
    bench.see('a', { suspend: true });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a');
    assert.deepEqual(bench.reasons(), ['a:initial']);
  });

  it('publishes nothing of a disabled object until it is enabled', async () => {
    const bench = new Bench();
    const disabled = { annotations: { enabled: 'false' } };
    bench.list(['a', disabled], ['b']);
    assert.deepEqual(bench.reasons(), ['b:initial']);
    bench.see('b', { ...disabled, revision: '2' });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a');
    bench.see('b', { revision: '2' });
    assert.deepEqual(bench.reasons(), ['b:changed', 'a:initial']);
    const counts = { Disabled: 2, FirstSeen: 1, Released: 1, RevisionChanged: 1 };
    assert.deepEqual(await bench.decisions(), counts);
  });

  it('drops what waits of an object that is disabled meanwhile', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { revision: '2' });
    bench.see('a', { revision: '2', annotations: { enabled: 'false' } });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { revision: '2' });
    assert.deepEqual(bench.reasons(), ['a:changed']);
  });
});

describe('Tracker, requestedAt', () => {
  it('does what was asked for in the hour before it started', () => {
    const bench = new Bench();
    const at = (ms: number): Wanted => ({
      annotations: { requestedAt: new Date(bench.wallMs + ms).toISOString() },
    });
    bench.list(
      ['young', at(-HOUR_MS + 1000)],
      ['ahead', at(MINUTE_MS)],
      ['old', at(-HOUR_MS)],
      ['token', { annotations: { requestedAt: 'again' } }],
    );
    assert.deepEqual(bench.reasons(), [
      'young:requested',
      'ahead:requested',
      'old:initial',
      'token:initial',
    ]);
  });

  it('takes the value it finds for old and any new one for a request', () => {
    const bench = new Bench();
    bench.list(['a', { annotations: { requestedAt: '1' } }]);
    assert.deepEqual(bench.reasons(), ['a:initial']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { annotations: { requestedAt: '0' } });
    assert.deepEqual(bench.reasons(), ['a:requested']);
    bench.see('a', { annotations: { requestedAt: '0' } });
    assert.deepEqual(bench.reasons(), []);
  });

  it('makes events of two values differ in their id', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    const [one] = bench.publish();
    bench.see('a', { annotations: { requestedAt: '2' } });
    const [two] = bench.publish();
    assert.notEqual(one?.id, two?.id);
  });

  it('works on a suspended object', () => {
    const bench = new Bench();
    bench.list(['a', { suspend: true }]);
    bench.see('a', { suspend: true, annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), ['a:requested']);
  });

  it('waits while the object is refused, also where that comes before it is sent', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { annotations: { requestedAt: '1', include: '(' } });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { annotations: { requestedAt: '1' } });
    bench.see('a', { annotations: { requestedAt: '1', include: '(' } });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), ['a:requested']);
  });

  it('asks for nothing again that was done, not taken at first, or before the object was refused', () => {
    const bench = new Bench();
    const annotations = { requestedAt: '1' };
    bench.published(['a']);
    bench.see('a', { annotations });
    bench.refuse(bench.takeOne(), new MirrorError('PUBLISH_FAILED', 'away'));
    assert.deepEqual(bench.reasons(), ['a:requested']);
    bench.see('a', { annotations });
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { revision: '2', annotations });
    bench.see('a', { revision: '2', annotations: { ...annotations, include: '(' } });
    bench.see('a', { revision: '2', annotations });
    assert.deepEqual(bench.reasons(), ['a:changed']);
  });
});

describe('Tracker, configuration and refusal', () => {
  it('asks again for what was asked for and too large when it was sent', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    const taken = bench.takeOne();
    bench.refuse(taken, new MirrorError('EVENT_TOO_LARGE', 'too large'));
    bench.see('a', { revision: '2', annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), ['a:requested']);
  });

  it('asks again for what was asked for and refused while Pub/Sub did not take it', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    const taken = bench.takeOne();
    bench.see('a', { annotations: { requestedAt: '1', include: '(' } });
    bench.refuse(taken, new MirrorError('PUBLISH_FAILED', 'away'));
    assert.deepEqual(bench.reasons(), []);
    bench.see('a', { annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), ['a:requested']);
  });

  it('publishes what changed while the state before was refused as too large', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.see('a', { revision: '2' });
    bench.refuse(taken, new MirrorError('EVENT_TOO_LARGE', 'too large'));
    assert.deepEqual(bench.reasons(), ['a:changed']);
  });

  it('publishes an annotation alone as configured', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.see('a', { annotations: { semver: '>=2' } });
    const [event] = bench.publish();
    assert.equal(event?.data.reason, 'configured');
    assert.deepEqual(event.data.selection, { semver: '>=2' });
  });

  it('refuses an invalid object alone until it is mended, and tells once', async () => {
    const bench = new Bench();
    const unscanned = { revision: '', annotations: { latest: 'x' } };
    bench.list(['a', { annotations: { latest: 'x' } }], ['b'], ['unscanned', unscanned]);
    assert.deepEqual(bench.reasons(), ['b:initial']);
    assert.equal(bench.refusals.get('a')?.reason, 'AnnotationInvalid');
    assert.equal(bench.tracker.refusedCounts().AnnotationInvalid, 2);
    bench.tracker.deleted('uid-of-flux-system-unscanned');
    bench.see('a', { revision: '2', annotations: { latest: 'x' } });
    assert.deepEqual(bench.reasons(), []);
    assert.equal(bench.told, 2);
    assert.deepEqual(await bench.decisions(), { AnnotationInvalid: 3, FirstSeen: 1 });
    bench.see('a', { revision: '2', annotations: { latest: '5' } });
    assert.equal(bench.refusals.size, 0);
    assert.deepEqual(bench.reasons(), ['a:changed']);
    assert.equal(bench.tracker.refusedCounts().AnnotationInvalid, 0);
  });

  it('clears the refusal of what is deleted', () => {
    const bench = new Bench();
    bench.list(['a', { annotations: { latest: 'x' } }]);
    bench.tracker.deleted('uid-of-flux-system-a');
    assert.equal(bench.refusals.size, 0);
  });

  const old: Wanted = { image: 'ghcr.io/a/app', createdAt: '2024-01-01T00:00:00Z' };
  const young: Wanted = { image: 'ghcr.io/b/app', createdAt: '2025-01-01T00:00:00Z' };

  it('refuses the newer of two with one destination, whichever is listed first', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.list(['young', young], ['old', old]);
    assert.deepEqual(bench.reasons(), ['old:initial']);
    assert.equal(bench.refusals.get('young')?.reason, 'DestinationCollision');
  });

  it('publishes the newer when the older goes', () => {
    for (const go of ['deleted', 'disabled', 'moved'] as const) {
      const bench = new Bench({ destinationLayout: 'name' });
      bench.published(['young', young], ['old', old]);
      if (go === 'deleted') bench.tracker.deleted('uid-of-flux-system-old');
      if (go === 'disabled') bench.see('old', { ...old, annotations: { enabled: 'false' } });
      if (go === 'moved') bench.see('old', { ...old, annotations: { destination: 'team/x' } });
      const reasons = bench.reasons();
      assert.ok(reasons.includes('young:initial'), `${go}: ${reasons.join()}`);
      assert.equal(bench.refusals.size, 0);
    }
  });

  it('says that an event is too large again when a collision is over', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.list(['young', young]);
    const taken = bench.takeOne();
    bench.refuse(taken, new MirrorError('EVENT_TOO_LARGE', 'too large'));
    bench.see('old', old);
    assert.equal(bench.refusals.get('young')?.reason, 'DestinationCollision');
    bench.tracker.deleted('uid-of-flux-system-old');
    assert.deepEqual(bench.refusals.get('young'), {
      reason: 'EventTooLarge',
      message: 'too large',
    });
  });

  it('stops publishing the newer when the older comes', () => {
    const bench = new Bench({ destinationLayout: 'path' });
    bench.published(['young', { ...young, image: 'quay.io/org/app' }]);
    bench.see('old', { ...old, image: 'ghcr.io/org/app' });
    assert.deepEqual(bench.reasons(), ['old:initial']);
    bench.see('young', { ...young, image: 'quay.io/org/app', revision: '2' });
    assert.deepEqual(bench.reasons(), []);
    assert.equal(bench.refusals.get('young')?.reason, 'DestinationCollision');
  });

  it('publishes again what was published before another wrote to its destination, once that goes', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.list(['young', young]);
    assert.deepEqual(bench.reasons(), ['young:initial']);
    bench.see('old', old);
    assert.deepEqual(bench.reasons(), ['old:initial']);
    bench.tracker.deleted('uid-of-flux-system-old');
    assert.deepEqual(bench.reasons(), ['young:initial']);
    bench.see('young', young);
    assert.deepEqual(bench.reasons(), []);
  });

  it('publishes once what wins its destination back, with every tag compared', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.published(['young', young]);
    bench.see('old', old);
    assert.deepEqual(verified(bench), [['old', 'all']]);
    bench.tracker.deleted('uid-of-flux-system-old');
    const taken = bench.takeOne();
    bench.refuse(taken, new MirrorError('NETWORK', 'cut'));
    bench.see('young', young);
    assert.deepEqual(verified(bench), [['young', 'all']]);
    bench.see('young', young);
    assert.deepEqual(verified(bench), []);
  });

  for (const [what, annotations] of [
    ['was disabled', { enabled: 'false' }],
    ['had a mistake', { latest: 'x' }],
    ['was elsewhere', { destination: 'team/x' }],
  ] as const) {
    for (const how of ['see', 'list'] as const) {
      it(`has them compared of an older one that ${what} while the younger was published (${how})`, () => {
        const bench = new Bench({ destinationLayout: 'name' });
        bench.published(['young', young], ['old', old]);
        bench.see('old', { ...old, annotations });
        assert.ok(bench.reasons().includes('young:initial'));
        if (how === 'see') bench.see('old', old);
        else bench.list(['young', young], ['old', old]);
        assert.equal(bench.refusals.get('young')?.reason, 'DestinationCollision');
        assert.deepEqual(verified(bench), [['old', 'all']]);
      });

      it(`has them compared of one that ${what} while the younger came and went (${how})`, () => {
        const bench = new Bench({ destinationLayout: 'name' });
        bench.published(['old', old]);
        bench.list(['old', { ...old, annotations }], ['young', young]);
        assert.ok(bench.reasons().includes('young:initial'));
        bench.tracker.deleted('uid-of-flux-system-young');
        if (how === 'see') bench.see('old', old);
        else bench.list(['old', old]);
        assert.deepEqual(verified(bench), [['old', 'all']]);
      });
    }
  }

  it('has them compared of an object that names another image and keeps its destination', () => {
    const annotations = { destination: 'team/app' };
    const bench = new Bench();
    bench.list(['a', { image: 'ghcr.io/a/app', annotations }]);
    assert.deepEqual(verified(bench), [['a', undefined]]);
    bench.see('a', { image: 'ghcr.io/b/app', annotations });
    assert.deepEqual(verified(bench), [['a', 'all']]);
    bench.see('a', { image: 'ghcr.io/c/app' });
    assert.deepEqual(verified(bench), [['a', undefined]]);
  });

  it('has them compared where the first list counts as published', () => {
    const bench = new Bench({ destinationLayout: 'name', replayOnStart: false });
    bench.list(['old', old]);
    bench.tracker.deleted('uid-of-flux-system-old');
    bench.see('young', young);
    assert.deepEqual(verified(bench), [['young', 'all']]);
  });

  it('has them compared by all that comes later: which names are the other image’s nobody knows', () => {
    const annotations = { destination: 'team/app' };
    const right = { image: 'ghcr.io/org/right', annotations };
    const bench = new Bench({ followUpMs: 10 * MINUTE_MS, resyncIntervalMs: 6 * HOUR_MS });
    bench.list();
    bench.see('a', { image: 'ghcr.io/org/wrong', annotations });
    bench.publish();
    bench.see('a', right);
    assert.deepEqual(verified(bench), [['a', 'all']]);
    const seen = new Set<string>();
    for (let minute = 0; minute < 48 * 60; minute += 5) {
      bench.pass(5 * MINUTE_MS);
      for (const { data } of bench.publish()) seen.add(`${data.reason} ${data.verify ?? ''}`);
    }
    assert.deepEqual([...seen], ['follow-up all', 'resync all']);
    bench.see('a', { ...right, revision: '2' });
    assert.deepEqual(verified(bench), [['a', 'all']]);
    bench.see('a', { ...right, revision: '2', annotations: { ...annotations, include: '^2' } });
    assert.deepEqual(verified(bench), [['a', 'all']]);
  });

  it('has nothing compared again for an object whose deletion does not end', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.published(['old', old]);
    bench.see('old', { ...old, deleting: true });
    bench.see('young', young);
    assert.deepEqual(verified(bench), [['young', 'all']]);
    bench.list(['old', { ...old, deleting: true }], ['young', young]);
    assert.deepEqual(verified(bench), []);
  });

  for (const how of ['is taken late', 'fails late', 'is too large'] as const) {
    const isAgain = how !== 'is too large';
    it(`has them compared again: ${isAgain}, where an event of the one before ${how}`, () => {
      const bench = new Bench({ destinationLayout: 'name' });
      bench.list(['old', old]);
      const late = bench.takeOne();
      bench.tracker.deleted('uid-of-flux-system-old');
      bench.see('young', young);
      assert.deepEqual(verified(bench), [['young', 'all']]);
      bench.see('young', young);
      assert.deepEqual(verified(bench), []);
      if (how === 'is taken late') bench.accept(late);
      else bench.refuse(late, new MirrorError(isAgain ? 'NETWORK' : 'EVENT_TOO_LARGE', how));
      assert.deepEqual(verified(bench), isAgain ? [['young', 'all']] : []);
      bench.see('young', young);
      assert.deepEqual(verified(bench), []);
    });
  }

  it('has them compared also where it was refused for something else at last', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.published(['young', young]);
    bench.see('old', old);
    bench.see('young', { ...young, annotations: { latest: 'x' } });
    assert.equal(bench.refusals.get('young')?.reason, 'AnnotationInvalid');
    bench.tracker.deleted('uid-of-flux-system-old');
    bench.publish();
    bench.see('young', young);
    assert.deepEqual(verified(bench), [['young', 'all']]);
  });

  it('has them compared also where an event was on its way while another held the destination', () => {
    const bench = new Bench({ destinationLayout: 'name' });
    bench.list(['young', young]);
    const taken = bench.takeOne();
    bench.see('old', old);
    bench.publish();
    bench.tracker.deleted('uid-of-flux-system-old');
    bench.accept(taken);
    assert.deepEqual(verified(bench), [['young', 'all']]);
    bench.see('young', young);
    assert.deepEqual(verified(bench), []);
  });

  it('resyncs what changed while the state before was refused as too large', () => {
    const bench = new Bench({ resyncIntervalMs: HOUR_MS });
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.see('a', { revision: '2' });
    bench.refuse(taken, new MirrorError('EVENT_TOO_LARGE', 'too large'));
    assert.deepEqual(bench.reasons(), ['a:changed']);
    assert.equal(bench.refusals.size, 0);
    bench.pass(HOUR_MS);
    assert.deepEqual(bench.reasons(), ['a:resync']);
  });

  it('refuses an event that is too large until the object changes', () => {
    const bench = new Bench();
    bench.list(['a']);
    const taken = bench.takeOne();
    bench.refuse(taken, new MirrorError('EVENT_TOO_LARGE', 'too large'));
    assert.equal(bench.told, 1);
    bench.see('a', { scanTime: '2026-08-10T10:00:00Z' });
    assert.deepEqual(bench.reasons(), []);
    assert.equal(bench.refusals.get('a')?.reason, 'EventTooLarge');
    bench.see('a', { revision: '2' });
    assert.equal(bench.reasons().length, 1);
    assert.equal(bench.refusals.size, 0);
  });
});

describe('Tracker, resync and follow-up', () => {
  it('publishes each object once an interval, at its own moment', () => {
    const bench = new Bench({ resyncIntervalMs: HOUR_MS });
    const names = ['a', 'b', 'c', 'd'];
    bench.published(...names.map((name) => [name] as const));
    const moments = new Map<string, number[]>();
    for (let second = 0; second < 2 * 3600; second += 1) {
      bench.pass(1000);
      for (const { data } of bench.publish()) {
        assert.equal(data.reason, 'resync');
        const { name } = data.imageRepository;
        moments.set(name, [...(moments.get(name) ?? []), bench.wallMs]);
      }
    }
    assert.equal(new Set([...moments.values()].map(([first]) => first)).size, names.length);
    for (const name of names) {
      const [first = 0, second = 0, ...more] = moments.get(name) ?? [];
      assert.equal(second - first, HOUR_MS, name);
      assert.deepEqual(more, []);
    }
  });

  it('gives events of two slots different ids', () => {
    const bench = new Bench({ resyncIntervalMs: MINUTE_MS });
    bench.published(['a']);
    bench.pass(MINUTE_MS);
    const [one] = bench.publish();
    bench.pass(MINUTE_MS);
    const [two] = bench.publish();
    assert.ok(one !== undefined && two !== undefined);
    assert.notEqual(one.id, two.id);
  });

  it('is due once, however far the clock is set forward, and not when it is set back', async () => {
    const bench = new Bench({ resyncIntervalMs: HOUR_MS });
    bench.published(['a']);
    bench.wallMs += 10 * HOUR_MS;
    bench.tracker.tick();
    assert.deepEqual(bench.reasons(), ['a:resync']);
    bench.wallMs -= 10 * HOUR_MS;
    bench.tracker.tick();
    bench.pass(1000);
    assert.deepEqual(bench.reasons(), []);
    // A list in between is no tick.
    bench.wallMs += HOUR_MS;
    bench.list(['a']);
    bench.tracker.tick();
    assert.deepEqual(bench.reasons(), ['a:resync']);
    assert.match(await bench.metrics.text(), /decisions_total\{cause="Resync"\} 2/);
  });

  it('publishes once more some time after a change', () => {
    const bench = new Bench({ followUpMs: 10 * MINUTE_MS });
    bench.published(['a']);
    bench.see('a', { revision: '2' });
    bench.publish();
    bench.pass(10 * MINUTE_MS - 1);
    assert.deepEqual(bench.reasons(), []);
    bench.pass(1);
    assert.deepEqual(bench.reasons(), ['a:follow-up']);
    bench.pass(HOUR_MS);
    assert.deepEqual(bench.reasons(), []);
  });

  it('follows up the first and the last of several changes', () => {
    const bench = new Bench({ followUpMs: 10 * MINUTE_MS });
    bench.published(['a']);
    const followedUpAt: number[] = [];
    for (let minute = 0; minute < 30; minute += 1) {
      if (minute < 9) bench.see('a', { revision: String(minute + 2) });
      if (bench.reasons().includes('a:follow-up')) followedUpAt.push(minute);
      bench.pass(MINUTE_MS);
    }
    assert.deepEqual(followedUpAt, [10, 18]);
  });

  for (const replayOnStart of [true, false]) {
    it(`follows up what changed shortly before it started, replay ${replayOnStart}`, () => {
      const bench = new Bench({ followUpMs: 10 * MINUTE_MS, replayOnStart });
      const scanTime = new Date(bench.wallMs).toISOString();
      const before = (ms: number): string => new Date(bench.wallMs - ms).toISOString();
      bench.published(
        ['young', { scanTime, readySince: before(4 * MINUTE_MS) }],
        ['old', { scanTime, readySince: before(10 * MINUTE_MS) }],
        ['unknown', { scanTime, readySince: '' }],
      );
      bench.pass(6 * MINUTE_MS - 1000);
      assert.deepEqual(bench.reasons(), []);
      bench.pass(1000);
      assert.deepEqual(bench.reasons(), ['young:follow-up']);
      bench.tracker.takeOver();
      bench.publish();
      bench.pass(HOUR_MS);
      assert.deepEqual(bench.reasons(), []);
    });
  }

  it('follows up no configuration, no initial of long ago and no request', () => {
    const bench = new Bench({ followUpMs: MINUTE_MS });
    bench.published(['a', { readySince: '2026-08-09T00:00:00Z' }]);
    bench.see('a', { annotations: { latest: '1' } });
    bench.see('a', { annotations: { latest: '1', requestedAt: '1' } });
    bench.publish();
    bench.pass(5 * MINUTE_MS);
    assert.deepEqual(bench.reasons(), []);
  });

  it('is kept from what is suspended, disabled, refused, unscanned or being deleted', () => {
    const bench = new Bench({ resyncIntervalMs: MINUTE_MS, followUpMs: MINUTE_MS });
    bench.published(
      ['suspended', { suspend: true }],
      ['disabled', { annotations: { enabled: 'false' } }],
      ['refused', { annotations: { latest: 'x' } }],
      ['unscanned', { revision: '' }],
      ['deleting', { deleting: true }],
    );
    bench.pass(5 * MINUTE_MS);
    assert.equal(bench.queue.oldestSinceMs(), undefined);
  });

  it('gives up a resync that waits when the object is suspended', () => {
    const bench = new Bench({ resyncIntervalMs: MINUTE_MS });
    bench.published(['a']);
    bench.pass(MINUTE_MS);
    bench.see('a', { suspend: true });
    assert.deepEqual(bench.reasons(), []);
  });

  it('does nothing before the list is complete', () => {
    const bench = new Bench({ resyncIntervalMs: 1000 });
    bench.tracker.listed(readImageRepository(imageRepository('a', { revision: '1' })));
    bench.pass(10_000);
    assert.deepEqual(bench.reasons(), []);
  });
});

describe('Tracker, when this replica takes over', () => {
  it('publishes what changed while it stood by as changes, and all else as on a first start', async () => {
    const bench = new Bench();
    bench.list(['a'], ['b'], ['c']);
    bench.see('b', { revision: '2' });
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['b:changed', 'a:initial', 'c:initial']);
    assert.deepEqual(await bench.decisions(), { FirstSeen: 3, RevisionChanged: 1 });
  });

  it('publishes what it published itself in an earlier term again', () => {
    const bench = new Bench();
    bench.published(['a'], ['b'], ['paused', { suspend: true }]);
    bench.see('b', { revision: '2' });
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['b:changed', 'a:initial']);
    bench.see('a', { scanTime: '2026-08-10T10:00:00Z' });
    assert.deepEqual(bench.reasons(), []);
  });

  it('replays nothing where nothing is to be replayed on start', () => {
    const bench = new Bench({ replayOnStart: false });
    bench.list(['a'], ['b']);
    bench.see('b', { revision: '2' });
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['b:changed']);
  });

  it('publishes the resyncs that became due while it stood by, where nothing is replayed', () => {
    const bench = new Bench({ resyncIntervalMs: HOUR_MS, replayOnStart: false });
    bench.list(['a']);
    bench.wallMs += 10 * HOUR_MS;
    bench.tracker.takeOver();
    bench.tracker.tick();
    assert.deepEqual(bench.reasons(), ['a:resync']);
  });

  it('repeats no request of long ago as one', () => {
    const bench = new Bench();
    bench.list(['a'], ['b']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    bench.nowMs += HOUR_MS;
    bench.see('a', { annotations: { requestedAt: '1' }, scanTime: '2026-08-10T10:00:00Z' });
    bench.see('b', { annotations: { requestedAt: '1' } });
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['a:changed', 'b:requested']);
    bench.see('a', { annotations: { requestedAt: '1' } });
    assert.deepEqual(bench.reasons(), []);
  });

  it('repeats one of long ago that it could not publish in an earlier term', () => {
    const bench = new Bench();
    bench.published(['a']);
    bench.isLeading = true;
    bench.see('a', { annotations: { requestedAt: '1' } });
    bench.nowMs += HOUR_MS;
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['a:requested']);
  });

  it('takes the replay for the resyncs that became due while it stood by', () => {
    const bench = new Bench({ resyncIntervalMs: HOUR_MS });
    bench.list(['a']);
    bench.wallMs += 10 * HOUR_MS;
    bench.tracker.takeOver();
    bench.tracker.tick();
    assert.deepEqual(bench.reasons(), ['a:initial']);
  });

  it('follows up what changed while it stood by', () => {
    const bench = new Bench({ followUpMs: 10 * MINUTE_MS });
    bench.list(['a']);
    bench.see('a', { revision: '2' });
    bench.nowMs += HOUR_MS;
    bench.tracker.takeOver();
    assert.deepEqual(bench.reasons(), ['a:changed']);
    bench.pass(10 * MINUTE_MS);
    assert.deepEqual(bench.reasons(), ['a:follow-up']);
  });
});
