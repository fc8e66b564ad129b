import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { PublishedState } from '../../bridge/request.ts';
import {
  decide,
  type CurrentState,
  type Decision,
  type TrackedState,
} from '../../bridge/decide.ts';

const A: PublishedState = { image: 'ghcr.io/org/app', revision: 'A', configurationDigest: 'c' };
const B: PublishedState = { ...A, revision: 'B' };
const ELSEWHERE: PublishedState = { ...A, image: 'ghcr.io/org/other' };
const RECONFIGURED: PublishedState = { ...A, configurationDigest: 'd' };

function current(wanted: Partial<CurrentState> = {}): CurrentState {
  return {
    deleting: false,
    enabled: true,
    suspended: false,
    state: A,
    firstSeen: false,
    ...wanted,
  };
}

interface Case {
  readonly name: string;
  readonly tracked: TrackedState;
  readonly current: CurrentState;
  readonly decision: Decision;
}

const skip = (cause: Decision['cause']): Decision => ({ publish: false, cause }) as Decision;
const publish = (
  reason: 'initial' | 'changed' | 'configured' | 'requested',
  cause: Decision['cause'],
): Decision => ({ publish: true, reason, cause }) as Decision;

const cases: readonly Case[] = [
  {
    name: 'publishes what is first seen with a scan, as initial',
    tracked: {},
    current: current({ firstSeen: true }),
    decision: publish('initial', 'FirstSeen'),
  },
  {
    name: 'skips what has no revision, first seen or not',
    tracked: {},
    current: current({ state: undefined, firstSeen: true }),
    decision: skip('NotScanned'),
  },
  {
    name: 'publishes the first scan of what was seen without one, as changed',
    tracked: {},
    current: current(),
    decision: publish('changed', 'FirstScan'),
  },
  {
    name: 'skips what is as it was published',
    tracked: { published: A },
    current: current(),
    decision: skip('Unchanged'),
  },
  {
    name: 'skips when the revision is gone, and remembers nothing of it',
    tracked: { published: A },
    current: current({ state: undefined }),
    decision: skip('NotScanned'),
  },
  {
    name: 'publishes another revision',
    tracked: { published: A },
    current: current({ state: B }),
    decision: publish('changed', 'RevisionChanged'),
  },
  {
    name: 'publishes another image with an equal revision',
    tracked: { published: A },
    current: current({ state: ELSEWHERE }),
    decision: publish('changed', 'ImageChanged'),
  },
  {
    name: 'publishes another configuration alone as configured',
    tracked: { published: A },
    current: current({ state: RECONFIGURED }),
    decision: publish('configured', 'ConfigurationChanged'),
  },
  {
    name: 'skips what is being deleted, whatever changed',
    tracked: { published: A, requestedAt: '1' },
    current: current({ state: B, deleting: true, requestedAt: '2' }),
    decision: skip('Deleting'),
  },
  {
    name: 'skips what is disabled, whatever changed',
    tracked: { published: A, requestedAt: '1' },
    current: current({ state: B, enabled: false, requestedAt: '2' }),
    decision: skip('Disabled'),
  },
  {
    name: 'skips a suspended object at first sight',
    tracked: {},
    current: current({ suspended: true, firstSeen: true }),
    decision: skip('Suspended'),
  },
  {
    name: 'publishes the late patch of a suspended object',
    tracked: { published: A },
    current: current({ suspended: true, state: B }),
    decision: publish('changed', 'RevisionChanged'),
  },
  {
    name: 'skips another configuration of a suspended object',
    tracked: { published: A },
    current: current({ suspended: true, state: RECONFIGURED }),
    decision: skip('Suspended'),
  },
  {
    name: 'publishes what was found suspended when it is resumed',
    tracked: { baseline: A },
    current: current(),
    decision: publish('initial', 'Released'),
  },
  {
    name: 'publishes what was found suspended when its revision moves',
    tracked: { baseline: A },
    current: current({ suspended: true, state: B }),
    decision: publish('changed', 'RevisionChanged'),
  },
  {
    name: 'publishes at a new requestedAt',
    tracked: { published: A, requestedAt: '1' },
    current: current({ requestedAt: '2' }),
    decision: publish('requested', 'Requested'),
  },
  {
    name: 'publishes at a requestedAt of a suspended object',
    tracked: { baseline: A },
    current: current({ suspended: true, requestedAt: '1' }),
    decision: publish('requested', 'Requested'),
  },
  {
    name: 'skips at the requestedAt it has acted upon',
    tracked: { published: A, requestedAt: '1' },
    current: current({ requestedAt: '1' }),
    decision: skip('Unchanged'),
  },
  {
    name: 'skips when the requestedAt is taken away',
    tracked: { published: A, requestedAt: '1' },
    current: current({ requestedAt: undefined }),
    decision: skip('Unchanged'),
  },
  {
    name: 'waits with a requestedAt for the first scan',
    tracked: {},
    current: current({ state: undefined, requestedAt: '1' }),
    decision: skip('NotScanned'),
  },
];

describe('decide', () => {
  for (const { name, tracked, current: now, decision } of cases) {
    it(name, () => {
      assert.deepEqual(decide(tracked, now), decision);
    });
  }
});
