import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { defined } from '../../../functions/contract/fields.ts';
import {
  doesWorkOf,
  newestOf,
  objectKey,
  type Arrival,
} from '../../../functions/contract/newest.ts';
import {
  REASONS,
  VERIFY,
  type MirrorRequest,
  type Reason,
} from '../../../functions/contract/event.ts';
import { comparesBy } from '../../../functions/mirror/verification.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

const MINUTE_MS = 60_000;
const NOON_MS = Date.UTC(2026, 7, 10, 12);

/** An event of `minute` after noon that arrived so many minutes after noon. */
function arrival(
  revision: string,
  minute: number,
  arrivedMinute = minute,
  reason?: Reason,
): Arrival {
  const time = new Date(NOON_MS + minute * MINUTE_MS).toISOString();
  return {
    event: sampleEvent({ revision, ...(reason === undefined ? {} : { reason }) }, time),
    arrivedAtMs: NOON_MS + arrivedMinute * MINUTE_MS,
  };
}

const compares = comparesBy(MIRROR_OPTIONS);

describe('newest of an object', () => {
  const cases: readonly (readonly [string, readonly [Arrival, ...Arrival[]], string])[] = [
    [
      'is the newest, in whatever order they came',
      [arrival('new', 2, 3), arrival('old', 1, 4)],
      'new',
    ],
    [
      'is the later arrival of equal times',
      [arrival('first', 1, 2), arrival('second', 1, 3)],
      'second',
    ],
    [
      'is never one of the far future',
      [arrival('forged', 9e6, 5), arrival('genuine', 1, 6)],
      'genuine',
    ],
    [
      'is not one of the far future that came last',
      [arrival('genuine', 1), arrival('forged', 7.001, 2)],
      'genuine',
    ],
    [
      'may be of a clock that is five minutes ahead',
      [arrival('old', 1, 1), arrival('ahead', 7, 2)],
      'ahead',
    ],
    [
      'counts a time ahead as its arrival',
      [arrival('ahead', 6, 2), arrival('later', 3, 3)],
      'later',
    ],
    ['is the later of two of the far future', [arrival('a', 90, 1), arrival('b', 60, 2)], 'b'],
  ];
  for (const [name, arrivals, revision] of cases) {
    it(name, () => {
      assert.equal(newestOf(arrivals, compares).event.data.revision, revision);
    });
  }

  it('has the strongest reason of all', () => {
    const { newest, event } = newestOf(
      [arrival('old', 1, 1, 'requested'), arrival('new', 2, 2, 'changed')],
      compares,
    );
    assert.equal(event.data.reason, 'requested');
    assert.equal(newest.event.data.reason, 'changed');
  });

  it('is the newest itself where the others ask for no more', () => {
    const newest = arrival('new', 2, 2, 'requested');
    for (const others of [[], [arrival('old', 1, 1, 'changed')]]) {
      assert.equal(newestOf([newest, ...others], compares).event, newest.event);
    }
  });

  for (const [what, replaced, newer, verify] of [
    ['is to compare all tags where an older one was', { verify: 'all' }, {}, 'all'],
    ['is, where an older one was asked for', { reason: 'requested' }, { verify: 'mutable' }, 'all'],
    [
      'is not, where that one said what it compares',
      { reason: 'requested', verify: 'mutable' },
      {},
      'mutable',
    ],
    ['is as it says, where it replaces none that did', {}, { verify: 'mutable' }, 'mutable'],
    ['is as it was, being alone', undefined, { reason: 'requested' }, undefined],
  ] as const) {
    it(what, () => {
      const at = (data: Partial<MirrorRequest>, minute: number): Arrival => ({
        event: sampleEvent(data, new Date(NOON_MS + minute * MINUTE_MS).toISOString()),
        arrivedAtMs: NOON_MS + minute * MINUTE_MS,
      });
      const newest = at(newer, 2);
      const { event } = newestOf(
        replaced === undefined ? [newest] : [newest, at(replaced, 1)],
        compares,
      );
      assert.equal(event.data.verify, verify);
    });
  }
});

describe('the work of one event', () => {
  for (const [what, one, other, does] of [
    ['is that of an equal one', {}, {}, true],
    ['is that of one with a weaker reason', { reason: 'requested' }, {}, true],
    ['is not that of one with a stronger reason', {}, { reason: 'requested' }, false],
    ['is not that of one that compares more', { reason: 'resync' }, {}, false],
    ['is not that of another configuration', { destination: 'x' }, {}, false],
  ] as const)
    it(what, () => {
      const by = comparesBy({ verifyTags: 'all', resyncVerify: 'none' });
      const [left, right] = [sampleEvent(one).data, sampleEvent(other).data];
      assert.equal(doesWorkOf(left, right, by), does);
    });
});

describe('what stands for two events of an object', () => {
  const ranks = ['none', 'mutable', 'all'];
  const words = [undefined, ...VERIFY];
  const wishes = REASONS.flatMap((reason) => words.map((verify) => defined({ reason, verify })));

  for (const verifyTags of VERIFY) {
    for (const resyncVerify of VERIFY) {
      it(`compares what the one does that compares more (${verifyTags}, ${resyncVerify})`, () => {
        const by = comparesBy({ verifyTags, resyncVerify });
        const rank = (data: MirrorRequest): number => ranks.indexOf(by(data));
        for (const older of wishes) {
          for (const newer of wishes) {
            const [one, two] = [older, newer].map((data, index) => ({
              event: sampleEvent(data, new Date(NOON_MS + index).toISOString()),
              arrivedAtMs: NOON_MS + index,
            })) as [Arrival, Arrival];
            const { event } = newestOf([one, two], by);
            const most = Math.max(rank(one.event.data), rank(two.event.data));
            assert.equal(rank(event.data), most, JSON.stringify([older, newer]));
          }
        }
      });
    }
  }
});

describe('object key', () => {
  it('tells source, uid and image apart', () => {
    const event = sampleEvent();
    const others = [
      { ...event, source: 'x' },
      sampleEvent({ image: 'ghcr.io/org/other' }),
      sampleEvent({ imageRepository: { ...event.data.imageRepository, uid: 'u-2' } }),
    ];
    assert.equal(objectKey(sampleEvent({ revision: 'other' })), objectKey(event));
    assert.equal(new Set([event, ...others].map(objectKey)).size, 4);
  });
});
