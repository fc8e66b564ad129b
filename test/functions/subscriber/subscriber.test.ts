import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  decodeEvent,
  encodeEvent,
  receivedEvent,
  type EncodedEvent,
} from '../../../functions/contract/codec.ts';
import { SYSTEM_TIMING, type Timing } from '../../../functions/concurrency.ts';
import type { MirrorEvent, MirrorRequest } from '../../../functions/contract/event.ts';
import { encodeHeartbeat } from '../../../functions/contract/heartbeat.ts';
import { MirrorError } from '../../../functions/errors.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { processEnd } from '../../../functions/subscriber/delivery-deadline.ts';
import { parseImagePattern } from '../../../functions/subscriber/image-pattern.ts';
import { Redelivery } from '../../../functions/subscriber/decision.ts';
import {
  createSubscriber,
  type Subscriber,
  type SubscriberParts,
} from '../../../functions/subscriber/subscriber.ts';
import type { Work } from '../../../functions/subscriber/execute-event.ts';
import {
  failedRecord,
  keptLines,
  keptMessages,
  SAMPLE_RULES,
  sampleEvent,
  sampleRecord,
  sampleReport,
} from './samples.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

interface Rig {
  readonly subscriber: Subscriber;
  readonly works: Work[];
  /** What the events ask for that went to the bulk topic. */
  readonly published: () => readonly MirrorRequest[];
  readonly letters: EncodedEvent[];
  readonly lines: Record<string, unknown>[];
  readonly eventLine: () => Record<string, unknown>;
  readonly push: (event: MirrorEvent) => Promise<'ack' | 'redeliver'>;
}

function rig(
  doWork: (work: Work) => MirrorReport | Promise<MirrorReport>,
  change: Partial<SubscriberParts> = {},
): Rig {
  const { logger, lines } = keptLines();
  const works: Work[] = [];
  const [bulk, deadLetters] = [keptMessages(), keptMessages()];
  const subscriber = createSubscriber({
    rules: SAMPLE_RULES,
    limits: { batchTags: 100, jobThresholdBytes: -1, deadlineMs: 60_000 },
    acceptFluxEvents: false,
    verification: MIRROR_OPTIONS,
    projectId: 'acme',
    doWork: async (work) => {
      works.push(work);
      return Promise.resolve(doWork(work));
    },
    bulk,
    deadLetters,
    flush: async () => Promise.resolve(),
    end: processEnd(Date.now),
    logger,
    timing: SYSTEM_TIMING,
    ...change,
  });
  const push: Rig['push'] = async (event) =>
    subscriber.handle(wrapped(event), { arrivedAtMs: Date.now() }).then(
      () => 'ack' as const,
      (error: unknown) => {
        assert.ok(error instanceof Redelivery);
        return 'redeliver' as const;
      },
    );
  return {
    subscriber,
    works,
    published: () => bulk.messages.map((message) => decodeEvent(receivedEvent(message)).data),
    letters: deadLetters.messages,
    eventLine: () => lines.find(({ entry }) => entry === 'event') ?? assert.fail('no line'),
    lines,
    push,
  };
}

function wrapped(event: MirrorEvent): unknown {
  const { attributes, data } = encodeEvent(event);
  return { message: { attributes, data: data.toString('base64'), messageId: 'm-1' } };
}

const late = failedRecord('DEADLINE_EXCEEDED');
const failing = failedRecord('SERVER_ERROR');

describe('subscriber', () => {
  it('does the work of an admitted event and acknowledges', async () => {
    const { push, works, eventLine, lines } = rig(() => sampleReport([sampleRecord()]));
    assert.equal(await push(sampleEvent()), 'ack');
    assert.equal(lines.length, 1);
    assert.equal(works[0]?.admission.destinationPath, 'm/ghcr.io/stefanprodan/podinfo');
    const { decision, messageId } = eventLine();
    assert.deepEqual([decision, messageId], ['acknowledge', 'm-1']);
  });

  it('asks for redelivery of what failed transiently', async () => {
    const { push, eventLine } = rig(() => sampleReport([failing]));
    assert.equal(await push(sampleEvent()), 'redeliver');
    assert.equal(eventLine()['decision'], 'retry');
  });

  it('gives its figures away after the line of every event, of a redelivered one too', async () => {
    const entries: unknown[] = [];
    const { push, lines } = rig(() => sampleReport([failing]), {
      flush: async () => Promise.resolve(void entries.push(lines.at(-1)?.['entry'])),
    });
    assert.equal(await push(sampleEvent()), 'redeliver');
    assert.deepEqual(entries, ['event']);
  });

  it('publishes a continuation where the deadline cut work that moved on', async () => {
    const { push, published } = rig(() => sampleReport([late], { progressed: true }));
    assert.equal(await push(sampleEvent({ continuation: 1 })), 'ack');
    assert.deepEqual(
      published().map(({ continuation }) => continuation),
      [2],
    );
  });

  it('asks for redelivery where the continuation cannot be published', async () => {
    const { push, eventLine } = rig(() => sampleReport([late], { progressed: true }), {
      bulk: { publish: async () => Promise.reject(new MirrorError('PUBLISH_FAILED', 'x')) },
    });
    assert.equal(await push(sampleEvent()), 'redeliver');
    const { code, decisionReason } = eventLine();
    assert.deepEqual([code, decisionReason], ['PUBLISH_FAILED', 'PublishFailed']);
  });

  it('puts the event aside instead of a 51st continuation, as it was at first', async () => {
    const { push, published, letters } = rig(() => sampleReport([late], { progressed: true }));
    assert.equal(await push(sampleEvent({ continuation: 50 })), 'ack');
    assert.deepEqual(published(), []);
    assert.equal(letters[0]?.attributes['error-code'], 'CONTINUATIONS_EXHAUSTED');
    assert.equal(decodeEvent(receivedEvent(letters[0])).data.continuation, undefined);
  });

  it('puts aside what is too large to be sent on, as it came', async () => {
    const tags = Array.from({ length: 1000 }, (_, index) => `${index}-${'x'.repeat(300)}`);
    const { subscriber, letters, eventLine } = rig(() =>
      sampleReport([late], { progressed: true }),
    );
    const { attributes } = encodeEvent(sampleEvent({ tags: ['1.0'] }));
    const data = JSON.stringify(sampleEvent({ continuation: 50, tags }).data);
    const message = { attributes, data: Buffer.from(data).toString('base64') };
    await subscriber.handle({ message }, { arrivedAtMs: Date.now() });
    assert.equal(letters[0]?.attributes['error-code'], 'EVENT_TOO_LARGE');
    assert.deepEqual(decodeEvent(receivedEvent(letters[0])).data.tags, tags);
    assert.equal(eventLine()['code'], 'EVENT_TOO_LARGE');
  });

  it('publishes what a fan-out left unfinished', async () => {
    const { push, published } = rig(() => sampleReport([failing], { ending: 'fanned-out' }));
    assert.equal(await push(sampleEvent()), 'ack');
    assert.deepEqual(
      published().map(({ tags }) => tags),
      [['1.0']],
    );
  });

  const refused: readonly [name: string, incoming: unknown, code: string, field: string][] = [
    ['nothing', undefined, 'EVENT_UNDECODABLE', 'data'],
    ['bytes', Buffer.from('{'), 'EVENT_INVALID', 'type'],
    ['a wrong field', wrapped({ ...sampleEvent(), time: 'x' }), 'EVENT_INVALID', 'time'],
    [
      'a forbidden source',
      wrapped(sampleEvent({ image: 'evil.example/x' })),
      'SOURCE_FORBIDDEN',
      'data.image',
    ],
    [
      'a forbidden destination',
      wrapped(sampleEvent({ destination: 'x' })),
      'DESTINATION_FORBIDDEN',
      'data.destination',
    ],
  ];
  const strict = {
    rules: { ...SAMPLE_RULES, allowedSources: [parseImagePattern('ghcr.io/*')] },
  };
  for (const [name, incoming, code, field] of refused) {
    it(`puts ${name} aside and acknowledges`, async () => {
      const { subscriber, letters, works, eventLine } = rig(() => sampleReport(), strict);
      await subscriber.handle(incoming, { arrivedAtMs: Date.now() });
      assert.equal(letters[0]?.attributes['error-code'], code);
      assert.equal(letters[0].attributes['error-field'], field);
      assert.deepEqual(works, []);
      const { decision, decisionReason, eventId } = eventLine();
      assert.deepEqual([decision, decisionReason], ['dead-letter', 'NeverSucceeds']);
      assert.equal(typeof eventId === 'string', name.startsWith('a '));
    });

    it(`asks for redelivery of ${name} where there is no dead-letter topic, or it fails`, async () => {
      const publish = async (): Promise<never> =>
        Promise.reject(new MirrorError('PUBLISH_FAILED', 'x'));
      for (const [deadLetters, reason] of [
        [undefined, 'NoDeadLetterTopic'],
        [{ publish }, 'PublishFailed'],
      ] as const) {
        const { subscriber, eventLine } = rig(() => sampleReport(), { ...strict, deadLetters });
        await assert.rejects(
          subscriber.handle(incoming, { arrivedAtMs: Date.now() }),
          (error) => error instanceof Redelivery,
        );
        assert.equal(eventLine()['decisionReason'], reason);
      }
    });
  }

  it('puts an event aside as it came, with what others wrote beside it', async () => {
    const { subscriber, letters } = rig(() => sampleReport(), strict);
    const { attributes, data } = encodeEvent(sampleEvent({ image: 'evil.example/x' }));
    const message = { attributes: { ...attributes, team: 'a' }, data: data.toString('base64') };
    await subscriber.handle({ message }, { arrivedAtMs: Date.now() });
    assert.equal(letters[0]?.attributes['team'], 'a');
  });

  it('retries a fault of the whole event by its disposition', async () => {
    for (const [code, answer] of [
      ['SERVER_ERROR', 'redeliver'],
      ['TAG_INVALID', 'ack'],
    ] as const) {
      const { push } = rig(() => {
        throw new MirrorError(code, 'x');
      });
      assert.equal(await push(sampleEvent()), answer);
    }
  });

  for (const [code, side] of [
    ['DOCKER_CONFIG_INVALID', 'source'],
    ['NOT_FOUND', 'destination'],
    ['ADDRESS_REFUSED', 'source'],
    ['REALM_REFUSED', 'source'],
    ['INSECURE_REFUSED', 'source'],
    ['REDIRECT_REFUSED', 'source'],
    ['REQUEST_REFUSED', 'destination'],
  ] as const) {
    it(`asks again for what an operator can mend: ${code} at the ${side}`, async () => {
      const fault = new MirrorError(code, 'x', { side });
      const whole = rig(() => {
        throw fault;
      });
      assert.equal(await whole.push(sampleEvent()), 'redeliver');
      const ofOneTag = rig(() =>
        sampleReport([sampleRecord(), sampleRecord({ tag: 'bad', outcome: 'failed', fault })]),
      );
      assert.equal(await ofOneTag.push(sampleEvent()), 'redeliver');
    });
  }

  it('retries a defect, and tells it with its stack', async () => {
    const { push, eventLine } = rig(() => {
      throw new TypeError('x is undefined');
    });
    assert.equal(await push(sampleEvent()), 'redeliver');
    assert.equal(eventLine()['code'], 'INTERNAL');
  });

  it('executes one whole-repository event at a time, and shares it among waiting ones', async () => {
    const gates: (() => void)[] = [];
    const { push, works, lines } = rig(async () => {
      await new Promise<void>((resolve) => gates.push(resolve));
      return sampleReport();
    });
    const pushed = [
      push(sampleEvent()),
      push(sampleEvent({ reason: 'resync' }, '2026-08-10T09:01:00Z')),
      push(sampleEvent({}, '2026-08-10T09:02:00Z')),
    ];
    await new Promise(setImmediate);
    gates.shift()?.();
    await new Promise(setImmediate);
    gates.shift()?.();
    assert.deepEqual(await Promise.all(pushed), ['ack', 'ack', 'ack']);
    assert.deepEqual(
      works.map(({ event }) => event.data.reason),
      ['changed', 'resync'],
    );
    assert.deepEqual(
      lines.map(({ decisionReason }) => decisionReason),
      ['Finished', 'Finished', 'Shared'],
    );
  });

  it('puts aside for all that shared it what was executed, as strong as the strongest', async () => {
    const open = Promise.withResolvers<undefined>();
    const { push, letters, works } = rig(async () => {
      await open.promise;
      if (works.length > 1) throw new MirrorError('EVENT_INVALID', 'x', { field: 'data.image' });
      return sampleReport();
    });
    const pushed = [
      push(sampleEvent()),
      push(sampleEvent({ reason: 'requested' }, '2026-08-10T09:01:00Z')),
      push(sampleEvent({}, '2026-08-10T09:02:00Z')),
    ];
    await new Promise(setImmediate);
    open.resolve(undefined);
    assert.deepEqual(await Promise.all(pushed), ['ack', 'ack', 'ack']);
    const left = letters.map((letter) => decodeEvent(receivedEvent(letter)));
    assert.deepEqual(
      left.map(({ time, data }) => [time, data.reason]),
      [['2026-08-10T09:02:00.000Z', 'requested']],
    );
  });

  it('executes batches side by side', async () => {
    let [running, most] = [0, 0];
    const { push, eventLine } = rig(async () => {
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running -= 1;
      return sampleReport();
    });
    await Promise.all([push(sampleEvent({ tags: ['a'] })), push(sampleEvent({ tags: ['b'] }))]);
    assert.equal(most, 2);
    assert.equal(eventLine()['decisionReason'], 'Finished');
  });

  it('gives the delivery a deadline that counts from the arrival, and takes it back', async () => {
    let [earlyUntilMs, timers, most] = [0, 0, 0];
    const timing: Timing = {
      now: SYSTEM_TIMING.now,
      setTimer: (delayMs, action) => {
        timers += 1;
        const stop = SYSTEM_TIMING.setTimer(delayMs, action);
        return () => {
          timers -= 1;
          stop();
        };
      },
    };
    const { subscriber, eventLine } = rig(
      ({ deadline }) => {
        ({ earlyUntilMs } = deadline);
        most = timers;
        return sampleReport();
      },
      { timing },
    );
    const arrivedAtMs = Date.now() - 50_000;
    await subscriber.handle(wrapped(sampleEvent()), { arrivedAtMs });
    assert.equal(earlyUntilMs, arrivedAtMs + 20_000);
    assert.ok(most > 0);
    assert.equal(timers, 0);
    const durationSeconds = Number(eventLine()['durationSeconds']);
    assert.ok(durationSeconds >= 50 && durationSeconds < 1000, String(durationSeconds));
  });

  it('links its lines to the trace and the execution', async () => {
    const { subscriber, eventLine } = rig(() => sampleReport());
    await subscriber.handle(wrapped(sampleEvent()), {
      arrivedAtMs: Date.now(),
      executionId: 'e-1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    });
    const line = eventLine();
    assert.equal(
      line['logging.googleapis.com/trace'],
      'projects/acme/traces/4bf92f3577b34da6a3ce929d0e0e4736',
    );
    assert.deepEqual(line['logging.googleapis.com/labels'], { execution_id: 'e-1' });
  });

  it('names the message in its lines, wrapped or not', async () => {
    const { subscriber, lines } = rig(() => sampleReport());
    const unwrapped = { specversion: '1.0', ...sampleEvent() };
    const request = { arrivedAtMs: Date.now(), messageId: 'm-2' };
    await subscriber.handle(unwrapped, request);
    await subscriber.handle(wrapped(sampleEvent()), request);
    assert.deepEqual(
      lines.filter(({ entry }) => entry === 'event').map(({ messageId }) => messageId),
      ['m-2', 'm-1'],
    );
  });

  it('acknowledges the sign of life of a bridge, and tells it', async () => {
    const { subscriber, lines } = rig(() => sampleReport());
    const alive = { cluster: 'prod', watched: 7, refused: 1 };
    const { attributes, data } = encodeHeartbeat(alive, new Date());
    const message = { attributes, data: data.toString('base64') };
    await subscriber.handle({ message }, { arrivedAtMs: Date.now() });
    assert.deepEqual(
      lines.map(({ entry, cluster }) => [entry, cluster]),
      [['heartbeat', 'prod']],
    );
  });

  it('acknowledges an event of Flux that asks for nothing', async () => {
    const { subscriber, works, letters, lines } = rig(() => sampleReport(), {
      acceptFluxEvents: true,
    });
    const flux = {
      involvedObject: { kind: 'Kustomization', namespace: 'a', name: 'b' },
      reportingController: 'kustomize-controller',
    };
    const data = Buffer.from(JSON.stringify(flux)).toString('base64');
    await subscriber.handle({ message: { data } }, { arrivedAtMs: Date.now() });
    assert.deepEqual([works.length, letters.length], [0, 0]);
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['an event of Flux asks for nothing'],
    );
  });
});
