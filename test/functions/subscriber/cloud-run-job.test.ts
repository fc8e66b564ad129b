import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorEvent } from '../../../functions/contract/event.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { comparesBy } from '../../../functions/mirror/verification.ts';
import {
  eventVariable,
  cloudRunJob,
  readEventVariable,
  type JsonApi,
} from '../../../functions/subscriber/cloud-run-job.ts';
import { sampleEvent } from './samples.ts';
import { rejection, thrown } from '../../faults.ts';

const MAX_EVENT_BYTES = 16 * 1024;

const JOB = 'projects/acme/locations/europe-west1/jobs/mirror';
const signal = new AbortController().signal;
const compares = comparesBy({ verifyTags: 'all', resyncVerify: 'mutable' });

interface Call {
  readonly method: string;
  readonly url: string;
  readonly body: unknown;
}

/** An API with these executions that remembers its calls. */
function api(
  executions: readonly unknown[] | undefined,
  answer: { status: number; body?: unknown } = { status: 200 },
): { readonly port: JsonApi; readonly calls: Call[] } {
  const calls: Call[] = [];
  return {
    calls,
    port: {
      call: async (method, url, body) => {
        calls.push({ method, url: url.href, body });
        return method === 'GET'
          ? Promise.resolve({ status: 200, body: { executions } })
          : Promise.resolve({ body: {}, ...answer });
      },
    },
  };
}

/** Asks for the job with an event. */
async function start(port: JsonApi, event: MirrorEvent): Promise<string> {
  return cloudRunJob(port, 'https://run.example', JOB, compares).start(event, signal);
}

function execution(event: MirrorEvent, fields: Record<string, unknown> = {}): unknown {
  return {
    createTime: '2026-08-10T09:00:10Z',
    template: { containers: [{ env: [{ name: 'EVENT', value: eventVariable(event) }] }] },
    ...fields,
  };
}

/** An event whose variable has so many bytes. */
function ofBytes(count: number): MirrorEvent {
  const event = { ...sampleEvent(), later: '' };
  return { ...event, later: 'x'.repeat(count - eventVariable(event).length) } as MirrorEvent;
}

describe('hand-off', () => {
  it('starts the job with the event in a variable', async () => {
    // The API names no list that is empty.
    const { port, calls } = api(undefined);
    const event = sampleEvent({ tags: ['1.0'] });
    assert.equal(await start(port, event), 'started');
    assert.deepEqual(
      calls.map(({ method, url }) => `${method} ${url}`),
      [
        `GET https://run.example/v2/${JOB}/executions?pageSize=100`,
        `POST https://run.example/v2/${JOB}:run`,
      ],
    );
    assert.deepEqual(calls[1]?.body, {
      overrides: {
        containerOverrides: [{ env: [{ name: 'EVENT', value: eventVariable(event) }] }],
      },
    });
  });

  const event = sampleEvent();

  /** An execution of an event, by the times of day of both; the event that is wanted is of 09:00:03. */
  function created(createTime: string, time: string, source = event.source): unknown {
    const given = { ...sampleEvent({}, `2026-08-10T${time}Z`), source };
    return execution(given, { createTime: `2026-08-10T${createTime}Z` });
  }

  /** The container of an execution of the event with arguments of its own. */
  function template(args: readonly string[], value = eventVariable(event)): unknown {
    return { containers: [{ args, env: [{ name: 'EVENT', value }] }] };
  }

  const covering: readonly [name: string, executions: readonly unknown[], covered: boolean][] = [
    ['the same event', [execution(event)], true],
    ['a stronger reason', [execution(sampleEvent({ reason: 'requested' }))], true],
    ['a weaker reason', [execution(sampleEvent({ reason: 'initial' }))], false],
    ['one that has ended', [execution(event, { completionTime: '2026-08-10T09:01:00Z' })], false],
    ['the same event of a clock that is ahead', [created('09:00:00', '09:00:03')], true],
    ['an older event', [created('08:50:02', '08:50:00')], false],
    ['an older event, begun soon after by another clock', [created('09:01:00', '08:50:00')], false],
    ['an older event, begun five minutes after', [created('09:05:03', '08:50:00')], false],
    ['an older event, begun later than that', [created('09:05:03.001', '08:50:00')], true],
    ['an event of a clock that is five minutes ahead', [created('09:00:00', '09:05:00')], true],
    ['one of a clock further ahead', [created('09:00:00', '09:05:00.001')], false],
    ['a newer event', [created('09:00:30', '09:00:20')], true],
    ["another cluster's event, begun soon after", [created('09:01:00', '09:00:50', 'x')], false],
    ['an event that claims to come from the future', [created('08:59:00', '23:00:00')], false],
    ['another image', [execution(sampleEvent({ image: 'quay.io/x/y' }))], false],
    ['another selection', [execution(sampleEvent({ selection: { latest: 3 } }))], false],
    ['another destination', [execution(sampleEvent({ destination: 'x' }))], false],
    ['only some of its tags', [execution(sampleEvent({ tags: ['1.0'] }))], false],
    ['a stronger reason that compares less', [execution(sampleEvent({ reason: 'resync' }))], false],
    ['its wish to compare less', [execution(sampleEvent({ verify: 'mutable' }))], false],
    ['a run with no arguments', [execution(event, { template: template([]) })], true],
    ['a dry run', [execution(event, { template: template(['--dry-run']) })], false],
    ['an event that is no JSON', [execution(event, { template: template([], '{') })], false],
    ['a malformed event', [execution(event, { template: {} }), { createTime: 7 }], false],
  ];
  for (const [name, executions, covered] of covering) {
    it(`is ${covered ? '' : 'not '}covered by ${name}`, async () => {
      const { port, calls } = api(executions);
      const result = await start(port, event);
      assert.equal(result, covered ? 'covered' : 'started');
      assert.equal(calls.length, covered ? 1 : 2);
    });
  }

  it('is covered by a run of at least its tags', async () => {
    const running = execution(sampleEvent({ tags: ['1.0', '1.1', '1.2'] }));
    const { port } = api([running]);
    assert.equal(await start(port, sampleEvent({ tags: ['1.0', '1.2'] })), 'covered');
    assert.equal(await start(port, sampleEvent({ tags: ['1.0', '2.0'] })), 'started');
  });

  it('guard event-variable: declines an event over 16 KiB without asking', async () => {
    const { port, calls } = api([]);
    const tags = Array.from({ length: 200 }, (_, n) => `${n}`.padStart(100, 'x'));
    const large = sampleEvent({ tags });
    assert.ok(eventVariable(large).length > MAX_EVENT_BYTES);
    assert.equal(await start(port, large), 'too-large');
    assert.deepEqual(calls, []);
    assert.equal(await start(port, ofBytes(MAX_EVENT_BYTES + 1)), 'too-large');
    assert.equal(await start(port, ofBytes(MAX_EVENT_BYTES)), 'started');
  });

  it('fails where the API refuses or cannot be reached', async () => {
    const refusing = api([], { status: 403, body: { error: { message: 'no permission' } } });
    const { status } = await rejection(start(refusing.port, event), 'HAND_OFF_FAILED');
    assert.equal(status, 403);
    const unlisted: JsonApi = { call: async () => Promise.resolve({ status: 403, body: {} }) };
    const { message } = await rejection(start(unlisted, event), 'HAND_OFF_FAILED');
    assert.equal(message, 'list executions: 403 no message');
    const unreachable: JsonApi = {
      call: async () => Promise.reject(new MirrorError('NETWORK', 'gone')),
    };
    await rejection(start(unreachable, event), 'HAND_OFF_FAILED');
  });
});

describe('event variable', () => {
  it('reads what it writes', () => {
    const event = sampleEvent({ tags: ['1.0'], continuation: 2 });
    assert.deepEqual(readEventVariable(eventVariable(event)), event);
  });

  for (const [name, text, code] of [
    ['no JSON', '{', 'EVENT_UNDECODABLE'],
    ['no event', '{"type":"x"}', 'EVENT_INVALID'],
    ['no object', 'null', 'EVENT_UNDECODABLE'],
  ] as const) {
    it(`refuses ${name}`, () => {
      thrown(() => readEventVariable(text), code);
    });
  }

  it('guard event-variable: refuses a variable over 16 KiB', () => {
    const text = eventVariable(ofBytes(MAX_EVENT_BYTES));
    assert.deepEqual(readEventVariable(text), sampleEvent());
    thrown(() => readEventVariable(`${text} `), 'EVENT_TOO_LARGE');
  });

  for (const [guard, data, code] of [
    ['event-tags', { tags: new Array<string>(1001).fill('a') }, 'EVENT_TOO_LARGE'],
    ['pattern-count', { exclusionList: new Array<string>(26).fill('a') }, 'EVENT_INVALID'],
    ['pattern-length', { exclusionList: ['x'.repeat(513)] }, 'EVENT_INVALID'],
  ] as const) {
    it(`guard ${guard}: is no way round the limits of an event`, () => {
      thrown(() => readEventVariable(eventVariable(sampleEvent(data))), code);
    });
  }
});
