import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';

import { parseImage } from '../stand-ins/flux-scanner/image.ts';
import type { RepositoryStatus } from '../stand-ins/flux-scanner/repository.ts';
import {
  effectiveExclusion,
  revisionOf,
  sortTags,
  withoutExcluded,
} from '../stand-ins/flux-scanner/revision.ts';
import {
  startScanner,
  type Scanner,
  type ScannerOptions,
} from '../stand-ins/flux-scanner/scanner.ts';
import { durationMs } from '../stand-ins/flux-scanner/should-scan.ts';
import { isLoopback, listTags } from '../stand-ins/flux-scanner/tag-list.ts';
import { askKubeApi } from '../stand-ins/kubernetes/client.ts';
import { startKubernetes, type LocalKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { until } from '../until.ts';

// What a scanner writes into an ImageRepository is compared with a recording of Flux in
// kubernetes.test.ts, at the stand-in and at a real API server.

interface TestRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  readonly received: readonly IncomingMessage[];
  close(): Promise<void>;
}

async function serve(listener: RequestListener): Promise<TestRegistry> {
  const received: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    received.push(request);
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

describe('the scanner', () => {
  let kubernetes: LocalKubernetes;
  let registry: TestRegistry;
  let found = ['1.0.0'];
  before(async () => {
    kubernetes = await startKubernetes();
    registry = await serve((_request, response) => response.end(JSON.stringify({ tags: found })));
  });
  after(async () => {
    await registry.close();
    await kubernetes.close();
  });

  async function startFor(t: TestContext, options: Partial<ScannerOptions> = {}): Promise<Scanner> {
    const { url, adminToken: token } = kubernetes;
    const scanner = await startScanner({ url, token, ...options });
    t.after(() => scanner.close());
    return scanner;
  }

  function create(name: string, spec: object = {}): void {
    kubernetes.create({
      apiVersion: 'image.toolkit.fluxcd.io/v1',
      kind: 'ImageRepository',
      metadata: { name, namespace: 'flux-system' },
      spec: { image: `${registry.host}/org/${name}`, interval: '10m', ...spec },
    });
  }

  function statusOf(name: string): RepositoryStatus | undefined {
    return kubernetes.get('flux-system', name)?.['status'] as RepositoryStatus | undefined;
  }

  function conditionsOf(name: string): readonly string[] {
    const conditions = statusOf(name)?.conditions ?? [];
    return conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`);
  }

  it('scans what was there before it and what comes later', async (t) => {
    create('before');
    await startFor(t);
    create('later');
    await until(() => ['before', 'later'].every((name) => statusOf(name)?.lastScanResult));
    assert.deepEqual(conditionsOf('later'), ['Ready True Succeeded']);
  });

  it('scans again when the interval is over', async (t) => {
    create('often', { interval: '20ms' });
    await startFor(t);
    await until(() => statusOf('often')?.lastScanResult !== undefined);
    found = ['1.0.0', '1.1.0'];
    await until(() => statusOf('often')?.lastScanResult?.tagCount === 2);
  });

  it('does not scan again after a restart what is not due, unless it must', async (t) => {
    const first = await startFor(t);
    create('due');
    await first.scanNow('flux-system', 'due');
    await first.close();
    const asked = (): number =>
      registry.received.filter(({ url }) => url?.includes('/org/due/') ?? false).length;
    const before = asked();
    // It remembers no tags: the first look after a start scans, the second does not.
    const second = await startFor(t);
    await until(() => asked() === before + 1);
    await second.scanNow('flux-system', 'due');
    assert.equal(asked(), before + 2);
  });

  it('waits with scanNow until the status is written, and fails where the scan does', async (t) => {
    const scanner = await startFor(t, { minRetryMs: 60_000 });
    create('now');
    await scanner.scanNow('flux-system', 'now');
    found = ['1.0.0', '1.1.0', '1.2.0'];
    await scanner.scanNow('flux-system', 'now');
    assert.equal(statusOf('now')?.lastScanResult?.tagCount, 3);
    await assert.rejects(scanner.scanNow('flux-system', 'none'), /gone/);
  });

  for (const [name, spec, reason, fault] of [
    ['pattern', { exclusionList: ['['] }, 'ReadOperationFailed', /compile/],
    ['secret', { secretRef: { name: 'none' } }, 'AuthenticationFailed', /none|only anonymous/],
    ['cloud', { provider: 'gcp' }, 'AuthenticationFailed', /only anonymous/],
  ] as const) {
    it(`retries what it cannot scan: ${name}`, async (t) => {
      create(name, spec);
      const scanner = await startFor(t, { minRetryMs: 60_000 });
      await assert.rejects(scanner.scanNow('flux-system', name), fault);
      assert.deepEqual(conditionsOf(name), [
        'Reconciling True ProgressingWithRetry',
        `Ready False ${reason}`,
      ]);
    });
  }

  it('tries again by itself, with back-off, until a scan succeeds', async (t) => {
    let failures = 0;
    const recovering = await serve((_request, response) => {
      if (failures < 6) {
        failures += 1;
        response.statusCode = 500;
      }
      response.end(JSON.stringify({ tags: ['1.0.0'] }));
    });
    t.after(() => recovering.close());
    await startFor(t, { minRetryMs: 20 });
    create('recovering', { image: `${recovering.host}/org/recovering` });
    await until(() => statusOf('recovering')?.lastScanResult?.tagCount === 1);
    assert.equal(failures, 6);
    assert.deepEqual(conditionsOf('recovering'), ['Ready True Succeeded']);
  });

  it('fails who waits for a scan when it is closed', async () => {
    const silent = await serve((request, response) => {
      if (request.url === '/v2/') response.end('{}');
    });
    create('waiting', { image: `${silent.host}/org/waiting` });
    const scanner = await startScanner({ url: kubernetes.url, token: kubernetes.adminToken });
    const scan = scanner.scanNow('flux-system', 'waiting');
    scan.catch(() => undefined);
    await until(() => silent.received.some(({ url }) => url?.includes('tags') ?? false));
    await scanner.close();
    await assert.rejects(scan, /aborted/);
    await silent.close();
  });

  it('survives closed watches, an expired version and a restart of the API server', async (t) => {
    const { faults } = kubernetes;
    await startFor(t);
    const disturbances: Readonly<Record<string, () => void | Promise<void>>> = {
      ended: () => {
        faults.dropWatches('end');
      },
      cut: () => {
        faults.dropWatches('cut');
      },
      expired: () => {
        faults.expireWatches();
      },
      restarted: async () => {
        await faults.halt();
        await faults.resume('forget');
      },
    };
    for (const [name, disturb] of Object.entries(disturbances)) {
      await until(() => kubernetes.openWatches > 0);
      await disturb();
      create(name);
      await until(() => statusOf(name)?.lastScanResult !== undefined);
    }
  });

  it('lets go of what is being deleted', async (t) => {
    const scanner = await startFor(t);
    create('deleted');
    await scanner.scanNow('flux-system', 'deleted');
    const path =
      '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories/deleted';
    const access = { url: kubernetes.url, token: kubernetes.adminToken };
    assert.equal((await askKubeApi(access, 'DELETE', path)).status, 200);
    await until(() => kubernetes.get('flux-system', 'deleted') === undefined);
  });
});

describe('listing tags', () => {
  function list(host: string): Promise<readonly string[]> {
    const image = parseImage(`${host}/org/app`);
    return listTags(image, false, AbortSignal.timeout(120_000));
  }

  /** A registry for one test, which answers the ping itself. */
  async function registryFor(t: TestContext, answer: RequestListener): Promise<TestRegistry> {
    const registry = await serve((request, response) => {
      if (request.url === '/v2/') response.end('{}');
      else answer(request, response);
    });
    t.after(() => registry.close());
    return registry;
  }

  it('follows the pages of the same origin', async (t) => {
    const registry = await registryFor(t, ({ url }, response) => {
      if (url?.includes('last=') === true) response.end('{"tags":["c"]}');
      else {
        response.setHeader('link', '</v2/org/app/tags/list?n=1000&last=b>; rel="next"');
        response.end('{"tags":["a","b"]}');
      }
    });
    assert.deepEqual(await list(registry.host), ['a', 'b', 'c']);
    assert.deepEqual(
      registry.received.map(({ url }) => url),
      ['/v2/', '/v2/org/app/tags/list?n=1000', '/v2/org/app/tags/list?n=1000&last=b'],
    );
  });

  it('refuses a next page elsewhere', async (t) => {
    const registry = await registryFor(t, (_request, response) => {
      response.setHeader('link', '<http://127.0.0.1:1/v2/org/app/tags/list>; rel="next"');
      response.end('{"tags":["a"]}');
    });
    await assert.rejects(list(registry.host), /elsewhere/);
  });

  it('takes null for no tags', async (t) => {
    const registry = await registryFor(t, (_request, response) => response.end('{"tags":null}'));
    assert.deepEqual(await list(registry.host), []);
  });

  for (const [what, status, body, said] of [
    ['tags that are no list', 200, '{"tags":"a"}', /no list/],
    ['tags that are no texts', 200, '{"tags":[1]}', /no list/],
    ['no JSON', 200, 'no json', /JSON/],
    ['a failure without an error document', 500, 'oh', /unexpected status code 500: oh/],
    ['a redirect', 302, '', /unexpected status code 302/],
  ] as const) {
    it(`fails for ${what}`, async (t) => {
      const registry = await registryFor(t, (_request, response) => {
        response.writeHead(status, { location: '/elsewhere' }).end(body);
      });
      await assert.rejects(list(registry.host), said);
    });
  }

  it('asks for an anonymous token where the registry wants one', async (t) => {
    const registry = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) response.end('{"token":"secret"}');
      else if (request.headers.authorization === 'Bearer secret') response.end('{"tags":["a"]}');
      else {
        const realm = `http://${request.headers.host ?? ''}/token`;
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="here"` });
        response.end();
      }
    });
    t.after(() => registry.close());
    assert.deepEqual(await list(registry.host), ['a']);
    assert.deepEqual(
      registry.received.map(({ url }) => url),
      [
        '/v2/',
        '/token?scope=repository%3Aorg%2Fapp%3Apull&service=here',
        '/v2/org/app/tags/list?n=1000',
      ],
    );
    assert.equal(registry.received[1]?.headers.authorization, undefined);
  });

  // The words end up in a condition that others read: here they are the behaviour.
  it("fails in Flux's words", async (t) => {
    const registry = await registryFor(t, (_request, response) => {
      const detail = { name: 'org/app' };
      const message = 'repository name not known to registry';
      response.statusCode = 404;
      response.end(JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message, detail }] }));
    });
    await assert.rejects(list(registry.host), {
      message: `GET http://${registry.host}/v2/org/app/tags/list?n=1000: NAME_UNKNOWN: repository name not known to registry; map[name:org/app]`,
    });
    const gone = await serve(() => undefined);
    await gone.close();
    const { host } = gone;
    await assert.rejects(list(host), {
      message: `Get "https://${host}/v2/": dial tcp ${host}: connect: connection refused; Get "http://${host}/v2/": dial tcp ${host}: connect: connection refused`,
    });
  });

  it('knows loopback, which may be asked over http', () => {
    for (const host of ['localhost', 'localhost:5000', '127.0.0.1:1', '127.1.2.3', '[::1]:5000']) {
      assert.equal(isLoopback(host), true, host);
    }
    for (const host of ['ghcr.io', 'localhost.example.com', '128.0.0.1', '10.0.0.1:5000']) {
      assert.equal(isLoopback(host), false, host);
    }
  });
});

describe('spec.image', () => {
  for (const [image, canonicalName] of [
    ['ghcr.io/stefanprodan/podinfo', 'ghcr.io/stefanprodan/podinfo'],
    ['alpine', 'index.docker.io/library/alpine'],
    ['docker.io/library/alpine', 'index.docker.io/library/alpine'],
    ['index.docker.io/alpine', 'index.docker.io/library/alpine'],
    ['stefanprodan/podinfo', 'index.docker.io/stefanprodan/podinfo'],
    ['registry:5000/app', 'registry:5000/app'],
    ['localhost/app', 'localhost/app'],
    ['127.0.0.1:15000/org/app', '127.0.0.1:15000/org/app'],
  ] as const) {
    it(`${image} is ${canonicalName}`, () => {
      assert.equal(parseImage(image).canonicalName, canonicalName);
    });
  }

  for (const [image, said] of [
    ['https://ghcr.io/org/app', "should not include URL scheme; remove 'https://'"],
    ['ghcr.io/org/app:1.0.0', "should not include a tag; remove ':1.0.0'"],
    ['alpine:3', "should not include a tag; remove ':3'"],
  ] as const) {
    it(`refuses ${image} in Flux's words`, () => {
      assert.throws(() => parseImage(image), { message: `image '${image}' ${said}` });
    });
  }

  for (const image of [
    '',
    'ghcr.io/',
    'ghcr.io/Upper',
    'ghcr.io/org/app@sha256',
    'a b/c',
    'x.y/a',
  ]) {
    it(`refuses '${image}'`, () => {
      assert.throws(() => parseImage(image), /could not parse reference/);
    });
  }
});

describe('the revision of a scan', () => {
  const setA = [
    ...['6.0.4', '6.1.0', '6.1.1', '6.1.2', '6.1.3', '6.1.4', '6.1.5', '6.1.6', '6.1.7', '6.1.8'],
    ...['6.2.0', 'latest'],
  ];
  const setB = [...setA, '6.2.1'];

  // Hashed in the order given, as Flux's own test vectors are.
  for (const [tags, expected] of [
    [['latest', 'v0.0.1', 'v0.0.2'], '1943865137'],
    [['v0.0.3', 'v0.0.4'], '728958008'],
  ] as const) {
    it(`is ${expected} for ${tags.join(', ')} in this order`, () => {
      assert.equal(revisionOf(tags), expected);
    });
  }

  for (const [name, tags, expected] of [
    ['A', setA, '3921220339'],
    ['B', setB, '2241533016'],
    ['C', setB.filter((tag) => tag !== '6.0.4'), '3912372978'],
    ['none', [], '18153657'],
    ['D', ['1.0.0', '1.0.4', '1.0.5'], '1020855469'],
    ['E, which collides with D', ['1.0.1', '1.0.2', '1.0.6'], '1020855469'],
  ] as const) {
    it(`is the published one for the tag set ${name}`, () => {
      assert.equal(revisionOf(sortTags(tags)), expected);
    });
  }
});

describe('the exclusion list', () => {
  it('is the default where it is absent or empty, and replaces it otherwise', () => {
    assert.deepEqual(effectiveExclusion(undefined), ['^.*\\.sig$']);
    assert.deepEqual(effectiveExclusion([]), ['^.*\\.sig$']);
    assert.deepEqual(effectiveExclusion(['^$']), ['^$']);
  });

  for (const [pattern, kept] of [
    ['^.*\\.sig$', '1.0.0 sha256-ab.att LATEST'],
    ['0', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['(?i)latest', '1.0.0 sha256-ab.sig sha256-ab.att'],
    ['^[[:digit:]]', 'sha256-ab.sig sha256-ab.att LATEST'],
    ['\\Q.att\\E', '1.0.0 sha256-ab.sig LATEST'],
  ] as const) {
    it(`leaves "${kept}" for ${pattern}`, () => {
      const tags = ['1.0.0', 'sha256-ab.sig', 'sha256-ab.att', 'LATEST'];
      assert.equal(withoutExcluded(tags, [pattern]).join(' '), kept);
    });
  }

  it('refuses what is no RE2 expression', () => {
    for (const pattern of ['[', '(?=look)', '(a)\\1']) {
      assert.throws(() => withoutExcluded(['a'], [pattern]), /failed to compile regex/);
    }
  });
});

describe('a Go duration', () => {
  for (const [text, expected] of [
    ['10s', 10_000],
    ['5m0s', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['1m250ms', 60_250],
  ] as const) {
    it(`${text} is ${expected} ms`, () => {
      assert.equal(durationMs(text), expected);
    });
  }
});
