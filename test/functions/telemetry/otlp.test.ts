import assert from 'node:assert/strict';
import type { IncomingHttpHeaders } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { gunzipSync } from 'node:zlib';

import {
  exportHeaders,
  otlpMetrics,
  type OtlpInstruments,
  type OtlpMetrics,
} from '../../../functions/telemetry/otlp.ts';
import { serve } from '../registry/setting.ts';
import { keptLines } from '../subscriber/samples.ts';

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Metrics that go to an endpoint, which keeps what it is sent and answers with this status, 0: never. */
async function exported(
  t: TestContext,
  status = 200,
  answer = Buffer.alloc(0),
): Promise<{
  readonly metrics: OtlpMetrics;
  readonly received: readonly Received[];
  readonly lines: readonly Record<string, unknown>[];
  readonly pass: (ms: number) => void;
}> {
  const received: Received[] = [];
  const { url } = await serve(t, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      received.push({ path: request.url ?? '', headers: request.headers, body });
      if (status !== 0) response.writeHead(status).end(answer);
    });
  });
  const { logger, lines } = keptLines();
  let nowMs = 0;
  const metrics = otlpMetrics({
    endpoint: url,
    accessToken: async () => Promise.resolve('google-token'),
    projectId: 'acme',
    serviceName: 'mirror-events',
    logger,
    clock: () => nowMs,
  });
  return { metrics, received, lines, pass: (ms) => void (nowMs += ms) };
}

/** Metrics of these libraries, and what they log. */
function opened(libraries: Promise<OtlpInstruments>): {
  readonly metrics: OtlpMetrics;
  readonly lines: readonly Record<string, unknown>[];
} {
  const { logger, lines } = keptLines();
  const options = {
    endpoint: 'http://127.0.0.1:1',
    accessToken: () => Promise.resolve(''),
    projectId: undefined,
    serviceName: 'mirror-events',
    logger,
    clock: () => 0,
  };
  return { metrics: otlpMetrics(options, libraries), lines };
}

const SENT: OtlpInstruments = {
  record: () => undefined,
  forceFlush: () => Promise.resolve(),
  shutdown: () => Promise.resolve(),
};

describe('otlpMetrics whose libraries come late or fail', () => {
  it('counts the lines of before, up to 10,000, and tells how many are lost', async () => {
    const libraries = Promise.withResolvers<OtlpInstruments>();
    const { metrics, lines } = opened(libraries.promise);
    let recorded = 0;
    for (let line = 0; line < 10_003; line += 1) metrics.record({ entry: 'tag' });
    libraries.resolve({ ...SENT, record: () => (recorded += 1) });
    await metrics.flush();
    assert.equal(recorded, 10_000);
    assert.deepEqual(
      lines.map(({ message }) => message),
      ['3 lines are missing in the exported metrics'],
    );
    metrics.record({ entry: 'tag' });
    assert.equal(recorded, 10_001);
    await metrics.close();
    assert.equal(lines.length, 1);
  });

  it('tells what failed, and what is not done within 3 s', async ({ mock }) => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const whyOf = async (libraries: Promise<OtlpInstruments>, passMs = 0): Promise<unknown> => {
      const { metrics, lines } = opened(libraries);
      const flushed = metrics.flush();
      mock.timers.tick(passMs);
      await flushed;
      return lines.map(({ message, error }) => [message, (error as Error).message]);
    };
    const told = (why: string): unknown => [['metrics could not be exported', `Error: ${why}`]];
    const never = { ...SENT, forceFlush: () => new Promise<void>(() => undefined) };
    assert.deepEqual(await whyOf(Promise.reject(new Error('absent'))), told('absent'));
    assert.deepEqual(await whyOf(Promise.resolve(never), 3000), told('not done within 3000 ms'));
  });

  it('sends, then ends, and leaves no timer behind', async ({ mock }) => {
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const shutdown = mock.fn(SENT.shutdown);
    const { metrics } = opened(Promise.resolve({ ...SENT, shutdown }));
    const before = timers();
    await metrics.flush();
    assert.equal(shutdown.mock.callCount(), 0);
    await metrics.close();
    assert.equal(shutdown.mock.callCount(), 1);
    assert.ok(timers() <= before);
  });
});

describe('OTLP metrics', () => {
  it('are sent with their names, labels and resource', async (t) => {
    const { metrics, received } = await exported(t);
    metrics.record({ entry: 'tag', outcome: 'copied' });
    metrics.record({
      entry: 'event',
      decision: 'acknowledge',
      reason: 'changed',
      bytesUploaded: 7,
      durationSeconds: 3,
      skipped: 5,
    });
    await metrics.flush();
    const [sent] = received;
    for (const boundaries of [
      [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600],
      [1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11],
      [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000],
    ]) {
      const packed = Buffer.from(Float64Array.from(boundaries).buffer);
      assert.ok(sent?.body.includes(packed), boundaries.join());
    }
    assert.equal(sent?.path, '/v1/metrics');
    assert.equal(sent.headers['content-type'], 'application/x-protobuf');
    const text = sent.body.toString('latin1');
    for (const part of [
      'imagerepo_mirror/tags',
      'imagerepo_mirror/bytes_uploaded',
      'copied',
      'mirror-events',
      'service.instance.id',
      'acme',
    ]) {
      assert.ok(text.includes(part), part);
    }
    for (const absent of ['imagerepo_mirror/tag_failures', 'imagerepo_mirror/lag'])
      assert.ok(!text.includes(absent), absent);
    await metrics.close();
  });

  it('leave out skipped tags, which no line is written for', async (t) => {
    const { metrics, received } = await exported(t);
    metrics.record({ entry: 'tag', outcome: 'skipped' });
    await metrics.close();
    const sent = received.map(({ body }) => body.toString('latin1')).join('');
    assert.equal(sent.includes('imagerepo_mirror/tags'), false);
  });

  it("give Google's token to no other host", async (t) => {
    const { metrics, received } = await exported(t);
    metrics.record({ entry: 'tag', outcome: 'copied' });
    await metrics.close();
    assert.equal(received[0]?.headers.authorization, undefined);
  });

  it('are sent at most every 10 s, and at the end', async (t) => {
    const intervals = t.mock.method(globalThis, 'setInterval');
    const { metrics, received, pass } = await exported(t);
    const record = (): void => {
      metrics.record({ entry: 'tag', outcome: 'copied' });
    };
    record();
    await metrics.flush();
    record();
    pass(9999);
    await metrics.flush();
    assert.equal(received.length, 1);
    pass(1);
    await metrics.flush();
    assert.equal(received.length, 2);
    record();
    await metrics.close();
    assert.equal(received.length, 3);
    // Never by themselves: what is longer than a timer takes would fire at once.
    const delays = intervals.mock.calls.map(({ arguments: [, ms] }) => ms);
    assert.deepEqual(delays, [2 ** 31 - 1]);
  });

  it('tell of points that the endpoint took and refused', async (t) => {
    // ExportMetricsServiceResponse: partial_success of 3 rejected points, 'late'.
    const { metrics, lines } = await exported(
      t,
      200,
      Buffer.from('0a0808031204' + '6c617465', 'hex'),
    );
    metrics.record({ entry: 'tag', outcome: 'copied' });
    await metrics.close();
    assert.equal(lines.length, 1);
    assert.match(String(lines[0]?.['message']), /"rejectedDataPoints":.*3.*"errorMessage":"late"/);
  });

  for (const [status, why] of [
    [0, /Request timed out|not done within 3000 ms/],
    [403, /Forbidden/],
  ] as const) {
    it(`never fail where the endpoint answers ${status}, and tell of each export that did`, async (t) => {
      const { metrics, lines } = await exported(t, status);
      const lastWords = (): string =>
        String((lines.at(-1)?.['error'] as Error | undefined)?.message);
      metrics.record({ entry: 'tag', outcome: 'copied' });
      await metrics.flush();
      assert.deepEqual(
        lines.map(({ message }) => message),
        ['metrics could not be exported'],
      );
      assert.match(lastWords(), why);
      await metrics.close();
      assert.equal(lines.length, 2);
      assert.match(lastWords(), why);
    });
  }
});

describe('headers of an export', () => {
  const accessToken = async (): Promise<string> => Promise.resolve('t-1');

  it("bear Google's token for Google's endpoint", async () => {
    const endpoint = 'https://telemetry.googleapis.com';
    assert.deepEqual(await exportHeaders({ endpoint, accessToken }), {
      authorization: 'Bearer t-1',
    });
  });

  for (const endpoint of [
    'http://telemetry.googleapis.com',
    'https://telemetry.googleapis.com.example.org',
    'https://nogoogleapis.com',
    'http://127.0.0.1:4318',
  ]) {
    it(`bear none for ${endpoint}`, async () => {
      assert.deepEqual(await exportHeaders({ endpoint, accessToken }), {});
    });
  }

  it('bear none where none is to be had', async () => {
    const refused = async (): Promise<string> => Promise.reject(new Error('no metadata server'));
    const endpoint = 'https://telemetry.googleapis.com';
    assert.deepEqual(await exportHeaders({ endpoint, accessToken: refused }), {});
  });
});
