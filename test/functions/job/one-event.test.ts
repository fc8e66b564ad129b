import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  decodeEvent,
  receivedEvent,
  type EncodedEvent,
} from '../../../functions/contract/codec.ts';
import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import {
  executeInJob,
  runEvent,
  taskAttempt,
  type EventRun,
  type TaskAttempt,
} from '../../../functions/job/one-event.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { readJobConfig } from '../../../functions/config.ts';
import type { Work } from '../../../functions/subscriber/execute-event.ts';
import { eventVariable } from '../../../functions/subscriber/cloud-run-job.ts';
import { parseImagePattern } from '../../../functions/subscriber/image-pattern.ts';
import {
  failedRecord,
  keptMessages,
  sampleEvent,
  sampleRecord,
  sampleReport,
} from '../subscriber/samples.ts';
import { jobContext } from './job-context.ts';
import { rejection } from '../../faults.ts';

const EVENT = eventVariable(sampleEvent());
const failing = sampleReport([failedRecord('SERVER_ERROR')]);
const permanent = sampleReport([failedRecord('MANIFEST_INVALID')]);
/** Attempts of a task, the first, a later and the last one. */
const [FIRST, LATER, LAST] = [0, 2, 3].map((number) => ({ number, isLast: number === 3 }));

interface Ran extends EventRun {
  readonly letters: EncodedEvent[];
  readonly reasons: string[];
  /** Its log, but for the lines of tags and of the event. */
  readonly said: readonly unknown[];
}

interface Given {
  readonly event?: string;
  readonly argv?: readonly string[];
  readonly deadLetters?: 'kept' | 'refused' | 'none';
}

async function run(
  attempt: TaskAttempt | undefined,
  report: MirrorReport | MirrorError = failing,
  { event = EVENT, argv = [], deadLetters = 'kept' }: Given = {},
): Promise<Ran> {
  const kept = keptMessages();
  const refused = async (): Promise<string> =>
    Promise.reject(new MirrorError('PUBLISH_FAILED', 'x'));
  const publisher = { kept, refused: { publish: refused }, none: undefined }[deadLetters];
  const reasons: string[] = [];
  const config = readJobConfig(argv, { DESTINATION_REGISTRY: 'r.example/m', EVENT });
  const context = jobContext(({ event: { data }, observer }) => {
    reasons.push(data.reason);
    if (report instanceof MirrorError) throw report;
    for (const record of report.records) observer?.onRecord?.(record);
    return report;
  });
  const ran = await runEvent({ ...config, event }, { ...context, attempt, deadLetters: publisher });
  const own = context.lines.filter(({ entry }) => entry === undefined);
  return { letters: kept.messages, reasons, said: own.map(({ message }) => message), ...ran };
}

describe('run of one event', () => {
  it('puts aside what remains on the last attempt only', async () => {
    assert.equal((await run(undefined)).letters.length, 0);
    assert.equal((await run(LATER)).letters.length, 0);
    const { letters } = await run(LAST);
    assert.deepEqual(
      letters.map(({ attributes }) => attributes['error-code']),
      ['SERVER_ERROR'],
    );
  });

  it('follows young subjects on later attempts, which find the tags of the first there', async () => {
    const requested = eventVariable(sampleEvent({ reason: 'requested' }));
    const reasons = [
      await run(FIRST),
      await run(LATER),
      await run(LATER, failing, { event: requested }),
    ].flatMap((ran) => ran.reasons);
    assert.deepEqual(reasons, ['changed', 'follow-up', 'requested']);
  });

  it('puts nothing aside where all is done', async () => {
    const { letters, result } = await run(LAST, sampleReport());
    assert.equal(letters.length, 0);
    assert.equal(result.repositories[0]?.image, 'ghcr.io/stefanprodan/podinfo');
  });

  it('is told in full as JSON alone: each tag, or why there is none', async () => {
    const report = sampleReport([sampleRecord()]);
    const fault = new MirrorError('SERVER_ERROR', 'x');
    for (const [argv, came, told] of [
      [[], report, { report }],
      [['-o', 'json'], report, { report, records: [sampleRecord()] }],
      [['-o', 'json'], fault, { fault }],
    ] as const) {
      const { result } = await run(undefined, came, { argv });
      const [{ image, durationMs, ...rest } = assert.fail()] = result.repositories;
      assert.deepEqual(rest, told);
      assert.ok(image !== '' && durationMs >= 0 && durationMs < 60_000);
    }
  });

  it('publishes nothing in a dry run', async () => {
    const { letters } = await run(LAST, failing, { argv: ['--dry-run'] });
    assert.deepEqual(letters, []);
  });

  it('is settled by what is acknowledged: permanent failures are not for another attempt', async () => {
    assert.equal((await run(FIRST, permanent)).settled, true);
    assert.equal((await run(FIRST, failing)).settled, false);
    assert.equal((await run(LAST, failing)).settled, false);
  });

  it('puts aside at once what no attempt of the task can do', async () => {
    const never = new MirrorError('SOURCE_FORBIDDEN', 'x', { field: 'data.image' });
    for (const [deadLetters, count, isSettled, said] of [
      ['kept', 1, true, 'is in the dead-letter topic'],
      ['refused', 0, false, 'could not be put aside'],
      ['none', 0, false, 'is not put aside: no DEAD_LETTER_TOPIC'],
    ] as const) {
      const task = await run(FIRST, never, { deadLetters });
      assert.deepEqual([task.letters.length, task.settled], [count, isSettled]);
      assert.deepEqual(task.said, [`what remains of ghcr.io/stefanprodan/podinfo ${said}`]);
    }
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

describe('an event in the job', () => {
  it('is done by the rules of the service, and given to nobody else', async () => {
    const works: Work[] = [];
    const context = jobContext((work) => {
      works.push(work);
      work.observer?.onBytes?.(7);
      work.observer?.onRecord?.(sampleRecord());
      return sampleReport([sampleRecord()]);
    });
    const result = await executeInJob(sampleEvent(), context);
    assert.equal(result.decision.action, 'acknowledge');
    assert.equal(works[0]?.offload, undefined);
    assert.equal(works[0]!.admission.destinationPath, 'm/ghcr.io/stefanprodan/podinfo');
    assert.deepEqual(
      context.lines.map(({ entry, shared }) => [entry, shared]),
      [
        ['tag', undefined],
        ['event', undefined],
      ],
    );
    assert.deepEqual(context.told, ['7 bytes', 'tag', 'flush']);
  });

  const forbidden: readonly (readonly [
    guard: string,
    data: Parameters<typeof sampleEvent>[0],
    code: ErrorCode,
  ])[] = [
    ['allowed-sources', { image: 'quay.io/x/y' }, 'SOURCE_FORBIDDEN'],
    ['source-in-destination', { image: 'r.example/m/x' }, 'SOURCE_FORBIDDEN'],
    ['allowed-destinations', { destination: 'elsewhere' }, 'DESTINATION_FORBIDDEN'],
  ];
  for (const [guard, data, code] of forbidden) {
    it(`guard ${guard}: is admitted as a pushed event is`, async () => {
      const works: Work[] = [];
      const { engine, ...context } = jobContext((work) => {
        works.push(work);
        return sampleReport();
      });
      const allowedSources = ['ghcr.io/*', 'r.example/*'].map(parseImagePattern);
      const rules = { ...engine.rules, allowedSources };
      const { fault } = await executeInJob(sampleEvent(data), {
        ...context,
        engine: { ...engine, rules },
      });
      assert.equal(fault?.code, code);
      assert.deepEqual(works, []);
    });
  }

  it('never throws', async () => {
    const failing = jobContext(() => {
      throw new MirrorError('SERVER_ERROR', 'x');
    });
    assert.equal((await executeInJob(sampleEvent(), failing)).decision.action, 'retry');
    const forbidden = jobContext(() => sampleReport());
    const inside = sampleEvent({ image: 'r.example/m/x' });
    assert.equal((await executeInJob(inside, forbidden)).decision.action, 'dead-letter');
  });

  it('never continues: it has the time that it needs', async () => {
    const late = sampleReport([failedRecord('ABORTED')], { progressed: true });
    const context = jobContext(() => late);
    assert.equal((await executeInJob(sampleEvent(), context)).decision.action, 'retry');
  });
});

describe('what remains of an event', () => {
  async function lettersOf(report: MirrorReport | MirrorError): Promise<readonly EncodedEvent[]> {
    return (await run(LAST, report)).letters;
  }

  it('is nothing after an acknowledgement, permanent failures included', async () => {
    const lost = sampleReport(failing.records, { ending: 'source-lost' });
    for (const came of [permanent, lost]) {
      const { letters, said } = await run(LAST, came);
      assert.deepEqual([letters, said], [[], []]);
    }
  });

  it('is its unfinished tags, under the code of the first', async () => {
    const report = sampleReport([
      sampleRecord({ tag: 'good' }),
      failedRecord('RATE_LIMITED', 'a'),
      failedRecord('NETWORK', 'b'),
    ]);
    const [message, ...more] = await lettersOf(report);
    assert.deepEqual(more, []);
    assert.equal(message?.attributes['error-code'], 'RATE_LIMITED');
    assert.deepEqual(decodeEvent(receivedEvent(message)).data.tags, ['a', 'b']);
  });

  it('has one code for what the end of the time cut, begun or not', async () => {
    for (const came of [
      sampleReport([failedRecord('ABORTED')]),
      sampleReport([failedRecord('DEADLINE_EXCEEDED')]),
      new MirrorError('ABORTED', 'x'),
    ]) {
      assert.deepEqual(
        (await lettersOf(came)).map(({ attributes }) => attributes['error-code']),
        ['DEADLINE_EXCEEDED'],
      );
    }
  });

  it('is all of it where nothing could be planned', async () => {
    const [message] = await lettersOf(new MirrorError('SERVER_ERROR', 'x'));
    assert.equal(message?.attributes['error-code'], 'SERVER_ERROR');
    const { data } = decodeEvent(receivedEvent(message));
    // A later attempt: it follows up.
    assert.deepEqual(data, { ...sampleEvent().data, reason: 'follow-up' });
  });
});
