import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  describeObject,
  readImageRepository,
  uidOf,
  succeeding,
  objectFields,
} from '../../../bridge/flux/image-repository.ts';
import { DEFAULT_EXCLUSION_LIST } from '../../../functions/contract/patterns.ts';
import { thrown } from '../../faults.ts';
import { imageRepository } from '../objects.ts';

/** A copy of an object with one field, named by its path, set to a value. */
function altered(object: object, path: string, value: unknown): unknown {
  const copy = structuredClone(object);
  const names = path.split('.');
  const last = names.pop() ?? '';
  let at = copy as Record<string, unknown>;
  for (const name of names) at = at[name] as Record<string, unknown>;
  at[last] = value;
  return copy;
}

describe('readImageRepository', () => {
  it('keeps what is used and drops all else', () => {
    const object = imageRepository('app', {
      revision: '3921220339',
      annotations: { include: '^v' },
      provider: 'gcp',
      insecure: true,
    });
    Object.assign(object.metadata.annotations ?? {}, {
      'kubectl.kubernetes.io/last-applied-configuration': '{}',
    });
    assert.deepEqual(readImageRepository(object), {
      uid: 'uid-of-flux-system-app',
      namespace: 'flux-system',
      name: 'app',
      createdAt: '2026-07-01T08:00:00Z',
      deleting: false,
      suspended: false,
      settled: true,
      provider: 'gcp',
      insecure: true,
      settings: { enabled: true, selection: { include: ['^v'] } },
      requestedAt: undefined,
      scan: {
        image: 'ghcr.io/org/app',
        revision: '3921220339',
        tagCount: 12,
        scanTime: '2026-08-10T09:00:02Z',
        exclusionList: [...DEFAULT_EXCLUSION_LIST],
      },
      readySinceMs: Date.parse('2026-08-10T09:00:02Z'),
    });
  });

  it('knows no time of a condition Ready that is not there or cannot be read', () => {
    const scanned = imageRepository('app', { revision: '1' });
    for (const conditions of [undefined, null, 7, [], [null], [{ type: 'Ready' }], ['Ready']]) {
      const object = { ...scanned, status: { ...(scanned['status'] as object), conditions } };
      const read = readImageRepository(object);
      assert.deepEqual([read.readySinceMs, read.scan?.revision], [undefined, '1']);
    }
  });

  it('has no scan where there is no revision: never scanned, or by a Flux before 2.7', () => {
    assert.equal(readImageRepository(imageRepository('app')).scan, undefined);
    const scanned = imageRepository('app', { revision: '1' });
    for (const [path, value] of [
      ['status', undefined],
      ['status', null],
      ['status.lastScanResult', undefined],
      ['status.lastScanResult.revision', undefined],
      ['status.lastScanResult.revision', ''],
      ['status.canonicalImageName', undefined],
    ] as const) {
      assert.equal(readImageRepository(altered(scanned, path, value)).scan, undefined, path);
    }
  });

  it('takes Flux’s default for an absent or empty exclusion list', () => {
    const scanned = imageRepository('app', { revision: '1' });
    const bare = altered(scanned, 'status.observedExclusionList', undefined) as object;
    for (const list of [undefined, []]) {
      const object = readImageRepository(altered(bare, 'spec.exclusionList', list));
      assert.deepEqual(object.scan?.exclusionList, DEFAULT_EXCLUSION_LIST);
    }
    const own = readImageRepository(altered(bare, 'spec.exclusionList', ['^dev']));
    assert.deepEqual(own.scan?.exclusionList, ['^dev']);
  });

  it('sees deletion, suspension and a spec that the controller has not seen', () => {
    const object = readImageRepository(
      imageRepository('app', {
        revision: '1',
        deleting: true,
        suspend: true,
        generation: 3,
        observedGeneration: 2,
      }),
    );
    assert.deepEqual([object.deleting, object.suspended, object.settled], [true, true, false]);
  });

  it('takes an unknown provider for none', () => {
    const object = readImageRepository(imageRepository('app', { provider: 'harbor' }));
    assert.equal(object.provider, undefined);
  });

  const malformed: readonly (readonly [string, unknown])[] = [
    ['metadata', undefined],
    ['metadata.uid', 7],
    ['metadata.name', ''],
    ['metadata.namespace', undefined],
    ['metadata.generation', '1'],
    ['metadata.annotations', []],
    ['spec', 'x'],
    ['spec.suspend', 'true'],
    ['spec.insecure', 1],
    ['status.lastScanResult', []],
    ['status.lastScanResult.revision', 5],
    ['status.lastScanResult.tagCount', 'many'],
    ['status.lastScanResult.tagCount', -1],
    ['status.lastScanResult.scanTime', 'yesterday'],
    ['status.lastScanResult.scanTime', undefined],
    ['status.observedExclusionList', [1]],
    ['status.canonicalImageName', {}],
  ];
  for (const [path, value] of malformed) {
    it(`refuses ${JSON.stringify(value)} as ${path}`, () => {
      const object = altered(imageRepository('app', { revision: '1' }), path, value);
      assert.equal(thrown(() => readImageRepository(object), 'RESPONSE_INVALID').field, path);
    });
  }

  it('refuses what is no object', () => {
    for (const value of [null, undefined, 'x', 1, []]) {
      thrown(() => readImageRepository(value), 'RESPONSE_INVALID');
    }
  });
});

describe('succeeding', () => {
  const before = readImageRepository(imageRepository('app', { revision: '1', provider: 'gcp' }));

  it('keeps provider and plain HTTP of the scan until the controller has seen the spec', () => {
    const edited = readImageRepository(
      imageRepository('app', {
        revision: '1',
        provider: 'aws',
        insecure: true,
        generation: 2,
        observedGeneration: 1,
      }),
    );
    const held = succeeding(before, edited);
    assert.deepEqual([held.provider, held.insecure], ['gcp', false]);
    const seen = readImageRepository(
      imageRepository('app', { revision: '1', provider: 'aws', insecure: true, generation: 2 }),
    );
    assert.deepEqual(
      [succeeding(held, seen).provider, succeeding(held, seen).insecure],
      ['aws', true],
    );
  });

  it('takes the spec of what was never scanned', () => {
    const unscanned = readImageRepository(imageRepository('app'));
    const edited = { ...before, settled: false, provider: 'aws' as const };
    assert.equal(succeeding(unscanned, edited).provider, 'aws');
    assert.equal(succeeding(undefined, edited).provider, 'aws');
  });
});

describe('describeObject and uidOf', () => {
  it('name what can be read of a malformed object', () => {
    assert.equal(describeObject({ metadata: { name: 'app', namespace: 'ns' } }), 'ns/app');
    assert.equal(describeObject({ metadata: { name: 7 } }), '?/?');
    assert.equal(describeObject(null), '?/?');
    assert.equal(uidOf({ metadata: { uid: 'u' } }), 'u');
    assert.equal(uidOf({ metadata: { uid: 7 } }), undefined);
    assert.equal(uidOf('x'), undefined);
  });
});

describe('objectFields', () => {
  it('has the keys by which flux logs finds the lines of an object', () => {
    assert.deepEqual(objectFields({ namespace: 'flux-system', name: 'podinfo' }), {
      controller: 'imagerepository',
      controllerGroup: 'image.toolkit.fluxcd.io',
      controllerKind: 'ImageRepository',
      ImageRepository: { name: 'podinfo', namespace: 'flux-system' },
      namespace: 'flux-system',
      name: 'podinfo',
    });
  });
});
