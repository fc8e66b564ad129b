import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { serveBridge } from '../../bridge/pages.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';

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
