import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  coreEventToStored,
  eventViolations,
  newEventToStored,
  showCoreEvent,
  showNewEvent,
} from '../../stand-ins/kubernetes/event.ts';
import type { KubeObject } from '../../stand-ins/kubernetes/object.ts';
import { refusal } from './fixtures.ts';

const time = '2026-01-01T00:00:00.000000Z';
const timed = {
  metadata: { name: 'e', namespace: 'flux-system' },
  involvedObject: { namespace: 'flux-system', name: 'one' },
  eventTime: time,
  reportingComponent: 'imagerepo-mirror',
  reportingInstance: 'one',
  action: 'Publish',
  reason: 'Refused',
  type: 'Warning',
  message: 'what happened',
};

describe('an Event', () => {
  it('is the same in both groups', () => {
    const sent = {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'e', namespace: 'flux-system' },
      regarding: { name: 'one' },
      note: 'what happened',
      reportingController: 'imagerepo-mirror',
      eventTime: time,
    };
    const kept = newEventToStored(sent) as unknown as KubeObject;
    const core = showCoreEvent(kept);
    assert.deepEqual(
      [core.apiVersion, core['message'], core['reportingComponent'], core['firstTimestamp']],
      ['v1', 'what happened', 'imagerepo-mirror', null],
    );
    const shown = showNewEvent(kept);
    assert.deepEqual(
      [shown.apiVersion, shown['note'], shown['regarding'], shown['deprecatedSource']],
      ['events.k8s.io/v1', 'what happened', { name: 'one' }, {}],
    );
    // What it is shown as can be sent back and is the same again.
    assert.deepEqual(newEventToStored(shown), kept);
    assert.deepEqual(coreEventToStored(core), kept);
  });

  for (const [name, change, group, expected] of [
    ['complete', {}, 'events.k8s.io', []],
    ['complete', {}, 'core', []],
    ['without action', { action: undefined }, 'events.k8s.io', ['action']],
    ['without action', { action: undefined }, 'core', ['action']],
    ['without reporter', { reportingComponent: undefined }, 'core', ['reportingComponent']],
    [
      'without reporter',
      { reportingComponent: undefined },
      'events.k8s.io',
      ['reportingController'],
    ],
    ['with a strange reporter', { reportingComponent: 'a b' }, 'core', ['reportingComponent']],
    ['with a long reason', { reason: 'x'.repeat(129) }, 'core', ['reason']],
    ['with a long note', { message: 'x'.repeat(1025) }, 'core', ['message']],
    ['of another type', { type: 'Odd' }, 'events.k8s.io', ['type']],
    ['of another type', { type: 'Odd' }, 'core', []],
    ['repeated once', { series: { count: 1 } }, 'events.k8s.io', ['series.count']],
    ['without time', { eventTime: undefined, action: undefined }, 'core', []],
    ['without time', { eventTime: undefined }, 'events.k8s.io', ['eventTime']],
  ] as const) {
    it(`${name} has wrong for ${group}: ${expected.join() || 'nothing'}`, () => {
      assert.deepEqual(
        eventViolations({ ...timed, ...change }, undefined, group).map(({ field }) => field),
        expected,
      );
    });
  }

  it('without time must be in the namespace of what it is about', () => {
    const { eventTime: _eventTime, ...legacy } = timed;
    const elsewhere = { ...legacy, involvedObject: { namespace: 'other' } };
    assert.deepEqual(
      eventViolations(elsewhere, undefined, 'core').map(({ field }) => field),
      ['involvedObject.namespace'],
    );
  });

  it('only changes its series in events.k8s.io', () => {
    const series = { count: 2, lastObservedTime: time };
    assert.deepEqual(eventViolations({ ...timed, series }, timed, 'events.k8s.io'), []);
    const changed = { ...timed, message: 'other' };
    assert.equal(eventViolations(changed, timed, 'events.k8s.io').length, 1);
    assert.deepEqual(eventViolations(changed, timed, 'core'), []);
  });

  it('has times of six digits', () => {
    const wrong = { ...timed, series: { lastObservedTime: 'now' } };
    assert.throws(() => eventViolations(wrong, undefined, 'core'), refusal(400));
  });
});
