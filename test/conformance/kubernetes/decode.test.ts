import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decode, requireName } from '../../stand-ins/kubernetes/decode.ts';
import { imageRepositories, newEvents } from '../../stand-ins/kubernetes/resource.ts';
import { refusal, repository } from './fixtures.ts';

const target = { resource: imageRepositories, namespace: 'flux-system' };

describe('a body', () => {
  it('takes kind and namespace from the URL where it has none', () => {
    const { apiVersion, kind, metadata } = decode(target, { metadata: { name: 'one' } });
    assert.deepEqual(
      [apiVersion, kind, metadata],
      ['image.toolkit.fluxcd.io/v1', 'ImageRepository', { name: 'one', namespace: 'flux-system' }],
    );
  });

  it('is brought into the form in which its kind is kept', () => {
    const event = { metadata: { name: 'one' }, note: 'said' };
    const kept = decode({ resource: newEvents, namespace: 'flux-system' }, event);
    assert.deepEqual([kept['apiVersion'], kept['message']], ['v1', 'said']);
  });

  it('is refused where it is for another kind or namespace', () => {
    const body = repository('one');
    assert.throws(() => decode(target, { ...body, kind: 'Other' }), refusal(422));
    assert.throws(() => decode(target, { ...body, apiVersion: 'v1' }), refusal(400));
    assert.throws(
      () => decode(target, { ...body, metadata: { namespace: 'other' } }),
      refusal(400),
    );
  });

  it('may have unknown fields unless they are to be refused', () => {
    const body = { ...repository('one'), spec: { image: 'x', colour: 'red' } };
    decode(target, body);
    assert.throws(() => decode({ ...target, strict: true }, body), refusal(400));
  });

  it('has the name of the URL', () => {
    requireName({ ...target, name: 'one' }, 'one');
    for (const name of ['two', undefined]) {
      assert.throws(() => {
        requireName({ ...target, name: 'one' }, name);
      }, refusal(400));
    }
  });
});
