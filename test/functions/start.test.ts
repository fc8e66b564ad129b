import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { MirrorError } from '../../functions/errors.ts';
import { configured, refused } from '../../functions/start.ts';

const env = { PATH: process.env['PATH'] };

describe('start', () => {
  it('gives what is read', () => {
    assert.equal(
      configured(() => 7),
      7,
    );
  });

  it('lets a defect through', () => {
    assert.throws(
      () =>
        configured(() => {
          throw new TypeError('x');
        }),
      TypeError,
    );
  });

  it('says in one line which port another program has', async (t) => {
    const other = createServer().listen(0);
    t.after(() => other.close());
    await once(other, 'listening');
    const { port } = other.address() as AddressInfo;
    const { status, stderr } = spawnSync(process.execPath, ['functions/serve.ts'], {
      env: { ...env, PORT: String(port), DESTINATION_REGISTRY: 'r.example/m', LOCAL: 'true' },
      encoding: 'utf8',
    });
    assert.equal(status, 1, stderr);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.ok(stderr.startsWith(`cannot serve on port ${port} (PORT): listen EADDRINUSE`), stderr);
  });

  for (const args of [
    ['--help'],
    ['--image=127.0.0.1:1/app', '--destination-registry=127.0.0.1:1/m', '-o', 'json'],
  ]) {
    it(`says in one line that nobody reads what the command prints (${args.at(-1)})`, async () => {
      const child = spawn(process.execPath, ['functions/job.ts', ...args], { env });
      child.stdout.destroy();
      const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')]);
      assert.equal(child.exitCode, 1, stderr);
      const lines = stderr.split('\n').filter((line) => line.startsWith('standard output'));
      assert.deepEqual(lines, ['standard output cannot be written: write EPIPE']);
      assert.doesNotMatch(stderr, /^ +at /m);
    });
  }

  it('has exit code 2 for bad usage and 1 for what failed', () => {
    assert.equal(refused(new MirrorError('OPTION_INVALID', 'x')), 2);
    assert.equal(refused(new MirrorError('PULL_FAILED', 'x')), 1);
  });

  const refusals: readonly [
    name: string,
    entry: string,
    env: Record<string, string>,
    line: RegExp,
  ][] = [
    ['the function without a destination', 'functions/index.ts', {}, /DESTINATION_REGISTRY/],
    ['the service without a destination', 'functions/serve.ts', {}, /DESTINATION_REGISTRY/],
    [
      'the service with a malformed destination',
      'functions/serve.ts',
      { DESTINATION_REGISTRY: 'europe-docker.pkg.dev/only' },
      /DESTINATION_REGISTRY/,
    ],
    [
      'the service with a file that is not there',
      'functions/serve.ts',
      { DESTINATION_REGISTRY: 'r.example/m', SOURCE_CA_FILE: '/nowhere/ca.pem' },
      /SOURCE_CA_FILE/,
    ],
    ['the job without anything to do', 'functions/job.ts', {}, /--image/],
    [
      'the job with an option that is none',
      'functions/job.ts',
      { DESTINATION_REGISTRY: 'r.example/m', EVENT: '{', HTTPS_PROXY: 'http://p' },
      /^proxy variables are ignored: HTTPS_PROXY\n.*EVENT/,
    ],
    [
      'the job with an event that is none',
      'functions/job.ts',
      { DESTINATION_REGISTRY: 'r.example/m', EVENT: '{' },
      /EVENT/,
    ],
  ];
  for (const [name, entry, given, line] of refusals) {
    it(`refuses ${name} with one line and exit code 2`, () => {
      const { status, stdout, stderr } = spawnSync(process.execPath, [entry], {
        env: { ...env, ...given },
        encoding: 'utf8',
      });
      assert.equal(status, 2, stderr);
      assert.equal(stdout, '');
      assert.equal(stderr.trim().split('\n').length, 'HTTPS_PROXY' in given ? 2 : 1, stderr);
      assert.match(stderr, line);
    });
  }

  for (const entry of ['functions/serve.ts', 'functions/job.ts']) {
    it(`prints the help of ${entry}`, () => {
      const { status, stdout } = spawnSync(process.execPath, [entry, '--help'], {
        env,
        encoding: 'utf8',
      });
      assert.equal(status, 0);
      assert.match(stdout, /--destination-registry/);
      assert.match(stdout, /Usage:/);
    });
  }
});
