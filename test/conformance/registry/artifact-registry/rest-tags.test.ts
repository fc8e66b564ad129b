import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TokenIssuer } from '../../../stand-ins/metadata/token-issuer.ts';
import { ask, start, storeImage } from '../loopback.ts';

const PARENT = '/v1/projects/p/locations/europe/repositories/r/packages/team%2Fapp';

describe('tags of the Artifact Registry API', () => {
  it('pages by token and gives each tag its version', async (t) => {
    const registry = await start(t, { personality: 'artifact-registry' });
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
    const registry = await start(t, { personality: 'artifact-registry' });
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
      personality: 'artifact-registry',
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
