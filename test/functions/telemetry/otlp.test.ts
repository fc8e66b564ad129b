import assert from 'node:assert/strict';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';

import {
  exportHeaders,
  otlpMetrics,
  type OtlpInstruments,
  type OtlpMetrics,
} from '../../../functions/telemetry/otlp.ts';
import { keptLines } from '../subscriber/samples.ts';

interface Received {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

interface Collector {
  readonly url: string;
  readonly received: Received[];
  readonly server: Server;
}

/** An endpoint that keeps what it is sent; `answer` says with which status, 0 never. */
async function collector(answer: () => number = () => 200): Promise<Collector> {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      const body = request.headers['content-encoding'] === 'gzip' ? gunzipSync(raw) : raw;
      received.push({ path: request.url ?? '', headers: request.headers, body });
      const status = answer();
      if (status !== 0) response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, received, server };
}

async function withCollector(
  work: (parts: {
    metrics: OtlpMetrics;
    endpoint: Collector;
    lines: Record<string, unknown>[];
    pass: (ms: number) => void;
  }) => Promise<void>,
  answer?: () => number,
): Promise<void> {
  const endpoint = await collector(answer);
  const { logger, lines } = keptLines();
  let nowMs = 0;
  const metrics = otlpMetrics({
    endpoint: endpoint.url,
    accessToken: async () => Promise.resolve('google-token'),
    projectId: 'acme',
    serviceName: 'mirror-events',
    logger,
    clock: () => nowMs,
  });
  try {
    await work({
      metrics,
      endpoint,
      lines,
      pass: (ms) => {
        nowMs += ms;
      },
    });
  } finally {
    endpoint.server.closeAllConnections();
    endpoint.server.close();
  }
}

describe('otlpMetrics whose libraries come late or never', () => {
  it('counts the lines of before, up to 10,000, and tells how many are lost', async () => {
    const { logger, lines } = keptLines();
    const libraries = Promise.withResolvers<OtlpInstruments>();
    const options = {
      endpoint: 'http://127.0.0.1:1',
      accessToken: () => Promise.resolve(''),
      projectId: undefined,
      serviceName: 'mirror-events',
      logger,
      clock: () => 0,
    };
    const metrics = otlpMetrics(options, libraries.promise);
    let recorded = 0;
    for (let line = 0; line < 10_003; line += 1) metrics.record({ entry: 'tag' });
    libraries.resolve({
      record: () => (recorded += 1),
      forceFlush: () => Promise.resolve(),
      shutdown: () => Promise.resolve(),
    });
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
});

describe('OTLP metrics', () => {
  it('are sent with their names, labels and resource', async () => {
    await withCollector(async ({ metrics, endpoint }) => {
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
      const [sent] = endpoint.received;
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
      await metrics.close();
    });
  });

  it('leave out skipped tags, which no line is written for', async () => {
    await withCollector(async ({ metrics, endpoint }) => {
      metrics.record({ entry: 'tag', outcome: 'skipped' });
      await metrics.close();
      const sent = endpoint.received.map(({ body }) => body.toString('latin1')).join('');
      assert.equal(sent.includes('imagerepo_mirror/tags'), false);
    });
  });

  it("give Google's token to no other host", async () => {
    await withCollector(async ({ metrics, endpoint }) => {
      metrics.record({ entry: 'tag', outcome: 'copied' });
      await metrics.close();
      assert.equal(endpoint.received[0]?.headers.authorization, undefined);
    });
  });

  it('are sent at most every 10 s, and at the end', async () => {
    await withCollector(async ({ metrics, endpoint, pass }) => {
      const record = (): void => {
        metrics.record({ entry: 'tag', outcome: 'copied' });
      };
      record();
      await metrics.flush();
      record();
      pass(9999);
      await metrics.flush();
      assert.equal(endpoint.received.length, 1);
      pass(1);
      await metrics.flush();
      assert.equal(endpoint.received.length, 2);
      record();
      await metrics.close();
      assert.equal(endpoint.received.length, 3);
    });
  });

  it('never fail and never hold an event for more than 3 s', async () => {
    await withCollector(
      async ({ metrics, lines }) => {
        metrics.record({ entry: 'tag', outcome: 'copied' });
        const startedMs = performance.now();
        await metrics.flush();
        assert.ok(performance.now() - startedMs < 4000);
        assert.ok(lines.length <= 1);
        await metrics.close();
      },
      () => 0,
    );
  });

  it('never fail where the endpoint refuses', async () => {
    await withCollector(
      async ({ metrics }) => {
        metrics.record({ entry: 'tag', outcome: 'copied' });
        await metrics.flush();
        await metrics.close();
      },
      () => 403,
    );
  });
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
