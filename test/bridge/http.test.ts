import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { serveBridge, unreadyReasons, type ReadinessInput } from '../../bridge/http.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { hasCause, rejection } from '../faults.ts';

const metrics = { contentType: 'text/plain; version=0.0.4', text: () => Promise.resolve('a 1\n') };

describe('serveBridge', () => {
  it('serves metrics, liveness and readiness, and logs the ports bound', async (t) => {
    const lines: string[] = [];
    const logger = createLogger({ write: (line) => lines.push(line) });
    let reasons: readonly string[] = ['watch: away', 'publish: late'];
    const { metrics: metricsServer, health } = await serveBridge(
      { metricsAddr: '127.0.0.1:0', healthAddr: '127.0.0.1:0' },
      metrics,
      () => reasons,
      logger,
    );
    t.after(() => Promise.all([metricsServer?.close(), health?.close()]));
    const text = await fetch(`http://${metricsServer?.address ?? ''}/metrics`);
    assert.equal(text.headers.get('content-type'), metrics.contentType);
    assert.equal(await text.text(), 'a 1\n');
    const url = `http://${health?.address ?? ''}`;
    assert.equal((await fetch(`${url}/healthz`)).status, 200);
    const unready = await fetch(`${url}/readyz`);
    assert.deepEqual([unready.status, await unready.text()], [503, 'watch: away\npublish: late\n']);
    reasons = [];
    assert.equal((await fetch(`${url}/readyz`)).status, 200);
    const logged = lines.map((line) => (JSON.parse(line) as { address: string }).address);
    assert.deepEqual(logged, [metricsServer?.address, health?.address]);
  });

  it('serves nothing at 0', async () => {
    const servers = await serveBridge(
      { metricsAddr: '0', healthAddr: '0' },
      metrics,
      () => [],
      createLogger({ write: () => undefined }),
    );
    assert.deepEqual(servers, { metrics: undefined, health: undefined });
  });
});

const ready: ReadinessInput = {
  watch: { phase: 'watching' },
  synced: true,
  leading: true,
  unpublishedAgeMs: 0,
  missingPermissions: [],
};

const cases: readonly (readonly [string, Partial<ReadinessInput>, readonly RegExp[]])[] = [
  ['is ready when it watches and publishes', {}, []],
  ['is ready as a standby, whatever waits', { leading: false, unpublishedAgeMs: 1e9 }, []],
  ['is ready while it lists again', { watch: { phase: 'listing' } }, []],
  ['is not before the first list is complete', { synced: false }, [/^watch: /]],
  [
    'is not while the watch waits, and says for what',
    { watch: { phase: 'waiting', fault: new MirrorError('ACCESS_DENIED', 'cannot list') } },
    [/^watch: cannot list$/],
  ],
  ['is ready with what waits for two minutes', { unpublishedAgeMs: 120_000 }, []],
  ['is not with what waits for longer', { unpublishedAgeMs: 121_000 }, [/^publish: .*121 s/]],
  ['is not without permission', { missingPermissions: ['x lacks y'] }, [/^permission: x lacks y$/]],
];

describe('unreadyReasons', () => {
  for (const [name, wanted, patterns] of cases) {
    it(name, () => {
      const reasons = unreadyReasons({ ...ready, ...wanted });
      assert.equal(reasons.length, patterns.length, reasons.join());
      patterns.forEach((pattern, index) => {
        assert.match(reasons[index] ?? '', pattern);
      });
    });
  }
});

describe('the bridge’s pages', () => {
  const quiet = createLogger({ write: () => undefined });

  /** Health at an address of loopback, until the test ends. */
  async function health(t: TestContext, healthAddr = '127.0.0.1:0'): Promise<string> {
    const config = { metricsAddr: '0', healthAddr };
    const servers = await serveBridge(config, metrics, () => [], quiet);
    t.after(() => servers.health?.close());
    return servers.health?.address ?? '';
  }

  it('are served with and without a query', async (t) => {
    const address = await health(t);
    assert.match(address, /^127\.0\.0\.1:[1-9]\d*$/);
    const ok = await fetch(`http://${address}/readyz?verbose=1`);
    assert.deepEqual([ok.status, await ok.text()], [200, 'ok\n']);
  });

  it('answer HEAD without a body, and refuse other methods and paths', async (t) => {
    const url = `http://${await health(t)}`;
    const head = await fetch(`${url}/healthz`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await fetch(`${url}/healthz`, { method: 'POST', body: 'x' })).status, 405);
    assert.equal((await fetch(`${url}/else`)).status, 404);
  });

  it('answer 500 where one fails, without its words', async (t) => {
    const broken = { ...metrics, text: () => Promise.reject(new Error('secret words')) };
    const config = { metricsAddr: '127.0.0.1:0', healthAddr: '0' };
    const servers = await serveBridge(config, broken, () => [], quiet);
    t.after(() => servers.metrics?.close());
    const answer = await fetch(`http://${servers.metrics?.address ?? ''}/metrics`);
    assert.equal(answer.status, 500);
    assert.doesNotMatch(await answer.text(), /secret/);
  });

  it('are at all addresses where no host is named', async (t) => {
    const address = await health(t, ':0');
    const port = address.slice(address.lastIndexOf(':') + 1);
    assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200);
  });

  it('refuse an address that is taken, naming the option', async (t) => {
    const taken = await health(t);
    assert.equal((await rejection(health(t, taken), 'OPTION_INVALID')).field, '--health-addr');
  });

  it('cut open connections when they are closed', async () => {
    const config = { metricsAddr: '0', healthAddr: '127.0.0.1:0' };
    const servers = await serveBridge(config, metrics, () => [], quiet);
    const url = `http://${servers.health?.address ?? ''}/healthz`;
    await fetch(url);
    await servers.health?.close();
    await assert.rejects(fetch(url), hasCause('ECONNREFUSED'));
  });
});
