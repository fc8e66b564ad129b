import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { imageRepository } from '../bridge/objects.ts';
import {
  askKubeApi,
  watchKubeApi,
  type KubeAccess,
  type KubeAnswer,
  type WatchEvent,
} from '../stand-ins/kubernetes/client.ts';
import { startKubernetes, type LocalKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { leases } from '../stand-ins/kubernetes/resource.ts';
import { until } from '../until.ts';

const collection = '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories';

async function nextOf(events: AsyncGenerator<WatchEvent, void>): Promise<WatchEvent | undefined> {
  return (await events.next()).value ?? undefined;
}

describe('what can be done to the Kubernetes stand-in', () => {
  let kubernetes: LocalKubernetes;
  beforeEach(async () => {
    kubernetes = await startKubernetes({ bookmarkIntervalMs: 20 });
  });
  afterEach(() => kubernetes.close());

  const access = (token = kubernetes.adminToken): KubeAccess => ({ url: kubernetes.url, token });

  function list(token?: string): Promise<KubeAnswer> {
    return askKubeApi(access(token), 'GET', collection);
  }

  /** A watch that is open, from now on unless the query says otherwise. */
  async function watch(query?: string): Promise<AsyncGenerator<WatchEvent, void>> {
    const open = kubernetes.openWatches;
    const from = query ?? `resourceVersion=${kubernetes.resourceVersion}`;
    const events = watchKubeApi(access(), `${collection}?watch=1&${from}`);
    // A generator asks when it is first read.
    const first = events.next();
    first.catch(() => undefined);
    await until(() => kubernetes.openWatches > open);
    return (async function* () {
      const { value } = await first;
      if (value !== undefined) yield value;
      yield* events;
    })();
  }

  async function typesOf(events: AsyncGenerator<WatchEvent, void>): Promise<readonly string[]> {
    const types: string[] = [];
    for await (const { type } of events) types.push(type);
    return types;
  }

  it('ends watches, or cuts them', async () => {
    const ended = typesOf(await watch());
    kubernetes.faults.dropWatches('end');
    assert.deepEqual(await ended, []);
    const cut = typesOf(await watch());
    kubernetes.faults.dropWatches('cut');
    await assert.rejects(cut, { code: 'ECONNRESET' });
  });

  it('silences watches that stay open', async () => {
    const silent = typesOf(await watch());
    kubernetes.faults.silenceWatches();
    const talking = await watch();
    kubernetes.put(imageRepository('a'));
    assert.equal((await nextOf(talking))?.type, 'ADDED');
    assert.equal(kubernetes.openWatches, 2);
    kubernetes.faults.dropWatches('end');
    assert.deepEqual(await silent, []);
  });

  it('writes what is no event', async () => {
    const broken = typesOf(await watch());
    kubernetes.faults.writeToWatches('{"type":"ADDED","object":\n');
    await assert.rejects(broken, SyntaxError);
  });

  it('expires watches', async () => {
    const expired = await watch();
    kubernetes.faults.expireWatches();
    const error = await nextOf(expired);
    assert.deepEqual([error?.type, error?.object.code], ['ERROR', 410]);
    assert.equal(await nextOf(expired), undefined);
  });

  it('sends bookmarks of what happened meanwhile, of other kinds too', async () => {
    const events = await watch(
      `allowWatchBookmarks=true&resourceVersion=${kubernetes.resourceVersion}`,
    );
    kubernetes.put(imageRepository('lease'), leases);
    const bookmark = await nextOf(events);
    assert.equal(bookmark?.type, 'BOOKMARK');
    assert.equal(bookmark.object.metadata?.resourceVersion, String(kubernetes.resourceVersion));
    kubernetes.faults.dropWatches('end');
  });

  it('takes the CustomResourceDefinition away and brings it back', async () => {
    kubernetes.put(imageRepository('a'));
    const events = typesOf(await watch());
    kubernetes.faults.setCrd(false);
    assert.deepEqual(await events, ['DELETED']);
    assert.equal((await list()).status, 404);
    kubernetes.faults.setCrd(true);
    assert.deepEqual(((await list()).body as { readonly items: object }).items, []);
  });

  it('meets requests with statuses, silence and cut connections, and lets them pass when lifted', async () => {
    const { faults } = kubernetes;
    faults.request({ verbs: ['list'], resource: 'leases', answer: 500, times: Infinity });
    faults.request({ verbs: ['list'], user: 'other', answer: 500, times: Infinity });
    faults.request({ verbs: ['list'], answer: 429 });
    const { status, body } = await list();
    assert.deepEqual(
      [status, (body as { readonly reason: string }).reason],
      [429, 'TooManyRequests'],
    );
    assert.equal((await list()).status, 200);
    const lift = faults.request({ answer: 503, times: Infinity });
    assert.equal((await list()).status, 503);
    lift();
    faults.request({ delayMs: 1 });
    assert.equal((await list()).status, 200);
    faults.request({ answer: 'reset' });
    await assert.rejects(list(), { code: 'ECONNRESET' });
    faults.request({ answer: 'hang' });
    const served = kubernetes.requests.length;
    const hanging = list();
    hanging.catch(() => undefined);
    await until(() => kubernetes.requests.length > served);
    assert.equal((await list()).status, 200);
    await faults.halt();
    await assert.rejects(hanging, { code: 'ECONNRESET' });
  });

  it('restarts on the same port with its objects, with or without the history', async () => {
    const since = `resourceVersion=${kubernetes.resourceVersion}`;
    kubernetes.put(imageRepository('a'));
    for (const [history, type] of [
      ['keep', 'ADDED'],
      ['forget', 'ERROR'],
    ] as const) {
      const cut = typesOf(await watch());
      await kubernetes.faults.halt();
      await assert.rejects(cut, { code: 'ECONNRESET' });
      await assert.rejects(list(), { code: 'ECONNREFUSED' });
      await kubernetes.faults.resume(history);
      const again = watchKubeApi(access(), `${collection}?watch=1&${since}`);
      assert.equal((await nextOf(again))?.type, type);
      await again.return(undefined);
      await until(() => kubernetes.openWatches === 0);
      assert.ok(kubernetes.get('flux-system', 'a'));
    }
  });

  it('knows users by their tokens, with the rules that they have now', async () => {
    const token = kubernetes.addUser({ name: 'u' });
    assert.equal((await list(token)).status, 403);
    const rule = {
      apiGroups: ['*'],
      resources: ['imagerepositories'],
      verbs: ['list'],
      namespaces: ['default'],
    };
    kubernetes.addUser({ name: 'u', rules: [rule] }, token);
    assert.equal((await list(token)).status, 403);
    kubernetes.addUser({ name: 'u', rules: [{ ...rule, namespaces: ['flux-system'] }] }, token);
    assert.equal((await list(token)).status, 200);
    assert.equal(kubernetes.requests.at(-1)?.user, 'u');
    kubernetes.revokeToken(token);
    assert.equal((await list(token)).status, 401);
    const anonymous = await fetch(`${kubernetes.url}${collection}`);
    assert.equal(anonymous.status, 403);
  });

  it('takes merge patches alone', async () => {
    kubernetes.put(imageRepository('a'));
    for (const [type, status] of [
      ['application/merge-patch+json; charset=utf-8', 200],
      ['application/json-patch+json', 415],
    ] as const) {
      const { status: actual } = await fetch(`${kubernetes.url}${collection}/a`, {
        method: 'PATCH',
        headers: { 'content-type': type, authorization: `Bearer ${kubernetes.adminToken}` },
        body: '{}',
      });
      assert.equal(actual, status, type);
    }
  });

  it('keeps up with many changes for several watchers', async () => {
    for (let index = 0; index < 2000; index += 1)
      kubernetes.put(imageRepository(`object-${index}`));
    const watches = [await watch(), await watch(), await watch()];
    for (let index = 0; index < 200; index += 1) {
      kubernetes.put(imageRepository(`object-${index}`, { labels: { moved: 'yes' } }));
    }
    kubernetes.faults.dropWatches('end');
    const seen = await Promise.all(watches.map(typesOf));
    assert.deepEqual(
      seen.map((types) => types.filter((type) => type === 'MODIFIED').length),
      [200, 200, 200],
    );
  });
});
