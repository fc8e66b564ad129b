import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { startServer } from './servers/server.ts';
import { poll } from './servers/poll.ts';

const shell = '/bin/sh';

describe('a server program', () => {
  it('is ended together with what it has started', async () => {
    const child = await startServer({
      path: shell,
      args: ['-c', 'sleep 60 & echo "started $!"; wait'],
      ready: () => Promise.resolve(true),
    });
    const grandchild = await poll('the grandchild', 5000, () =>
      Promise.resolve(/started (\d+)/.exec(child.lastLines.join('\n'))?.[1]),
    );
    assert.equal(isAlive(Number(grandchild)), true);
    await child.stop();
    assert.equal(isAlive(child.pid), false);
    await poll('its end', 5000, () => Promise.resolve(isAlive(Number(grandchild)) ? undefined : 1));
    await child.stop();
  });

  it('fails to start with its last words when it ends early', async () => {
    await assert.rejects(
      startServer({
        path: shell,
        args: ['-c', 'echo "no such option"; exit 1'],
        ready: () => Promise.resolve(false),
      }),
      /no such option/,
    );
  });

  it('fails to start and is ended when it is not ready in time', async () => {
    await assert.rejects(
      startServer({
        path: shell,
        args: ['-c', 'exec sleep 60'],
        ready: () => Promise.reject(new Error('refused')),
        readyTimeoutMs: 200,
      }),
      /did not start/,
    );
  });

  it('fails to start when the program does not exist', async () => {
    const ready = (): Promise<boolean> => Promise.resolve(false);
    await assert.rejects(startServer({ path: '/no/such/program', args: [], ready }), /ENOENT/);
  });

  it('is ended, and its folder removed, when the tests are ended from outside', async () => {
    const source = `
      import { startServer } from ${JSON.stringify(new URL('servers/server.ts', import.meta.url))};
      import { makeScratch } from ${JSON.stringify(new URL('servers/scratch.ts', import.meta.url))};
      const scratch = await makeScratch('child-test');
      const child = await startServer({
        path: ${JSON.stringify(shell)}, args: ['-c', 'exec sleep 60'], ready: async () => true,
      });
      console.log(JSON.stringify({ pid: child.pid, folder: scratch.path }));`;
    const run = spawn(process.execPath, ['--input-type=module', '--eval', source], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(run.stdout, 'data')) as [Buffer];
    const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string };
    assert.equal(isAlive(pid), true);
    run.kill('SIGTERM');
    await once(run, 'exit');
    await poll('its end', 5000, () => Promise.resolve(isAlive(pid) ? undefined : true));
    assert.equal(existsSync(folder), false);
  });
});

/** One that has ended stays a zombie until the first process of the machine reaps it, which may be never. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const stat = `/proc/${pid}/stat`;
  return !existsSync(stat) || !readFileSync(stat, 'utf8').includes(') Z ');
}
