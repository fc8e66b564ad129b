import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import {
  artifactRegistry,
  destinationAt,
  destinationOf,
  INDEX,
  NEVER,
  open,
  registry,
  rejection,
  serve,
  type Served,
  sourceAt,
} from './setting.ts';

function seed(at: LocalRegistry, path: string, count: number): string[] {
  const { digest } = at.store.putManifest(path, INDEX);
  const tags = Array.from({ length: count }, (_, n) => `v${n}`);
  for (const tag of tags) at.store.setTag(path, tag, digest);
  return tags.sort();
}

/** A registry that answers with these pages, one after another. */
function paged(
  t: TestContext,
  pages: readonly { readonly body: string; readonly link?: string }[],
): Promise<Served> {
  let page = 0;
  return serve(t, (_request, response) => {
    const { body, link } = pages[Math.min(page++, pages.length - 1)] ?? { body: '' };
    response.writeHead(200, link === undefined ? {} : { link }).end(body);
  });
}

describe('tags', () => {
  it('lists all pages of 1,000', async (t) => {
    const at = await registry(t);
    const tags = seed(at, 'org/app', 2500);
    const listing = await sourceAt(t, at.host).listTags(NEVER);
    assert.deepEqual([...(listing?.tags ?? [])].sort(), tags);
    assert.equal(listing?.map, undefined);
    assert.deepEqual(
      at.counter.records.map(({ url }) => new URL(url, at.url).searchParams.get('n')),
      ['1000', '1000', '1000'],
    );
  });

  it('asks once without a page size where the registry refuses one, and remembers that', async (t) => {
    const at = await registry(t, { switches: { maxTagsPage: 100, defaultTagsPage: 100 } });
    seed(at, 'org/app', 250);
    for (const side of [sourceAt, destinationAt]) {
      at.counter.reset();
      const one = side(t, at.host);
      assert.equal((await one.listTags(NEVER))?.tags.length, 250);
      assert.equal(at.counter.total, 4);
      await one.listTags(NEVER);
      assert.equal(at.counter.total, 7);
    }
  });

  it('asks no third time where the list is refused without a page size too, nor anew within it', async (t) => {
    const bad = await serve(t, (_request, response) => response.writeHead(400).end());
    await rejection(sourceAt(t, bad.host).listTags(NEVER), 'REQUEST_REFUSED');
    assert.equal(bad.seen.length, 2);
    const second = await serve(t, ({ url }, response) => {
      if (url?.includes('last=a') === true) response.writeHead(400).end();
      else response.writeHead(200, { link: '<?last=a>; rel="next"' }).end('{"tags":["a"]}');
    });
    await rejection(sourceAt(t, second.host).listTags(NEVER), 'REQUEST_REFUSED');
    assert.equal(second.seen.length, 2);
  });

  it('asks Google for 10,000 and takes the map', async (t) => {
    const at = await artifactRegistry(t);
    const { digest } = at.store.putManifest('p/r/app', INDEX);
    at.store.setTag('p/r/app', 'v1', digest);
    const registries = open(t, [at.host], { google: [at.host] });
    const listing = await destinationOf(registries, at.host, 'p/r/app').listTags(NEVER);
    assert.equal(listing?.map?.digestOfTag.get('v1'), digest);
    assert.ok((listing.map.manifests.get(digest) ?? 0) > 0);
    assert.match(at.counter.records[0]?.url ?? '', /\?n=10000$/);
  });

  it('says that a repository is not there', async (t) => {
    const at = await registry(t);
    assert.equal(await sourceAt(t, at.host).listTags(NEVER), undefined);
  });

  it('takes null for no tags', async (t) => {
    const at = await paged(t, [{ body: '{"name":"org/app","tags":null}' }]);
    const none = { tags: [], invalidTags: [], map: undefined };
    assert.deepEqual(await sourceAt(t, at.host).listTags(NEVER), none);
  });

  for (const [what, tags, shown] of [
    [
      'guard listed-tag: tells apart what is no tag, and counts each once',
      ['../x', 'a b', ''],
      ['../x', 'a b', ''],
    ],
    [
      'shows what is no text or acts on a terminal, and the beginning of what is long',
      [7, null, 'a\nb', 'x'.repeat(512), 'x'.repeat(513)],
      ['7', 'null', 'a b', 'x'.repeat(512), `${'x'.repeat(511)}…`],
    ],
  ] as const) {
    it(what, async (t) => {
      const at = await paged(t, [{ body: JSON.stringify({ tags: ['ok', ...tags, 'ok'] }) }]);
      const listing = await sourceAt(t, at.host).listTags(NEVER);
      assert.deepEqual([listing?.tags, listing?.invalidTags], [['ok'], shown]);
    });
  }

  it('refuses an answer that is no list', async (t) => {
    const bodies = [
      ...['<html>', '', 'text', 'null', '[]', '["v1"]', '5', '{}', '{"name":"org/app"}'],
      ...['{"tags":"v1"}', '{"tags":{}}', '{"errors":[{"code":"UNKNOWN"}]}'],
    ];
    for (const body of bodies) {
      const at = await paged(t, [{ body }]);
      const fault = await rejection(sourceAt(t, at.host).listTags(NEVER), 'RESPONSE_INVALID');
      assert.equal(fault.disposition, 'transient', body);
    }
    const second = await paged(t, [
      { body: '{"tags":["a"]}', link: '<?last=a>; rel="next"' },
      { body: '{"errors":[{"code":"UNKNOWN"}]}' },
    ]);
    await rejection(sourceAt(t, second.host).listTags(NEVER), 'RESPONSE_INVALID');
  });

  it('takes a list that is not implemented for one that is refused, on both sides', async (t) => {
    for (const status of [405, 501]) {
      const at = await serve(t, (_request, response) => response.writeHead(status).end());
      const all = open(t, [at.host]);
      const name = { host: at.host, path: 'org/app' };
      for (const side of ['source', 'destination'] as const) {
        const one = all[side](name, { insecure: true });
        await rejection(one.listTags(NEVER), 'REQUEST_REFUSED');
      }
      assert.equal(at.seen.length, 2);
    }
  });

  it('says that a page in the middle is missing, and does not take what came for all', async (t) => {
    let page = 0;
    const at = await serve(t, (_request, response) => {
      if (page++ === 0)
        response.writeHead(200, { link: '<?last=a>; rel="next"' }).end('{"tags":["a"]}');
      else response.writeHead(404).end();
    });
    await rejection(sourceAt(t, at.host).listTags(NEVER), 'RESPONSE_INVALID');
  });

  it('ends when pages bring no new tag: they are empty, or shorter than was asked for', async (t) => {
    for (const tags of [[], ['a']]) {
      let page = 0;
      const at = await serve(t, (_request, response) => {
        const body = JSON.stringify({ tags: page === 0 ? ['a'] : tags });
        response.writeHead(200, { link: `<?last=${page++}>; rel="next"` }).end(body);
      });
      assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['a']);
      assert.equal(at.seen.length, 101);
    }
  });

  it('goes on over many pages without a tag: nothing is tagged, no name is one, or all were told', async (t) => {
    const again = (page: number): string[] => (page % 2 === 0 ? ['v1'] : []);
    for (const nothing of [[], (page: number) => [`no tag ${page}`], again]) {
      let page = 0;
      const at = await serve(t, (_request, response) => {
        page += 1;
        const names = typeof nothing === 'function' ? nothing(page) : nothing;
        const tags = page === 1 || page === 20 ? [`v${page}`] : names;
        if (page < 20) response.setHeader('link', `<?last=${page}>; rel="next"`);
        response.writeHead(200).end(JSON.stringify({ tags }));
      });
      assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['v1', 'v20']);
    }
  });

  it('reads the key in another case, and a next page whose Link tells no relation', async (t) => {
    const at = await paged(t, [
      { body: '{"Name":"org/app","Tags":["a"]}', link: '</v2/org/app/tags/list?last=a>' },
      { body: '{"TAGS":null}', link: '</v2/org/app/tags/list?last=b>; rel="next"' },
      { body: '{"tags":["b"],"Tags":["c"]}', link: '</>; rel="up"' },
    ]);
    assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['a', 'b']);
  });

  it('goes on over pages that are empty in between', async (t) => {
    const at = await paged(t, [
      { body: '{"tags":["a"]}', link: '<?last=1>; rel="next"' },
      { body: '{"tags":[]}', link: '<?last=2>; rel="next"' },
      { body: '{"tags":null}', link: '<?last=3>; rel="next"' },
      { body: '{"tags":["b"]}' },
    ]);
    assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['a', 'b']);
  });

  it('does not take a full page that comes again and again for all', async (t) => {
    let page = 0;
    const tags = Array.from({ length: 1000 }, (_, n) => `v${n}`);
    const at = await serve(t, (_request, response) => {
      response
        .writeHead(200, { link: `<?last=${page++}>; rel="next"` })
        .end(JSON.stringify({ tags }));
    });
    await rejection(sourceAt(t, at.host).listTags(NEVER), 'PAGINATION_REFUSED');
    assert.equal(at.seen.length, 101);
  });

  it('keeps a part of a list, and tells by its pages whether it ends', async (t) => {
    const at = await paged(t, [
      { body: '{"tags":["a","b"]}', link: '<?last=1>; rel="next"' },
      { body: '{"tags":["c","d"]}', link: '<?last=2>; rel="next"' },
      { body: '{"tags":["e","f"]}', link: '<?last=3>; rel="next"' },
      { body: '{"tags":["g","h"]}', link: '<?last=4>; rel="next"' },
      { body: '{"tags":["i","no tag"]}' },
    ]);
    const part = { isWanted: (tag: string) => tag === 'i' };
    assert.deepEqual(await sourceAt(t, at.host).listTags(NEVER, part), {
      tags: ['i'],
      invalidTags: [],
      map: undefined,
      listedCount: 10,
    });
    let page = 0;
    const full = Array.from({ length: 1000 }, (_, n) => `v${n}`);
    const round = await serve(t, (_request, response) => {
      response
        .writeHead(200, { link: `<?last=${page++}>; rel="next"` })
        .end(JSON.stringify({ tags: full }));
    });
    await rejection(sourceAt(t, round.host).listTags(NEVER, part), 'PAGINATION_REFUSED');
    assert.equal(round.seen.length, 101);
  });

  it('gives up a list that takes more than it may', async (t) => {
    const tags = Array.from({ length: 1000 }, (_, n) => `v${n}`);
    const at = await serve(t, (_request, response) => {
      response.writeHead(200).end(JSON.stringify({ tags }));
    });
    const one = sourceAt(t, at.host);
    await rejection(one.listTags(NEVER, { maxKeptBytes: 50_000 }), 'LIST_TOO_LARGE');
    assert.equal((await one.listTags(NEVER, { maxKeptBytes: 60_000 }))?.tags.length, 1000);
  });

  it('ends a list that repeats itself', async (t) => {
    const circle = await paged(t, [
      { body: '{"tags":["a"]}', link: '<?last=a>; rel="next"' },
      { body: '{"tags":["a"]}', link: '<?last=a>; rel="next"' },
    ]);
    await rejection(sourceAt(t, circle.host).listTags(NEVER), 'PAGINATION_REFUSED');
    assert.equal(circle.seen.length, 2);
  });

  it('reads to its end a list whose pages name the registry as it knows itself', async (t) => {
    const at = await paged(t, [
      { body: '{"tags":["a"]}', link: '<https://inner.example:444/?last=a>; rel="next"' },
      { body: '{"tags":["b"]}', link: '<http://169.254.169.254/?last=b>; rel="next"' },
      { body: '{"tags":["c"]}' },
    ]);
    assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['a', 'b', 'c']);
  });

  it('guard tag-count: refuses a list of more than a million tags, naming it', async (t) => {
    let page = 0;
    const at = await serve(t, (_request, response) => {
      page += 1;
      const tags = Array.from({ length: 260_000 }, (_, n) => `p${page}-${n}`);
      const link = page < 5 ? { link: `<?last=${page}>; rel="next"` } : {};
      response.writeHead(200, link).end(JSON.stringify({ tags }));
    });
    const fault = await rejection(sourceAt(t, at.host).listTags(NEVER), 'LIST_TOO_LARGE');
    assert.equal(page, 4);
    assert.equal(fault.operation, 'list tags');
    assert.equal(fault.side, 'source');
    assert.match(fault.url ?? '', /tags\/list/);
  });

  it('guard page-values: refuses a page of millions of values before it is parsed', async (t) => {
    for (const value of ['[]', '{}']) {
      const at = await paged(t, [{ body: `{"tags":[1${`,${value}`.repeat(1_100_000)}]}` }]);
      await rejection(sourceAt(t, at.host).listTags(NEVER), 'LIST_TOO_LARGE');
    }
  });

  it('keeps at most 1 KiB a tag', async (t) => {
    const at = await registry(t);
    seed(at, 'org/app', 10_000);
    const one = sourceAt(t, at.host);
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await one.listTags(NEVER);
    collect();
    const before = process.memoryUsage().heapUsed;
    const listing = await one.listTags(NEVER);
    collect();
    const growth = process.memoryUsage().heapUsed - before;
    assert.equal(listing?.tags.length, 10_000);
    assert.ok(growth < 10_000 * 1024, `${growth}`);
  });
});
