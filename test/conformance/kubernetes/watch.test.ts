import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import { leases } from '../../stand-ins/kubernetes/resource.ts';
import { watch, type SeenEvent } from './client.ts';
import { stored } from './fixtures.ts';

function summary({ type, object }: SeenEvent): string {
  return `${type} ${object.metadata.name ?? ''}`.trim();
}

describe('a watch', () => {
  let kubernetes: LocalKubernetes;
  beforeEach(async () => {
    kubernetes = await startKubernetes({ bookmarkIntervalMs: 20 });
  });
  afterEach(() => kubernetes.close());

  function from(): string {
    return `resourceVersion=${kubernetes.resourceVersion}`;
  }

  it('tells what was missed and then what happens', async () => {
    const since = from();
    kubernetes.put(stored('a'));
    const open = await watch(kubernetes, since);
    kubernetes.put(stored('b'));
    kubernetes.put(stored('b', { labels: { x: 'y' } }));
    kubernetes.remove('flux-system', 'a');
    assert.deepEqual((await open.events(4)).map(summary), [
      'ADDED a',
      'ADDED b',
      'MODIFIED b',
      'DELETED a',
    ]);
    await open.close();
  });

  it('tells nothing up to a version that lies ahead', async () => {
    const ahead = kubernetes.resourceVersion + 1;
    const open = await watch(kubernetes, `resourceVersion=${ahead}`);
    kubernetes.put(stored('a'));
    kubernetes.put(stored('b'));
    assert.deepEqual((await open.events(1)).map(summary), ['ADDED b']);
    await open.close();
  });

  it('begins with the present objects where it has no version', async () => {
    kubernetes.put(stored('a'));
    const open = await watch(kubernetes, 'allowWatchBookmarks=true');
    const [added, end] = await open.events(2);
    assert.deepEqual(
      [added, end].map((event) => summary(event!)),
      ['ADDED a', 'BOOKMARK'],
    );
    assert.equal(end!.object.metadata.annotations?.['k8s.io/initial-events-end'], 'true');
    assert.equal(end!.object.metadata.resourceVersion, String(kubernetes.resourceVersion));
    await open.close();
  });

  it('sends bookmarks of what happened meanwhile, of other kinds too', async () => {
    const open = await watch(kubernetes, `allowWatchBookmarks=true&${from()}`);
    kubernetes.put(stored('lease'), leases);
    const [bookmark] = await open.events(1);
    assert.equal(summary(bookmark!), 'BOOKMARK');
    assert.equal(bookmark!.object.metadata.resourceVersion, String(kubernetes.resourceVersion));
    await open.close();
  });

  it('tells only of its namespace', async () => {
    const query = `${from()}&fieldSelector=metadata.namespace%3Ddefault`;
    const open = await watch(kubernetes, query);
    kubernetes.put(stored('a'));
    kubernetes.put(stored('b', { namespace: 'default' }));
    assert.deepEqual((await open.events(1)).map(summary), ['ADDED b']);
    await open.close();
  });

  it('takes what leaves the selection for deleted, in its last state there', async () => {
    const open = await watch(kubernetes, `${from()}&labelSelector=shard%3D1`);
    kubernetes.put(stored('a', { labels: { shard: '1' } }));
    kubernetes.put(stored('a', { labels: { shard: '2' } }));
    const [, deleted] = await open.events(2);
    assert.equal(summary(deleted!), 'DELETED a');
    const { labels, resourceVersion } = deleted!.object.metadata as unknown as {
      readonly labels: object;
      readonly resourceVersion: string;
    };
    assert.deepEqual(labels, { shard: '1' });
    assert.equal(resourceVersion, String(kubernetes.resourceVersion));
    await open.close();
  });

  it('cannot begin before the history', async () => {
    const since = from();
    kubernetes.put(stored('a'));
    kubernetes.faults.compact();
    const open = await watch(kubernetes, since);
    const [error] = await open.events(1);
    assert.deepEqual([error?.type, error?.object.code], ['ERROR', 410]);
    assert.equal(await open.next(), undefined);
    assert.equal(kubernetes.openWatches, 0);
  });

  it('ends at its timeout', async () => {
    const open = await watch(kubernetes, `timeoutSeconds=1&${from()}`);
    assert.equal(await open.next(), undefined);
  });

  it('is let go when its client leaves', async () => {
    const open = await watch(kubernetes);
    const openWatches = (): number => kubernetes.openWatches;
    assert.equal(openWatches(), 1);
    await open.close();
    while (openWatches() > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  });

  it('serialises what many read once', async () => {
    const open = await Promise.all(Array.from({ length: 5 }, () => watch(kubernetes, from())));
    kubernetes.put(stored('a'));
    const lines = await Promise.all(open.map((each) => each.next()));
    assert.equal(new Set(lines).size, 1);
    await Promise.all(open.map((each) => each.close()));
  });
});
