import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { findProgram, isFound, required, skipUnless, type Wanted } from './servers/found.ts';

const wanted: Wanted = {
  name: 'weather-vane',
  versionArgs: ['--version'],
  version: /^weather-vane (\S+)/,
  remedy: 'apt-get install weather-vane',
};

describe('looking for a program', () => {
  it('finds it in PATH with its version', async (t) => {
    const folder = await onPath(t, 'echo "weather-vane 1.2.3 ($1)"');
    assert.deepEqual(findProgram(wanted), {
      name: 'weather-vane',
      path: join(folder, 'weather-vane'),
      version: '1.2.3',
    });
  });

  it('prefers the one in KUBEBUILDER_ASSETS', async (t) => {
    await onPath(t, 'echo weather-vane 1.2.3');
    const assets = await programFolder(t, 'echo weather-vane 4.5.6');
    process.env['KUBEBUILDER_ASSETS'] = assets;
    t.after(() => delete process.env['KUBEBUILDER_ASSETS']);
    assert.equal(required(findProgram(wanted)).version, '4.5.6');
  });

  it('passes over a program of the same name that is another one or fails', async (t) => {
    await onPath(t, 'echo somebody else');
    assert.equal(isFound(findProgram(wanted)), false);
    await onPath(t, 'echo weather-vane 1.2.3; exit 1');
    assert.equal(isFound(findProgram(wanted)), false);
  });

  it('says how it is had where it is missing, in a form that skips a test', () => {
    const search = findProgram({ ...wanted, name: 'no-such-program' });
    const remedy = 'apt-get install weather-vane';
    assert.deepEqual(search, { name: 'no-such-program', remedy });
    assert.equal(skipUnless(search), `no-such-program not found: ${remedy}`);
    assert.throws(() => required(search), /no-such-program not found/);
  });
});

/** Puts a shell script named weather-vane first on PATH for one test. */
async function onPath(t: TestContext, script: string): Promise<string> {
  const folder = await programFolder(t, script);
  const before = process.env['PATH'] ?? '';
  process.env['PATH'] = `${folder}:${before}`;
  t.after(() => {
    process.env['PATH'] = before;
  });
  return folder;
}

async function programFolder(t: TestContext, script: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'found-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(join(folder, 'weather-vane'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return folder;
}
