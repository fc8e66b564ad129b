import assert from 'node:assert/strict';
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { imageWith } from '../functions/mirror/images.ts';
import { registry } from '../functions/registry/setting.ts';
import { ROOT } from '../infra/scratch.ts';

const TAGS = 500;

/**
 * The command before a reader, with more to print than the shell's pipe holds (64 KiB); its process id and then
 * its exit code are on standard error.
 */
async function before(
  t: TestContext,
  reader: string,
): Promise<ChildProcessByStdio<null, Readable, Readable>> {
  const source = await registry(t);
  const { manifest, blobs } = imageWith('image', 1);
  for (const { bytes } of blobs) source.store.putBlob('org/app', bytes);
  for (let tag = 0; tag < TAGS; tag += 1) source.store.putManifest('org/app', manifest, `1.${tag}`);
  const args = [
    `--image=${source.host}/org/app`,
    `--destination-registry=${source.host}/m`,
    '--dry-run',
    '--output=json',
  ];
  const line = `{ "$0" "$@" & echo "pid $!" >&2; wait $!; echo "rc $?" >&2; } | (${reader})`;
  const command = [process.execPath, join(ROOT, 'functions/job.ts'), ...args];
  return spawn('sh', ['-c', line, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
}

describe('what the command prints', () => {
  it('is there in whole for a reader that begins seconds later', async (t) => {
    // Longer than handles that are left open are waited for.
    const child = await before(t, 'sleep 4; cat');
    const [printed, said] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ]);
    const { repositories } = JSON.parse(printed) as { repositories: { tags: unknown[] }[] };
    assert.equal(repositories[0]?.tags.length, TAGS);
    assert.match(said, /^rc 0$/m);
  });

  it('is waited for by a command that can be ended', async (t) => {
    const child = await before(t, 'head -c 1; sleep 12');
    const said = text(child.stderr);
    const pid = Number(/^pid (\d+)$/m.exec(await firstLine(child.stderr))?.[1]);
    await once(child.stdout, 'data');
    // The report is on its way; what follows it is over in milliseconds.
    await pause(3000);
    process.kill(pid, 'SIGTERM');
    assert.match(await said, /^rc 143$/m);
    child.kill();
  });
});

async function firstLine(stream: Readable): Promise<string> {
  const [chunk] = (await once(stream, 'data')) as [Buffer];
  return chunk.toString('utf8');
}
