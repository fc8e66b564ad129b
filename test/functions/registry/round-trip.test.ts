import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import type { Authorizer } from '../../../functions/registry/authorizer.ts';
import type { ExchangeReport } from '../../../functions/registry/exchange.ts';
import { isOpen } from '../../../functions/registry/failure.ts';
import { AdaptiveLimiter, type Load, type Permit } from '../../../functions/registry/limiter.ts';
import { exchangeOnce, type Hop } from '../../../functions/registry/round-trip.ts';
import { type ClientParts, type RegistryRequest } from '../../../functions/registry/request.ts';
import { rejection } from '../../faults.ts';
import { until } from '../../until.ts';
import { bytesOf, fakeTiming, localTransport, NEVER, QUICK, serve } from './setting.ts';

const REQUEST: RegistryRequest = {
  kind: 'manifest',
  operation: 'get manifest',
  method: 'GET',
  target: '/',
  scope: undefined,
};

type Told = Load | number | 'acquire' | 'free';

/** A limiter that writes down what it is told, and lets everybody start. */
class ToldLimiter extends AdaptiveLimiter {
  readonly told: Told[] = [];
  readonly asked: Parameters<AdaptiveLimiter['acquire']>[] = [];

  override acquire(...asked: Parameters<AdaptiveLimiter['acquire']>): Promise<Permit> {
    this.told.push('acquire');
    this.asked.push(asked);
    let held = true;
    return Promise.resolve({
      free: () => {
        if (held) this.told.push('free');
        held = false;
      },
      learn: (load) => this.told.push(load),
    });
  }

  override close(pauseMs: number): void {
    this.told.push(pauseMs);
  }
}

/** Parts over a limiter that writes down what it is told. */
function parts(
  t: TestContext,
  url: string,
): ClientParts & {
  readonly told: Told[];
  readonly asked: ToldLimiter['asked'];
  readonly reports: ExchangeReport[];
} {
  const reports: ExchangeReport[] = [];
  const timing = fakeTiming(Date.parse('2026-05-04T10:00:20Z'));
  const limiter = new ToldLimiter({ timing });
  return {
    told: limiter.told,
    asked: limiter.asked,
    reports,
    side: 'source',
    registry: new URL(url),
    transport: localTransport(t),
    authorizer: {} as Authorizer,
    limiterOf: () => limiter,
    timing,
    retryPolicy: QUICK,
    random: () => 0,
    onExchange: (report) => reports.push(report),
    deadlineAtMs: undefined,
    anonymousAt: () => assert.fail('no other registry'),
  };
}

function hop(url: string, keepOpen = false): Hop {
  return { url: new URL(url), number: 0, authorization: undefined, attempt: 1, keepOpen };
}

describe('round trip', () => {
  it('gives its place back at the answer and tells how it went', async (t) => {
    for (const status of [200, 404, 401, 501]) {
      const server = await serve(t, (_request, response) => response.writeHead(status).end());
      const one = parts(t, server.url);
      const answer = await exchangeOnce(one, REQUEST, hop(server.url), NEVER);
      assert.equal(answer.status, status);
      assert.deepEqual(one.told, ['acquire', 'free', 'ok']);
    }
  });

  const throttled = [
    [429, {}, '', QUICK.baseMs],
    [429, { 'retry-after': '7' }, '', 7000],
    [429, { 'retry-after': 'Mon, 04 May 2026 10:00:50 GMT' }, '', 30_000],
    [
      429,
      {},
      JSON.stringify({
        errors: [
          {
            code: 'TOOMANYREQUESTS',
            message:
              "Quota exceeded for quota metric 'Requests per project per user' and limit 'Requests per project per user per minute per user'",
          },
        ],
      }),
      40_000,
    ],
    [403, {}, JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS' }] }), QUICK.baseMs],
    [503, { 'retry-after': '3' }, JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS' }] }), 3000],
  ] as const;
  for (const [status, headers, body, pauseMs] of throttled) {
    it(`closes the origin for ${pauseMs} ms at ${status} ${JSON.stringify(headers)}`, async (t) => {
      const server = await serve(t, (_request, response) =>
        response.writeHead(status, headers).end(body),
      );
      const one = parts(t, server.url);
      const fault = await rejection(
        exchangeOnce(one, REQUEST, hop(server.url), NEVER),
        'RATE_LIMITED',
      );
      assert.equal(fault.retryAfterMs, pauseMs);
      const atOnce = status === 429 ? [QUICK.baseMs] : [];
      assert.deepEqual(one.told, ['acquire', ...atOnce, 'free', pauseMs, 'congested']);
    });
  }

  for (const [remaining, headers, waitMs] of [
    ['0;w=21600', {}, 21_600_000],
    ['0;w=21600', { 'retry-after': '7' }, 7000],
    ['0', {}, QUICK.baseMs],
    ['1;w=21600', {}, QUICK.baseMs],
  ] as const) {
    it(`waits ${waitMs} ms where Docker Hub has ${remaining} left, ${JSON.stringify(headers)}`, async (t) => {
      const server = await serve(t, (_request, response) =>
        response.writeHead(429, { 'ratelimit-remaining': remaining, ...headers }).end(),
      );
      const hub = { ...parts(t, server.url), registry: new URL('https://index.docker.io') };
      const sent = exchangeOnce(hub, REQUEST, hop(server.url), NEVER);
      assert.equal((await rejection(sent, 'RATE_LIMITED')).retryAfterMs, waitMs);
    });
  }

  it('makes faults of answers that may pass', async (t) => {
    for (const [status, code] of [
      [500, 'SERVER_ERROR'],
      [503, 'SERVER_ERROR'],
      [408, 'TIMEOUT'],
    ] as const) {
      const server = await serve(t, (_request, response) =>
        response.writeHead(status, { 'retry-after': '2' }).end(),
      );
      const one = parts(t, server.url);
      const fault = await rejection(exchangeOnce(one, REQUEST, hop(server.url), NEVER), code);
      assert.deepEqual([fault.status, fault.retryAfterMs], [status, 2000]);
      assert.deepEqual(one.told, ['acquire', 'free', 'congested']);
    }
  });

  it('lets a manifest’s refusal be judged by its body, at any status', async (t) => {
    const server = await serve(t, (request, response) => {
      request
        .resume()
        .on('end', () =>
          response.writeHead(500).end('{"errors":[{"code":"MANIFEST_BLOB_UNKNOWN"}]}'),
        );
    });
    const put: RegistryRequest = { ...REQUEST, method: 'PUT', body: Buffer.from('{}') };
    assert.equal(
      (await exchangeOnce(parts(t, server.url), put, hop(server.url), NEVER)).status,
      500,
    );
    await rejection(
      exchangeOnce(parts(t, server.url), REQUEST, hop(server.url), NEVER),
      'SERVER_ERROR',
    );
  });

  it('waits for its turn as long as its deadline and its patience say, a manifest before others', async (t) => {
    const server = await serve(t, (_request, response) => response.end());
    const nowMs = fakeTiming(Date.parse('2026-05-04T10:00:20Z')).now();
    for (const [deadlineAtMs, patienceMs, kind, latestAtMs] of [
      [undefined, undefined, 'manifest', Infinity],
      [nowMs + 5000, 7000, 'blob', nowMs + 5000],
      [nowMs + 5000, 3000, 'tags', nowMs + 3000],
    ] as const) {
      const one = { ...parts(t, server.url), deadlineAtMs };
      await exchangeOnce(one, { ...REQUEST, kind, patienceMs }, hop(server.url), NEVER);
      assert.deepEqual(one.asked, [[latestAtMs, NEVER, kind === 'manifest']]);
    }
  });

  it('sends nothing where its turn comes too late, and holds no place', async (t) => {
    const server = await serve(t, (_request, response) => response.end());
    const one = parts(t, server.url);
    const late: RegistryRequest = { ...REQUEST, mayStart: () => false };
    await rejection(exchangeOnce(one, late, hop(server.url), NEVER), 'ABORTED');
    assert.deepEqual([one.told, server.seen.length], [['acquire', 'free'], 0]);
  });

  it('gives all but the bytes of blobs two minutes', async (t) => {
    const budgets: unknown[] = [];
    const url = 'https://r.example.com/';
    const one: ClientParts = {
      ...parts(t, url),
      transport: {
        send({ budgetMs }) {
          budgets.push(budgetMs);
          return Promise.reject(new MirrorError('NETWORK', 'no'));
        },
        close: () => undefined,
      },
    };
    const stream = { stream: Readable.from([]), sizeBytes: 1 };
    for (const [body, keepOpen] of [
      [undefined, false],
      [Buffer.alloc(1), false],
      [undefined, true],
      [stream, false],
    ] as const)
      await rejection(
        exchangeOnce(one, { ...REQUEST, body }, hop(url, keepOpen), NEVER),
        'NETWORK',
      );
    assert.deepEqual(budgets, [120_000, 120_000, undefined, undefined]);
  });

  it('reads 64 KiB of an answer, and the beginning of a refusal', async (t) => {
    const server = await serve(t, ({ url }, response) => {
      const [, status = 200, sizeBytes = 0] = (url ?? '').split('/').map(Number);
      response.writeHead(status).end(Buffer.alloc(sizeBytes));
    });
    const one = parts(t, server.url);
    const answer = (path: string): ReturnType<typeof exchangeOnce> =>
      exchangeOnce(one, REQUEST, hop(`${server.url}${path}`), NEVER);
    assert.equal((await answer('/200/65536')).status, 200);
    assert.equal((await answer('/400/65537')).status, 400);
    await rejection(answer('/200/65537'), 'RESPONSE_TOO_LARGE');
  });

  it('counts the bytes of a body that was taken', async (t) => {
    const stream = { stream: Readable.from([Buffer.alloc(7)]), sizeBytes: 7 };
    for (const [status, body, sentBytes] of [
      [201, Buffer.from('{}'), 2],
      [400, Buffer.from('{}'), 0],
      [201, stream, 7],
    ] as const) {
      const server = await serve(t, (request, response) => {
        request.resume().on('end', () => response.writeHead(status).end());
      });
      const one = parts(t, server.url);
      await exchangeOnce(one, { ...REQUEST, method: 'PUT', body }, hop(server.url), NEVER);
      assert.deepEqual(one.reports, [
        {
          side: 'source',
          host: server.host,
          kind: 'manifest',
          method: 'PUT',
          status,
          hop: 0,
          receivedBytes: 0,
          sentBytes,
          durationMs: 0,
        },
      ]);
    }
  });

  it('holds no place while a body flows', async (t) => {
    const server = await serve(t, (_request, response) => response.end('body'));
    const one = parts(t, server.url);
    const answer = await exchangeOnce(one, REQUEST, hop(server.url, true), NEVER);
    assert.ok(isOpen(answer));
    assert.deepEqual(one.told, ['acquire', 'free', 'ok']);
    assert.equal(one.reports.length, 0);
    assert.equal(String(await bytesOf(answer.chunks)), 'body');
    assert.equal(one.told.length, 3);
    assert.equal(one.reports[0]?.receivedBytes, 4);
    const unread = await exchangeOnce(one, REQUEST, hop(server.url, true), NEVER);
    assert.ok(isOpen(unread));
    unread.discard();
    assert.equal(one.told.length, 6);
    assert.equal(one.reports.length, 2);
  });

  it('gives an upload’s place back when its body begins to flow, and still learns its end', async (t) => {
    const flows = Promise.withResolvers<undefined>();
    const server = await serve(t, (request, response) => {
      request.resume();
      void flows.promise.then(() => response.writeHead(429).end());
    });
    const one = parts(t, server.url);
    const body = { stream: Readable.from([Buffer.alloc(10), Buffer.alloc(10)]), sizeBytes: 20 };
    const put: RegistryRequest = { ...REQUEST, kind: 'upload', method: 'PUT', body };
    const sent = rejection(exchangeOnce(one, put, hop(server.url), NEVER), 'RATE_LIMITED');
    await until(() => one.told.includes('free'));
    assert.deepEqual(one.told, ['acquire', 'free']);
    flows.resolve(undefined);
    await sent;
    assert.deepEqual(one.told, ['acquire', 'free', QUICK.baseMs, QUICK.baseMs, 'congested']);
  });

  it('takes a broken body for congestion', async (t) => {
    const server = await serve(t, (request, response) => {
      response.writeHead(200, { 'content-length': '10' }).write('some');
      setImmediate(() => request.socket.destroy());
    });
    const one = parts(t, server.url);
    const answer = await exchangeOnce(one, REQUEST, hop(server.url, true), NEVER);
    assert.ok(isOpen(answer));
    await rejection(bytesOf(answer.chunks), 'NETWORK');
    assert.deepEqual(one.told, ['acquire', 'free', 'ok', 'congested']);
  });

  it('takes a broken connection for congestion, and its own end for nothing', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.url === '/break') request.socket.destroy();
      else response.writeHead(200, { 'content-length': '10' }).write('some');
    });
    const one = parts(t, server.url);
    const put: RegistryRequest = { ...REQUEST, method: 'PUT', body: Buffer.from('{}') };
    await rejection(exchangeOnce(one, put, hop(`${server.url}/break`), NEVER), 'NETWORK');
    const controller = new AbortController();
    const sent = exchangeOnce(one, REQUEST, hop(server.url), controller.signal);
    await until(() => one.told.filter((told) => told === 'free').length >= 2);
    controller.abort();
    await rejection(sent, 'ABORTED');
    assert.deepEqual(one.told, ['acquire', 'congested', 'free', 'acquire', 'free', 'aborted']);
    assert.deepEqual(
      one.reports.map(({ status, sentBytes, receivedBytes }) => [status, sentBytes, receivedBytes]),
      [
        [0, 0, 0],
        [200, 0, 0],
      ],
    );
  });
});
