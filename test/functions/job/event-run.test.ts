import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EncodedEvent } from '../../../functions/contract/codec.ts';
import { Fault } from '../../../functions/fault.ts';
import {
  runEvent,
  taskAttempt,
  type EventRun,
  type TaskAttempt,
} from '../../../functions/job/event-run.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { readJobConfig } from '../../../functions/config.ts';
import { eventVariable } from '../../../functions/subscriber/hand-off.ts';
import { sampleEvent, sampleRecord, sampleReport } from '../subscriber/samples.ts';
import { workParts } from './work-parts.ts';
import { rejection } from '../../faults.ts';

const EVENT = eventVariable(sampleEvent());
const failing = sampleReport([
  sampleRecord({ outcome: 'failed', fault: new Fault('SERVER_ERROR', 'x') }),
]);

interface Ran extends EventRun {
  readonly letters: EncodedEvent[];
  readonly reasons: string[];
}

async function run(
  attempt: TaskAttempt | undefined,
  report: MirrorReport | Fault = failing,
  { event = EVENT, argv = [] }: { event?: string; argv?: readonly string[] } = {},
): Promise<Ran> {
  const letters: EncodedEvent[] = [];
  const reasons: string[] = [];
  const config = readJobConfig(argv, { DESTINATION_REGISTRY: 'r.example/m', EVENT });
  const ran = await runEvent(
    { ...config, event },
    {
      ...workParts(({ event: { data } }) => {
        reasons.push(data.reason);
        if (report instanceof Fault) throw report;
        return report;
      }),
      attempt,
      deadLetters: {
        publish: async (message) => {
          letters.push(message);
          return Promise.resolve();
        },
      },
    },
  );
  return { letters, reasons, ...ran };
}

describe('run of one event', () => {
  it('puts aside what remains on the last attempt only', async () => {
    assert.equal((await run(undefined)).letters.length, 0);
    assert.equal((await run({ number: 2, isLast: false })).letters.length, 0);
    const { letters } = await run({ number: 3, isLast: true });
    assert.deepEqual(
      letters.map(({ attributes }) => attributes['error-code']),
      ['SERVER_ERROR'],
    );
  });

  it('follows young subjects on later attempts, which find the tags of the first there', async () => {
    const requested = eventVariable(sampleEvent({ reason: 'requested' }));
    const reasons = [
      await run({ number: 0, isLast: false }),
      await run({ number: 1, isLast: false }),
      await run({ number: 1, isLast: false }, failing, { event: requested }),
    ].flatMap((ran) => ran.reasons);
    assert.deepEqual(reasons, ['changed', 'follow-up', 'requested']);
  });

  it('puts nothing aside where all is done', async () => {
    const { letters, result } = await run({ number: 3, isLast: true }, sampleReport());
    assert.equal(letters.length, 0);
    assert.equal(result.repositories[0]?.image, 'ghcr.io/stefanprodan/podinfo');
  });

  it('publishes nothing in a dry run', async () => {
    const { letters } = await run({ number: 3, isLast: true }, failing, { argv: ['--dry-run'] });
    assert.deepEqual(letters, []);
  });

  it('is settled by what is acknowledged: permanent failures are not for another attempt', async () => {
    const permanent = sampleReport([
      sampleRecord({ outcome: 'failed', fault: new Fault('MANIFEST_INVALID', 'x') }),
    ]);
    assert.equal((await run({ number: 0, isLast: false }, permanent)).settled, true);
    assert.equal((await run({ number: 0, isLast: false }, failing)).settled, false);
    assert.equal((await run({ number: 3, isLast: true }, failing)).settled, false);
  });

  it('puts aside at once what no attempt of the task can do', async () => {
    const never = new Fault('SOURCE_FORBIDDEN', 'x', { field: 'data.image' });
    const task = await run({ number: 0, isLast: false }, never);
    assert.deepEqual([task.letters.length, task.settled], [1, true]);
    // By hand it is told, and nobody else is told.
    const byHand = await run(undefined, never);
    assert.deepEqual([byHand.letters.length, byHand.settled], [0, false]);
  });

  it('refuses an event that is none before anything is done', async () => {
    await rejection(run(undefined, failing, { event: '{' }), 'EVENT_UNDECODABLE');
  });
});

describe('task attempt', () => {
  it('is told by Cloud Run, and last after its retries', () => {
    assert.equal(taskAttempt(undefined, 3), undefined);
    assert.equal(taskAttempt('x', 3), undefined);
    assert.deepEqual(taskAttempt('2', 3), { number: 2, isLast: false });
    assert.deepEqual(taskAttempt('3', 3), { number: 3, isLast: true });
    assert.deepEqual(taskAttempt('0', 0), { number: 0, isLast: true });
  });
});
