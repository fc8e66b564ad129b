import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { ask, start, storeImage } from './loopback.ts';

describe('tags list', () => {
  it('pages by itself where it is told to', async (t) => {
    const registry = await start(t, { switches: { defaultTagsPage: 2 } });
    for (const tag of ['a', 'b', 'c']) storeImage(registry, 'org/app', tag);
    const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.deepEqual(answer.json, { name: 'org/app', tags: ['a', 'b'] });
    assert.equal(answer.headers['link'], '</v2/org/app/tags/list?last=b&n=2>; rel="next"');
  });

  for (const n of ['1001', '-1', 'x']) {
    it(`refuses n=${n} where pages have at most 1000`, async (t) => {
      const registry = await start(t, { switches: { maxTagsPage: 1000 } });
      storeImage(registry, 'org/app', 'v1');
      const answer = await ask(registry.url, 'GET', `/v2/org/app/tags/list?n=${n}`);
      assert.equal(answer.status, 400);
      assert.deepEqual(answer.codes, ['PAGINATION_NUMBER_INVALID']);
    });
  }

  it('is read, never written', async (t) => {
    const registry = await start(t);
    const answer = await ask(registry.url, 'POST', '/v2/org/app/tags/list', { body: '' });
    assert.equal(answer.status, 405);
  });
});

interface MapAnswer {
  readonly child: readonly string[];
  readonly name: string;
  readonly tags: readonly string[];
  readonly manifest: Readonly<
    Record<
      string,
      { tag: string[]; mediaType: string; timeUploadedMs: string; imageSizeBytes: string }
    >
  >;
}

function startGoogle(t: TestContext): Promise<LocalRegistry> {
  return start(t, {
    dialect: 'artifact-registry',
    clock: () => 1_700_000_000_000,
  });
}

async function list(registry: LocalRegistry, query = ''): Promise<MapAnswer> {
  const answer = await ask(registry.url, 'GET', `/v2/p/r/app/tags/list${query}`);
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['link'], undefined);
  return answer.json as MapAnswer;
}

describe('manifest map', () => {
  it('tells digests, times and sizes as texts, untagged manifests too', async (t) => {
    const registry = await startGoogle(t);
    const tagged = storeImage(registry, 'p/r/app', 'v1');
    registry.store.setTag('p/r/app', 'latest', tagged);
    const untagged = storeImage(registry, 'p/r/app', undefined);
    const { tags, manifest, name } = await list(registry, '?n=10000');
    assert.equal(name, 'p/r/app');
    assert.deepEqual(tags, ['latest', 'v1']);
    assert.deepEqual(Object.keys(manifest).sort(), [tagged, untagged].sort());
    assert.deepEqual(manifest[tagged], {
      imageSizeBytes: '24',
      layerId: '',
      mediaType: OCI_MANIFEST,
      tag: ['latest', 'v1'],
      timeCreatedMs: '1700000000000',
      timeUploadedMs: '1700000000000',
    });
    assert.deepEqual(manifest[untagged]?.tag, []);
  });

  it('names the images below', async (t) => {
    const registry = await startGoogle(t);
    storeImage(registry, 'p/r/app/web', 'v1');
    storeImage(registry, 'p/r/app/web/deep', 'v1');
    storeImage(registry, 'p/r/application', 'v1');
    assert.deepEqual((await list(registry)).child, ['web']);
  });

  it('is cut without a word at 10,000 tags and manifests', async (t) => {
    const registry = await startGoogle(t);
    for (let number = 0; number < 3000; number++) {
      const digest = storeImage(registry, 'p/r/app', `v${number}`);
      assert.ok(digest);
      for (const child of ['a', 'b', 'c']) {
        storeImage(registry, 'p/r/app', undefined, `${number}/${child}`);
      }
    }
    const { tags, manifest } = await list(registry, '?n=10000');
    assert.equal(tags.length, 3000);
    assert.equal(Object.keys(manifest).length, 7000);
  });

  it('answers NAME_UNKNOWN for an image that is not there', async (t) => {
    const registry = await startGoogle(t);
    const answer = await ask(registry.url, 'GET', '/v2/p/r/none/tags/list');
    assert.deepEqual([answer.status, answer.codes], [404, ['NAME_UNKNOWN']]);
  });

  it('pages by n, with the untagged manifests on the last page', async (t) => {
    const registry = await startGoogle(t);
    for (const tag of ['a', 'b', 'c']) storeImage(registry, 'p/r/app', tag);
    storeImage(registry, 'p/r/app', undefined);
    const first = await ask(registry.url, 'GET', '/v2/p/r/app/tags/list?n=2');
    assert.equal(first.headers['link'], '</v2/p/r/app/tags/list?last=b&n=2>; rel="next"');
    const { tags, manifest } = first.json as MapAnswer;
    assert.deepEqual([tags, Object.keys(manifest).length], [['a', 'b'], 2]);
    const last = await list(registry, '?last=b&n=2');
    assert.deepEqual([last.tags, Object.keys(last.manifest).length], [['c'], 2]);
  });

  it('refuses n that is no number', async (t) => {
    const registry = await startGoogle(t);
    storeImage(registry, 'p/r/app', 'v1');
    assert.equal((await ask(registry.url, 'GET', '/v2/p/r/app/tags/list?n=x')).status, 400);
  });
});

const PARENT = '/v1/projects/p/locations/europe/repositories/r/packages/team%2Fapp';

describe('tags of the Artifact Registry API', () => {
  it('pages by token and gives each tag its version', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const digests = ['a', 'b', 'c'].map((tag) => storeImage(registry, 'p/r/team/app', tag));
    const first = await ask(registry.url, 'GET', `${PARENT}/tags?pageSize=2`);
    const { tags, nextPageToken } = first.json as {
      tags: { name: string; version: string }[];
      nextPageToken: string;
    };
    assert.deepEqual(tags[0], {
      name: `${PARENT.slice(4)}/tags/a`,
      version: `${PARENT.slice(4)}/versions/${digests[0] ?? ''}`,
    });
    assert.equal(tags.length, 2);
    const second = await ask(
      registry.url,
      'GET',
      `${PARENT}/tags?pageSize=2&pageToken=${nextPageToken}`,
    );
    assert.deepEqual(second.json, {
      tags: [
        {
          name: `${PARENT.slice(4)}/tags/c`,
          version: `${PARENT.slice(4)}/versions/${digests[2] ?? ''}`,
        },
      ],
    });
  });

  it('has at most 1,000 a page', async (t) => {
    const registry = await start(t, { dialect: 'artifact-registry' });
    const digest = storeImage(registry, 'p/r/team/app', 't0');
    for (let number = 1; number <= 1000; number++) {
      registry.store.setTag('p/r/team/app', `t${number}`, digest);
    }
    const answer = await ask(registry.url, 'GET', `${PARENT}/tags?pageSize=5000`);
    assert.equal((answer.json as { tags: unknown[] }).tags.length, 1000);
  });

  it('answers errors in the form of Google APIs', async (t) => {
    const issuer = new TokenIssuer();
    const registry = await start(t, {
      dialect: 'artifact-registry',
      google: { accessTokens: issuer },
    });
    const refused = await ask(registry.url, 'GET', `${PARENT}/tags`);
    assert.deepEqual(
      (refused.json as { error: { status: string } }).error.status,
      'UNAUTHENTICATED',
    );
    assert.equal(refused.status, 401);
    const headers = { authorization: `Bearer ${issuer.mint('a@b').token}` };
    for (const path of [`${PARENT}/tags`, `${PARENT}/versions`]) {
      const missing = await ask(registry.url, 'GET', path, { headers });
      assert.deepEqual((missing.json as { error: { status: string } }).error.status, 'NOT_FOUND');
    }
  });
});
