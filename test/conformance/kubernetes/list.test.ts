import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import {
  listJson,
  parseResourceVersion,
  type ListOptions,
  type Selection,
} from '../../stand-ins/kubernetes/list.ts';
import { imageRepositories, namespaces } from '../../stand-ins/kubernetes/resource.ts';
import { ObjectStore } from '../../stand-ins/kubernetes/store.ts';
import { refusal, stored } from './fixtures.ts';

interface List {
  readonly kind: string;
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
  readonly items: readonly {
    readonly kind?: string;
    readonly metadata: { readonly name: string };
  }[];
}

describe('a list', () => {
  let store: ObjectStore;
  beforeEach(() => {
    store = new ObjectStore();
    for (const name of ['c', 'a', 'e', 'b', 'd']) put(name);
  });

  function put(name: string, labels: Record<string, string> = {}): void {
    store.put('imagerepositories', `flux-system/${name}`, stored(name, { labels }));
  }

  function list(options: Partial<ListOptions> = {}, selection: Partial<Selection> = {}): List {
    const all: Selection = { resource: imageRepositories, matches: () => true, selective: false };
    return JSON.parse(listJson(store, { ...all, ...selection }, { limit: 0, ...options })) as List;
  }

  function names({ items }: List): string {
    return items.map(({ metadata }) => metadata.name).join('');
  }

  it('shows all in the order of their keys', () => {
    const { kind, metadata } = list();
    assert.equal(names(list()), 'abcde');
    assert.deepEqual(
      [kind, metadata],
      ['ImageRepositoryList', { continue: '', resourceVersion: '6' }],
    );
    assert.equal(names(list({}, { namespace: 'flux' })), '');
    assert.equal(names(list({}, { namespace: 'flux-system' })), 'abcde');
  });

  it('goes on where it stopped, as it was when it began', () => {
    const first = list({ limit: 2 });
    put('bb');
    store.remove('imagerepositories', 'flux-system/c');
    const second = list({ limit: 2, continueToken: first.metadata.continue ?? '' });
    const third = list({ limit: 2, continueToken: second.metadata.continue ?? '' });
    assert.deepEqual([first, second, third].map(names), ['ab', 'cd', 'e']);
    assert.deepEqual(
      [first, second, third].map(({ metadata }) => metadata.remainingItemCount),
      [3, 1, undefined],
    );
    assert.equal(names(list()), 'abbbde');
  });

  it('counts no rest where it is selective', () => {
    const odd = {
      matches: ({ metadata }: { metadata: { name: string } }) => 'ace'.includes(metadata.name),
    };
    const first = list({ limit: 2 }, { ...odd, selective: true });
    assert.deepEqual([names(first), first.metadata.remainingItemCount], ['ac', undefined]);
    const rest = list(
      { limit: 2, continueToken: first.metadata.continue ?? '' },
      { ...odd, selective: true },
    );
    assert.equal(names(rest), 'e');
  });

  it('reads at a version, or not older than one', () => {
    put('f');
    assert.equal(names(list({ resourceVersion: '6', resourceVersionMatch: 'Exact' })), 'abcde');
    assert.equal(names(list({ resourceVersion: '6', limit: 9 })), 'abcde');
    assert.equal(
      names(list({ resourceVersion: '6', resourceVersionMatch: 'NotOlderThan' })),
      'abcdef',
    );
    assert.equal(names(list({ resourceVersion: '6' })), 'abcdef');
    assert.equal(names(list({ resourceVersion: '0', limit: 1 })), 'abcdef');
    assert.throws(() => list({ resourceVersion: '99' }), refusal(504));
  });

  it('has expired when the history is gone, and says how to go on', () => {
    const first = list({ limit: 2 });
    put('f');
    store.compact();
    assert.throws(
      () => list({ resourceVersion: '6', resourceVersionMatch: 'Exact' }),
      refusal(410),
    );
    let token = '';
    assert.throws(
      () => list({ limit: 2, continueToken: first.metadata.continue ?? '' }),
      (error: { readonly code: number; readonly continueToken?: string }) => {
        token = error.continueToken ?? '';
        return error.code === 410;
      },
    );
    assert.equal(names(list({ continueToken: token })), 'cdef');
  });

  it('refuses parameters that do not go together', () => {
    for (const [options, code] of [
      [{ resourceVersion: 'x' }, 400],
      [{ continueToken: 'garbage' }, 400],
      [{ continueToken: list({ limit: 1 }).metadata.continue ?? '', resourceVersion: '5' }, 400],
      [{ resourceVersionMatch: 'Exact' }, 422],
      [{ resourceVersionMatch: 'Exact', resourceVersion: '0' }, 422],
      [{ resourceVersionMatch: 'Other', resourceVersion: '1' }, 422],
    ] as const) {
      assert.throws(() => list(options), refusal(code), JSON.stringify(options));
    }
    assert.throws(() => parseResourceVersion('-1'), refusal(400));
  });

  it('does not repeat the kind of built-in objects', () => {
    store.put('namespaces', 'x', stored('x'));
    const { items, metadata } = list({}, { resource: namespaces });
    assert.deepEqual([items[0]?.kind, metadata.continue], [undefined, undefined]);
  });
});
