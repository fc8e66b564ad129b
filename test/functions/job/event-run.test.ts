import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EncodedEvent } from '../../../functions/contract/codec.ts';
import { Fault, isFault } from '../../../functions/fault.ts';
import { runEvent, taskAttempt, type TaskAttempt } from '../../../functions/job/event-run.ts';
import { readJobConfig } from '../../../functions/config.ts';
import { eventVariable } from '../../../functions/subscriber/hand-off.ts';
import { sampleEvent, sampleRecord, sampleReport } from '../subscriber/samples.ts';
import { workParts } from './work-parts.ts';

const EVENT = eventVariable(sampleEvent());
const failing = sampleReport([
  sampleRecord({ outcome: 'failed', fault: new Fault('SERVER_ERROR', 'x') }),
]);

async function run(
  attempt: TaskAttempt | undefined,
  report = failing,
  event = EVENT,
): Promise<{ letters: EncodedEvent[]; result: Awaited<ReturnType<typeof runEvent>> }> {
  const letters: EncodedEvent[] = [];
  const config = readJobConfig([], { DESTINATION_REGISTRY: 'r.example/m', EVENT });
  const result = await runEvent(
    { ...config, event },
    {
      ...workParts(() => report),
      attempt,
      deadLetters: {
        publish: async (message) => {
          letters.push(message);
          return Promise.resolve();
        },
      },
    },
  );
  return { letters, result };
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

  it('puts nothing aside where all is done', async () => {
    const { letters, result } = await run({ number: 3, isLast: true }, sampleReport());
    assert.equal(letters.length, 0);
    assert.equal(result.repositories[0]?.image, 'ghcr.io/stefanprodan/podinfo');
  });

  it('refuses an event that is none before anything is done', async () => {
    await assert.rejects(run(undefined, failing, '{'), (error) =>
      isFault(error, 'EVENT_UNDECODABLE'),
    );
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
