import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import { ask, start, storeImage } from './loopback.ts';

describe('minute quota', () => {
  it('refuses what exceeds it until the next minute of the clock', async (t) => {
    let nowMs = 90_000;
    const registry = await start(t, {
      personality: 'artifact-registry',
      switches: { requestsPerMinute: 2 },
      clock: () => nowMs,
    });
    const statuses = async (count: number): Promise<number[]> => {
      const seen: number[] = [];
      for (let number = 0; number < count; number++) {
        seen.push((await ask(registry.url, 'GET', '/v2/')).status);
      }
      return seen;
    };
    assert.deepEqual(await statuses(3), [200, 200, 429]);
    nowMs = 119_999;
    assert.deepEqual(await statuses(1), [429]);
    nowMs = 120_000;
    const answer = await ask(registry.url, 'GET', '/v2/');
    assert.equal(answer.status, 200);
    assert.deepEqual(await statuses(2), [200, 429]);
  });

  it('says TOOMANYREQUESTS and the metric, and no Retry-After', async (t) => {
    const registry = await start(t, {
      personality: 'artifact-registry',
      switches: { requestsPerMinute: 1 },
      clock: () => 0,
    });
    await ask(registry.url, 'GET', '/v2/token');
    const refused = await ask(registry.url, 'GET', '/v2/token');
    assert.deepEqual([refused.status, refused.codes], [429, ['TOOMANYREQUESTS']]);
    assert.match(refused.body.toString(), /Quota exceeded for quota metric/);
    assert.equal(refused.headers['retry-after'], undefined);
  });
});

describe('pull limit', () => {
  it('counts manifest GETs, and HEADs tell what is left', async (t) => {
    const registry = await start(t, { switches: { pullLimit: 2 } });
    storeImage(registry, 'org/app', 'v1');
    const headers = { accept: OCI_MANIFEST };
    const seen: [string, number, unknown][] = [];
    for (const method of ['HEAD', 'GET', 'HEAD', 'GET', 'GET', 'HEAD']) {
      const answer = await ask(registry.url, method, '/v2/org/app/manifests/v1', { headers });
      seen.push([method, answer.status, answer.headers['ratelimit-remaining']]);
    }
    assert.deepEqual(seen, [
      ['HEAD', 200, '2;w=21600'],
      ['GET', 200, '1;w=21600'],
      ['HEAD', 200, '1;w=21600'],
      ['GET', 200, '0;w=21600'],
      ['GET', 429, '0;w=21600'],
      ['HEAD', 429, '0;w=21600'],
    ]);
    const list = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.deepEqual([list.status, list.headers['ratelimit-limit']], [200, undefined]);
  });
});
