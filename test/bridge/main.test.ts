import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { leases } from '../stand-ins/kubernetes/resource.ts';
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

  /** Who holds the Lease that the bridges compete for. */
  const holder = (): unknown => {
    const name = 'imagerepo-mirror-leader-election';
    const lease = standIns.kubernetes.get('flux-system', name, leases);
    return (lease?.['spec'] as { readonly holderIdentity?: unknown } | undefined)?.holderIdentity;
  };

  /** Where the bridge serves its health. */
  async function healthOf(program: Program): Promise<string> {
    const served = (): string | undefined =>
      /serving health.*?"address":"(127\.0\.0\.1:\d+)"/.exec(program.stdout())?.[1];
    await eventually('it serves', () => served() !== undefined);
    return served() ?? '';
  }
  const serving = ['--metrics-addr', '0', '--health-addr', '127.0.0.1:0'];

  it('waits for credentials, says which in the log and in readiness, and ends at a signal', async () => {
    const missing = '/nowhere/key.json';
    const program = start(['--kubeconfig', standIns.kubeconfig, ...serving], {
      PUBSUB_EMULATOR_HOST: '',
      GOOGLE_CLOUD_PROJECT: 'test-project',
      GOOGLE_APPLICATION_CREDENTIALS: missing,
    });
    const health = await healthOf(program);
    await eventually('readiness says so', async () => {
      const response = await fetch(`http://${health}/readyz`);
      return response.status === 503 && (await response.text()).includes(missing);
    });
    await eventually('it tries again', () => program.stdout().split(missing).length > 4);
    for (const line of program.stdout().trimEnd().split('\n')) JSON.parse(line);
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0);
    assert.equal(program.stderr(), '');
  });

  it('ends within a second while a metadata server does not answer', async () => {
    const metadata = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(metadata, 'listening');
    const { port } = metadata.address() as AddressInfo;
    const asked = once(metadata, 'request');
    const program = start(['--kubeconfig', standIns.kubeconfig, ...serving], {
      PUBSUB_EMULATOR_HOST: '',
      GOOGLE_CLOUD_PROJECT: 'test-project',
      GCE_METADATA_HOST: `127.0.0.1:${port}`,
      METADATA_SERVER_DETECTION: 'assume-present',
    });
    await asked;
    const toldMs = performance.now();
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0);
    // What it would wait for without the signal: 15 s for what is being published, 20 s for a call.
    assert.ok(performance.now() - toldMs < 10_000);
    metadata.close();
    metadata.closeAllConnections();
  });

  it('ends while a credential plugin hangs, and ends the plugin', async () => {
    const pid = `${standIns.folder}/plugin-pid`;
    const plugin = `${standIns.folder}/plugin.mjs`;
    await writeFile(
      plugin,
      `import fs from 'node:fs'; fs.writeFileSync(${JSON.stringify(pid)}, String(process.pid)); setInterval(() => {}, 1000);`,
    );
    const kubeconfig = `${standIns.folder}/plugin-kubeconfig`;
    const written = JSON.parse(await readFile(standIns.kubeconfig, 'utf8')) as object;
    const user = { exec: { command: process.execPath, args: [plugin] } };
    await writeFile(kubeconfig, JSON.stringify({ ...written, users: [{ name: 'local', user }] }));
    const program = start(
      [
        ...['--kubeconfig', kubeconfig, '--project', 'test-project', '--enable-leader-election'],
        ...serving,
      ],
      { RUNTIME_NAMESPACE: 'flux-system' },
    );
    const pidOf = (): number => (existsSync(pid) ? Number(readFileSync(pid, 'utf8')) : 0);
    // The file is there before its content is.
    await eventually('the plugin runs', () => pidOf() > 0);
    const child = pidOf();
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0, program.stdout());
    await eventually('it is gone', () => {
      try {
        process.kill(child, 0);
        return false;
      } catch {
        return true;
      }
    });
  });

  it('ends with 1 and one structured line at a rejection that nobody handles, the Lease released', async () => {
    const trigger = `${standIns.folder}/reject.mjs`;
    await writeFile(
      trigger,
      "process.on('SIGUSR2', () => { Promise.reject(new Error('nobody handles this')); });",
    );
    const program = start(
      [
        ...['--kubeconfig', standIns.kubeconfig, '--project', 'test-project', ...serving],
        '--enable-leader-election',
      ],
      { RUNTIME_NAMESPACE: 'flux-system', NODE_OPTIONS: `--import=${trigger}` },
    );
    await eventually('it leads', () => program.stdout().includes('became leader'));
    program.child.kill('SIGUSR2');
    assert.equal(await program.ended, 1);
    assert.equal(program.stderr(), '');
    const lines = program.stdout().trimEnd().split('\n');
    const told = lines
      .map((line) => JSON.parse(line) as { readonly severity: string; readonly message: string })
      .filter(({ message }) => message.includes('defect'));
    assert.deepEqual(
      told.map(({ severity }) => severity),
      ['ERROR'],
    );
    assert.equal(holder(), '');
  });

  it('ends with 1 where a rejection that nobody handles comes shortly before the end of --once', async () => {
    const trigger = `${standIns.folder}/reject-late.mjs`;
    // From its first connection on: the rest takes less time than a service gives its last answers.
    await writeFile(
      trigger,
      `import { subscribe } from 'node:diagnostics_channel';
      subscribe('net.client.socket', () => { Promise.reject(new Error('nobody handles this')); });`,
    );
    const program = start(['--once', '--kubeconfig', standIns.kubeconfig], {
      GOOGLE_CLOUD_PROJECT: 'test-project',
      NODE_OPTIONS: `--import=${trigger}`,
    });
    assert.equal(await program.ended, 1, program.stdout());
    assert.match(program.stdout(), /the bridge ends at a defect/);
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

  it('gives up the Lease when it is told to end', async () => {
    const program = start(
      [
        ...['--kubeconfig', standIns.kubeconfig, '--project', 'test-project', ...serving],
        '--enable-leader-election',
      ],
      { RUNTIME_NAMESPACE: 'flux-system' },
    );
    await eventually('it leads', () => program.stdout().includes('became leader'));
    assert.notEqual(holder(), '');
    program.child.kill('SIGTERM');
    assert.equal(await program.ended, 0, program.stderr());
    assert.equal(holder(), '');
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
