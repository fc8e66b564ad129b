import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';
import { putRelease } from '../../stand-ins/images/release.ts';
import { storeTarget } from '../../stand-ins/images/target.ts';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import type { FaultRule } from '../../stand-ins/registry/fault-rule.ts';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { challengedAuthorization } from '../../stand-ins/verifier/authorization.ts';
import { RegistryClient } from '../../stand-ins/verifier/registry-client.ts';
import { verifyRepository } from '../../stand-ins/verifier/verifier.ts';
import { manifestOf, start, storeImage } from '../registry/loopback.ts';

const REPOSITORY = 'demo/web';

async function startSeeded(t: TestContext): Promise<LocalRegistry> {
  const registry = await start(t);
  const line = { repository: REPOSITORY, kind: 'multi-platform' } as const;
  await putRelease(storeTarget(registry.store), line, '1.0.0', 'seed');
  return registry;
}

async function problemsOf(registry: LocalRegistry): Promise<readonly string[]> {
  return (await verifyRepository({ url: registry.url, repository: REPOSITORY })).problems;
}

describe('verifier', () => {
  it('reads every manifest and blob once, and nothing else', async (t) => {
    const registry = await startSeeded(t);
    registry.store.setTag(
      REPOSITORY,
      'latest',
      registry.store.digestOfTag(REPOSITORY, '1.0.0') ?? '',
    );
    const report = await verifyRepository({ url: registry.url, repository: REPOSITORY });
    assert.deepEqual(report.problems, []);
    assert.deepEqual(
      report.tags.map(({ tag, children, blobs }) => [tag, children, blobs]),
      [
        ['1.0.0', 2, 8],
        ['latest', 2, 8],
      ],
    );
    const blobs = registry.store.blobs(REPOSITORY);
    const sizeOf = (digest: string): number =>
      registry.store.blob(REPOSITORY, digest)?.sizeBytes ?? 0;
    assert.equal(
      report.bytes,
      blobs.reduce((sum, digest) => sum + sizeOf(digest), 0),
    );
    assert.equal(report.blobs, 8);
    assert.equal(registry.counter.count({ kind: 'blob' }), 8);
  });

  it('reads with credentials, pages and redirects', async (t) => {
    const plain = await start(t, {
      auth: { scheme: 'bearer' },
      switches: { defaultTagsPage: 2, blobRedirect: 'signed-other-host' },
    });
    for (const tag of ['a', 'b', 'c', 'd', 'e']) storeImage(plain, REPOSITORY, tag);
    const authorization = challengedAuthorization();
    const options = { url: plain.url, repository: REPOSITORY, authorization };
    const report = await verifyRepository(options);
    assert.deepEqual([report.tags.length, report.problems], [5, []]);

    const issuer = new TokenIssuer();
    const google = await start(t, {
      dialect: 'artifact-registry',
      google: { accessTokens: issuer },
    });
    storeImage(google, 'p/r/app', 'v1');
    const mirrored = await verifyRepository({
      url: google.url,
      repository: 'p/r/app',
      authorization: () => `Bearer ${issuer.mint('a@b').token}`,
    });
    assert.deepEqual([mirrored.tags.length, mirrored.problems], [1, []]);
  });

  it('reads only the tags it is told to', async (t) => {
    const registry = await start(t);
    for (const tag of ['a', 'b']) storeImage(registry, REPOSITORY, tag);
    const report = await verifyRepository({
      url: registry.url,
      repository: REPOSITORY,
      tags: ['b', 'gone'],
    });
    assert.deepEqual(
      report.tags.map(({ tag, problems }) => [tag, problems.length]),
      [
        ['b', 0],
        ['gone', 1],
      ],
    );
  });

  it('finds no tags where there is no repository', async (t) => {
    const registry = await start(t);
    assert.deepEqual((await verifyRepository({ url: registry.url, repository: 'none' })).tags, []);
    registry.faults.add({ kind: 'tags', effect: { kind: 'answer', status: 500 } });
    await assert.rejects(
      verifyRepository({ url: registry.url, repository: 'none' }),
      /answered 500/,
    );
  });

  const faults: readonly (readonly [string, FaultRule])[] = [
    ['a wrong byte in a blob', { kind: 'blob', effect: { kind: 'flip', atByte: 5 } }],
    ['a short blob', { kind: 'blob', effect: { kind: 'length', delta: -1 } }],
    ['a long blob', { kind: 'blob', effect: { kind: 'pad', bytes: 1 } }],
    ['a broken blob', { kind: 'blob', effect: { kind: 'truncate', afterBytes: 10 } }],
    ['a blob that is refused', { kind: 'blob', effect: { kind: 'answer', status: 404 } }],
    ['a blob that never comes', { kind: 'blob', effect: { kind: 'reset', at: 'head' } }],
    [
      'a wrong announced digest',
      { kind: 'manifest', effect: { kind: 'digest', digest: digestOf('') } },
    ],
    [
      'a wrong byte in a child',
      { path: /manifests\/sha256/, effect: { kind: 'flip', atByte: 400 } },
    ],
    [
      'a child that is refused',
      { path: /manifests\/sha256/, effect: { kind: 'answer', status: 404 } },
    ],
    ['a manifest that is no JSON', { kind: 'manifest', effect: { kind: 'flip', atByte: 0 } }],
  ];
  for (const [name, rule] of faults) {
    it(`finds ${name}`, async (t) => {
      const registry = await startSeeded(t);
      registry.faults.add(rule);
      assert.ok((await problemsOf(registry)).length >= 1);
      assert.equal(registry.faults.struck, 1);
      assert.deepEqual(await problemsOf(registry), []);
    });
  }

  it('finds a size that the manifest tells wrongly', async (t) => {
    const registry = await start(t);
    const config = Buffer.from('{}');
    registry.store.putBlob(REPOSITORY, config);
    const wrong = manifestOf(config, []).toString().replace('"size":2', '"size":3');
    registry.store.putManifest(
      REPOSITORY,
      { mediaType: OCI_MANIFEST, bytes: Buffer.from(wrong) },
      'v1',
    );
    assert.deepEqual(await problemsOf(registry), [`v1: ${digestOf(config)} has 2 bytes, not 3`]);
  });

  it('finds what the store lost', async (t) => {
    const registry = await startSeeded(t);
    const [digest = ''] = registry.store.blobs(REPOSITORY);
    registry.store.deleteBlob(REPOSITORY, digest);
    assert.deepEqual(await problemsOf(registry), [`1.0.0: blob ${digest} was answered 404`]);
  });
});

async function startBoth(
  t: TestContext,
): Promise<{ registry: LocalRegistry; client: RegistryClient }> {
  const registry = await start(t, { auth: { scheme: 'bearer' } });
  const client = new RegistryClient({
    url: registry.url,
    authorization: challengedAuthorization(),
  });
  t.after(() => {
    client.close();
  });
  return { registry, client };
}

describe('registry client', () => {
  it('answers one challenge and then knows the token', async (t) => {
    const { registry, client } = await startBoth(t);
    storeImage(registry, 'a', 'v1');
    for (let count = 0; count < 2; count++) {
      const list = await client.send({ method: 'GET', repository: 'a', path: 'tags/list' });
      assert.match(await text(list), /"v1"/);
    }
    assert.deepEqual(registry.counter.summary, {
      'GET tags 401': 1,
      'GET token 200': 1,
      'GET tags 200': 2,
    });
  });

  it('gives its credentials to no other host that an address names', async (t) => {
    const { registry, client } = await startBoth(t);
    storeImage(registry, 'a', 'v1');
    await client.send({ method: 'GET', repository: 'a', path: 'tags/list' });
    registry.counter.reset();
    for (const origin of [registry.url, registry.downloadUrl]) {
      const path = `${origin}/v2/a/tags/list?last=v0`;
      (await client.send({ method: 'GET', repository: 'a', path })).resume();
    }
    assert.deepEqual(
      registry.counter.records.map(({ host, headers }) => [
        host,
        headers.authorization === undefined,
      ]),
      [
        ['registry', false],
        // Asked twice: the answer is a challenge, which another host gets no credentials for either.
        ['downloads', true],
        ['downloads', true],
      ],
    );
  });

  it('ends a circle of redirects', async (t) => {
    const { registry, client } = await startBoth(t);
    registry.faults.add({
      kind: 'blob',
      times: 100,
      effect: { kind: 'answer', status: 302, headers: { location: '/v2/a/blobs/round' } },
    });
    await assert.rejects(
      client.send({ method: 'GET', repository: 'a', path: 'blobs/round' }),
      /redirects/,
    );
  });

  it('reports a token endpoint that refuses', async (t) => {
    const { registry, client } = await startBoth(t);
    registry.faults.add({ kind: 'token', effect: { kind: 'answer', status: 503 } });
    await assert.rejects(client.send({ method: 'GET', repository: 'a', path: 'tags/list' }), /503/);
  });
});
