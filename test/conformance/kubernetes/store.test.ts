import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { objectKey, ObjectStore, type Change } from '../../stand-ins/kubernetes/store.ts';
import { refusal, stored } from './fixtures.ts';

function summary({ type, key, resourceVersion }: Change): string {
  return `${type} ${key} ${resourceVersion}`;
}

describe('the object store', () => {
  it('counts versions over all collections', () => {
    const store = new ObjectStore();
    const start = store.revision;
    assert.equal(store.put('a', 'x', stored('x')).metadata.resourceVersion, String(start + 1));
    assert.equal(store.put('b', 'y', stored('y')).metadata.resourceVersion, String(start + 2));
    store.remove('a', 'x');
    store.remove('a', 'x');
    assert.equal(store.revision, start + 3);
    assert.deepEqual([store.count('a'), store.count('b')], [0, 1]);
  });

  it('orders keys by their bytes', () => {
    const store = new ObjectStore();
    for (const key of ['b/a', 'a/b', 'a-b/a', 'a/a']) store.put('c', key, stored('x'));
    assert.deepEqual(store.keys('c'), ['a-b/a', 'a/a', 'a/b', 'b/a']);
    assert.equal(objectKey('ns', 'x'), 'ns/x');
    assert.equal(objectKey(undefined, 'x'), 'x');
  });

  it('tells listeners of each change, with the state before', () => {
    const store = new ObjectStore();
    const seen: Change[] = [];
    const stop = store.subscribe((change) => seen.push(change));
    store.put('c', 'x', stored('x'));
    store.put('c', 'x', stored('x', { labels: { a: 'b' } }));
    store.remove('c', 'x');
    stop();
    store.put('c', 'y', stored('y'));
    assert.deepEqual(seen.map(summary), ['ADDED x 2', 'MODIFIED x 3', 'DELETED x 4']);
    assert.equal(seen[1]?.previous, seen[0]?.object);
    assert.deepEqual(seen[2]?.object.metadata.labels, { a: 'b' });
    assert.equal(seen[2].object.metadata.resourceVersion, '4');
  });

  it('knows the changes since a version, of one collection', () => {
    const store = new ObjectStore();
    store.put('c', 'x', stored('x'));
    store.put('other', 'z', stored('z'));
    store.put('c', 'y', stored('y'));
    assert.deepEqual(store.changesSince('c', 1).map(summary), ['ADDED x 2', 'ADDED y 4']);
    assert.deepEqual(store.changesSince('c', 2).map(summary), ['ADDED y 4']);
    assert.deepEqual(store.changesSince('c', 4), []);
  });

  it('shows a collection as it was', () => {
    const store = new ObjectStore();
    store.put('c', 'a', stored('a'));
    const b = store.put('c', 'b', stored('b'));
    const then = store.revision;
    store.put('c', 'b', stored('b', { labels: { late: 'yes' } }));
    store.put('c', 'b', stored('b', { labels: { later: 'yes' } }));
    store.remove('c', 'a');
    store.put('c', 'c', stored('c'));
    const view = store.at('c', then);
    const shown = view.keys.filter((key) => view.get(key) !== undefined);
    assert.deepEqual(shown, ['a', 'b']);
    assert.equal(view.get('b'), b);
  });

  it('forgets what is compacted', () => {
    const store = new ObjectStore();
    store.put('c', 'a', stored('a'));
    const then = store.revision;
    store.put('c', 'b', stored('b'));
    store.compact();
    assert.throws(() => store.changesSince('c', then), refusal(410));
    assert.throws(() => store.at('c', then), refusal(410));
    assert.deepEqual(store.changesSince('c', store.revision), []);
    assert.equal(store.compactedRevision, store.revision);
  });

  it('forgets the oldest of very many changes by itself', () => {
    const store = new ObjectStore();
    const object = stored('x');
    for (let index = 0; index < 100_001; index += 1) store.put('c', 'x', object);
    assert.throws(() => store.changesSince('c', 1), refusal(410));
    assert.equal(store.changesSince('c', store.revision - 50_000).length, 50_000);
  });
});
