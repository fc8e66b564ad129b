import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyAnswer, type RegistryRequest } from '../../stand-ins/registry/exchange.ts';
import { withLatency } from '../../stand-ins/registry/latency.ts';

async function eventsAt(rttMs: number): Promise<readonly string[]> {
  const events: string[] = [];
  const handler = withLatency(
    () => {
      events.push('served');
      return Promise.resolve(emptyAnswer(204));
    },
    () => rttMs,
    (ms) => Promise.resolve(events.push(`waited ${ms}`)),
  );
  assert.equal((await handler({} as RegistryRequest)).status, 204);
  return events;
}

describe('latency', () => {
  it('comes half before the work and half after it', async () => {
    assert.deepEqual(await eventsAt(60), ['waited 30', 'served', 'waited 30']);
  });

  it('is none by default', async () => {
    assert.deepEqual(await eventsAt(0), ['served']);
  });
});
