import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import {
  listTagDigests,
  locationOf,
  ARTIFACT_REGISTRY_API,
  type ArtifactRegistryApi,
} from '../../../functions/registry/artifact-registry-api.ts';
import { newHostMemory } from '../../../functions/registry/host-capabilities.ts';
import type { JsonAnswer, JsonRequest } from '../../../functions/registry/json-call.ts';
import {
  ACCESS_TOKEN,
  artifactRegistry,
  destinationOf,
  INDEX,
  NEVER,
  open,
  rejection,
} from './setting.ts';

const NAME = { host: 'europe-docker.pkg.dev', path: 'p/r/org/app' };
const DIGEST = `sha256:${'1'.repeat(64)}`;

function api(
  answers: readonly JsonAnswer[],
): ArtifactRegistryApi & { readonly asked: JsonRequest[] } {
  const asked: JsonRequest[] = [];
  return {
    asked,
    baseUrl: ARTIFACT_REGISTRY_API,
    accessToken: () => Promise.resolve('token'),
    call(request) {
      asked.push(request);
      return Promise.resolve(answers[asked.length - 1] ?? { status: 500, body: undefined });
    },
  };
}

/** One tag, and what the next page is asked for by. */
function page(tag: string, nextPageToken?: string): JsonAnswer {
  const tags = [{ name: `x/tags/${tag}`, version: `x/versions/${DIGEST}` }];
  return { status: 200, body: { tags, nextPageToken } };
}

describe('Artifact Registry’s API', () => {
  it('knows the location of a host', () => {
    assert.equal(locationOf('europe-west1-docker.pkg.dev', undefined), 'europe-west1');
    assert.equal(locationOf('us-docker.pkg.dev', 'local'), 'us');
    assert.equal(locationOf('docker.europe-west1.rep.pkg.dev', undefined), 'europe-west1');
    assert.equal(locationOf('gcr.io', undefined), undefined);
    assert.equal(locationOf('evil.org/us-docker.pkg.dev', undefined), undefined);
    assert.equal(locationOf('127.0.0.1:5000', 'local'), 'local');
  });

  it('asks for a thousand tags a page, with the package’s slash written %2F', async () => {
    const one = api([page('v1', 'a/b'), page('v2')]);
    const found = await listTagDigests(one, NAME, 'europe', newHostMemory(), NEVER);
    assert.deepEqual(
      [...(found ?? [])],
      [
        ['v1', DIGEST],
        ['v2', DIGEST],
      ],
    );
    assert.deepEqual(
      one.asked.map(({ url }) => url),
      [
        `${ARTIFACT_REGISTRY_API}/v1/projects/p/locations/europe/repositories/r/packages/org%2Fapp/tags?pageSize=1000`,
        `${ARTIFACT_REGISTRY_API}/v1/projects/p/locations/europe/repositories/r/packages/org%2Fapp/tags?pageSize=1000&pageToken=a%2Fb`,
      ],
    );
    assert.equal(one.asked[0]?.headers?.['authorization'], 'Bearer token');
  });

  it('is not asked while there is no identity to ask as, and is once there is', async () => {
    const one = api([{ status: 200, body: {} }]);
    const memory = newHostMemory();
    const unavailable = new MirrorError('CREDENTIALS_UNAVAILABLE', 'none');
    const without = { ...one, accessToken: () => Promise.reject(unavailable) };
    assert.equal(await listTagDigests(without, NAME, 'europe', memory, NEVER), undefined);
    assert.equal(one.asked.length, 0);
    assert.equal((await listTagDigests(one, NAME, 'europe', memory, NEVER))?.size, 0);
  });

  it('guard tag-api-pages: refuses a package of more than 400,000 tags', async () => {
    const one = api(
      Array.from({ length: 500 }, (_, number) => page(`v${number}`, `page-${number}`)),
    );
    const listing = listTagDigests(one, NAME, 'europe', newHostMemory(), NEVER);
    const { message } = await rejection(listing, 'LIST_TOO_LARGE');
    assert.match(message, /more than 400000 tags/);
    assert.equal(one.asked.length, 400);
    const call = (): Promise<never> => Promise.reject(new MirrorError('NETWORK', 'reset'));
    const broken = { ...one, call };
    await rejection(listTagDigests(broken, NAME, 'europe', newHostMemory(), NEVER), 'NETWORK');
  });

  it('asks no more of a repository where it is closed to us, and again where it only failed', async () => {
    for (const status of [403, 404]) {
      const closed = newHostMemory();
      const one = api([
        { status, body: undefined },
        { status: 200, body: {} },
      ]);
      assert.equal(await listTagDigests(one, NAME, 'europe', closed, NEVER), undefined);
      assert.equal(await listTagDigests(one, NAME, 'europe', closed, NEVER), undefined);
      assert.equal(one.asked.length, 1);
      const other = { ...NAME, path: 'p/opened/org/app' };
      assert.equal((await listTagDigests(one, other, 'europe', closed, NEVER))?.size, 0);
    }
    const failed = newHostMemory();
    const broken = api([]);
    await listTagDigests(broken, NAME, 'europe', failed, NEVER);
    await listTagDigests(broken, NAME, 'europe', failed, NEVER);
    assert.equal(broken.asked.length, 2);
  });

  it('takes what is no list of theirs for no answer, and an empty object for an empty page', async () => {
    const bodies: readonly unknown[] = [
      undefined,
      null,
      [],
      'text',
      { error: { code: 500 } },
      { tags: {} },
      { tags: [{ name: 'x/tags/v1', version: 1 }] },
      { tags: [null] },
    ];
    for (const body of bodies) {
      const one = api([{ status: 200, body }]);
      assert.equal(
        await listTagDigests(one, NAME, 'europe', newHostMemory(), NEVER),
        undefined,
        JSON.stringify(body),
      );
    }
    const empty = api([{ status: 200, body: {} }]);
    assert.equal((await listTagDigests(empty, NAME, 'europe', newHostMemory(), NEVER))?.size, 0);
  });

  it('does not go round with one page token, or an empty one', async () => {
    for (const last of ['same', '']) {
      const one = api([page('v1', 'same'), page('v2', last), page('v3')]);
      const found = await listTagDigests(one, NAME, 'europe', newHostMemory(), NEVER);
      assert.deepEqual([found?.size, one.asked.length], [2, 2]);
    }
  });

  it('reads the stand-in’s pages', async (t) => {
    const to = await artifactRegistry(t);
    const manifest = to.store.putManifest('p/r/org/app', INDEX);
    for (let tag = 0; tag < 1500; tag++) to.store.setTag('p/r/org/app', `v${tag}`, manifest.digest);
    const registries = open(t, [to.host], {
      google: [to.host],
      artifactRegistryApi: { baseUrl: to.url, location: 'local' },
      loopback: true,
    });
    const one = destinationOf(registries, to.host, 'p/r/org/app');
    const found = await one.listTagDigests?.(NEVER);
    assert.equal(found?.size, 1500);
    assert.equal(found.get('v1499'), manifest.digest);
    assert.equal(to.counter.total, 2);
    assert.equal(to.counter.records[0]?.headers.authorization, `Bearer ${ACCESS_TOKEN}`);
  });

  it('is not there for other registries', (t) => {
    const registries = open(t, [], {
      artifactRegistryApi: { baseUrl: 'http://x', location: 'local' },
    });
    const elsewhere = registries.destination({ host: 'ghcr.io', path: 'org/app' });
    assert.equal('listTagDigests' in elsewhere, false);
    const google = registries.destination({ host: 'us-docker.pkg.dev', path: 'p/r/app' });
    assert.equal('listTagDigests' in google, true);
  });
});
