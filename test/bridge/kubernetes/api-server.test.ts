import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import {
  answerError,
  connectApiServer,
  connectionError,
  type ApiServer,
} from '../../../bridge/kubernetes/api-server.ts';
import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import { rejection, thrown } from '../../faults.ts';

const NAMESPACES = '/api/v1/namespaces';

/** A kubeconfig of one cluster and one user, in JSON, which is YAML. */
function kubeconfigOf(server: string, user: object, context: object = {}): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster: { server } }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u', ...context } }],
    'current-context': 'x',
  });
}

describe('connectApiServer', () => {
  let kubernetes: LocalKubernetes;
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'api-server-'));
    kubernetes = await startKubernetes();
  });
  after(async () => {
    await kubernetes.close();
    await rm(folder, { recursive: true });
  });

  async function written(name: string, text: string): Promise<string> {
    const file = join(folder, name);
    await writeFile(file, text);
    return file;
  }

  /** Connected as a user, the admin unless said otherwise, until the test ends. */
  async function connected(
    t: TestContext,
    user: object = { token: kubernetes.adminToken },
    {
      url = kubernetes.url,
      ...context
    }: { readonly url?: string; readonly namespace?: string } = {},
  ): Promise<ApiServer> {
    const apiServer = connectApiServer(await written('config', kubeconfigOf(url, user, context)));
    t.after(() => {
      apiServer.close();
    });
    return apiServer;
  }

  it('asks as the kubeconfig’s user, over http too', async (t) => {
    const apiServer = await connected(t, undefined, { namespace: 'team' });
    assert.equal(apiServer.url, kubernetes.url);
    assert.equal(apiServer.namespace, 'team');
    const answer = await apiServer.send('GET', NAMESPACES);
    assert.equal(answer.status, 200);
    assert.equal((answer.body as { kind: string }).kind, 'NamespaceList');
    assert.equal(kubernetes.requests.at(-1)?.user, 'admin');
  });

  it('sends bodies of the right type: create, replace and merge-patch', async (t) => {
    const apiServer = await connected(t);
    const folderPath = '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases';
    const made = await apiServer.send('POST', folderPath, {
      metadata: { name: 'l' },
      spec: { holderIdentity: 'a' },
    });
    assert.equal(made.status, 201);
    const patched = await apiServer.send('PATCH', `${folderPath}/l`, {
      spec: { holderIdentity: 'b' },
    });
    assert.equal(patched.status, 200);
    const put = await apiServer.send('PUT', `${folderPath}/l`, patched.body as object);
    assert.equal(put.status, 200);
  });

  it('gives any status as an answer', async (t) => {
    const apiServer = await connected(t);
    assert.equal((await apiServer.send('GET', `${NAMESPACES}/none`)).status, 404);
  });

  it('reads a rotated token anew when the old one is refused', async (t) => {
    const token = kubernetes.addUser({ name: 'rotating' }, 'token-1');
    const tokenFile = await written('token', token);
    const provider = { 'auth-provider': { name: 'tokenFile', config: { tokenFile } } };
    const apiServer = await connected(t, provider);
    assert.notEqual((await apiServer.send('GET', NAMESPACES)).status, 401);
    kubernetes.revokeToken('token-1');
    assert.equal((await apiServer.send('GET', NAMESPACES)).status, 401);
    kubernetes.addUser({ name: 'rotating' }, 'token-2');
    await writeFile(tokenFile, 'token-2');
    assert.notEqual((await apiServer.send('GET', NAMESPACES)).status, 401);
  });

  it('asks with the token of a file that the kubeconfig names, and of a plugin', async (t) => {
    const token = kubernetes.addUser({ name: 'filed' });
    await written('filed-token', `${token}\n`);
    const plugin = await written(
      'plugin.mjs',
      `console.log(JSON.stringify({ status: { token: ${JSON.stringify(token)} } }));`,
    );
    const users = [
      { token: 'stale', tokenFile: 'filed-token' },
      { exec: { command: process.execPath, args: [plugin] } },
    ];
    for (const user of users) {
      const apiServer = await connected(t, user);
      assert.notEqual((await apiServer.send('GET', NAMESPACES)).status, 401);
      assert.equal(kubernetes.requests.at(-1)?.user, 'filed');
    }
  });

  it('ends a request at once with its signal, also while a plugin hangs', async (t) => {
    const plugin = await written('hanging.mjs', 'setInterval(() => {}, 1000);');
    const exec = { command: process.execPath, args: [plugin] };
    const hanging = await connected(t, { exec });
    const plain = await connected(t);
    kubernetes.faults.request({ resource: 'namespaces', answer: 'hang' });
    await rejection(
      hanging.send('GET', NAMESPACES, undefined, { timeoutMs: 50 }),
      'CREDENTIALS_UNAVAILABLE',
    );
    for (const apiServer of [hanging, plain]) {
      const controller = new AbortController();
      const asked = apiServer.send('GET', NAMESPACES, undefined, { signal: controller.signal });
      setImmediate(() => {
        controller.abort();
      });
      await rejection(asked, 'ABORTED');
      await rejection(
        apiServer.send('GET', NAMESPACES, undefined, { signal: controller.signal }),
        'ABORTED',
      );
    }
  });

  it('asks for bytes as they are, and tells how long to wait', async (t) => {
    const seen: (string | undefined)[] = [];
    const server = createHttpServer((request, response) => {
      seen.push(request.headers['accept-encoding']);
      response.writeHead(429, { 'retry-after': seen.length === 1 ? '7' : '86400' });
      response.end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const apiServer = await connected(t, { token: 'x' }, { url: `http://127.0.0.1:${port}` });
    assert.equal((await apiServer.send('GET', NAMESPACES)).retryAfterMs, 7000);
    assert.equal((await apiServer.send('GET', NAMESPACES)).retryAfterMs, 300_000);
    assert.deepEqual(seen, ['identity', 'identity']);
    server.close();
  });

  it('streams what is open and answers what is refused', async (t) => {
    const apiServer = await connected(t);
    const controller = new AbortController();
    const path = '/apis/image.toolkit.fluxcd.io/v1/imagerepositories?watch=1&resourceVersion=1';
    const stream = await apiServer.open(path, controller.signal);
    assert.ok(!('body' in stream));
    stream.on('error', () => undefined);
    controller.abort();
    kubernetes.faults.request({ verbs: ['watch'], answer: 410 });
    const refused = await apiServer.open(path, new AbortController().signal);
    assert.ok('body' in refused);
    assert.equal(refused.status, 410);
  });

  it('tells a refused connection, a cut one and one that says nothing', async (t) => {
    const free = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => free.once('listening', resolve));
    const { port } = free.address() as AddressInfo;
    await new Promise((resolve) => free.close(resolve));
    const nobody = await connected(t, { token: 'x' }, { url: `http://127.0.0.1:${port}` });
    await rejection(nobody.send('GET', NAMESPACES), 'NETWORK');
    const url = kubernetes.url.replace('http:', 'https:');
    const encrypted = await connected(t, { token: 'x' }, { url });
    const { message } = await rejection(encrypted.send('GET', NAMESPACES), 'NETWORK');
    assert.match(message, /the TLS handshake failed.*https/);
    assert.doesNotMatch(message, /SSL routines/);
    const apiServer = await connected(t);
    kubernetes.faults.request({ resource: 'namespaces', answer: 'reset' });
    await rejection(apiServer.send('GET', NAMESPACES), 'NETWORK');
    kubernetes.faults.request({ resource: 'namespaces', answer: 'hang' });
    const late = await rejection(
      apiServer.send('GET', NAMESPACES, undefined, { timeoutMs: 50 }),
      'TIMEOUT',
    );
    assert.doesNotMatch(late.advice, /registry/);
  });

  const broken: readonly (readonly [string, string])[] = [
    ['no YAML', '{'],
    ['empty', ''],
    ['without a current context', JSON.stringify({ clusters: [], users: [], contexts: [] })],
    [
      'with a context of no cluster',
      kubeconfigOf('http://x', {}).replace('"cluster":"c"', '"cluster":"d"'),
    ],
    ['with a context of no user', kubeconfigOf('http://x', {}).replace('"user":"u"', '"user":"v"')],
    ['with a server that is no URL', kubeconfigOf('nowhere', {})],
  ];
  for (const [what, text] of broken) {
    it(`refuses a kubeconfig that is ${what}`, async () => {
      const file = await written('broken', text);
      const fault = thrown(() => connectApiServer(file), 'KUBECONFIG_INVALID');
      assert.equal(fault.field, '--kubeconfig');
    });
  }

  it('refuses a kubeconfig that cannot be read', () => {
    thrown(() => connectApiServer(join(folder, 'absent')), 'KUBECONFIG_INVALID');
    thrown(() => connectApiServer(folder), 'KUBECONFIG_INVALID');
  });

  it('finds the API server of a pod by its environment', () => {
    const env = { KUBERNETES_SERVICE_HOST: '10.0.0.1', KUBERNETES_SERVICE_PORT: '443' };
    const before = { ...process.env };
    Object.assign(process.env, env);
    try {
      assert.equal(connectApiServer(undefined, env).url, 'https://10.0.0.1:443');
    } finally {
      process.env = before;
    }
  });

  it('says so where there is neither file nor pod', () => {
    const home = process.env['HOME'];
    process.env['HOME'] = folder;
    try {
      const { message } = thrown(() => connectApiServer(undefined, {}), 'KUBECONFIG_INVALID');
      assert.match(message, /^the kubeconfig cannot be used: no --kubeconfig, /);
    } finally {
      process.env['HOME'] = home;
    }
  });
});

describe('answerError', () => {
  const cases = [
    [401, 'UNAUTHORIZED'],
    [403, 'ACCESS_DENIED'],
    [404, 'NOT_FOUND'],
    [429, 'RATE_LIMITED'],
    [410, 'WATCH_FAILED'],
    [422, 'WATCH_FAILED'],
    [500, 'WATCH_FAILED'],
  ] as const;
  for (const [status, code] of cases) {
    it(`takes ${status} for ${code}, which an operator or time mends, at no registry`, () => {
      const fault = answerError({ status, body: 'words' }, 'list things');
      assert.deepEqual([fault.code, fault.status], [code, status]);
      assert.equal(fault.disposition, 'transient');
      assert.doesNotMatch(fault.advice, /The registry|this registry|DOCKER_CONFIG|SOURCES|again/);
    });
  }

  it('ends with the status where nothing was said', () => {
    const { message } = answerError({ status: 500, body: {} }, 'list things');
    assert.equal(message, 'list things was answered 500');
  });

  it('keeps the API server’s own words, without control characters', () => {
    const body = { kind: 'Status', message: 'User "x" cannot list\u0007 things' };
    const { message } = answerError({ status: 403, body }, 'list things');
    assert.ok(message.includes('User "x" cannot list'));
    assert.ok(!message.includes('\u0007'));
  });
});

describe('connectionError', () => {
  it('keeps no more of an error than its words', () => {
    const error = Object.assign(new Error('connect ECONNREFUSED'), {
      code: 'ECONNREFUSED',
      options: { headers: { authorization: 'Bearer secret' } },
    });
    const fault = connectionError('/api?token=secret', error);
    assert.equal(fault.code, 'NETWORK');
    assert.doesNotMatch(JSON.stringify(fault) + String(fault.cause) + fault.message, /secret/);
  });

  it('gives a fault as it is', () => {
    const fault = answerError({ status: 500, body: '' }, 'x');
    assert.equal(connectionError('/', fault), fault);
  });
});
