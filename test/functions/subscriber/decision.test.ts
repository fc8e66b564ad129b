import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorRequest } from '../../../functions/contract/event.ts';
import { ERRORS, MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import type { TagRecord } from '../../../functions/mirror/outcome.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import {
  decideAfterError,
  decideAfterWork,
  decideShared,
  Redelivery,
  type Decision,
} from '../../../functions/subscriber/decision.ts';
import { failedRecord, sampleEvent, sampleRecord, sampleReport } from './samples.ts';

const transient = failedRecord('SERVER_ERROR', 'slow');
const permanent = failedRecord('MANIFEST_TOO_LARGE', 'bad');
const late = failedRecord('DEADLINE_EXCEEDED', 'late');

function words(decision: Decision): string {
  return `${decision.action} ${decision.reason}`;
}

/** What came of an event, the facts of its report, what it asked for, and whether there is a topic to go on. */
type Case = readonly [
  name: string,
  expected: string,
  records: readonly TagRecord[],
  facts?: Partial<MirrorReport>,
  data?: Partial<MirrorRequest>,
  hasTopic?: boolean,
];

describe('decision after work', () => {
  const event = sampleEvent();
  const progressed = { progressed: true };
  const answered = { answered: 1 };
  const lostOnes = (['lost', 'drifted', 'held'] as const).map((outcome) =>
    sampleRecord({ outcome }),
  );
  const followers = ['late', 'sha256-x', 'sha256-y'].map((tag) => ({ ...late, tag }));
  const cases: readonly Case[] = [
    ['all copied', 'acknowledge Finished', [sampleRecord()]],
    ['nothing to do', 'acknowledge Finished', []],
    ['lost, drifted and held tags', 'acknowledge Finished', lostOnes],
    [
      'a permanent failure among good tags',
      'acknowledge PermanentFailures',
      [sampleRecord(), permanent],
    ],
    [
      'a transient failure beside a permanent one',
      'retry TransientFailures',
      [transient, permanent],
    ],
    [
      'a transient failure beside what was done',
      'continue TransientFailures',
      [transient],
      progressed,
    ],
    [
      'the same without a topic to go on',
      'retry TransientFailures',
      [transient],
      progressed,
      {},
      false,
    ],
    ['the deadline with progress', 'continue DeadlinePassed', [late], progressed],
    ['the deadline without progress', 'retry NoProgress', [late]],
    ['the deadline with answers', 'continue DeadlinePassed', [late], answered],
    [
      'the deadline with answers that settled tags asked for by name',
      'continue DeadlinePassed',
      [late],
      answered,
      { tags: ['late', 'slow'] },
    ],
    [
      'the deadline with answers that left as much as was asked for by name',
      'retry NoProgress',
      [late],
      answered,
      { tags: ['late'] },
    ],
    [
      'the deadline with answers that left only what follows the tags asked for by name',
      'continue DeadlinePassed',
      [late],
      answered,
      { tags: ['v1'] },
    ],
    [
      'the deadline with answers that settled one of two named tags, and left more followers',
      'continue DeadlinePassed',
      followers,
      answered,
      { tags: ['v1', 'late'] },
    ],
    ['a transient failure beside answers', 'retry TransientFailures', [transient], answered],
    [
      'the deadline of the 50th continuation, with answers',
      'dead-letter NeverSucceeds',
      [late],
      answered,
      { continuation: 50, tags: ['late', 'slow'] },
    ],
    ['the deadline without a topic to go on', 'retry NoBulkTopic', [late], progressed, {}, false],
    [
      'the deadline of the 50th continuation',
      'dead-letter NeverSucceeds',
      [late],
      progressed,
      { continuation: 50 },
    ],
    [
      'the deadline of the 49th continuation',
      'continue DeadlinePassed',
      [late],
      progressed,
      { continuation: 49 },
    ],
    ['a lost source', 'acknowledge SourceLost', [], { ending: 'source-lost' }],
    ['a hand-off', 'acknowledge HandedOff', [transient], { ending: 'handed-off' }],
    ['a fan-out', 'acknowledge FannedOut', [permanent], { ending: 'fanned-out' }],
  ];
  for (const [name, expected, records, facts, data, hasTopic = true] of cases) {
    it(`is ${expected}: ${name}`, () => {
      const report = sampleReport(records, facts);
      assert.equal(words(decideAfterWork(sampleEvent(data), report, hasTopic)), expected);
    });
  }

  it('publishes what a fan-out left unfinished, as a batch', () => {
    const report = sampleReport([sampleRecord(), transient, late, permanent], {
      ending: 'fanned-out',
    });
    assert.deepEqual(decideAfterWork(event, report, true), {
      action: 'batch',
      reason: 'BatchUnfinished',
      tags: ['slow', 'late'],
    });
  });

  it('goes on with exactly what is unfinished', () => {
    const records = [sampleRecord(), transient, late, permanent];
    const decision = decideAfterWork(event, sampleReport(records, { progressed: true }), true);
    assert.deepEqual(decision.action === 'continue' && decision.tags, ['slow', 'late']);
  });

  it('names the exhausted continuations', () => {
    const decision = decideAfterWork(
      sampleEvent({ continuation: 50 }),
      sampleReport([late], { progressed: true }),
      true,
    );
    assert.equal(
      decision.action === 'dead-letter' && decision.fault.code,
      'CONTINUATIONS_EXHAUSTED',
    );
  });
});

describe('decision after a fault', () => {
  const never: readonly ErrorCode[] = [
    'EVENT_UNDECODABLE',
    'EVENT_INVALID',
    'EVENT_TOO_LARGE',
    'REFERENCE_INVALID',
    'SOURCE_FORBIDDEN',
    'DESTINATION_FORBIDDEN',
    'CONTINUATIONS_EXHAUSTED',
  ];
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    const expected = never.includes(code)
      ? 'dead-letter NeverSucceeds'
      : ERRORS[code].disposition === 'transient'
        ? 'retry TransientFailure'
        : 'acknowledge PermanentFailure';
    it(`is ${expected} for ${code}`, () => {
      assert.equal(words(decideAfterError(new MirrorError(code, 'x'))), expected);
    });
  }
});

describe('shared decision', () => {
  for (const [decision, expected] of [
    [{ action: 'retry', reason: 'NoProgress' }, 'retry NoProgress'],
    [{ action: 'continue', reason: 'DeadlinePassed', tags: ['1.0'] }, 'acknowledge Shared'],
    [{ action: 'acknowledge', reason: 'Finished' }, 'acknowledge Shared'],
  ] as const) {
    it(`is ${expected} where the leader's is ${words(decision)}`, () => {
      assert.equal(words(decideShared(decision)), expected);
    });
  }
});

describe('redelivery', () => {
  it('has a stack that is one structured line, for whoever prints it', () => {
    const { stack = '' } = new Redelivery('NoProgress');
    assert.deepEqual(JSON.parse(stack), {
      severity: 'DEBUG',
      message: 'asked for redelivery: NoProgress',
    });
  });
});
