import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listSource, unlistedSource } from '../../../functions/mirror/inventory.ts';
import { candidatesOf, takeLists } from '../../../functions/mirror/lists.ts';
import { failing, FakeDestination, FakeSource } from './fakes.ts';
import { imageWith } from './images.ts';
import { NEVER as never, rejection } from '../../faults.ts';

const HEX = 'b'.repeat(64);
const image = imageWith('image', 1);

function sources(): { readonly source: FakeSource; readonly destination: FakeDestination } {
  return {
    source: new FakeSource().tag('v1', image),
    destination: new FakeDestination().tag('v1', image),
  };
}

describe('takeLists', () => {
  it('lists both sides at once', async () => {
    const { source, destination } = sources();
    let meets = 0;
    const both = Promise.withResolvers<undefined>();
    const meet = async (): Promise<void> => {
      meets += 1;
      if (meets === 2) both.resolve(undefined);
      await both.promise;
    };
    source.before.push(meet);
    destination.before.push(meet);
    const lists = await takeLists(
      source,
      destination,
      { requested: undefined, referrers: false },
      never,
    );
    assert.deepEqual(lists.source?.tags, ['v1']);
    assert.equal(lists.destination.kind, 'map');
  });

  it('leaves the source alone for requested tags, unless signatures follow', async () => {
    const { source, destination } = sources();
    const requested = ['v1'];
    await takeLists(source, destination, { requested, referrers: false }, never);
    assert.deepEqual(source.calls, []);
    await takeLists(source, destination, { requested, referrers: true }, never);
    assert.deepEqual(source.calls, ['source listTags']);
  });

  for (const [list, head, fault] of [
    ['LIST_TOO_LARGE', 'SERVER_ERROR', 'SERVER_ERROR'],
    ['LIST_TOO_LARGE', 'FORBIDDEN', 'FORBIDDEN'],
    ['REQUEST_REFUSED', 'RATE_LIMITED', 'RATE_LIMITED'],
    ['REQUEST_REFUSED', 'FORBIDDEN', 'REQUEST_REFUSED'],
  ] as const) {
    it(`comes again where the list is ${list} and the first requested tag ${head}`, async () => {
      const { source, destination } = sources();
      source.before.push(failing('source listTags', list), failing('source headManifest', head));
      const wish = { requested: ['v1'], referrers: true };
      const { disposition } = await rejection(takeLists(source, destination, wish, never), fault);
      assert.equal(disposition, 'transient');
    });
  }

  it('goes on without the list where the first requested tag alone is wrong for good', async () => {
    const { source, destination } = sources();
    source.before.push(failing('source listTags', 'FORBIDDEN'));
    source.before.push(failing('source headManifest v1', 'MANIFEST_INVALID'));
    const wish = { requested: ['v1', 'v2'], referrers: true };
    const lists = await takeLists(source, destination, wish, never);
    assert.equal(lists.source?.whyUnlisted, 'FORBIDDEN');
  });

  for (const fault of ['FORBIDDEN', 'SERVER_ERROR', 'REQUEST_REFUSED'] as const) {
    it(`goes on without the list where another requested tag can be read than one that is ${fault}`, async () => {
      const { source, destination } = sources();
      source.before.push(failing('source listTags', 'FORBIDDEN'));
      source.before.push(failing('source headManifest bad', fault));
      const wish = { requested: ['bad', 'v1', 'v2'], referrers: true };
      const lists = await takeLists(source, destination, wish, never);
      assert.equal(lists.source?.whyUnlisted, 'FORBIDDEN');
    });
  }

  it('gives the other list up when one fails', async () => {
    const { source, destination } = sources();
    source.before.push(failing('source listTags', 'UNAUTHORIZED'));
    const stopped = Promise.withResolvers<undefined>();
    destination.before.push(async (_call, signal) => {
      if (signal.aborted) return;
      signal.addEventListener('abort', () => {
        stopped.resolve(undefined);
      });
      await stopped.promise;
    });
    await rejection(
      takeLists(source, destination, { requested: undefined, referrers: false }, never),
      'UNAUTHORIZED',
    );
  });
});

describe('candidatesOf', () => {
  const wish = { requested: undefined, exclusionList: [], selection: {}, referrers: true } as const;

  async function listed(...tags: readonly string[]): ReturnType<typeof listSource> {
    const source = new FakeSource();
    for (const tag of tags) source.tag(tag, image);
    return listSource(source, never);
  }

  it('selects, and never signature tags', async () => {
    const source = await listed('v1', 'v2', 'dev', `sha256-${HEX}.sig`, `sha256-${HEX}`);
    assert.ok(source);
    const candidates = await candidatesOf(source, {
      ...wish,
      exclusionList: ['^dev$'],
      selection: { include: ['^v', '^sha256'] },
    });
    assert.deepEqual(candidates.tags, ['v1', 'v2']);
    assert.deepEqual([...candidates.signatures.keys()], [`sha256:${HEX}`]);
  });

  it('takes requested tags as they are', async () => {
    const source = await listed('v1', 'dev', `sha256-${HEX}.sig`);
    assert.ok(source);
    const candidates = await candidatesOf(source, {
      ...wish,
      requested: ['dev', `sha256-${HEX}.sig`, `sha256-${HEX}`],
      exclusionList: ['.*'],
    });
    assert.deepEqual(candidates.tags, ['dev', `sha256-${HEX}.sig`]);
    assert.deepEqual(candidates.wishedSubjects, [`sha256:${HEX}`]);
  });

  it('takes a requested list of referrers as a tag where none are followed', async () => {
    const requested = [`sha256-${HEX}`];
    const source = unlistedSource(requested);
    const candidates = await candidatesOf(source, { ...wish, requested, referrers: false });
    assert.deepEqual(candidates.tags, requested);
  });

  it('takes a requested list of referrers for one where the source lists nothing', async () => {
    const requested = [`sha256-${HEX}`];
    const source = unlistedSource(requested, 'FORBIDDEN');
    const candidates = await candidatesOf(source, { ...wish, requested });
    assert.deepEqual(candidates.tags, []);
    assert.deepEqual(candidates.wishedSubjects, [`sha256:${HEX}`]);
    assert.deepEqual([...candidates.signatures.keys()], [`sha256:${HEX}`]);
  });

  it('refuses a malformed pattern', async () => {
    const source = await listed('v1');
    assert.ok(source);
    await rejection(candidatesOf(source, { ...wish, exclusionList: ['('] }), 'EVENT_INVALID');
  });
});
