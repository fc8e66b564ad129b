import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { seedImages } from '../stand-ins/images/seed.ts';
import { storeTarget } from '../stand-ins/images/target.ts';
import { startKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { registry } from '../functions/registry/setting.ts';
import { runEntry, startEntry, type Ended } from './entry.ts';

const entry = 'infra/local/main.ts';

/** Runs the demo until everything is mirrored, or the time is over. */
const once = async (...args: readonly string[]): Promise<Ended> =>
  runEntry(entry, ['--once', ...args]);

/** A file of the test's own, which is not there yet. */
async function ownFile(t: TestContext, name: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'imagerepo-mirror-test-'));
  t.after(async () => rm(folder, { recursive: true, force: true }));
  return join(folder, name);
}

describe('npm start', () => {
  it('mirrors what is there and what comes, reads all of it back and exits 0', async () => {
    const { code, stdout, stderr } = await once('--timeout=120s');
    assert.equal(code, 0, stdout + stderr);
    assert.equal(stderr, '');
    assert.equal(stdout.match(/^new tag {2}/gm)?.length, 6);
    for (const [repository, tags] of [
      ['demo/api', 4],
      ['demo/legacy', 4],
      ['demo/web', 4],
      ['demo/charts/podinfo', 4],
      ['demo/payments', 8],
      ['demo/ledger', 4],
    ] as const) {
      assert.match(
        stdout,
        new RegExp(`/${repository}: ${tags} tags, \\d+ blobs, [1-9]\\d* bytes read back`),
      );
    }
    assert.match(stdout, /^Everything is mirrored: 6 repositories/m);
  });

  it('ends in order when it is told to', async () => {
    const { child, ended } = startEntry(entry, ['--new-tag-interval=1s']);
    let told = false;
    child.stdout?.on('data', (text: string) => {
      if (told || !text.includes('after the scan')) return;
      told = true;
      child.kill('SIGINT');
    });
    const { code, stdout, stderr } = await ended;
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /after the scan/);
    assert.doesNotMatch(stdout, /ended with exit code/);
  });

  it('mirrors into a registry that an option names', async (t) => {
    const { host, store } = await registry(t);
    const named = `--destination-registry=${host}/team`;
    const { code, stdout, stderr } = await once('--new-tag-interval=0', '--timeout=120s', named);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(store.repositories().filter((name) => name.startsWith('team/')).length, 6);
  });

  it('mirrors a source that an option names, scanned by the local scanner', async (t) => {
    const source = await registry(t, { auth: { scheme: 'bearer' } });
    await seedImages(storeTarget(source.store), {
      lines: [{ repository: 'org/app', kind: 'multi-platform' }],
    });
    const named = `--source=${source.host}/org/app`;
    const { code, stdout, stderr } = await once('--timeout=120s', named);
    assert.equal(code, 0, stdout + stderr);
    assert.match(stdout, /\/org\/app: 3 tags/);
  });

  it('says what did not converge and exits 1', async (t) => {
    const source = await registry(t);
    const { code, stdout } = await once('--timeout=3s', `--source=${source.host}/org/absent`);
    assert.equal(code, 1);
    assert.match(stdout, /org\/absent was not published/);
  });

  it('takes no empty cluster for a mirrored one', async (t) => {
    const kubernetes = await startKubernetes();
    t.after(async () => kubernetes.close());
    const kubeconfig = await ownFile(t, 'kubeconfig');
    await kubernetes.kubeconfig(kubeconfig);
    // Longer than the quiet after which a cluster's events have all come.
    const { code, stdout } = await once('--timeout=9s', `--kubeconfig=${kubeconfig}`);
    assert.equal(code, 1, stdout);
    assert.match(stdout, /none of 0 ImageRepositories was published/);
    assert.doesNotMatch(stdout, /Everything is mirrored/);
  });

  it('prints its options with --help', async () => {
    const { code, stdout } = await runEntry(entry, ['--help']);
    assert.equal(code, 0);
    for (const flag of [
      '--once',
      '--kubeconfig FILE',
      '--pubsub-emulator-host HOST:PORT',
      '--source IMAGE',
      '--destination-registry HOST/PATH',
      '--insecure',
    ]) {
      assert.ok(stdout.includes(flag), flag);
    }
  });

  for (const [name, args, named] of [
    ['an unknown flag', ['--onec'], '--onec'],
    ['workers that are no number', ['--tag-workers=some'], '--tag-workers'],
    ['an empty destination', ['--destination-registry='], '--destination-registry'],
    [
      'a destination without project and repository',
      ['--destination-registry=europe-docker.pkg.dev'],
      '--destination-registry',
    ],
    ['a kubeconfig that is not there', ['--kubeconfig=/does/not/exist'], '/does/not/exist'],
  ] as const) {
    it(`refuses ${name} in one line with exit code 2`, async () => {
      const { code, stdout, stderr } = await runEntry(entry, args);
      assert.equal(code, 2);
      assert.equal(stdout, '');
      assert.equal(stderr.trimEnd().split('\n').length, 1);
      assert.ok(stderr.includes(named), stderr);
    });
  }

  it('refuses a kubeconfig that is none', async (t) => {
    const file = await ownFile(t, 'kubeconfig');
    await writeFile(file, 'not: [a kubeconfig');
    const { code, stdout, stderr } = await once(`--kubeconfig=${file}`);
    assert.equal(code, 2, stdout + stderr);
    assert.equal(stderr.trimEnd().split('\n').length, 1);
    assert.ok(stderr.includes(file), stderr);
  });
});
