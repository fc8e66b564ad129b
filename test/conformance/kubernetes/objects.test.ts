import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { Objects, type Target } from '../../stand-ins/kubernetes/objects.ts';
import {
  imageRepositories,
  leases,
  namespaces,
  type Resource,
} from '../../stand-ins/kubernetes/resource.ts';
import { ObjectStore } from '../../stand-ins/kubernetes/store.ts';
import { refusal, repository } from './fixtures.ts';

const merge = 'application/merge-patch+json';

describe('writing objects', () => {
  let store: ObjectStore;
  let objects: Objects;
  beforeEach(() => {
    store = new ObjectStore();
    objects = new Objects(store, () => Date.parse('2026-01-01T00:00:00Z'));
    const target = { resource: namespaces, fieldManager: 'test' };
    objects.create(target, { metadata: { name: 'flux-system' } });
  });

  function at(
    name?: string,
    more: Partial<Target> = {},
    resource: Resource = imageRepositories,
  ): Target {
    return {
      resource,
      namespace: 'flux-system',
      fieldManager: 'test',
      ...(name === undefined ? {} : { name }),
      ...more,
    };
  }

  it('creates, once, in a namespace that exists', () => {
    const made = objects.create(at(), repository('one'));
    assert.deepEqual(
      [made.metadata.generation, made.metadata.creationTimestamp, made['status']],
      [1, '2026-01-01T00:00:00Z', { observedGeneration: -1 }],
    );
    assert.throws(() => objects.create(at(), repository('one')), refusal(409, 'AlreadyExists'));
    const elsewhere = repository('one', { namespace: 'other' });
    assert.throws(
      () => objects.create(at(undefined, { namespace: 'other' }), elsewhere),
      refusal(404),
    );
  });

  it('makes up a name where only its beginning is given', () => {
    const made = objects.create(at(), repository('x', { name: undefined, generateName: 'made-' }));
    assert.match(made.metadata.name, /^made-.{5}$/);
    assert.throws(() => objects.create(at(), repository('x', { name: undefined })), refusal(422));
  });

  it('keeps nothing of a dry run', () => {
    const revision = store.revision;
    const made = objects.create(at(undefined, { dryRun: true }), repository('one'));
    assert.equal(made.metadata.resourceVersion, undefined);
    assert.throws(() => objects.get(at('one')), refusal(404));
    objects.create(at(), repository('one'));
    objects.patch(at('one', { dryRun: true }), merge, { spec: { interval: '2m' } });
    objects.delete(at('one', { dryRun: true }));
    assert.deepEqual(objects.get(at('one'))['spec'], {
      ...(repository('one')['spec'] as object),
      exclusionList: ['^.*\\.sig$'],
      provider: 'generic',
    });
    assert.equal(store.revision, revision + 1);
  });

  it('keeps main resource and status apart', () => {
    objects.create(at(), { ...repository('one'), status: { canonicalImageName: 'x' } });
    const status = at('one', { subresource: 'status' });
    objects.patch(status, merge, { status: { canonicalImageName: 'y' }, spec: { interval: '9m' } });
    objects.patch(at('one'), merge, {
      status: { canonicalImageName: 'z' },
      spec: { interval: '2m' },
    });
    const {
      spec,
      status: kept,
      metadata,
    } = objects.get(at('one')) as unknown as {
      readonly spec: { readonly interval: string };
      readonly status: object;
      readonly metadata: { readonly generation: number };
    };
    assert.deepEqual(kept, { canonicalImageName: 'y', observedGeneration: -1 });
    assert.deepEqual([spec.interval, metadata.generation], ['2m', 2]);
    objects.patch(status, merge, { status: null });
    assert.deepEqual(objects.get(at('one'))['status'], { observedGeneration: -1 });
  });

  it('writes nothing where nothing changes', () => {
    const made = objects.create(at(), repository('one'));
    assert.equal(objects.patch(at('one'), merge, { spec: { interval: '1m' } }), made);
  });

  it('updates only the version that the writer knows', () => {
    const made = objects.create(at(), repository('one'));
    const changed = { ...made, spec: { image: 'ghcr.io/org/one', interval: '2m' } };
    assert.equal(objects.update(at('one'), changed).created, false);
    assert.throws(() => objects.update(at('one'), changed), refusal(409, 'Conflict'));
    assert.throws(() => objects.update(at('one'), repository('one')), refusal(422));
    assert.throws(() => objects.update(at('two'), repository('two')), refusal(404));
    const reborn = { ...made, metadata: { ...made.metadata, uid: 'other' } };
    assert.throws(() => objects.update(at('one'), reborn), refusal(409));
    const stale = { metadata: { resourceVersion: made.metadata.resourceVersion } };
    assert.throws(() => objects.patch(at('one'), merge, stale), refusal(409));
    assert.throws(() => objects.patch(at('one'), merge, { metadata: { uid: 'x' } }), refusal(422));
  });

  it('creates by an update where the kind allows it', () => {
    const lease = at('leader', {}, leases);
    assert.equal(objects.update(lease, { metadata: { name: 'leader' }, spec: {} }).created, true);
    const wrong = { spec: { renewTime: 'now' } };
    assert.throws(() => objects.patch(lease, merge, wrong), refusal(422));
    assert.throws(
      () => objects.create(at(undefined, {}, leases), { metadata: { name: 'x' }, ...wrong }),
      refusal(400),
    );
  });

  it('waits with a deletion for the finalizers', () => {
    objects.create(at(), repository('one', { finalizers: ['a/b'] }));
    const first = objects.delete(at('one'));
    assert.deepEqual(
      [first.gone, first.object.metadata.generation, first.object.metadata.deletionTimestamp],
      [false, 2, '2026-01-01T00:00:00Z'],
    );
    assert.equal(objects.delete(at('one')).object, first.object);
    objects.patch(at('one'), merge, { metadata: { finalizers: null } });
    assert.throws(() => objects.get(at('one')), refusal(404));
  });

  it('deletes only what the preconditions mean', () => {
    const { metadata } = objects.create(at(), repository('one'));
    assert.throws(() => objects.delete(at('one'), { uid: 'other' }), refusal(409));
    assert.throws(() => objects.delete(at('one'), { resourceVersion: '1' }), refusal(409));
    const { uid, resourceVersion } = metadata;
    assert.equal(objects.delete(at('one'), { uid, resourceVersion }).gone, true);
    assert.throws(() => objects.delete(at('one')), refusal(404));
  });
});
