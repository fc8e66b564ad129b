import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { trackFields } from '../../stand-ins/kubernetes/managed-fields.ts';
import type { ManagedFieldsEntry } from '../../stand-ins/kubernetes/object.ts';

const apiVersion = 'v1';

function write(
  before: object | undefined,
  after: object,
  entries: readonly ManagedFieldsEntry[],
  manager: string,
  seconds = 0,
): readonly ManagedFieldsEntry[] {
  const writer = {
    manager,
    apiVersion,
    nowMs: Date.parse('2026-01-01T00:00:00Z') + seconds * 1000,
  };
  return trackFields(before as never, after as never, entries, writer);
}

function fieldsOf(entries: readonly ManagedFieldsEntry[]): Record<string, unknown> {
  return Object.fromEntries(entries.map(({ manager, fieldsV1 }) => [manager, fieldsV1]));
}

describe('managed fields', () => {
  const made = {
    metadata: { name: 'x', uid: 'u', labels: { a: '1' } },
    spec: { image: 'i', list: ['x'] },
  };
  const first = write(undefined, made, [], 'maker');

  it('belong to the maker, but for what the server writes', () => {
    assert.deepEqual(fieldsOf(first), {
      maker: {
        'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
        'f:spec': { '.': {}, 'f:image': {}, 'f:list': {} },
      },
    });
    assert.equal(first[0]?.time, '2026-01-01T00:00:00Z');
  });

  it('go to who changes them', () => {
    const after = { ...made, spec: { image: 'other', list: ['x'], added: true } };
    assert.deepEqual(fieldsOf(write(made, after, first, 'editor')), {
      maker: {
        'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } },
        'f:spec': { '.': {}, 'f:list': {} },
      },
      editor: { 'f:spec': { 'f:added': {}, 'f:image': {} } },
    });
  });

  it('belong to nobody once they are gone, and who owns nothing is not named', () => {
    const after = { metadata: { name: 'x' }, spec: { image: 'i', list: ['x'] } };
    assert.deepEqual(fieldsOf(write(made, after, first, 'editor')), {
      maker: { 'f:spec': { '.': {}, 'f:image': {}, 'f:list': {} } },
    });
  });

  it('count finalizers one by one', () => {
    const one = { metadata: { finalizers: ['a/1'] } };
    const two = { metadata: { finalizers: ['a/1', 'b/2'] } };
    const entries = write(one, two, write({}, one, [], 'maker'), 'editor');
    assert.deepEqual(fieldsOf(entries), {
      maker: { 'f:metadata': { 'f:finalizers': { '.': {}, 'v:"a/1"': {} } } },
      editor: { 'f:metadata': { 'f:finalizers': { 'v:"b/2"': {} } } },
    });
    assert.deepEqual(fieldsOf(write(two, one, entries, 'editor')), {
      maker: { 'f:metadata': { 'f:finalizers': { '.': {}, 'v:"a/1"': {} } } },
    });
  });

  it('keep their time while their owner changes nothing', () => {
    const after = { ...made, spec: { image: 'other', list: ['x'] } };
    const entries = write(made, after, first, 'editor', 5);
    assert.deepEqual(
      entries.map(({ manager, time }) => [manager, time]),
      [
        ['maker', '2026-01-01T00:00:00Z'],
        ['editor', '2026-01-01T00:00:05Z'],
      ],
    );
    assert.equal(write(after, after, entries, 'editor', 9)[1]?.time, '2026-01-01T00:00:05Z');
  });

  it('of a subresource are an entry of their own', () => {
    const after = { ...made, status: { seen: 1 } };
    const writer = { manager: 'maker', apiVersion, subresource: 'status', nowMs: 0 };
    const entries = trackFields(made, after, first, writer);
    assert.deepEqual(entries.map(({ subresource }) => subresource).sort(), ['status', undefined]);
  });
});
