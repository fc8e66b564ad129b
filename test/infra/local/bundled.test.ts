import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { ROOT, scratchFolder } from '../scratch.ts';

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

function node(args: readonly string[], env: Readonly<Record<string, string>> = {}): Ended {
  return spawnSync(process.execPath, args, { encoding: 'utf8', env: { ...process.env, ...env } });
}

/** A checkout with one source, whose bundler writes what `bundler` says. */
function checkout(t: TestContext, bundler: string): { root: string; folder: string } {
  const root = scratchFolder(t);
  for (const folder of ['functions', 'infra']) mkdirSync(join(root, folder));
  writeFileSync(join(root, 'functions/job.ts'), '');
  writeFileSync(join(root, 'package-lock.json'), '{}');
  writeFileSync(join(root, 'infra/bundle.mjs'), bundler);
  return { root, folder: join(scratchFolder(t), 'bundles') };
}

const WRITTEN = '// a bundle';

const BUNDLER = `import { writeFileSync } from 'node:fs';
const [name, out] = process.argv.slice(2);
writeFileSync(out.slice('--out='.length) + '/' + name + '.js', '${WRITTEN}');`;

/** What `bundled` returns and says of such a checkout. */
function bundled(wanted: {
  root: string;
  folder: string;
  entry?: string;
}): Pick<Ended, 'stdout' | 'stderr'> {
  const given = { entry: 'functions/job.ts', node: process.execPath, ...wanted };
  const script = `import { bundled } from ${JSON.stringify(join(ROOT, 'infra/local/bundled.mjs'))};
    process.stdout.write(String(bundled(${JSON.stringify(given)})));`;
  const { stdout, stderr } = node(['--input-type=module', '--eval', script]);
  return { stdout, stderr };
}

describe('the command as one file', () => {
  it('is made by the first start and run by the next', (t) => {
    const cache = scratchFolder(t);
    const start = (...args: readonly string[]): Ended =>
      node([join(ROOT, 'infra/local/with-node-24.mjs'), 'functions/job.ts', ...args], {
        XDG_CACHE_HOME: cache,
        NODE_COMPILE_CACHE: join(cache, 'compile'),
      });
    const first = start('--help');
    assert.deepEqual([first.status, first.stderr], [0, '']);
    assert.equal(first.stdout, node([join(ROOT, 'functions/job.ts'), '--help']).stdout);
    const bundles = join(cache, 'imagerepo-mirror/bundles');
    const [made = '', ...others] = readdirSync(bundles);
    assert.deepEqual(others, []);
    const second = start('--nothing-such');
    assert.equal(second.status, 2);
    assert.match(second.stderr, /--nothing-such/);
    writeFileSync(join(bundles, made, 'job.js'), 'console.log(process.argv.slice(2));');
    assert.equal(start('one', '--two').stdout, "[ 'one', '--two' ]\n");
  });

  it('is made anew for other sources, and an old one goes', (t) => {
    const { root, folder } = checkout(t, BUNDLER);
    const first = bundled({ root, folder }).stdout;
    assert.equal(bundled({ root, folder }).stdout, first);
    writeFileSync(join(root, 'functions/job.ts'), 'changed');
    const second = bundled({ root, folder }).stdout;
    assert.notEqual(second, first);
    assert.equal(readdirSync(folder).length, 2);
    const eightDaysAgo = Date.now() / 1000 - 8 * 24 * 60 * 60;
    utimesSync(join(first, '..'), eightDaysAgo, eightDaysAgo);
    writeFileSync(join(root, 'package-lock.json'), '{ "changed": true }');
    const third = bundled({ root, folder }).stdout;
    assert.throws(() => statSync(first));
    for (const kept of [second, third]) assert.ok(statSync(kept).isFile());
  });

  it('is made again where a broken one is there, and whatever a lock of an editor or another user left', (t) => {
    const { root, folder } = checkout(t, BUNDLER);
    const made = bundled({ root, folder }).stdout;
    for (const damage of [
      (): void => {
        writeFileSync(made, '');
      },
      (): void => {
        rmSync(made);
      },
    ]) {
      damage();
      assert.deepEqual(bundled({ root, folder }), { stdout: made, stderr: '' });
      assert.equal(readFileSync(made, 'utf8'), WRITTEN);
    }
    symlinkSync('nobody@nowhere:1', join(root, 'functions/.#job.ts'));
    symlinkSync('nothing', join(folder, 'dangling'));
    assert.equal(bundled({ root, folder }).stderr, '');
    const eightDaysAgo = Date.now() / 1000 - 8 * 24 * 60 * 60;
    utimesSync(join(made, '..'), eightDaysAgo, eightDaysAgo);
    bundled({ root, folder });
    writeFileSync(join(root, 'functions/job.ts'), 'changed');
    bundled({ root, folder });
    // It was started since.
    assert.ok(existsSync(made));
  });

  it('is left aside with a line where it cannot be made', (t) => {
    const { root, folder } = checkout(t, 'throw new Error("no esbuild");');
    const failed = bundled({ root, folder });
    assert.equal(failed.stdout, 'undefined');
    assert.match(
      failed.stderr,
      /^functions\/job\.ts runs from its sources.*: Error: no esbuild\n$/,
    );
    assert.deepEqual(readdirSync(folder), []);
    const inTheWay = bundled({ root, folder: join(root, 'package-lock.json') });
    assert.equal(inTheWay.stdout, 'undefined');
    assert.match(inTheWay.stderr, /^functions\/job\.ts runs from its sources.*package-lock\.json/);
  });

  it('is not made of what runs for long', (t) => {
    const { root, folder } = checkout(t, BUNDLER);
    const { stdout, stderr } = bundled({ root, folder, entry: 'bridge/main.ts' });
    assert.deepEqual([stdout, stderr], ['undefined', '']);
  });
});
