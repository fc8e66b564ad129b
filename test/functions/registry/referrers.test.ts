import assert from 'node:assert/strict';
import type { ServerResponse } from 'node:http';
import { describe, it, type TestContext } from 'node:test';

import type { ErrorCode } from '../../../functions/errors.ts';
import type { SourceRepository } from '../../../functions/mirror/ports.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../functions/oci/media-types.ts';
import { NO_RETRY } from '../../../functions/registry/retry-policy.ts';
import {
  destinationOf,
  fakeTiming,
  type FakeTiming,
  INDEX,
  NEVER,
  open,
  registry,
  rejection,
  serve,
  type Served,
  sourceAt,
  sourceOf,
} from './setting.ts';
import { imageOf } from '../mirror/images.ts';

const SUBJECT = digestOf(Buffer.from('subject'));

function referrer(name: string): object {
  return {
    mediaType: OCI_MANIFEST,
    digest: digestOf(Buffer.from(name)),
    size: 10,
    artifactType: 'a/b',
  };
}

function index(manifests: readonly object[]): string {
  return JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests });
}

function answers(
  t: TestContext,
  status: number,
  contentType: string,
  body: string,
): Promise<Served> {
  return serve(t, (_request, response) =>
    response.writeHead(status, { 'content-type': contentType }).end(body),
  );
}

/** The repositories of a host, each asked once a time that a test moves. */
function rig(
  t: TestContext,
  { host }: Served,
  idleMs?: number,
): { readonly timing: FakeTiming; readonly of: (path?: string) => SourceRepository } {
  const timing = fakeTiming();
  const registries = open(t, [host], { timing, retryPolicy: NO_RETRY, idleMs });
  return { timing, of: (path) => sourceOf(registries, host, path) };
}

/** Answers the question with no referrers, over a connection of its own. */
function answerNone(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': OCI_INDEX, connection: 'close' }).end(index([]));
}

describe('referrers', () => {
  it('lists those of the API', async (t) => {
    const at = await registry(t);
    const subject = at.store.putManifest('org/app', INDEX);
    const { manifest, blobs } = imageOf('sbom', [], { subject: INDEX });
    for (const { bytes } of blobs) at.store.putBlob('org/app', bytes);
    const { digest } = at.store.putManifest('org/app', manifest);
    const one = sourceAt(t, at.host);
    const unread = (): never => assert.fail('each can be read');
    const found = await one.listReferrers(subject.digest, NEVER, unread);
    assert.ok(typeof found !== 'string');
    assert.deepEqual(
      found.map((entry) => entry.digest),
      [digest],
    );
    assert.deepEqual(await one.listReferrers(SUBJECT, NEVER), []);
    assert.equal(one.mayHaveReferrersApi, true);
  });

  it('follows pages', async (t) => {
    const at = await serve(t, (request, response) => {
      const last = request.url?.includes('page=2') === true;
      response
        .writeHead(200, {
          'content-type': OCI_INDEX,
          ...(last ? {} : { link: '<?page=2>; rel="next"' }),
        })
        .end(index([referrer(last ? 'two' : 'one')]));
    });
    const found = await sourceAt(t, at.host).listReferrers(SUBJECT, NEVER);
    assert.equal(found.length, 2);
  });

  const without: readonly (readonly [string, number, string, string])[] = [
    ['404', 404, 'application/json', '{}'],
    ['405', 405, 'application/json', ''],
    ['501', 501, 'application/json', ''],
    ['something else', 200, 'text/plain', 'ok'],
    ['an index under another type', 200, 'application/json', index([])],
    ['something under the type of an index', 200, OCI_INDEX, '{"referrers":[]}'],
  ];
  for (const [name, status, type, body] of without) {
    it(`takes ${name} for a host without the API, and asks it no more`, async (t) => {
      const at = await answers(t, status, type, body);
      const timing = fakeTiming();
      const registries = open(t, [at.host], { timing });
      const one = sourceOf(registries, at.host);
      assert.equal(one.mayHaveReferrersApi, true);
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'unsupported');
      assert.equal(one.mayHaveReferrersApi, false);
      // Longer than after a page.
      await timing.pass(6 * 60_000);
      assert.equal(
        await sourceOf(registries, at.host, 'org/other').listReferrers(SUBJECT, NEVER),
        'unsupported',
      );
      assert.equal(at.seen.length, 1);
    });
  }

  for (const status of [404, 400]) {
    it(`takes ${status} with a code for a word on its subject alone, once the host gave a list`, async (t) => {
      const known = ['a', 'b'].map((name) => digestOf(Buffer.from(name)));
      const at = await serve(t, (request, response) => {
        const has = known.some((digest) => request.url?.includes(digest) === true);
        const denial = '{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}';
        response
          .writeHead(has ? 200 : status, { 'content-type': has ? OCI_INDEX : 'application/json' })
          .end(has ? index([referrer('sbom')]) : denial);
      });
      const registries = open(t, [at.host]);
      const [one, other] = [
        sourceOf(registries, at.host),
        sourceOf(registries, at.host, 'org/other'),
      ];
      // Before that, it stands for the repository, and for no other.
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'unsupported');
      assert.equal(one.mayHaveReferrersApi, false);
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'unsupported');
      const denied = at.seen.filter(({ url }) => url.includes('/referrers/'));
      assert.equal(denied.length, 1);
      assert.equal(other.mayHaveReferrersApi, true);
      assert.equal((await other.listReferrers(known[0] ?? '', NEVER)).length, 1);
      for (const times of [1, 2]) {
        const before = at.seen.length;
        assert.equal(await other.listReferrers(SUBJECT, NEVER), 'unsupported');
        assert.equal(at.seen.length, before + 1, `asked ${times} times`);
      }
      assert.equal(other.mayHaveReferrersApi, true);
      assert.equal(one.mayHaveReferrersApi, true);
      assert.equal((await one.listReferrers(known[1] ?? '', NEVER)).length, 1);
    });
  }

  it('asks again after minutes where a proxy’s page was in place of a host with the API', async (t) => {
    for (const status of [403, 404, 410]) {
      const timing = fakeTiming();
      let isPage = false;
      const at = await serve(t, (_request, response) => {
        if (isPage) response.writeHead(status, { 'content-type': 'text/html' }).end('<h1>default');
        else response.writeHead(200, { 'content-type': OCI_INDEX }).end(index([referrer('sbom')]));
      });
      const one = sourceAt(t, at.host, { timing, retryPolicy: NO_RETRY });
      await one.listReferrers(SUBJECT, NEVER);
      isPage = true;
      await rejection(one.listReferrers(SUBJECT, NEVER), 'RESPONSE_INVALID');
      isPage = false;
      await rejection(one.listReferrers(SUBJECT, NEVER), 'RESPONSE_INVALID');
      assert.equal(one.mayHaveReferrersApi, true);
      await timing.pass(5 * 60_000);
      assert.equal((await one.listReferrers(SUBJECT, NEVER)).length, 1);
    }
  });

  it('takes a bare 410 for a word on its repository alone', async (t) => {
    const { of } = rig(t, await answers(t, 410, 'text/plain', 'gone'));
    assert.equal(await of().listReferrers(SUBJECT, NEVER), 'unsupported');
    assert.equal(of().mayHaveReferrersApi, false);
    assert.equal(of('org/other').mayHaveReferrersApi, true);
  });

  const afterList: readonly (readonly [number, string, string, ErrorCode | 'refused'])[] = [
    [401, 'application/json', '{}', 'refused'],
    [403, 'text/html', '', 'refused'],
    [200, 'text/html', '<html>', 'refused'],
    [200, 'text/plain', 'ok', 'RESPONSE_INVALID'],
    [200, OCI_INDEX, '{"referrers":[]}', 'MANIFEST_INVALID'],
  ];
  for (const [status, type, body, expected] of afterList) {
    it(`takes ${status} '${body}' of a host that gave a list as ${expected}`, async (t) => {
      let isFirst = true;
      const at = await serve(t, (_request, response) => {
        if (isFirst) answerNone(response);
        else response.writeHead(status, { 'content-type': type }).end(body);
        isFirst = false;
      });
      const one = rig(t, at).of();
      await one.listReferrers(SUBJECT, NEVER);
      const second = one.listReferrers(SUBJECT, NEVER);
      if (expected === 'refused') assert.equal(await second, 'refused');
      else await rejection(second, expected);
    });
  }

  it('believes a host with the API that denies a subject without its form, and says it again', async (t) => {
    const at = await serve(t, (request, response) => {
      if (request.url === '/v2/') response.writeHead(200).end();
      else if (request.url?.includes(SUBJECT) === true) response.writeHead(404).end();
      else response.writeHead(200, { 'content-type': OCI_INDEX }).end(index([referrer('sbom')]));
    });
    const one = sourceAt(t, at.host);
    const other = digestOf(Buffer.from('other'));
    await one.listReferrers(other, NEVER);
    assert.equal(await one.listReferrers(SUBJECT, NEVER), 'unsupported');
    assert.equal((await one.listReferrers(other, NEVER)).length, 1);
  });

  it('takes a page under 404 for no word of a host for longer than 5 minutes', async (t) => {
    const timing = fakeTiming();
    const at = await answers(t, 404, 'text/html', '<h1>default backend');
    const one = sourceAt(t, at.host, { timing });
    assert.equal(await one.listReferrers(SUBJECT, NEVER), 'unsupported');
    assert.equal(one.mayHaveReferrersApi, false);
    await timing.pass(5 * 60_000);
    assert.equal(one.mayHaveReferrersApi, true);
  });

  it('leaves an entry out whose digest cannot be read, counts it, and reads the others', async (t) => {
    const foreign = { mediaType: OCI_MANIFEST, digest: `sha384:${'0'.repeat(96)}`, size: 1 };
    const at = await answers(t, 200, OCI_INDEX, index([foreign, referrer('one'), foreign]));
    const one = sourceAt(t, at.host);
    const unread: number[] = [];
    const found = await one.listReferrers(SUBJECT, NEVER, (count) => unread.push(count));
    assert.ok(typeof found !== 'string');
    assert.deepEqual(
      found.map(({ digest }) => digest),
      [digestOf(Buffer.from('one'))],
    );
    assert.deepEqual(unread, [2]);
  });

  const refusals: readonly (readonly [string, number, string, string])[] = [
    ['401', 401, 'application/json', '{}'],
    ['403', 403, 'application/json', '{}'],
    ['a page to sign in at', 200, 'text/html', '<html>'],
  ];
  for (const [name, status, type, body] of refusals) {
    it(`takes ${name} for a refusal of this repository, and asks it again after a while`, async (t) => {
      const at = await answers(t, status, type, body);
      const { timing, of } = rig(t, at);
      const one = of();
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'refused');
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'refused');
      assert.equal(at.seen.length, 1);
      assert.equal(one.mayHaveReferrersApi, true);
      await of('org/other').listReferrers(SUBJECT, NEVER);
      assert.equal(at.seen.length, 2);
      await timing.pass(60 * 60_000);
      await one.listReferrers(SUBJECT, NEVER);
      assert.equal(at.seen.length, 3);
    });
  }

  for (const status of [500, 505]) {
    it(`passes ${status} on, and asks that repository no more for 5 minutes`, async (t) => {
      const at = await answers(t, status, 'text/plain', 'oops');
      const { timing, of } = rig(t, at);
      const one = of();
      const both = [SUBJECT, SUBJECT].map((subject) => one.listReferrers(subject, NEVER));
      for (const asked of both) await rejection(asked, 'SERVER_ERROR');
      const askedAtOnce = at.seen.length;
      await rejection(one.listReferrers(SUBJECT, NEVER), 'SERVER_ERROR');
      assert.equal(at.seen.length, askedAtOnce);
      const other = of('org/other');
      await rejection(other.listReferrers(SUBJECT, NEVER), 'SERVER_ERROR');
      assert.equal(at.seen.length, askedAtOnce + 1);
      await timing.pass(5 * 60_000);
      await rejection(one.listReferrers(SUBJECT, NEVER), 'SERVER_ERROR');
      assert.equal(at.seen.length, askedAtOnce + 2);
      // For the third time in a row: it does not answer.
      await timing.pass(5 * 60_000);
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'refused');
      assert.equal(await one.listReferrers(SUBJECT, NEVER), 'refused');
      assert.equal(at.seen.length, askedAtOnce + 3);
    });
  }

  it('asks a host that lets the question wait no more for 5 minutes, and counts anew once it answers', async (t) => {
    let hangs = true;
    const at = await serve(t, (_request, response) => {
      if (!hangs) answerNone(response);
    });
    const { timing, of } = rig(t, at, 1000);
    const paths = ['org/app', 'org/other', 'org/third'];
    for (const path of paths) {
      await rejection(of(path).listReferrers(SUBJECT, NEVER), 'TIMEOUT');
    }
    assert.equal(at.seen.length, 1);
    await timing.pass(5 * 60_000);
    await rejection(of().listReferrers(SUBJECT, NEVER), 'TIMEOUT');
    await timing.pass(5 * 60_000);
    hangs = false;
    assert.deepEqual(await of().listReferrers(SUBJECT, NEVER), []);
    hangs = true;
    await rejection(of().listReferrers(SUBJECT, NEVER), 'TIMEOUT');
    assert.equal(at.seen.length, 4);
  });

  it('takes a host that never answers for a refusal by all its repositories, after the third time', async (t) => {
    const at = await serve(t, () => undefined);
    const { timing, of } = rig(t, at, 1000);
    for (const path of ['org/app', 'org/other']) {
      await rejection(of(path).listReferrers(SUBJECT, NEVER), 'TIMEOUT');
      await timing.pass(5 * 60_000);
    }
    for (const path of ['org/third', 'org/app', 'org/other', 'org/fourth']) {
      const answer = await of(path).listReferrers(SUBJECT, NEVER);
      assert.equal(answer, 'refused', path);
    }
    await timing.pass(60 * 60_000 - 1);
    assert.equal(await of().listReferrers(SUBJECT, NEVER), 'refused');
    assert.equal(at.seen.length, 3);
    await timing.pass(1);
    assert.equal(await of('a/fifth').listReferrers(SUBJECT, NEVER), 'refused');
    assert.equal(at.seen.length, 4);
  });

  it('takes a repository that never answers for a refusal where its host answers others', async (t) => {
    const at = await serve(t, (request, response) => {
      if (request.url?.startsWith('/v2/org/mute/') !== true) answerNone(response);
    });
    const { timing, of } = rig(t, at, 1000);
    const mute = of('org/mute');
    for (let failures = 1; failures < 3; failures += 1) {
      await rejection(mute.listReferrers(SUBJECT, NEVER), 'TIMEOUT');
      await timing.pass(5 * 60_000);
      assert.deepEqual(await of().listReferrers(SUBJECT, NEVER), []);
    }
    assert.equal(await mute.listReferrers(SUBJECT, NEVER), 'refused');
  });

  it('takes a redirect to elsewhere for a refusal', async (t) => {
    const at = await serve(t, (_request, response) =>
      response.writeHead(302, { location: 'ftp://login.example.com/' }).end(),
    );
    const one = sourceAt(t, at.host);
    assert.equal(await one.listReferrers(SUBJECT, NEVER), 'refused');
  });

  it('asks a host without the API again after a while', async (t) => {
    const timing = fakeTiming();
    const at = await answers(t, 404, 'text/plain', '404 page not found');
    const one = sourceAt(t, at.host, { timing });
    await one.listReferrers(SUBJECT, NEVER);
    await timing.pass(60 * 60_000);
    assert.equal(one.mayHaveReferrersApi, true);
    await one.listReferrers(SUBJECT, NEVER);
    assert.equal(at.seen.length, 2);
  });

  it('looks once per host whether a destination lists what it acknowledged', async (t) => {
    const listed = referrer('one') as { readonly digest: string };
    for (const [body, expected] of [
      [index([listed]), true],
      [index([]), false],
      ['{}', false],
    ] as const) {
      const at = await answers(t, 200, OCI_INDEX, body);
      const registries = open(t, [at.host]);
      for (const path of ['org/app', 'org/other']) {
        const one = destinationOf(registries, at.host, path);
        assert.equal(await one.listsReferrer(SUBJECT, listed.digest, NEVER), expected, body);
      }
      assert.equal(at.seen.length, 1);
    }
  });

  it('looks at the next repository whether a host lists, where one refuses to say', async (t) => {
    const listed = referrer('one') as { readonly digest: string };
    const at = await serve(t, ({ url = '' }, response) => {
      if (url.includes('closed')) response.writeHead(403).end();
      else response.writeHead(200, { 'content-type': OCI_INDEX }).end(index([listed]));
    });
    const registries = open(t, [at.host]);
    const lists = async (path: string): Promise<boolean> =>
      destinationOf(registries, at.host, path).listsReferrer(SUBJECT, listed.digest, NEVER);
    assert.equal(await lists('org/closed'), false);
    assert.equal(await lists('org/app'), true);
  });

  it('guard referrer-count: refuses more than 1,000', async (t) => {
    let page = 0;
    const at = await serve(t, (_request, response) => {
      page += 1;
      const many = Array.from({ length: 600 }, (_, n) => referrer(`${page}-${n}`));
      const link = page < 3 ? { link: `<?page=${page}>; rel="next"` } : {};
      response.writeHead(200, { 'content-type': OCI_INDEX, ...link }).end(index(many));
    });
    await rejection(sourceAt(t, at.host).listReferrers(SUBJECT, NEVER), 'GRAPH_TOO_LARGE');
    assert.equal(page, 2);
    const atOnce = Array.from({ length: 1_001 }, (_, n) => referrer(`${n}`));
    const at1000 = await answers(t, 200, OCI_INDEX, index(atOnce.slice(1)));
    const most = await sourceAt(t, at1000.host).listReferrers(SUBJECT, NEVER);
    assert.equal(most.length, 1000);
    const at1001 = await answers(t, 200, OCI_INDEX, index(atOnce));
    const one = sourceAt(t, at1001.host);
    await rejection(one.listReferrers(SUBJECT, NEVER), 'GRAPH_TOO_LARGE');
    assert.equal(one.mayHaveReferrersApi, true);
  });

  it('ends a list after a hundred pages', async (t) => {
    let page = 0;
    const at = await serve(t, (_request, response) => {
      const link = `<?page=${(page += 1)}>; rel="next"`;
      response.writeHead(200, { 'content-type': OCI_INDEX, link }).end(index([]));
    });
    const listing = sourceAt(t, at.host).listReferrers(SUBJECT, NEVER);
    await rejection(listing, 'PAGINATION_REFUSED');
    assert.equal(page, 100);
  });

  it('puts no digest into a URL that is none', async (t) => {
    const at = await answers(t, 200, OCI_INDEX, index([]));
    await rejection(sourceAt(t, at.host).listReferrers('sha256:../x', NEVER), 'DIGEST_INVALID');
    assert.equal(at.seen.length, 0);
  });
});
