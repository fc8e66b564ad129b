import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';

import { SYSTEM_TIMING, type Timing } from '../../../functions/concurrency.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';
import {
  answering,
  bytesOf,
  credentials,
  destinationAt,
  fakeTiming,
  INDEX,
  NEVER,
  open,
  QUICK,
  registry,
  serve,
  settle,
  sourceAt,
  sourceOf,
  wantToken,
} from './setting.ts';

/** Time that passes as soon as somebody waits for it. */
function hurriedTiming(): Timing {
  let nowMs = 1_000_000;
  return {
    now: () => nowMs,
    setTimer: (delayMs, action) =>
      SYSTEM_TIMING.setTimer(0, () => {
        nowMs += delayMs;
        action();
      }),
  };
}

const BASIC = { kind: 'basic', username: 'robot', password: 'top-secret' } as const;

describe('client', () => {
  it('says in every fault what was asked, of whom and where, with nothing secret', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      } else request.socket.destroy();
    });
    const known = credentials({ [server.host]: BASIC });
    const registries = open(t, [server.host], { credentials: () => known });
    const one = sourceOf(registries, server.host);
    const fault = await rejection(one.listTags(NEVER), 'NETWORK');
    assert.deepEqual(
      [fault.operation, fault.side, fault.url],
      ['list tags', 'source', `${server.url}/v2/org/app/tags/list?n=1000`],
    );
    const secret = Buffer.from('robot:top-secret').toString('base64');
    for (const text of [inspect(fault, { depth: 10 }), JSON.stringify(fault)]) {
      assert.ok(!text.includes(secret) && !text.includes('top-secret'));
    }
  });

  it('does not begin a wait that ends after the deadline', async (t) => {
    const at = await registry(t);
    const effect = answering(503, undefined, { headers: { 'retry-after': '100' } });
    at.faults.add({ times: Infinity, effect });
    const timing = fakeTiming();
    const registries = open(t, [at.host], { timing });
    const one = registries.source(
      { host: at.host, path: 'org/app' },
      { insecure: true, deadlineAtMs: timing.now() + 99_999 },
    );
    const fault = await rejection(one.listTags(NEVER), 'SERVER_ERROR');
    assert.equal(fault.retryAfterMs, 100_000);
    assert.equal(at.counter.total, 1);
    // One that ends with it is waited for.
    const hurried = hurriedTiming();
    const name = { host: at.host, path: 'org/app' };
    const within = { insecure: true, deadlineAtMs: hurried.now() + 100_000 };
    const patient = open(t, [at.host], { timing: hurried }).source(name, within);
    await rejection(patient.listTags(NEVER), 'SERVER_ERROR');
    assert.equal(at.counter.total, 3);
  });

  it('tells of the pauses that a host asked for, and of no wait of its own', async (t) => {
    const timing = hurriedTiming();
    const answers = [[503, '30'], [503], [429, '600']] as const;
    let asked = 0;
    const at = await serve(t, (_request, response) => {
      const [status, pause] = answers[asked++] ?? [200];
      response.writeHead(status, pause === undefined ? {} : { 'retry-after': pause });
      response.end('{"tags":[]}');
    });
    const told: unknown[] = [];
    const one = sourceAt(t, at.host, {
      timing,
      onPause: ({ side, host, untilMs }) => told.push([side, host, untilMs - timing.now()]),
    });
    await one.listTags(NEVER);
    // A 429 closes the host before its body has said for how long.
    const pausesMs = [30_000, QUICK.baseMs, 600_000];
    assert.deepEqual(
      told,
      pausesMs.map((pauseMs) => ['source', at.host, pauseMs]),
    );
  });

  it('ends a wait when the signal aborts', async (t) => {
    const at = await registry(t);
    at.faults.add({ times: Infinity, effect: { kind: 'answer', status: 503 } });
    const registries = open(t, [at.host], { timing: fakeTiming() });
    const one = sourceOf(registries, at.host);
    const controller = new AbortController();
    const listing = one.listTags(controller.signal);
    await until(() => at.counter.total >= 1);
    setTimeout(() => {
      controller.abort(new MirrorError('DEADLINE_EXCEEDED', 'over'));
    }, 20);
    await rejection(listing, 'DEADLINE_EXCEEDED');
    assert.equal(at.counter.total, 1);
  });

  it('tries a throttled request six times', async (t) => {
    const at = await registry(t);
    const effect = answering(429, undefined, { headers: { 'retry-after': '0' } });
    at.faults.add({ times: Infinity, effect });
    const one = sourceAt(t, at.host);
    await rejection(one.listTags(NEVER), 'RATE_LIMITED');
    assert.equal(at.counter.total, 6);
  });

  it('waits for the pause of a token’s realm as long as it asks, and not where others wait behind it', async (t) => {
    const timing = fakeTiming();
    let refusals = 1;
    const at = await serve(t, (request, response) => {
      if (request.url?.startsWith('/token') === true) {
        refusals -= 1;
        if (refusals >= 0) response.writeHead(429, { 'retry-after': '300' }).end();
        else response.end('{"token":"abc"}');
      } else if (request.headers.authorization === undefined) wantToken(request, response);
      else response.end('{"tags":["v1"]}');
    });
    const one = sourceAt(t, at.host, { timing });
    const blob = { mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 5 };
    const fault = await rejection(one.openBlob(blob, 0, NEVER), 'RATE_LIMITED');
    assert.deepEqual(
      [fault.operation, fault.side, fault.retryAfterMs],
      ['get token', 'source', 300_000],
    );
    const listing = one.listTags(NEVER);
    await settle();
    await timing.pass(300_000);
    assert.deepEqual((await listing)?.tags, ['v1']);
  });

  it('does not wait for days, and says how long it would have been', async (t) => {
    const at = await registry(t);
    const effect = answering(429, undefined, { headers: { 'retry-after': '259200' } });
    at.faults.add({ times: Infinity, effect });
    const one = sourceAt(t, at.host);
    const fault = await rejection(one.listTags(NEVER), 'RATE_LIMITED');
    assert.match(fault.message, /asked again in 3 days/);
    assert.equal(fault.retryAfterMs, 259_200_000);
    assert.equal(at.counter.total, 1);
  });

  it('opens a blob at the second try where no pause is asked for', async (t) => {
    const at = await registry(t);
    const digest = at.store.putBlob('org/app', Buffer.from('x'));
    at.faults.add({ kind: 'blob', effect: { kind: 'answer', status: 503 } });
    const blob = { mediaType: 'x', digest, sizeBytes: 1 };
    assert.equal(String(await bytesOf(await sourceAt(t, at.host).openBlob(blob, 0, NEVER))), 'x');
    assert.deepEqual(at.counter.summary, { 'GET blob 503': 1, 'GET blob 200': 1 });
  });

  it('sends a manifest and an upload’s beginning again', async (t) => {
    const at = await registry(t);
    for (const method of ['POST', 'PUT'])
      at.faults.add({ method, effect: { kind: 'answer', status: 502 } });
    const one = destinationAt(t, at.host);
    const { digest, bytes } = INDEX;
    at.store.putBlob('org/other', bytes);
    await one.putManifest('v1', INDEX, NEVER);
    const unopened = (): Promise<never> => Promise.reject(new Error('no bytes are needed'));
    const blob = { mediaType: 'x', digest, sizeBytes: bytes.length };
    const options = { mountFrom: { path: 'org/other' } };
    assert.equal(await one.uploadBlob(blob, unopened, options, NEVER), 'mounted');
    assert.deepEqual(at.counter.summary, {
      'PUT manifest 502': 1,
      'PUT manifest 201': 1,
      'POST upload 502': 1,
      'POST upload 201': 1,
    });
  });
});
