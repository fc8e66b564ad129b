import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { networkInterfaces } from 'node:os';
import { describe, it, type TestContext } from 'node:test';

import { ANONYMOUS, type Credential } from '../../../functions/auth/credentials.ts';
import { SYSTEM_TIMING, type Timing } from '../../../functions/concurrency.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { LocalRegistry, RegistryOptions } from '../../stand-ins/registry/registry.ts';
import type { Registries } from '../../../functions/registry/registries.ts';
import { until } from '../../until.ts';
import { TEST_TLS } from './certificate.ts';
import {
  ACCESS_TOKEN,
  answering,
  artifactRegistry,
  bytesOf,
  credentials,
  destinationOf,
  fakeTiming,
  googleToken,
  INDEX,
  NEVER,
  open,
  registry,
  serve,
  sourceAt,
  sourceOf,
  wantToken,
} from './setting.ts';
import { rejection, thrown } from '../../faults.ts';
import { withEnvironment } from '../environment.ts';

const BASIC: Credential = { kind: 'basic', username: 'robot', password: 'secret' };

/** Registries that know one credential, of a host. */
function knowing(t: TestContext, host: string, credential: Credential): Registries {
  const known = credentials({ [host]: credential });
  return open(t, [host], { credentials: () => known });
}

async function plain(t: TestContext, options: RegistryOptions = {}): Promise<LocalRegistry> {
  return registry(t, { auth: { scheme: 'bearer', users: { robot: 'secret' } }, ...options });
}

/** What was asked with an account. */
function askedByBasic({ counter }: LocalRegistry): readonly string[] {
  return counter.records
    .filter(({ headers }) => headers.authorization?.startsWith('Basic') === true)
    .map(({ kind }) => kind);
}

/** What a HEAD of a manifest is answered with. */
const HEAD = { 'docker-content-digest': `sha256:${'0'.repeat(64)}` };

describe('registries', () => {
  it('pays 2 exchanges for a fresh bearer host, 1 for its next repository, 0 for what is known', async (t) => {
    const from = await plain(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    from.store.putManifest('org/other', INDEX, 'v1');
    const registries = open(t, [from.host]);
    await sourceOf(registries, from.host).listTags(NEVER);
    assert.equal(from.counter.total, 3);
    await sourceOf(registries, from.host).headManifest('v1', NEVER);
    assert.equal(from.counter.total, 4);
    await sourceOf(registries, from.host, 'org/other').headManifest('v1', NEVER);
    assert.equal(from.counter.total, 6);
    assert.equal(from.counter.count({ status: 401 }), 1);
  });

  it('pays them once for many at once', async (t) => {
    const from = await plain(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    const one = sourceAt(t, from.host);
    await Promise.all(Array.from({ length: 10 }, () => one.headManifest('v1', NEVER)));
    assert.equal(from.counter.total, 12);
    assert.equal(from.counter.count({ status: 401 }), 1);
    assert.equal(from.counter.count({ kind: 'token' }), 1);
  });

  it('pays nothing for Google’s credentials', async (t) => {
    const to = await artifactRegistry(t);
    const registries = open(t, [to.host], { google: [to.host] });
    const one = destinationOf(registries, to.host, 'p/r/app');
    assert.equal(await one.listTags(NEVER), undefined);
    assert.equal(to.counter.total, 1);
    assert.equal(to.counter.records[0]?.headers.authorization, `Bearer ${ACCESS_TOKEN}`);
  });

  it('takes the standard way where Google’s token is refused, and remembers it', async (t) => {
    const to = await artifactRegistry(t, { accessTokens: 'refused' });
    const registries = open(t, [to.host], { google: [to.host] });
    await destinationOf(registries, to.host, 'p/r/app').listTags(NEVER);
    assert.deepEqual(to.counter.summary, {
      'GET tags 401': 1,
      'GET token 200': 1,
      'GET tags 404': 1,
    });
    await destinationOf(registries, to.host, 'p/r/other').listTags(NEVER);
    assert.equal(to.counter.count({ status: 401 }), 1);
    assert.equal(to.counter.total, 5);
  });

  it('tries the standard way once where Google’s token is forbidden', async (t) => {
    const server = await serve(t, (request, response) => {
      const standard = request.headers.authorization === 'Bearer exchanged';
      if (request.url?.startsWith('/token') === true) response.end('{"token":"exchanged"}');
      else if (request.url === '/v2/') wantToken(request, response);
      else if (standard) response.end('{"tags":["v1"]}');
      else response.writeHead(403).end();
    });
    const registries = open(t, [server.host], { google: [server.host] });
    const listing = await destinationOf(registries, server.host).listTags(NEVER);
    assert.deepEqual(listing?.tags, ['v1']);
    assert.equal(server.seen.length, 4);
    await destinationOf(registries, server.host).listTags(NEVER);
    assert.equal(server.seen.length, 5);
  });

  it('keeps to Google’s token where the standard way is forbidden too', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.url?.startsWith('/token') === true) response.end('{"token":"exchanged"}');
      else if (request.url === '/v2/') wantToken(request, response);
      else response.writeHead(403).end();
    });
    const registries = open(t, [server.host], { google: [server.host] });
    await rejection(destinationOf(registries, server.host).listTags(NEVER), 'FORBIDDEN');
    assert.equal(server.seen.length, 4);
    await rejection(destinationOf(registries, server.host).listTags(NEVER), 'FORBIDDEN');
    assert.equal(server.seen.length, 5);
    assert.equal(server.seen.at(-1)?.authorization, `Bearer ${ACCESS_TOKEN}`);
  });

  it('presents credentials of the docker config to the realm, and its token to the registry', async (t) => {
    const from = await plain(t, {
      auth: {
        scheme: 'bearer',
        users: { robot: 'secret' },
        allows: (user) => user === 'robot',
      },
    });
    from.store.putManifest('org/app', INDEX, 'v1');
    const registries = knowing(t, from.host, BASIC);
    assert.notEqual(await sourceOf(registries, from.host).headManifest('v1', NEVER), undefined);
    assert.deepEqual(askedByBasic(from), ['token']);
  });

  it('speaks Basic where the registry does', async (t) => {
    const from = await registry(t, {
      auth: { scheme: 'basic', users: { robot: 'secret' }, allows: (user) => user === 'robot' },
    });
    from.store.putManifest('org/app', INDEX, 'v1');
    const registries = knowing(t, from.host, BASIC);
    await sourceOf(registries, from.host).headManifest('v1', NEVER);
    await sourceOf(registries, from.host).headManifest('v1', NEVER);
    assert.equal(from.counter.total, 3);
  });

  it('uses credentials for the repositories alone that they are given for', async (t) => {
    const from = await plain(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    from.store.putManifest('org/other', INDEX, 'v1');
    const known = credentials({ [from.host]: BASIC });
    const registries = open(t, [from.host], {
      credentials: (_side, { path }) => (path === 'org/app' ? known : ANONYMOUS),
    });
    await sourceOf(registries, from.host, 'org/other').headManifest('v1', NEVER);
    assert.deepEqual(askedByBasic(from), []);
    await sourceOf(registries, from.host, 'org/app').headManifest('v1', NEVER);
    assert.equal(askedByBasic(from).length, 1);
  });

  it('guard side-credentials: never gives the credentials of one side to the other', async (t) => {
    const server = await serve(t, (_request, response) => response.end('{"tags":[]}'));
    const destinations = credentials({
      [server.host]: { kind: 'google', token: 'destination-only' },
    });
    const registries = open(t, [server.host], {
      google: [server.host],
      credentials: (side) => (side === 'source' ? ANONYMOUS : destinations),
    });
    await sourceOf(registries, server.host).listTags(NEVER);
    await destinationOf(registries, server.host).listTags(NEVER);
    assert.deepEqual(
      server.seen.map(({ authorization }) => authorization),
      [undefined, 'Bearer destination-only'],
    );
  });

  it('gets a new token in the middle of the work', async (t) => {
    const from = await plain(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    const one = sourceAt(t, from.host);
    await one.headManifest('v1', NEVER);
    await new Promise((resolve) => setTimeout(resolve, 2));
    from.revokeTokens();
    assert.notEqual(await one.headManifest('v1', NEVER), undefined);
    assert.deepEqual(from.counter.count({ kind: 'token' }), 2);
    assert.equal(from.counter.total, 3 + 3);
  });

  it('ends a refusal that nothing helps against', async (t) => {
    const from = await plain(t, { auth: { scheme: 'bearer', allows: () => false } });
    const fault = await rejection(sourceAt(t, from.host).listTags(NEVER), 'UNAUTHORIZED');
    assert.deepEqual([fault.side, fault.operation, fault.status], ['source', 'list tags', 401]);
    assert.equal(from.counter.total, 3);
  });

  it('guard token-redirect: follows no redirect of a token realm to another origin', async (t) => {
    const thief = await serve(t, (_request, response) => response.end('{"token":"stolen"}'));
    const server = await serve(t, (request, response) => {
      if (request.url?.startsWith('/token') === true) {
        response.writeHead(307, { location: target }).end();
      } else if (request.url === '/here') {
        response.end('{"token":"t"}');
      } else if (request.headers.authorization === undefined) wantToken(request, response);
      else response.end('{"tags":[]}');
    });
    let target = `${thief.url}/token`;
    const known = credentials({ [server.host]: BASIC });
    const registries = open(t, [server.host, thief.host], {
      credentials: () => known,
    });
    await rejection(sourceOf(registries, server.host).listTags(NEVER), 'REDIRECT_REFUSED');
    assert.equal(thief.seen.length, 0);
    target = '/here';
    assert.deepEqual((await sourceOf(registries, server.host).listTags(NEVER))?.tags, []);
  });

  it('guard redirect-authorization: presents nothing where a redirect leads, and again at home', async (t) => {
    const cdn = await serve(t, (request, response) => {
      if (request.url === '/back') response.writeHead(302, { location: `${home.url}/end` }).end();
      else response.end('{"tags":["far"]}');
    });
    const home = await serve(t, (request, response) => {
      if (request.url === '/end') response.end('{"tags":["home"]}');
      else response.writeHead(307, { location: `${cdn.url}/back` }).end();
    });
    const known = credentials({ [home.host]: { kind: 'google', token: 'g' } });
    const registries = open(t, [home.host, cdn.host], {
      google: [home.host],
      credentials: () => known,
    });
    const listing = await destinationOf(registries, home.host).listTags(NEVER);
    assert.deepEqual(listing?.tags, ['home']);
    assert.deepEqual(
      cdn.seen.map(({ authorization }) => authorization),
      [undefined],
    );
    assert.deepEqual(
      home.seen.map(({ authorization }) => authorization),
      ['Bearer g', 'Bearer g'],
    );
    assert.deepEqual(
      registries.exchanges.map(({ hop }) => hop),
      [0, 1, 2],
    );
  });

  it('reaches no private host by a redirect', async (t) => {
    const inner = await serve(t, (_request, response) => response.end('{"tags":["secret"]}'));
    const outer = await serve(t, (_request, response) => {
      response.writeHead(302, { location: `${inner.url}/` }).end();
    });
    await rejection(sourceAt(t, outer.host).listTags(NEVER), 'ADDRESS_REFUSED');
    assert.equal(inner.connections(), 0);
    const local = open(t, [], { loopback: true });
    assert.deepEqual((await sourceOf(local, outer.host).listTags(NEVER))?.tags, ['secret']);
  });

  it('speaks to private addresses of named hosts only', async (t) => {
    const server = await serve(t, (_request, response) => response.end('{"tags":[]}'));
    await rejection(sourceOf(open(t, []), server.host).listTags(NEVER), 'ADDRESS_REFUSED');
    assert.equal(server.connections(), 0);
  });

  it('reports every exchange with its side, kind and bytes', async (t) => {
    const from = await plain(t);
    const digest = from.store.putBlob('org/app', Buffer.alloc(12));
    const registries = open(t, [from.host]);
    const one = sourceOf(registries, from.host);
    const stream = await one.openBlob({ mediaType: 'x', digest, sizeBytes: 12 }, 0, NEVER);
    await stream?.toArray();
    assert.deepEqual(
      registries.exchanges.map(({ side, host, kind, method, status, receivedBytes }) => [
        side,
        host,
        kind,
        method,
        status,
        receivedBytes > 0,
      ]),
      [
        ['source', from.host, 'blob', 'GET', 401, true],
        ['source', from.host, 'token', 'GET', 200, true],
        ['source', from.host, 'blob', 'GET', 200, true],
      ],
    );
    assert.equal(registries.exchanges[2]?.receivedBytes, 12);
  });

  it('tries again what may pass, and says what did not', async (t) => {
    const from = await registry(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    from.faults.add({ times: 3, effect: { kind: 'answer', status: 503 } });
    const one = sourceAt(t, from.host);
    assert.notEqual(await one.headManifest('v1', NEVER), undefined);
    assert.equal(from.counter.total, 4);
    from.counter.reset();
    from.faults.add({ times: Infinity, effect: { kind: 'reset', at: 'head' } });
    await rejection(one.headManifest('v1', NEVER), 'NETWORK');
    from.faults.clear();
    from.faults.add({ times: Infinity, effect: { kind: 'answer', status: 502 } });
    const fault = await rejection(one.headManifest('v1', NEVER), 'SERVER_ERROR');
    assert.equal(fault.status, 502);
  });

  it('waits as a throttling registry asks, in seconds', async (t) => {
    const from = await registry(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    from.faults.add({ effect: answering(429, undefined, { headers: { 'retry-after': '1' } }) });
    const startedAt = Date.now();
    const one = sourceAt(t, from.host);
    await Promise.all([1, 2, 3].map(() => one.headManifest('v1', NEVER)));
    assert.ok(Date.now() - startedAt >= 950);
    assert.equal(from.counter.total, 4);
  });

  it('does not wait longer than there is time, and only where it was throttled', async (t) => {
    const from = await registry(t);
    const other = await registry(t);
    from.store.putManifest('org/app', INDEX, 'v1');
    other.store.putManifest('org/app', INDEX, 'v1');
    const effect = answering(429, undefined, { headers: { 'retry-after': '600' } });
    from.faults.add({ times: Infinity, effect });
    const registries = open(t, [from.host, other.host]);
    const deadlineAtMs = Date.now() + 60_000;
    const until = { insecure: true, deadlineAtMs };
    const throttled = registries.source({ host: from.host, path: 'org/app' }, until);
    await Promise.all(
      [1, 2, 3].map(() => rejection(throttled.headManifest('v1', NEVER), 'RATE_LIMITED')),
    );
    assert.ok(from.counter.total <= 3);
    const free = registries.source({ host: other.host, path: 'org/app' }, until);
    assert.notEqual(await free.headManifest('v1', NEVER), undefined);
  });

  it('does not wait where a blob is to be opened, since its place is others’ to have', async (t) => {
    for (const [status, code] of [
      [429, 'RATE_LIMITED'],
      [503, 'SERVER_ERROR'],
    ] as const) {
      const from = await registry(t);
      const effect = answering(status, undefined, { headers: { 'retry-after': '300' } });
      from.faults.add({ times: Infinity, effect });
      const one = sourceAt(t, from.host);
      const content = Buffer.from('content');
      const blob = { mediaType: '', digest: digestOf(content), sizeBytes: content.length };
      const fault = await rejection(one.openBlob(blob, 0, NEVER), code);
      assert.deepEqual([fault.side, fault.status], ['source', status]);
      assert.equal(fault.retryAfterMs, 300_000);
      assert.equal(from.counter.total, 1);
      if (status !== 429) continue;
      // The host is closed now: nothing is asked.
      const closed = await rejection(one.openBlob(blob, 0, NEVER), 'RATE_LIMITED');
      assert.equal(closed.status, undefined);
      assert.ok((closed.retryAfterMs ?? 0) > 290_000);
      assert.equal(from.counter.total, 1);
    }
  });

  it('has few requests under way at first and 32 at most', async (t) => {
    let held: ServerResponse[] | undefined;
    const server = await serve(t, (_request, response) => {
      if (held === undefined) response.writeHead(200, HEAD).end();
      else held.push(response);
    });
    const one = sourceAt(t, server.host);
    // The first, which learns how the host wants to be spoken to, widens the window by one.
    await one.headManifest('v1', NEVER);
    for (const most of [9, 32]) {
      held = [];
      const asked = Array.from({ length: 50 }, () => one.headManifest('v1', NEVER));
      await until(() => (held?.length ?? 0) >= most);
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal(held.length, most);
      const answers: ServerResponse[] = held;
      held = undefined;
      for (const response of answers) response.writeHead(200, HEAD).end();
      await Promise.all(asked);
    }
  });

  it('guard google-tls: never speaks http to Google’s registries', (t) => {
    const registries = open(t, ['gcr.io']);
    for (const host of ['gcr.io', 'gcr.io:80', 'europe-docker.pkg.dev']) {
      const name = { host, path: 'p/r/app' };
      thrown(() => registries.destination(name, { insecure: true }), 'INSECURE_REFUSED');
      thrown(() => registries.source(name, { insecure: true }), 'INSECURE_REFUSED');
    }
    assert.equal(sourceOf(registries, 'registry.example.com').host, 'registry.example.com');
  });

  it('tries in production four times, after up to 0.5, 1 and 2 s', async (t) => {
    const waitsMs: number[] = [];
    const timing: Timing = {
      ...SYSTEM_TIMING,
      setTimer(delayMs, action) {
        waitsMs.push(delayMs);
        return SYSTEM_TIMING.setTimer(0, action);
      },
    };
    const at = await serve(t, (_request, response) => response.writeHead(503).end());
    const registries = open(t, [at.host], { timing, retryPolicy: undefined });
    await rejection(sourceOf(registries, at.host).listTags(NEVER), 'SERVER_ERROR');
    assert.equal(at.seen.length, 4);
    // Half of each, which is what chance says here.
    assert.deepEqual(waitsMs, [250, 500, 1000]);
  });

  // What a registry in a private network may have.
  const beyond = Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ address }) =>
      /^(10\.|172\.(1[6-9]|2\d|3[01])\.|192\.168\.|f[cd])/.test(address),
    )?.address;
  it(
    'speaks plain http beyond loopback where it is told to',
    { skip: beyond === undefined && 'this machine has no private address but loopback' },
    async (t) => {
      const at = await serve(t, (_request, response) => response.end('{"tags":["v1"]}'), beyond);
      const registries = open(t, [at.host]);
      const listing = await sourceOf(registries, at.host).listTags(NEVER);
      assert.deepEqual(listing?.tags, ['v1']);
      const tls = registries.source({ host: at.host, path: 'org/app' });
      await rejection(tls.listTags(NEVER), 'TLS_REFUSED');
      assert.equal(at.seen.length, 1);
    },
  );

  it('speaks https unless it is told otherwise', (t) => {
    const registries = open(t, []);
    assert.equal(registries.source({ host: 'ghcr.io', path: 'org/app' }).name, 'ghcr.io/org/app');
    assert.equal(registries.destination({ host: 'gcr.io', path: 'p/app' }).google, true);
  });

  it('guard repository-path: refuses a path that is none before it becomes a URL', (t) => {
    const registries = open(t, []);
    assert.throws(() => registries.source({ host: 'ghcr.io', path: '../x' }), /repository path/);
  });

  it('guard tls-verification: trusts whom the system trusts, and sources by given certificates too', async (t) => {
    const at = await registry(t, { tls: TEST_TLS });
    at.store.putManifest('org/app', INDEX, 'v1');
    const name = { host: at.host, path: 'org/app' };
    withEnvironment(t, { NODE_TLS_REJECT_UNAUTHORIZED: '0' });
    const trusting = open(t, [at.host]).source(name);
    await rejection(trusting.headManifest('v1', NEVER), 'CERTIFICATE_REFUSED');
    const registries = open(t, [at.host], { sourceCaCertificates: TEST_TLS.cert });
    assert.notEqual(await registries.source(name).headManifest('v1', NEVER), undefined);
    const digest = at.store.putBlob('org/app', Buffer.from('x'));
    const blob = { mediaType: 'x', digest, sizeBytes: 1 };
    const read = await bytesOf(await registries.source(name).openBlob(blob, 0, NEVER));
    assert.equal(String(read), 'x');
    await rejection(registries.destination(name).headManifest('v1', NEVER), 'CERTIFICATE_REFUSED');
    assert.equal(at.counter.total, 2);
  });

  it('stays with https where an https registry names itself by http, except for its realm', async (t) => {
    const at = await registry(t, { tls: TEST_TLS });
    at.store.putManifest('org/app', INDEX, 'v1');
    const name = { host: at.host, path: 'org/app' };
    const one = open(t, [at.host], { sourceCaCertificates: TEST_TLS.cert }).source(name);
    const manifest = await one.getManifest('v1', NEVER);
    assert.ok(manifest !== undefined);
    const away = { location: `http://${at.host}/v2/org/app/manifests/${manifest.digest}` };
    at.faults.add({ kind: 'manifest', effect: { kind: 'answer', status: 307, headers: away } });
    assert.deepEqual((await one.getManifest('v1', NEVER))?.bytes, manifest.bytes);
    const link = { link: `<http://${at.host}/v2/org/app/tags/list?last=a>; rel="next"` };
    const body = { contentType: 'application/json', text: '{"tags":["a"]}' };
    at.faults.add({ kind: 'tags', effect: { kind: 'answer', status: 200, headers: link, body } });
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['a', 'v1']);
    const realm = { 'www-authenticate': `Bearer realm="http://${at.host}/token"` };
    at.faults.add({ effect: { kind: 'answer', status: 401, headers: realm } });
    await rejection(one.listTags(NEVER), 'REALM_REFUSED');
  });

  it('shares Artifact Registry’s rate between both sides and all its hosts', async (t) => {
    const timing = fakeTiming();
    let answered = 0;
    const answer = (_request: unknown, response: ServerResponse): void => {
      answered += 1;
      response.writeHead(200, HEAD).end();
    };
    const hosts = [await serve(t, answer), await serve(t, answer)].map(({ host }) => host);
    const google = googleToken(hosts);
    const registries = open(t, hosts, {
      google: hosts,
      timing,
      credentials: () => google,
    });
    const from = sourceOf(registries, hosts[0] ?? '');
    const to = destinationOf(registries, hosts[1] ?? '');
    const asked = Array.from({ length: 260 }, () => [
      from.headManifest('v1', NEVER),
      to.headManifest('v1', NEVER),
    ]).flat();
    const count = (): number => answered;
    await until(() => count() >= 500);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(count(), 500);
    while (count() < 520) {
      await timing.pass(20);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(asked);
    assert.ok(timing.now() >= 1_000_000 + 20 * 20);
  });
});
