import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { PubSub } from '@google-cloud/pubsub';

import { readSubscriberConfig } from '../../../functions/config.ts';
import { ignoreProxyVariables } from '../../../functions/options/proxy-variables.ts';
import { openSubscriberProcess } from '../../../functions/subscriber-process.ts';
import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import { startPubsub, type LocalPubsub } from '../../stand-ins/pubsub/server.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** Every spelling that a library on the way reads. */
const NAMES = ['http', 'https', 'all', 'grpc'].flatMap((name) => [
  `${name}_proxy`,
  `${name.toUpperCase()}_PROXY`,
]);

describe('ignoreProxyVariables', () => {
  it('takes them out, tells which were set, and leaves the rest', () => {
    const env = {
      HTTPS_PROXY: 'http://p',
      no_proxy: 'x',
      HTTP_PROXY: '',
      PROXY: 'p',
      PATH: '/bin',
    };
    assert.deepEqual(ignoreProxyVariables(env), ['HTTPS_PROXY', 'no_proxy']);
    assert.deepEqual(env, { HTTP_PROXY: '', PROXY: 'p', PATH: '/bin' });
  });

  it('is what a service does when it is opened, with a line where any were set', async (t) => {
    const env = { DESTINATION_REGISTRY: '127.0.0.1:5000/m' };
    process.env['grpc_proxy'] = 'http://127.0.0.1:1';
    const write = t.mock.method(process.stdout, 'write', () => true);
    const services = [1, 2].map(() => openSubscriberProcess(readSubscriberConfig([], env), env));
    write.mock.restore();
    assert.equal(process.env['grpc_proxy'], undefined);
    const lines = write.mock.calls.map(({ arguments: [line] }) => String(line));
    assert.equal(lines.length, 1);
    assert.match(lines[0] ?? '', /proxy variables are ignored.*"ignored":\["grpc_proxy"\]/);
    for (const service of services) await service.shutDown();
  });
});

describe('a process with every proxy variable set', () => {
  let proxy: Server;
  let connections = 0;
  let proxies: Readonly<Record<string, string>>;
  let kubernetes: LocalKubernetes;
  let pubsub: LocalPubsub;
  let folder: string;
  const children = new Set<ChildProcess>();
  before(async () => {
    proxy = createServer((socket) => {
      connections += 1;
      socket.destroy();
    }).listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    const url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
    proxies = {
      ...Object.fromEntries(NAMES.map((name) => [name, url])),
      NODE_USE_ENV_PROXY: '1',
    };
    kubernetes = await startKubernetes();
    pubsub = await startPubsub({ duplicateShare: 0 });
    const admin = new PubSub({ apiEndpoint: pubsub.host, projectId: 'p', emulatorMode: true });
    for (const name of ['events', 'bulk']) await admin.createTopic({ name });
    await admin.close();
    folder = await mkdtemp(join(tmpdir(), 'proxy-'));
    await kubernetes.kubeconfig(join(folder, 'kubeconfig'));
  });
  after(async () => {
    for (const child of children) child.kill('SIGKILL');
    await kubernetes.close();
    await pubsub.close();
    proxy.close();
    await rm(folder, { recursive: true });
  });

  /** Runs an entry; gives what it wrote, when it has ended or `until` has come. */
  async function run(
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    until?: Promise<unknown>,
  ): Promise<string> {
    const child = spawn(process.execPath, args, {
      cwd: root,
      env: { ...process.env, ...proxies, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.add(child);
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text));
    }
    const ended = once(child, 'close');
    if (until !== undefined) {
      await Promise.race([until, ended]);
      child.kill('SIGTERM');
    }
    await ended;
    return output;
  }
  const bridge = (): readonly string[] => [
    ...['bridge/main.ts', '--kubeconfig', join(folder, 'kubeconfig'), '--project', 'p'],
  ];

  it('asks Kubernetes and Pub/Sub themselves', async () => {
    const output = await run([...bridge(), '--once', '--name', 'flux-system/absent'], {
      PUBSUB_EMULATOR_HOST: pubsub.host,
      METADATA_SERVER_DETECTION: 'none',
    });
    assert.match(output, /there is no ImageRepository flux-system\/absent/);
    assert.match(output, /HTTPS_PROXY/);
    assert.ok(pubsub.requests('TestIamPermissions') > 0, output);
    assert.equal(connections, 0);
  });

  it('asks for its token itself', async () => {
    const metadata = createHttpServer((_request, response) => {
      response.writeHead(503).end();
    }).listen(0, '127.0.0.1');
    await once(metadata, 'listening');
    const { port } = metadata.address() as AddressInfo;
    await run(
      [...bridge(), '--metrics-addr', '0', '--health-addr', '0'],
      {
        PUBSUB_EMULATOR_HOST: '',
        GCE_METADATA_HOST: `127.0.0.1:${port}`,
        METADATA_SERVER_DETECTION: 'assume-present',
      },
      once(metadata, 'request'),
    );
    metadata.close();
    metadata.closeAllConnections();
    assert.equal(connections, 0);
  });

  it('pulls itself, as a job', async () => {
    const output = await run(
      [
        ...['functions/job.ts', '--drain', 'projects/p/subscriptions/absent'],
        ...['--destination-registry', '127.0.0.1:5000/m'],
      ],
      { PUBSUB_EMULATOR_HOST: pubsub.host, METADATA_SERVER_DETECTION: 'none' },
    );
    assert.match(output, /HTTPS_PROXY/);
    assert.ok(pubsub.requests('GetSubscription') > 0, output);
    assert.equal(connections, 0);
  });
});
