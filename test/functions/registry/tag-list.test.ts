import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { isMirrorError } from '../../../functions/errors.ts';
import { manifestMap } from '../../../functions/registry/artifact-registry.ts';
import { TagList, type TagPage } from '../../../functions/registry/tag-list.ts';
import { thrown } from '../../faults.ts';

const MAX_KEPT_BYTES = 72 * 1024 * 1024;

const ONE = `sha256:${'1'.repeat(64)}`;
const TWO = `sha256:${'2'.repeat(64)}`;
const WIDE = { tags: 100, keptBytes: 10_000, readBytes: 10_000 };

function page(tags: readonly string[], manifest?: unknown, hasNext = false): TagPage {
  const map = manifest === undefined ? undefined : manifestMap({ manifest }, tags.length, hasNext);
  return { tags, invalidTags: [], map, sizeBytes: 100 };
}

function refused(work: () => void): void {
  thrown(work, 'LIST_TOO_LARGE');
}

describe('list of tags', () => {
  it('tells names that are no tags apart, each once, within the same limits', () => {
    const list = new TagList({ ...WIDE, tags: 3 });
    list.add({ ...page(['v1']), invalidTags: ['a b', '../x'] });
    list.add({ ...page(['v1']), invalidTags: ['a b'] });
    assert.deepEqual(list.listing().invalidTags, ['a b', '../x']);
    refused(() => {
      list.add({ ...page([]), invalidTags: [''] });
    });
  });

  it('counts each tag once', () => {
    const list = new TagList();
    list.add(page(['a', 'b']));
    list.add(page(['b', 'c']));
    const listing = { tags: ['a', 'b', 'c'], invalidTags: [], map: undefined };
    assert.deepEqual(list.listing(), listing);
  });

  it('keeps of a part its digests, and no manifests', () => {
    const list = new TagList(WIDE, (tag) => tag === 'v2');
    list.add(page(['v1', 'v2'], { [ONE]: { tag: ['v1'] }, [TWO]: { tag: ['v2'] } }));
    const { tags, map } = list.listing();
    assert.deepEqual(
      [tags, map?.digestOfTag, map?.manifests.size, map?.complete],
      [['v2'], new Map([['v2', TWO]]), 0, false],
    );
  });

  it('joins maps, which are never complete over several pages', () => {
    const list = new TagList();
    list.add(page(['v1'], { [ONE]: { tag: ['v1'] } }));
    assert.equal(list.listing().map?.complete, true);
    list.add(page(['v2'], { [TWO]: { tag: ['v2'], timeUploadedMs: '7' } }));
    const { map } = list.listing();
    assert.equal(map?.complete, false);
    assert.deepEqual(
      [...map.manifests],
      [
        [ONE, undefined],
        [TWO, 7],
      ],
    );
    assert.equal(map.digestOfTag.get('v2'), TWO);
  });

  it('guard list-read-bytes: refuses pages without end', () => {
    const list = new TagList({ ...WIDE, readBytes: 200 });
    list.add(page([]));
    list.add(page([]));
    refused(() => {
      list.add(page([]));
    });
  });

  it('guard list-kept-bytes: refuses what takes too much memory, be it tags or manifests', () => {
    const tags = new TagList({ ...WIDE, keptBytes: 1000 });
    refused(() => {
      tags.add(page(Array.from({ length: 20 }, (_, n) => `v${n}`)));
    });
    const manifests = new TagList({ ...WIDE, keptBytes: 1000 });
    const digests = Array.from({ length: 8 }, (_, n) => `sha256:${`${n}`.repeat(64)}`);
    refused(() => {
      manifests.add(page([], Object.fromEntries(digests.map((digest) => [digest, {}]))));
    });
  });

  it('counts 52 bytes and its name for a tag, and 150 for a manifest, each once', () => {
    const invalid = { ...page([]), invalidTags: ['a b'] };
    const tags = page(['v1', 'v22']);
    const mapped = page(['v1'], { [ONE]: { tag: ['v1', 'v22'] }, [TWO]: {} });
    for (const [pages, keptBytes] of [
      [[tags, tags], 54 + 55],
      [[invalid, invalid], 55],
      [[mapped, mapped], 54 + 55 + 2 * 150],
    ] as const) {
      const fill = (limits: Partial<typeof WIDE>): void => {
        const list = new TagList({ ...WIDE, ...limits });
        for (const one of pages) list.add(one);
      };
      fill({ keptBytes });
      refused(() => {
        fill({ keptBytes: keptBytes - 1 });
      });
    }
  });

  it('keeps the digest of a tag that comes again without one', () => {
    for (const isWanted of [undefined, () => true]) {
      const list = new TagList(WIDE, isWanted);
      list.add(page(['v1', 'v2'], { [ONE]: { tag: ['v1'] } }));
      list.add(page(['v1'], {}));
      assert.deepEqual(list.listing().map?.digestOfTag, new Map([['v1', ONE]]));
    }
  });

  it('tells of each page whether a name of it is new, of a part by its first', () => {
    const invalid = { ...page([]), invalidTags: ['a b'] };
    for (const isWanted of [undefined, () => false]) {
      const list = new TagList(WIDE, isWanted);
      const pages = [page(['v1']), page(['v1']), invalid, invalid, page([])];
      const news = pages.map((one) => list.add(one));
      assert.deepEqual(news, [true, false, true, false, false]);
    }
  });

  it('guard tag-count: counts of a part what it leaves out too', () => {
    const list = new TagList({ ...WIDE, tags: 3 }, () => false);
    list.add({ ...page(['v1', 'v2']), invalidTags: ['a b'] });
    refused(() => {
      list.add(page(['v3']));
    });
  });

  it('takes as much memory as it says', () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    collect();
    const before = process.memoryUsage().heapUsed;
    const list = new TagList();
    const taken = fill(list);
    collect();
    const grown = process.memoryUsage().heapUsed - before;
    assert.ok(taken > 300_000, `${taken} tags`);
    assert.ok(grown < MAX_KEPT_BYTES * 1.25, `${grown} bytes`);
    assert.ok(list.listing().tags.length >= taken);
  });
});

/** Pages of 10,000 tags with a digest each, until no more are taken; how many were. */
function fill(list: TagList): number {
  for (let first = 0; ; first += 10_000) {
    const tags = Array.from({ length: 10_000 }, (_, n) => `v1.20.300-b${first + n}`);
    const entries = tags.map(
      (tag, n) =>
        `"sha256:${(first + n).toString(16).padStart(64, '0')}":` +
        `{"tag":["${tag}"],"timeUploadedMs":"1700000000000"}`,
    );
    const read = JSON.parse(
      `{"tags":${JSON.stringify(tags)},"manifest":{${entries.join(',')}}}`,
    ) as {
      readonly tags: string[];
      readonly manifest: unknown;
    };
    try {
      list.add(page(read.tags, read.manifest, true));
    } catch (error) {
      if (isMirrorError(error, 'LIST_TOO_LARGE')) return first;
      throw error;
    }
  }
}
