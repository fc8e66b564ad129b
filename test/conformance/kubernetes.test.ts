import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { required, skipUnless } from '../real/servers/found.ts';
import {
  findKubeApiserver,
  grant,
  installCrd,
  startKubeApiserver,
} from '../real/servers/kube-apiserver.ts';
import {
  askKubeApi,
  watchKubeApi,
  type KubeAccess,
  type KubeAnswer,
  type KubeMethod,
  type WatchEvent,
} from '../stand-ins/kubernetes/client.ts';
import type { Rule } from '../stand-ins/kubernetes/access.ts';
import { startKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { until } from '../until.ts';
import { playRecordedScenarios } from './recorded-scenarios.ts';

/** What is proven of both: the stand-in and the real API server. */
interface Server {
  readonly admin: KubeAccess;
  readonly restricted: KubeAccess;
  /** Gives the restricted user this rule. */
  grant(rule: Rule): Promise<void>;
  /** Forgets the history of changes and comes back on the same port. */
  forget(): Promise<void>;
  stop(): Promise<void>;
}

/** What the tests look at in an answer. */
interface Document {
  readonly kind?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly items?: readonly Document[];
  readonly details?: { readonly causes?: readonly { readonly field?: string }[] };
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly status?: unknown;
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly continue?: string;
    readonly remainingItemCount?: number;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly deletionTimestamp?: string;
    readonly managedFields?: readonly {
      readonly manager: string;
      readonly operation: string;
      readonly subresource?: string;
    }[];
  };
}

const search = findKubeApiserver();
const group = '/apis/image.toolkit.fluxcd.io/v1';
const leases = '/apis/coordination.k8s.io/v1/namespaces/flux-system/leases';
const coreEvents = '/api/v1/namespaces/flux-system/events';

async function startStandIn(): Promise<Server> {
  const kubernetes = await startKubernetes({ namespaces: [] });
  const access = (token: string): KubeAccess => ({ url: kubernetes.url, token });
  const restricted = kubernetes.addUser({ name: 'restricted' });
  return {
    admin: access(kubernetes.adminToken),
    restricted: access(restricted),
    grant: (rule) => {
      kubernetes.addUser({ name: 'restricted', rules: [rule] }, restricted);
      return Promise.resolve();
    },
    forget: async () => {
      await kubernetes.faults.halt();
      await kubernetes.faults.resume('forget');
    },
    stop: () => kubernetes.close(),
  };
}

async function startReal(): Promise<Server> {
  const real = await startKubeApiserver(required(search));
  await installCrd(real);
  return {
    admin: real.admin,
    restricted: real.restricted,
    grant: (rule) => grant(real, 'granted', rule),
    forget: async () => {
      await real.compact();
      await real.restart();
      // Its caches fill one by one; until then a watch is told 429.
      await until(async () => {
        try {
          const watch = `${group}/imagerepositories?watch=1&timeoutSeconds=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan`;
          for await (const event of watchKubeApi(real.admin, watch)) assert.ok(event);
          return true;
        } catch {
          return false;
        }
      });
    },
    stop: () => real.stop(),
  };
}

const servers = [
  { name: 'the Kubernetes stand-in', start: startStandIn, skip: false as const },
  { name: 'a real kube-apiserver', start: startReal, skip: skipUnless(search) },
];

for (const { name, start, skip } of servers) {
  describe(`${name} as an API server`, { skip }, () => {
    let server: Server;
    before(async () => {
      server = await start();
      await must(201, 'POST', '/api/v1/namespaces', { metadata: { name: 'flux-system' } });
    });
    after(() => server.stop());

    async function ask(method: KubeMethod, path: string, body?: object): Promise<KubeAnswer> {
      return askKubeApi(server.admin, method, path, body);
    }

    async function must(
      status: number,
      method: KubeMethod,
      path: string,
      body?: object,
    ): Promise<Document> {
      const answer = await ask(method, path, body);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      return answer.body as Document;
    }

    /** A namespace of its own for each test, and the path of its ImageRepositories. */
    async function fresh(namespace: string): Promise<string> {
      await must(201, 'POST', '/api/v1/namespaces', { metadata: { name: namespace } });
      return `${group}/namespaces/${namespace}/imagerepositories`;
    }

    function create(path: string, objectName: string, metadata: object = {}): Promise<Document> {
      return must(201, 'POST', path, repository(objectName, metadata));
    }

    async function versionOf(path: string): Promise<string> {
      return (await must(200, 'GET', path)).metadata.resourceVersion;
    }

    /** As many events as wanted; fewer where the watch ends before. */
    async function take(path: string, count: number): Promise<readonly WatchEvent[]> {
      const taken: WatchEvent[] = [];
      for await (const event of watchKubeApi(server.admin, path)) {
        taken.push(event);
        if (taken.length === count) break;
      }
      return taken;
    }

    it('fills defaults, drops unknown fields and begins with generation 1', async () => {
      const path = await fresh('defaults');
      const made = await must(201, 'POST', path, {
        ...repository('one'),
        spec: { image: 'ghcr.io/org/one', interval: '1m', colour: 'red', suspend: null },
        status: { canonicalImageName: 'not the status resource' },
      });
      assert.equal(made.metadata.generation, 1);
      assert.deepEqual(made.spec, {
        image: 'ghcr.io/org/one',
        interval: '1m',
        exclusionList: ['^.*\\.sig$'],
        provider: 'generic',
      });
      assert.deepEqual(made.status, { observedGeneration: -1 });
    });

    it('refuses what the schema forbids and names every field', async () => {
      const path = await fresh('invalid');
      const spec = { image: 3, interval: '5x', provider: 'other', timeout: '1h' };
      const refused = await must(422, 'POST', path, { ...repository('one'), spec });
      assert.equal(refused.reason, 'Invalid');
      assert.deepEqual(refused.details?.causes?.map(({ field }) => field).sort(), [
        'spec.image',
        'spec.interval',
        'spec.provider',
        'spec.timeout',
      ]);
    });

    it('raises the generation for the spec, not for metadata or status', async () => {
      const path = await fresh('generations');
      await create(path, 'one');
      const generations: (number | undefined)[] = [];
      for (const [below, patch] of [
        ['', { metadata: { labels: { a: 'b' } } }],
        ['', { status: { canonicalImageName: 'ignored here' } }],
        ['/status', { status: { canonicalImageName: 'x' }, spec: { interval: '9m' } }],
        ['', { spec: { interval: '2m' } }],
        ['', { spec: { interval: '2m' } }],
      ] as const) {
        const { metadata } = await must(200, 'PATCH', `${path}/one${below}`, patch);
        generations.push(metadata.generation);
      }
      assert.deepEqual(generations, [1, 1, 1, 2, 2]);
      const one = await must(200, 'GET', `${path}/one`);
      assert.deepEqual(one.status, { canonicalImageName: 'x', observedGeneration: -1 });
    });

    it('writes nothing where a patch changes nothing', async () => {
      const path = await fresh('unchanged');
      await create(path, 'one');
      // The first write after the creation may keep defaults that were only shown before.
      const first = await must(200, 'PATCH', `${path}/one`, { spec: { interval: '1m' } });
      const second = await must(200, 'PATCH', `${path}/one`, { spec: { interval: '1m' } });
      assert.equal(second.metadata.resourceVersion, first.metadata.resourceVersion);
    });

    it('notes who wrote', async () => {
      const path = await fresh('managed');
      await must(201, 'POST', `${path}?fieldManager=maker`, repository('one'));
      await must(200, 'PATCH', `${path}/one/status?fieldManager=scanner`, {
        status: { observedGeneration: 1 },
      });
      await must(200, 'PATCH', `${path}/one?fieldManager=editor`, {
        spec: { interval: '2m', suspend: true },
      });
      const { metadata } = await must(200, 'GET', `${path}/one`);
      const writers = (metadata.managedFields ?? []).map(
        ({ manager, operation, subresource = '' }) => `${manager} ${operation} ${subresource}`,
      );
      assert.deepEqual(writers.sort(), [
        'editor Update ',
        'maker Update ',
        'scanner Update status',
      ]);
    });

    it('lists in pages that show one moment', async () => {
      const path = await fresh('pages');
      for (const each of ['e', 'd', 'c', 'b', 'a']) await create(path, each);
      const first = await must(200, 'GET', `${path}?limit=2`);
      await create(path, 'bb');
      await must(200, 'DELETE', `${path}/c`);
      await must(200, 'PATCH', `${path}/d`, { metadata: { labels: { late: 'yes' } } });
      const second = await must(200, 'GET', `${path}?limit=2&continue=${next(first)}`);
      const third = await must(200, 'GET', `${path}?limit=2&continue=${next(second)}`);
      assert.deepEqual(
        [names(first), names(second), names(third)],
        [['a', 'b'], ['c', 'd'], ['e']],
      );
      assert.deepEqual(
        [first, second, third].map(({ metadata }) => metadata.remainingItemCount),
        [3, 1, undefined],
      );
      assert.equal(
        new Set([first, second, third].map((page) => page.metadata.resourceVersion)).size,
        1,
      );
      assert.equal(second.items?.[1]?.metadata.labels, undefined);
      assert.equal(next(third), '');
    });

    it('lists by labels', async () => {
      const path = await fresh('selected');
      await create(path, 'a', { labels: { shard: '1' } });
      await create(path, 'b', { labels: { shard: '2' } });
      await create(path, 'c');
      const list = (parameter: string, selector: string) =>
        `${path}?${parameter}=${encodeURIComponent(selector)}`;
      for (const [selector, expected] of [
        ['shard', 'a b'],
        ['!shard', 'c'],
        ['shard=1', 'a'],
        ['shard==1', 'a'],
        ['shard!=1', 'b c'],
        ['shard in (1,2)', 'a b'],
        ['shard notin (1)', 'b c'],
        ['shard,shard notin (1)', 'b'],
        ['', 'a b c'],
      ] as const) {
        const found = await must(200, 'GET', list('labelSelector', selector));
        assert.equal(names(found).join(' '), expected, selector);
      }
      for (const wrong of ['a in (b', 'a===b', '-a', 'a=b c']) {
        await must(400, 'GET', list('labelSelector', wrong));
      }
    });

    it('watches from a resourceVersion on', async () => {
      const path = await fresh('watched');
      const from = await versionOf(path);
      const made = await create(path, 'one');
      const patched = await must(200, 'PATCH', `${path}/one`, { spec: { interval: '2m' } });
      await must(200, 'DELETE', `${path}/one`);
      const seen = await take(`${path}?watch=1&timeoutSeconds=20&resourceVersion=${from}`, 3);
      assert.deepEqual(
        seen.map(({ type }) => type),
        ['ADDED', 'MODIFIED', 'DELETED'],
      );
      const versions = seen.map(({ object }) => Number(object.metadata?.resourceVersion));
      assert.deepEqual(versions.slice(0, 2), [
        Number(made.metadata.resourceVersion),
        Number(patched.metadata.resourceVersion),
      ]);
      // A deletion has a version of its own.
      assert.ok(versions[2]! > versions[1]!);
    });

    it('tells a watch with a selector of what enters and leaves it', async () => {
      const path = await fresh('shards');
      const from = await versionOf(path);
      await create(path, 'one', { labels: { shard: '1' } });
      const label = (shard: string | null) =>
        must(200, 'PATCH', `${path}/one`, { metadata: { labels: { shard } } });
      await label('2');
      await label('3');
      await label('1');
      await must(200, 'PATCH', `${path}/one`, { spec: { interval: '2m' } });
      await label(null);
      const query = `watch=1&timeoutSeconds=20&labelSelector=shard%3D1&resourceVersion=${from}`;
      const seen = await take(`${path}?${query}`, 5);
      assert.deepEqual(
        seen.map(({ type, object }) => [
          type,
          (object as unknown as Document).metadata.labels?.['shard'],
        ]),
        [
          ['ADDED', '1'],
          ['DELETED', '1'],
          ['ADDED', '1'],
          ['MODIFIED', '1'],
          ['DELETED', '1'],
        ],
      );
    });

    it('ends a watch at its timeout, with a bookmark shortly before', async () => {
      const path = await fresh('ending');
      const from = await versionOf(path);
      const query = `watch=1&timeoutSeconds=5&allowWatchBookmarks=true&resourceVersion=${from}`;
      const seeing = take(`${path}?${query}`, 100);
      // A bookmark tells only of what came after the watch was opened.
      await new Promise((resolve) => setTimeout(resolve, 500));
      await create(path, 'one');
      const seen = await seeing;
      assert.deepEqual([...new Set(seen.map(({ type }) => type))], ['ADDED', 'BOOKMARK']);
    });

    it('refuses a stale resourceVersion', async () => {
      const path = await fresh('stale');
      const made = await create(path, 'one');
      const changed = { ...made, spec: { ...made.spec, interval: '2m' } };
      await must(200, 'PUT', `${path}/one`, changed);
      assert.equal((await must(409, 'PUT', `${path}/one`, changed)).reason, 'Conflict');
      const { resourceVersion } = made.metadata;
      const patch = { metadata: { resourceVersion }, spec: { interval: '3m' } };
      assert.equal((await must(409, 'PATCH', `${path}/one`, patch)).reason, 'Conflict');
      await must(422, 'PUT', `${path}/one`, repository('one'));
      assert.equal((await must(409, 'POST', path, repository('one'))).reason, 'AlreadyExists');
      await must(404, 'PUT', `${path}/two`, repository('two'));
    });

    it('keeps an object until its finalizers are gone', async () => {
      const path = await fresh('finalized');
      await create(path, 'one', { finalizers: ['finalizers.fluxcd.io'] });
      const from = await versionOf(path);
      const marked = await must(200, 'DELETE', `${path}/one`);
      assert.equal(marked.metadata.generation, 2);
      assert.ok(marked.metadata.deletionTimestamp !== undefined);
      await must(200, 'DELETE', `${path}/one`);
      await must(422, 'PATCH', `${path}/one`, {
        metadata: { finalizers: ['finalizers.fluxcd.io', 'example.com/late'] },
      });
      await must(200, 'PATCH', `${path}/one`, { metadata: { finalizers: null } });
      await must(404, 'GET', `${path}/one`);
      const seen = await take(`${path}?watch=1&timeoutSeconds=20&resourceVersion=${from}`, 2);
      assert.deepEqual(
        seen.map(({ type, object }) => [type, (object as unknown as Document).metadata.finalizers]),
        [
          ['MODIFIED', ['finalizers.fluxcd.io']],
          ['DELETED', ['finalizers.fluxcd.io']],
        ],
      );
    });

    it('lets one of two writers renew a Lease', async () => {
      const made = await must(201, 'POST', leases, lease('leader', 'a'));
      const { resourceVersion } = made.metadata;
      await must(200, 'PUT', `${leases}/leader`, lease('leader', 'b', resourceVersion));
      const late = await must(
        409,
        'PUT',
        `${leases}/leader`,
        lease('leader', 'c', resourceVersion),
      );
      assert.equal(late.reason, 'Conflict');
      assert.equal((await must(200, 'GET', `${leases}/leader`)).spec?.['holderIdentity'], 'b');
      await must(201, 'PUT', `${leases}/other`, lease('other', 'a'));
    });

    it('takes only times with six digits of a second in a Lease', async () => {
      for (const renewTime of ['2026-01-01T00:00:00.123Z', '2026-01-01T00:00:00Z', 'now']) {
        const spec = { renewTime };
        await must(400, 'POST', leases, { metadata: { name: 'time' }, spec });
      }
      const spec = { leaseDurationSeconds: 0, leaseTransitions: -1 };
      await must(422, 'POST', leases, { metadata: { name: 'numbers' }, spec });
    });

    it('wants of an Event with a time who reports it, and what was done', async () => {
      await must(201, 'POST', coreEvents, event('said'));
      const { action: _action, ...incomplete } = event('incomplete') as Record<string, unknown>;
      await must(422, 'POST', coreEvents, incomplete);
      await must(422, 'POST', coreEvents, { ...event('long'), message: 'x'.repeat(1025) });
    });

    it('allows what a rule allows, and no more', async () => {
      const { admin, restricted } = server;
      const path = await fresh('allowed');
      for (const name of ['one', 'two']) await create(path, name);
      await server.grant({
        apiGroups: ['image.toolkit.fluxcd.io'],
        resources: ['imagerepositories', 'imagerepositories/status'],
        verbs: ['get', 'list', 'patch'],
      });
      const ask = async (method: KubeMethod, below: string): Promise<number> =>
        (await askKubeApi(restricted, method, `${path}${below}`, method === 'GET' ? undefined : {}))
          .status;
      // The authorizer of a real server learns of a binding through a watch of its own.
      await until(async () => (await ask('GET', '/one')) === 200);
      assert.equal(await ask('PATCH', '/one/status'), 200);
      for (const [method, below] of [
        ['PUT', '/one'],
        ['GET', '?watch=1'],
      ] as const) {
        assert.equal(await ask(method, below), 403, `${method} ${below}`);
      }
      assert.equal((await askKubeApi(admin, 'GET', `${path}/two`)).status, 200);
    });

    it('refuses bodies that do not fit their path', async () => {
      const path = await fresh('misplaced');
      await create(path, 'one');
      const one = repository('one') as Record<string, unknown>;
      for (const [status, method, below, body] of [
        [400, 'POST', '', { ...one, apiVersion: 'image.toolkit.fluxcd.io/v2' }],
        [422, 'POST', '', { ...one, kind: 'Other' }],
        [400, 'POST', '', repository('two', { namespace: 'elsewhere' })],
        [400, 'PUT', '/two', repository('one')],
        [400, 'PATCH', '/one', { metadata: { name: 'two' } }],
        [422, 'POST', '', { ...one, metadata: {} }],
        [422, 'POST', '', repository('Upper')],
        [422, 'POST', '', repository('two', { labels: { 'a b': 'c' } })],
        [422, 'POST', '', repository('two', { labels: { a: 'b c' } })],
        [422, 'POST', '', repository('two', { annotations: { 'a b': 'c' } })],
        [409, 'PATCH', '/one', { metadata: { uid: 'other', resourceVersion: '1' } }],
        [404, 'PATCH', '/none', {}],
        [404, 'DELETE', '/none', undefined],
      ] as const) {
        const answer = await ask(method, `${path}${below}`, body);
        assert.equal(answer.status, status, `${method} ${below} ${JSON.stringify(body)}`);
      }
    });

    it('refuses parameters that do not go together', async () => {
      const path = await fresh('parameters');
      for (const [status, query] of [
        [400, 'limit=x'],
        [400, 'continue=garbage'],
        [500, 'watch=1&resourceVersion=x'],
      ] as const) {
        await must(status, 'GET', `${path}?${query}`);
      }
    });

    it('tells a watch only of its namespace', async () => {
      const [path, other] = [await fresh('near'), await fresh('far')];
      const from = await versionOf(path);
      await create(other, 'b');
      await create(path, 'a');
      const all = `${group}/imagerepositories?watch=1&timeoutSeconds=20&resourceVersion=${from}`;
      for (const [watch, expected] of [
        [`${path}?watch=1&timeoutSeconds=20&resourceVersion=${from}`, ['a']],
        [all, ['b', 'a']],
      ] as const) {
        const seen = await take(watch, expected.length);
        assert.deepEqual(
          seen.map(({ object }) => object.metadata?.name),
          expected,
        );
      }
    });

    it('takes Events of the core group, and refuses those of another namespace', async () => {
      const event = (name: string, namespace: string): object => ({
        metadata: { name },
        involvedObject: { kind: 'ImageRepository', namespace, name: 'one' },
        reason: 'Refused',
        type: 'Warning',
        message: 'what happened',
        source: { component: 'imagerepo-mirror' },
        firstTimestamp: '2026-01-01T00:00:00Z',
        lastTimestamp: '2026-01-01T00:00:00Z',
        count: 1,
      });
      await must(201, 'POST', coreEvents, event('counted', 'flux-system'));
      const lastTimestamp = '2026-01-01T01:00:00Z';
      const counted = await must(200, 'PATCH', `${coreEvents}/counted`, {
        count: 2,
        lastTimestamp,
      });
      assert.equal((counted as unknown as { readonly count: number }).count, 2);
      await must(422, 'POST', coreEvents, event('elsewhere', 'default'));
      await must(422, 'PATCH', `${coreEvents}/counted`, { count: 'x' });
    });

    it('denies what no rule allows, and says what', async () => {
      const everywhere = `${group}/imagerepositories`;
      const denied = await askKubeApi(server.restricted, 'GET', `${everywhere}?watch=1`);
      assert.equal(denied.status, 403);
      assert.equal(
        (denied.body as Document).message,
        'imagerepositories.image.toolkit.fluxcd.io is forbidden: User "restricted" cannot watch resource "imagerepositories" in API group "image.toolkit.fluxcd.io" at the cluster scope',
      );
      const inNamespace = await askKubeApi(server.restricted, 'PUT', `${leases}/leader`, {});
      assert.equal(
        (inNamespace.body as Document).message,
        'leases.coordination.k8s.io "leader" is forbidden: User "restricted" cannot update resource "leases" in API group "coordination.k8s.io" in the namespace "flux-system"',
      );
      const stranger = { ...server.admin, token: 'stranger' };
      const unknown = await askKubeApi(stranger, 'GET', `${group}/imagerepositories`);
      assert.deepEqual([unknown.status, (unknown.body as Document).reason], [401, 'Unauthorized']);
    });

    it('answers 404 for what is not there', async () => {
      for (const path of [
        '/apis/none.example.com/v1/things',
        `${group}/things`,
        '/apis/image.toolkit.fluxcd.io/v1beta2/imagerepositories',
        `${group}/namespaces/flux-system/imagerepositories/none`,
        `${group}/imagerepositories/none`,
      ]) {
        await must(404, 'GET', path);
      }
      await must(404, 'POST', `${group}/namespaces/none/imagerepositories`, repository('one'));
    });

    it('is scanned as Flux was recorded to scan', async () => {
      await playRecordedScenarios(server.admin);
    });

    // The last test: what was before it is forgotten.
    it('answers 410 where the history does not reach back', async () => {
      const path = await fresh('forgotten');
      for (const each of ['a', 'b', 'c']) await create(path, each);
      const from = await versionOf(path);
      const first = await must(200, 'GET', `${path}?limit=1`);
      await must(200, 'PATCH', `${path}/c`, { spec: { interval: '2m' } });
      await must(200, 'PATCH', `${path}/c`, { spec: { interval: '3m' } });
      await server.forget();
      const seen = await take(`${path}?watch=1&timeoutSeconds=20&resourceVersion=${from}`, 1);
      assert.deepEqual(
        seen.map(({ type, object }) => [type, object.code, object.reason]),
        [['ERROR', 410, 'Expired']],
      );
      const refused = await must(410, 'GET', `${path}?limit=1&continue=${next(first)}`);
      // What it gives to go on with leads through the objects of today.
      const rest = await must(200, 'GET', `${path}?continue=${next(refused)}`);
      assert.deepEqual(names(rest), ['b', 'c']);
    });
  });
}

function repository(name: string, metadata: object = {}): object {
  return {
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    kind: 'ImageRepository',
    metadata: { name, ...metadata },
    spec: { image: `ghcr.io/org/${name}`, interval: '1m' },
  };
}

function lease(name: string, holderIdentity: string, resourceVersion?: string): object {
  const renewTime = '2026-01-01T00:00:00.000000Z';
  return {
    metadata: { name, ...(resourceVersion === undefined ? {} : { resourceVersion }) },
    spec: { holderIdentity, renewTime, acquireTime: renewTime, leaseDurationSeconds: 15 },
  };
}

function event(name: string): object {
  return {
    metadata: { name },
    involvedObject: { kind: 'ImageRepository', namespace: 'flux-system', name: 'one' },
    eventTime: '2026-01-01T00:00:00.000000Z',
    reportingComponent: 'imagerepo-mirror',
    reportingInstance: 'one',
    action: 'Publish',
    reason: 'Refused',
    type: 'Warning',
    message: 'what happened',
  };
}

function names(list: Document): readonly string[] {
  return (list.items ?? []).map(({ metadata }) => metadata.name);
}

function next(list: Document): string {
  return list.metadata.continue ?? '';
}
