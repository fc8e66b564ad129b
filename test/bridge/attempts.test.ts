import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { attempt, type AttemptOptions } from '../../bridge/attempts.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { rejection } from '../faults.ts';
import { eventually, quick } from './stand-ins.ts';

function patience(more: Partial<AttemptOptions> = {}): AttemptOptions & { lines: string[] } {
  const lines: string[] = [];
  return {
    lines,
    timeoutMs: 60_000,
    signal: new AbortController().signal,
    logger: createLogger({ write: (line) => lines.push(line) }),
    backoff: quick,
    ...more,
  };
}
/** Fails so many times, then gives how often it was tried. */
function failing(times: number, fault: MirrorError): () => Promise<number> {
  let tries = 0;
  return () => {
    tries += 1;
    return tries > times ? Promise.resolve(tries) : Promise.reject(fault);
  };
}
const never = (): Promise<never> => new Promise(() => undefined);

describe('attempt', () => {
  const passing: readonly MirrorError[] = [
    new MirrorError('NETWORK', 'cut'),
    new MirrorError('CREDENTIALS_UNAVAILABLE', 'late'),
    new MirrorError('PUBLISH_FAILED', 'away'),
    new MirrorError('RATE_LIMITED', 'busy', { status: 429 }),
    new MirrorError('WATCH_FAILED', 'expired', { status: 410 }),
    new MirrorError('WATCH_FAILED', 'starting', { status: 503 }),
  ];
  for (const fault of passing) {
    it(`goes on after ${fault.code} ${fault.message}`, async () => {
      assert.equal(await attempt('it', patience(), failing(3, fault)), 4);
    });
  }

  for (const [code, status] of [
    ['ACCESS_DENIED', 403],
    ['NOT_FOUND', 404],
    ['UNAUTHORIZED', 401],
  ] as const) {
    it(`ends at once at ${code}`, async () => {
      await rejection(
        attempt('it', patience(), failing(1, new MirrorError(code, 'no', { status }))),
        code,
      );
    });
  }

  it('ends with the last fault when its time is over', async () => {
    const fault = new MirrorError('NETWORK', 'cut');
    const given = await rejection(
      attempt('it', patience({ timeoutMs: 100 }), failing(Infinity, fault)),
      'NETWORK',
    );
    assert.equal(given, fault);
    await rejection(attempt('it', patience({ timeoutMs: 50 }), never), 'TIMEOUT');
  });

  it('ends at once with its signal', async () => {
    const controller = new AbortController();
    const waiting = attempt('it', patience({ signal: controller.signal }), never);
    controller.abort();
    await rejection(waiting, 'ABORTED');
    await rejection(attempt('it', patience({ signal: controller.signal }), never), 'ABORTED');
  });

  it('says what it waits for, and why', async () => {
    const controller = new AbortController();
    const options = patience({ signal: controller.signal, tellMs: 5 });
    let tries = 0;
    const waiting = attempt('the list', options, () => {
      tries += 1;
      return tries === 1 ? Promise.reject(new MirrorError('NETWORK', 'cut')) : never();
    });
    await eventually('it is said', () =>
      options.lines.some((line) => line.includes('waiting for the list') && line.includes('cut')),
    );
    const { seconds } = JSON.parse(options.lines[0] ?? '') as { readonly seconds: number };
    assert.ok(seconds < 600, `${seconds} are no seconds`);
    controller.abort();
    await rejection(waiting, 'ABORTED');
  });
});
