import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ERRORS, MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import {
  decideAfterError,
  decideAfterWork,
  decideShared,
  Redelivery,
  type Decision,
} from '../../../functions/subscriber/decision.ts';
import { sampleEvent, sampleRecord, sampleReport } from './samples.ts';

const transient = sampleRecord({
  tag: 'slow',
  outcome: 'failed',
  fault: new MirrorError('SERVER_ERROR', 'x'),
});
const permanent = sampleRecord({
  tag: 'bad',
  outcome: 'failed',
  fault: new MirrorError('MANIFEST_TOO_LARGE', 'x'),
});
const late = sampleRecord({
  tag: 'late',
  outcome: 'failed',
  fault: new MirrorError('DEADLINE_EXCEEDED', 'x'),
});

function words(decision: Decision): string {
  return `${decision.action} ${decision.reason}`;
}

describe('decision after work', () => {
  const event = sampleEvent();
  const cases: readonly [name: string, expected: string, decision: () => Decision][] = [
    [
      'all copied',
      'acknowledge Finished',
      () => decideAfterWork(event, sampleReport([sampleRecord()]), true),
    ],
    ['nothing to do', 'acknowledge Finished', () => decideAfterWork(event, sampleReport(), true)],
    [
      'lost, drifted and held tags',
      'acknowledge Finished',
      () =>
        decideAfterWork(
          event,
          sampleReport([
            sampleRecord({ outcome: 'lost' }),
            sampleRecord({ outcome: 'drifted' }),
            sampleRecord({ outcome: 'held' }),
          ]),
          true,
        ),
    ],
    [
      'a permanent failure among good tags',
      'acknowledge PermanentFailures',
      () => decideAfterWork(event, sampleReport([sampleRecord(), permanent]), true),
    ],
    [
      'a transient failure beside a permanent one',
      'retry TransientFailures',
      () => decideAfterWork(event, sampleReport([transient, permanent]), true),
    ],
    [
      'a transient failure beside what was done',
      'continue TransientFailures',
      () => decideAfterWork(event, sampleReport([transient], { progressed: true }), true),
    ],
    [
      'the same without a topic to go on',
      'retry TransientFailures',
      () => decideAfterWork(event, sampleReport([transient], { progressed: true }), false),
    ],
    [
      'the deadline with progress',
      'continue DeadlinePassed',
      () => decideAfterWork(event, sampleReport([late], { progressed: true }), true),
    ],
    [
      'the deadline without progress',
      'retry NoProgress',
      () => decideAfterWork(event, sampleReport([late]), true),
    ],
    [
      'the deadline with answers',
      'continue DeadlinePassed',
      () => decideAfterWork(event, sampleReport([late], { answered: 1 }), true),
    ],
    [
      'the deadline with answers that settled tags asked for by name',
      'continue DeadlinePassed',
      () =>
        decideAfterWork(
          sampleEvent({ tags: ['late', 'slow'] }),
          sampleReport([late], { answered: 1 }),
          true,
        ),
    ],
    [
      'the deadline with answers that left as much as was asked for by name',
      'retry NoProgress',
      () =>
        decideAfterWork(
          sampleEvent({ tags: ['late'] }),
          sampleReport([late], { answered: 1 }),
          true,
        ),
    ],
    [
      'the deadline with answers that left only what follows the tags asked for by name',
      'continue DeadlinePassed',
      () =>
        decideAfterWork(sampleEvent({ tags: ['v1'] }), sampleReport([late], { answered: 1 }), true),
    ],
    [
      'the deadline with answers that settled one of two named tags, and left more followers',
      'continue DeadlinePassed',
      () =>
        decideAfterWork(
          sampleEvent({ tags: ['v1', 'late'] }),
          sampleReport(
            ['late', 'sha256-x', 'sha256-y'].map((tag) => ({ ...late, tag })),
            { answered: 1 },
          ),
          true,
        ),
    ],
    [
      'a transient failure beside answers',
      'retry TransientFailures',
      () => decideAfterWork(event, sampleReport([transient], { answered: 1 }), true),
    ],
    [
      'the deadline of the 50th continuation, with answers',
      'dead-letter NeverSucceeds',
      () =>
        decideAfterWork(
          sampleEvent({ continuation: 50, tags: ['late', 'slow'] }),
          sampleReport([late], { answered: 1 }),
          true,
        ),
    ],
    [
      'the deadline without a topic to go on',
      'retry NoBulkTopic',
      () => decideAfterWork(event, sampleReport([late], { progressed: true }), false),
    ],
    [
      'the deadline of the 50th continuation',
      'dead-letter NeverSucceeds',
      () =>
        decideAfterWork(
          sampleEvent({ continuation: 50 }),
          sampleReport([late], { progressed: true }),
          true,
        ),
    ],
    [
      'the deadline of the 49th continuation',
      'continue DeadlinePassed',
      () =>
        decideAfterWork(
          sampleEvent({ continuation: 49 }),
          sampleReport([late], { progressed: true }),
          true,
        ),
    ],
    [
      'a lost source',
      'acknowledge SourceLost',
      () => decideAfterWork(event, sampleReport([], { ending: 'source-lost' }), true),
    ],
    [
      'a hand-off',
      'acknowledge HandedOff',
      () => decideAfterWork(event, sampleReport([transient], { ending: 'handed-off' }), true),
    ],
    [
      'a fan-out',
      'acknowledge FannedOut',
      () => decideAfterWork(event, sampleReport([permanent], { ending: 'fanned-out' }), true),
    ],
  ];
  for (const [name, expected, decision] of cases) {
    it(`is ${expected}: ${name}`, () => {
      assert.equal(words(decision()), expected);
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
  it('is retried where the leader is, and acknowledged otherwise', () => {
    assert.equal(
      words(decideShared({ action: 'retry', reason: 'NoProgress' })),
      'retry NoProgress',
    );
    assert.equal(
      words(decideShared({ action: 'continue', reason: 'DeadlinePassed', tags: ['1.0'] })),
      'acknowledge Shared',
    );
    assert.equal(
      words(decideShared({ action: 'acknowledge', reason: 'Finished' })),
      'acknowledge Shared',
    );
  });
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
