import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { before, describe, it } from 'node:test';

import type { KubeObject } from '../../stand-ins/kubernetes/object.ts';
import { readRecording, type Scenario } from '../../stand-ins/kubernetes/recording.ts';
import {
  copyOf,
  replay,
  type ReplayedChange,
  type ReplayTarget,
} from '../../stand-ins/kubernetes/replay.ts';

interface Image {
  readonly image?: string;
  readonly canonicalImageName?: string;
}

function recorder(): ReplayTarget & { readonly played: string[]; readonly objects: KubeObject[] } {
  const played: string[] = [];
  const objects: KubeObject[] = [];
  return {
    played,
    objects,
    put: (object) => {
      played.push(object.metadata.name);
      objects.push(object);
      return object;
    },
    remove: (_namespace, name) => {
      played.push(name);
    },
    drained: () => Promise.resolve(),
  };
}

describe('a replay', () => {
  let scenarios: readonly Scenario[];
  before(async () => {
    const file = new URL('../../data/flux-watch.ndjson', import.meta.url);
    scenarios = readRecording(await readFile(file, 'utf8'));
  });

  it('of one object plays what was recorded, as it was', async () => {
    const target = recorder();
    assert.equal(await replay(target, scenarios), 83);
    const recorded = scenarios.flatMap(({ events }) => events);
    assert.deepEqual(
      target.objects,
      recorded.filter(({ type }) => type !== 'DELETED').map(({ object }) => object),
    );
    assert.equal(target.played.length, 83);
  });

  it('of many objects gives each the whole recording, in its order', async () => {
    const target = recorder();
    const changes: ReplayedChange[] = [];
    const count = await replay(target, scenarios, {
      objects: 20,
      onChange: (change) => changes.push(change),
    });
    assert.equal(count, 20 * 83);
    const expected = scenarios.flatMap(({ name, events }) =>
      events.map(({ type }) => `${name} ${type}`),
    );
    const byName = Map.groupBy(changes, ({ name }) => name);
    assert.equal(byName.size, 20);
    for (const own of byName.values()) {
      assert.deepEqual(
        own.map(({ scenario, type }) => `${scenario} ${type}`),
        expected,
      );
    }
    // Interleaved: the first object is not through when another begins.
    assert.notEqual(new Set(target.played.slice(0, 83)).size, 1);
  });

  it('goes the same way with the same seed', async () => {
    const orders: string[] = [];
    for (const seed of [1, 1, 2]) {
      const target = recorder();
      await replay(target, scenarios, { objects: 5, seed });
      orders.push(target.played.join());
    }
    assert.equal(orders[0], orders[1]);
    assert.notEqual(orders[0], orders[2]);
  });

  it('keeps to a pace and ends when it is told to', async () => {
    const target = recorder();
    const ending = new AbortController();
    const started = performance.now();
    const count = await replay(target, scenarios, {
      objects: 5,
      changesPerSecond: 500,
      signal: ending.signal,
      onChange: () => {
        if (target.played.length === 50) ending.abort();
      },
    });
    assert.equal(count, 50);
    // Fifty changes at 500 a second are due after 98 ms at the earliest.
    assert.ok(performance.now() - started > 90);
  });

  it('makes copies that share nothing that must differ', () => {
    const last = scenarios.at(-1)?.events[0]?.object as KubeObject & {
      readonly spec: Image;
      readonly status: Image;
    };
    const [one, two] = [copyOf(last, 1), copyOf(last, 2)] as unknown as readonly (typeof last)[];
    assert.deepEqual([one!.metadata.name, two!.metadata.name], ['app-00001', 'app-00002']);
    assert.equal(one!.status.canonicalImageName, '127.0.0.1:15000/org/app2-00001');
    assert.equal(one!.spec.image, 'https://127.0.0.1:15000/org/app2-00001');
    assert.match(
      one!.metadata.uid,
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    assert.notEqual(one!.metadata.uid, two!.metadata.uid);
    assert.equal(copyOf(last, 1).metadata.uid, one!.metadata.uid);
  });
});
