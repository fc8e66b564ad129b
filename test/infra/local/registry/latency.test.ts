import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyAnswer, type RegistryRequest } from '../../../../infra/local/registry/exchange.ts';
import { withLatency } from '../../../../infra/local/registry/latency.ts';

describe('latency', () => {
  it('comes half before the work and half after it', async () => {
    const events: string[] = [];
    const startedMs = performance.now();
    const handler = withLatency(
      () => {
        events.push(performance.now() - startedMs >= 29 ? 'late' : 'early');
        return Promise.resolve(emptyAnswer(204));
      },
      () => 60,
    );
    await handler({} as RegistryRequest);
    assert.deepEqual(events, ['late']);
    assert.ok(performance.now() - startedMs >= 59);
  });

  it('is none by default', async () => {
    const handler = withLatency(
      () => Promise.resolve(emptyAnswer(204)),
      () => 0,
    );
    assert.equal((await handler({} as RegistryRequest)).status, 204);
  });
});
