import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { imageRepository } from './objects.ts';
import { eventually, startStandIns, type StandIns } from './stand-ins.ts';

const main = fileURLToPath(new URL('../../bridge/main.ts', import.meta.url));

interface Program {
  readonly child: ChildProcess;
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly ended: Promise<number | null>;
}

const children = new Set<ChildProcess>();

function start(args: readonly string[], env: Readonly<Record<string, string>> = {}): Program {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, METADATA_SERVER_DETECTION: 'none', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const ended = once(child, 'close').then(([code]) => code as number | null);
  return { child, stdout: () => stdout, stderr: () => stderr, ended };
}

describe('the bridge’s program', () => {
  let standIns: StandIns;
  before(async () => {
    standIns = await startStandIns();
    standIns.kubernetes.put(imageRepository('app', { revision: '1' }));
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await standIns.close();
  });

  it('prints its help', async () => {
    const program = start(['--help']);
    assert.equal(await program.ended, 0);
    assert.match(program.stdout(), /^Usage:$/m);
    assert.equal(program.stderr(), '');
  });

  const wrong: readonly (readonly [string, readonly string[], Readonly<Record<string, string>>])[] =
    [
      ['--bogus', ['--bogus'], {}],
      ['--concurrent', ['--concurrent', 'x'], {}],
      ['RESYNC_INTERVAL', [], { RESYNC_INTERVAL: 'daily' }],
      ['kubeconfig', ['--kubeconfig', '/nowhere'], {}],
    ];
  for (const [name, args, env] of wrong) {
    it(`ends with 2 and one line that names ${name}`, async () => {
      const program = start(args, env);
      assert.equal(await program.ended, 2);
      assert.equal(program.stdout(), '');
      const lines = program.stderr().trimEnd().split('\n');
      assert.equal(lines.length, 1, program.stderr());
      assert.ok(lines[0]?.includes(name), lines[0]);
    });
  }

  it('ends with 2 where no project is known', async () => {
    const program = start(['--kubeconfig', standIns.kubeconfig], {
      GOOGLE_CLOUD_PROJECT: '',
      GOOGLE_APPLICATION_CREDENTIALS: '',
      HOME: standIns.folder,
    });
    assert.equal(await program.ended, 2);
    assert.match(program.stderr(), /--project/);
  });

  it('takes the project of a topic’s full name', async () => {
    const count = standIns.events('bulk').length;
    const program = start([
      ...['--once', '--kubeconfig', standIns.kubeconfig],
      ...['--topic', 'projects/test-project/topics/events', '--bulk-topic', 'bulk'],
    ]);
    assert.equal(await program.ended, 0, program.stderr());
    assert.equal(standIns.events('bulk').length, count + 1);
  });

  it('ends with 2 where an address cannot be bound', async () => {
    const server = await import('node:net').then(({ createServer }) =>
      createServer().listen(0, '127.0.0.1'),
    );
    await once(server, 'listening');
    const { port } = server.address() as { readonly port: number };
    const program = start([
      ...['--kubeconfig', standIns.kubeconfig, '--project', 'test-project'],
      ...['--metrics-addr', `127.0.0.1:${port}`, '--health-addr', '0'],
    ]);
    assert.equal(await program.ended, 2);
    assert.match(program.stderr(), /--metrics-addr/);
    server.close();
  });

  it('runs until a signal and ends with 0, having told where it serves', async () => {
    const count = standIns.events('bulk').length;
    const program = start([
      ...['--kubeconfig', standIns.kubeconfig, '--project', 'test-project'],
      ...['--metrics-addr', '127.0.0.1:0', '--health-addr', '127.0.0.1:0'],
      ...['--cluster-name', 'prod-eu'],
    ]);
    const events = await standIns.until(count + 1, 'bulk');
    const address = /"address":"(127\.0\.0\.1:\d+)"/.exec(program.stdout())?.[1];
    assert.ok(address !== undefined);
    assert.equal((await fetch(`http://${address}/metrics`)).status, 200);
    await eventually('it is logged', () => program.stdout().includes('published initial'));
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0, program.stderr());
    assert.ok(events.at(-1)?.source.startsWith('//prod-eu/'));
  });

  it('publishes once and ends, with --once', async () => {
    const count = standIns.events('bulk').length;
    const program = start(['--once', '--kubeconfig', standIns.kubeconfig], {
      GOOGLE_CLOUD_PROJECT: 'test-project',
    });
    assert.equal(await program.ended, 0, program.stderr());
    assert.equal(standIns.events('bulk').length, count + 1, program.stdout());
    const failed = start(['--once', '--kubeconfig', standIns.kubeconfig, '--name', 'a/b'], {
      GOOGLE_CLOUD_PROJECT: 'test-project',
    });
    assert.equal(await failed.ended, 1);
  });
});
