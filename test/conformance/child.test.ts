import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { describe, it } from 'node:test';

import { freePort, startChild, type Child, type LogLine } from '../stand-ins/child.ts';

/** Starts an entry and waits until it has ended by itself. */
async function untilDeath(
  args: readonly string[],
): Promise<{ child: Child; code: number; lines: readonly LogLine[] }> {
  const lines: LogLine[] = [];
  return new Promise((resolve) => {
    startChild({
      name: 'bridge',
      entry: 'bridge/main.ts',
      args,
      onLine: (line) => lines.push(line),
      onDeath: (child, code) => {
        resolve({ child, code, lines });
      },
    });
  });
}

describe('freePort', () => {
  it('keeps the port from the same call in other processes', async () => {
    const port = await freePort();
    const other = createSocket('udp4');
    const outcome = Promise.withResolvers<unknown>();
    other.once('error', outcome.resolve);
    other.bind(port, '127.0.0.1', () => {
      outcome.resolve('bound');
    });
    assert.equal(((await outcome.promise) as NodeJS.ErrnoException).code, 'EADDRINUSE');
    other.close();
  });
});

describe('startChild', () => {
  it('tells the exit code and the last lines of a child that ends by itself', async () => {
    const { child, code } = await untilDeath(['--no-such-option']);
    assert.equal(code, 2);
    assert.equal(child.exitCode, 2);
    assert.ok(child.lastLines.some((line) => line.includes('--no-such-option')));
  });

  it('ends a child in order, without calling that a death', async () => {
    let deaths = 0;
    const port = await freePort();
    const listening = Promise.withResolvers<undefined>();
    const child = startChild({
      name: 'function',
      entry: 'functions/serve.ts',
      env: { PORT: String(port), LOCAL: 'true', DESTINATION_REGISTRY: '127.0.0.1:1/mirror' },
      onLine: (line) => {
        if (line['port'] === port) listening.resolve(undefined);
      },
      onDeath: () => deaths++,
    });
    await listening.promise;
    assert.equal(child.exitCode, undefined);
    await child.stop();
    assert.equal(child.exitCode, 0);
    assert.equal(deaths, 0);
    await child.stop();
  });
});
