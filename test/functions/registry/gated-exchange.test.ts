import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Authorizer } from '../../../functions/registry/authorizer.ts';
import type { ExchangeReport } from '../../../functions/registry/exchange.ts';
import {
  attemptBudgetMs,
  exchangeOnce,
  type Hop,
} from '../../../functions/registry/gated-exchange.ts';
import type { Gate, Verdict } from '../../../functions/registry/gate.ts';
import {
  isOpen,
  type ClientParts,
  type RegistryRequest,
} from '../../../functions/registry/request.ts';
import { openTransport } from '../../../functions/registry/transport.ts';
import { bytesOf, fakeTiming, NEVER, QUICK, rejection, serve } from './setting.ts';

const REQUEST: RegistryRequest = {
  kind: 'manifest',
  operation: 'get manifest',
  method: 'GET',
  target: '/',
  scope: undefined,
};

/** Parts over a gate that writes down what it is told. */
function parts(
  t: TestContext,
  url: string,
): ClientParts & {
  readonly told: (Verdict | number | 'stream' | 'small')[];
  readonly reports: ExchangeReport[];
} {
  const told: (Verdict | number | 'stream' | 'small')[] = [];
  const reports: ExchangeReport[] = [];
  const gate: Gate = {
    acquire(wish) {
      told.push(wish.stream ? 'stream' : 'small');
      return Promise.resolve({ release: (verdict) => told.push(verdict) });
    },
    close: (pauseMs) => told.push(pauseMs),
  };
  const transport = openTransport({ addresses: { privateHosts: new Set(), loopback: true } });
  t.after(() => {
    transport.close();
  });
  return {
    told,
    reports,
    side: 'source',
    registry: new URL(url),
    transport,
    authorizer: {} as Authorizer,
    gateOf: () => gate,
    timing: fakeTiming(Date.parse('2026-05-04T10:00:20Z')),
    retryPolicy: QUICK,
    random: () => 0,
    onExchange: (report) => reports.push(report),
    deadlineAtMs: undefined,
  };
}

function hop(url: string, keepOpen = false): Hop {
  return { url: new URL(url), number: 0, authorization: undefined, attempt: 1, keepOpen };
}

describe('gated exchange', () => {
  it('gives an attempt 30 s and a second per MiB', () => {
    assert.equal(attemptBudgetMs(0), 30_000);
    assert.equal(attemptBudgetMs(-1), 30_000);
    assert.equal(attemptBudgetMs(1024 * 1024 * 1024), 30_000 + 1024_000);
  });

  it('tells the gate how it went', async (t) => {
    const statuses: readonly (readonly [number, Verdict])[] = [
      [200, 'answered'],
      [404, 'answered'],
      [401, 'answered'],
      [501, 'answered'],
    ];
    for (const [status, verdict] of statuses) {
      const server = await serve(t, (_request, response) => response.writeHead(status).end());
      const one = parts(t, server.url);
      const answer = await exchangeOnce(one, REQUEST, hop(server.url), NEVER);
      assert.equal(answer.status, status);
      assert.deepEqual(one.told, ['small', verdict]);
    }
  });

  const throttled = [
    [429, {}, '', 500],
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
    [403, {}, JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS' }] }), 500],
    [503, { 'retry-after': '3' }, JSON.stringify({ errors: [{ code: 'TOOMANYREQUESTS' }] }), 3000],
  ] as const;
  for (const [status, headers, body, pauseMs] of throttled) {
    it(`closes the gate for ${pauseMs} ms at ${status} ${JSON.stringify(headers)}`, async (t) => {
      const server = await serve(t, (_request, response) =>
        response.writeHead(status, headers).end(body),
      );
      const one = parts(t, server.url);
      const fault = await rejection(
        exchangeOnce(one, REQUEST, hop(server.url), NEVER),
        'RATE_LIMITED',
      );
      assert.equal(fault.retryAfterMs, pauseMs);
      assert.deepEqual(one.told, ['small', pauseMs, 'congested']);
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
      const fault = await rejection(
        exchangeOnce(parts(t, server.url), REQUEST, hop(server.url), NEVER),
        code,
      );
      assert.deepEqual([fault.status, fault.retryAfterMs], [status, 2000]);
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

  it('holds its place while a body flows', async (t) => {
    const server = await serve(t, (_request, response) => response.end('body'));
    const one = parts(t, server.url);
    const answer = await exchangeOnce(one, REQUEST, hop(server.url, true), NEVER);
    assert.ok(isOpen(answer));
    assert.deepEqual(one.told, ['stream']);
    assert.equal(one.reports.length, 0);
    assert.equal(String(await bytesOf(answer.chunks)), 'body');
    assert.deepEqual(one.told, ['stream', 'answered']);
    assert.equal(one.reports[0]?.receivedBytes, 4);
    const unread = await exchangeOnce(one, REQUEST, hop(server.url, true), NEVER);
    assert.ok(isOpen(unread));
    unread.discard();
    assert.deepEqual(one.told.slice(2), ['stream', 'abandoned']);
    assert.equal(one.reports.length, 2);
  });

  it('takes a broken connection for congestion, and its own end for nothing', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.url === '/break') request.socket.destroy();
      else response.writeHead(200, { 'content-length': '10' }).write('some');
    });
    const one = parts(t, server.url);
    await rejection(exchangeOnce(one, REQUEST, hop(`${server.url}/break`), NEVER), 'NETWORK');
    const controller = new AbortController();
    const sent = exchangeOnce(one, REQUEST, hop(server.url), controller.signal);
    setTimeout(() => {
      controller.abort();
    }, 20);
    await rejection(sent, 'ABORTED');
    assert.deepEqual(one.told, ['small', 'congested', 'small', 'abandoned']);
    assert.deepEqual(
      one.reports.map(({ status }) => status),
      [0, 200],
    );
  });
});
