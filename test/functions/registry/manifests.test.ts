import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { ErrorCode } from '../../../functions/errors.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { MANIFEST_ACCEPT, OCI_INDEX } from '../../../functions/oci/media-types.ts';
import { MAX_MANIFEST_BYTES } from '../../../functions/oci/manifest.ts';
import {
  destinationAt,
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

const BYTES = Buffer.from(
  JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [] }),
);
const DIGEST = digestOf(BYTES);
const OTHER = digestOf(Buffer.from('other'));
const MANIFEST = { mediaType: OCI_INDEX, digest: DIGEST, bytes: BYTES };

interface Reply {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  readonly body?: Buffer | string;
}

/** Answers every request the same. */
function replies(
  t: TestContext,
  { status = 200, headers = {}, body = BYTES }: Reply,
): Promise<Served> {
  return serve(t, (request, response) => {
    request.resume().on('end', () => {
      response.statusCode = status;
      response.setHeader('content-type', OCI_INDEX);
      for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
      response.end(request.method === 'HEAD' ? undefined : body);
    });
  });
}

/** How it was asked, one time after another. */
function methodsOf({ seen }: Pick<Served, 'seen'>): readonly string[] {
  return seen.map(({ method }) => method);
}

/** As {@link methodsOf}, without the looks at the root. */
function belowRoot({ seen }: Served): readonly string[] {
  return methodsOf({ seen: seen.filter(({ url }) => url !== '/v2/') });
}

function refusal(status: number, ...errors: readonly object[]): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ errors }),
  };
}

describe('manifests', () => {
  it('offers all types, for HEAD and GET', async (t) => {
    const at = await replies(t, { headers: { 'docker-content-digest': DIGEST } });
    const one = sourceAt(t, at.host);
    assert.deepEqual(await one.headManifest('v1', NEVER), {
      digest: DIGEST,
      mediaType: OCI_INDEX,
      sizeBytes: undefined,
    });
    assert.deepEqual(await one.getManifest('v1', NEVER), MANIFEST);
    for (const { headers } of at.seen) assert.equal(headers.accept, MANIFEST_ACCEPT);
    assert.deepEqual(
      at.seen.map(({ url }) => url),
      ['/v2/org/app/manifests/v1', '/v2/org/app/manifests/v1'],
    );
  });

  it('tells of a HEAD its size, and no type that is no manifest’s', async (t) => {
    for (const [length, sizeBytes] of [
      ['120', 120],
      ['1'.repeat(16), undefined],
    ] as const) {
      const headers = { 'content-type': 'text/plain', 'content-length': length };
      const at = await replies(t, { headers: { ...headers, 'docker-content-digest': DIGEST } });
      const head = await sourceAt(t, at.host).headManifest('v1', NEVER);
      assert.deepEqual(head, { digest: DIGEST, mediaType: undefined, sizeBytes });
    }
  });

  it('reads a digest that is announced twice as one, and two as none', async (t) => {
    const twice = (digest: string): Promise<Served> =>
      replies(t, { headers: { 'docker-content-digest': [digest, digest] } });
    const alike = await twice(DIGEST);
    assert.equal((await sourceAt(t, alike.host).headManifest('v1', NEVER))?.digest, DIGEST);
    assert.deepEqual(methodsOf(alike), ['HEAD']);
    const other = await twice(OTHER);
    assert.deepEqual(await sourceAt(t, other.host).getManifest('v1', NEVER), MANIFEST);
    assert.deepEqual(
      other.seen.map(({ url }) => url.split('/').at(-1)),
      ['v1', OTHER, DIGEST],
    );
    const pushed = destinationAt(t, other.host).putManifest('v1', MANIFEST, NEVER);
    await rejection(pushed, 'DIGEST_MISMATCH');
    const two = await replies(t, { headers: { 'docker-content-digest': [DIGEST, OTHER] } });
    assert.equal((await sourceAt(t, two.host).headManifest('v1', NEVER))?.digest, DIGEST);
    assert.deepEqual(methodsOf(two), ['HEAD', 'GET']);
  });

  it('reads and hashes where HEAD tells no digest, or is not allowed', async (t) => {
    const silent = await registry(t, { switches: { contentDigest: false } });
    silent.store.putManifest('org/app', { mediaType: OCI_INDEX, bytes: BYTES }, 'v1');
    assert.equal((await sourceAt(t, silent.host).headManifest('v1', NEVER))?.digest, DIGEST);
    assert.deepEqual(silent.counter.summary, { 'HEAD manifest 200': 1, 'GET manifest 200': 1 });
    const getOnly = await serve(t, (request, response) => {
      if (request.method === 'HEAD') response.writeHead(405).end();
      else response.writeHead(200, { 'content-type': OCI_INDEX }).end(BYTES);
    });
    assert.equal((await sourceAt(t, getOnly.host).headManifest('v1', NEVER))?.digest, DIGEST);
    const wrong = await replies(t, { headers: { 'docker-content-digest': 'sha256:../x' } });
    assert.equal((await sourceAt(t, wrong.host).headManifest('v1', NEVER))?.digest, DIGEST);
  });

  it('asks by GET where HEAD is refused or denies what is there, and remembers that for the host', async (t) => {
    for (const status of [400, 401, 403, 404, 405, 406, 415, 501]) {
      const at = await serve(t, (request, response) => {
        const json = { 'content-type': 'application/json', 'docker-distribution-api-version': '2' };
        if (request.method === 'HEAD') response.writeHead(status, json).end();
        else response.writeHead(200, { 'content-type': OCI_INDEX }).end(BYTES);
      });
      const one = sourceAt(t, at.host);
      assert.equal((await one.headManifest('v1', NEVER))?.digest, DIGEST, `${status}`);
      assert.equal((await one.headManifest('v2', NEVER))?.digest, DIGEST);
      assert.deepEqual(
        belowRoot(at),
        // A token that was refused once says nothing of the next.
        status === 401 ? ['HEAD', 'GET', 'HEAD', 'GET'] : ['HEAD', 'GET', 'GET'],
      );
      const there = destinationAt(t, at.host);
      assert.equal((await there.headManifest('v1', NEVER, true))?.digest, DIGEST, `${status}`);
    }
  });

  it('asks by GET where each HEAD fails, and on by HEAD where that was an outage', async (t) => {
    const tries = (count: number): string[] => Array.from({ length: count }, () => 'HEAD');
    for (const { status, fails, methods, headers = {}, isDown = false } of [
      { status: 500, fails: Infinity, methods: [...tries(4), 'GET', ...tries(4), 'GET'] },
      { status: 502, fails: Infinity, methods: [...tries(4), 'GET', ...tries(4), 'GET'] },
      { status: 505, fails: Infinity, methods: ['HEAD', 'GET', 'HEAD', 'GET'] },
      { status: 503, fails: 4, methods: [...tries(4), 'GET', ...tries(2)] },
      { status: 505, fails: Infinity, methods: ['HEAD', 'GET'], isDown: true },
      { status: 503, fails: Infinity, methods: tries(4), headers: { 'retry-after': '0' } },
    ]) {
      let left = fails;
      const at = await serve(t, (request, response) => {
        if ((isDown || request.method === 'HEAD') && left-- > 0)
          response.writeHead(status, headers).end();
        else {
          response.writeHead(200, { 'content-type': OCI_INDEX, 'docker-content-digest': DIGEST });
          response.end(request.method === 'HEAD' ? undefined : BYTES);
        }
      });
      const one = sourceAt(t, at.host);
      const said = `${status} ${fails} times`;
      if (isDown || 'retry-after' in headers)
        await rejection(one.headManifest('v1', NEVER), 'SERVER_ERROR');
      else
        for (const tag of ['v1', 'v2'])
          assert.equal((await one.headManifest(tag, NEVER))?.digest, DIGEST, said);
      assert.deepEqual(methodsOf(at), methods, said);
    }
  });

  it('takes a HEAD that fails or is refused for no word on what a GET denies', async (t) => {
    for (const status of [405, 505]) {
      let isThere = false;
      const at = await serve(t, ({ method }, response) => {
        if (method === 'HEAD') response.writeHead(isThere ? 404 : status).end();
        else if (isThere) response.writeHead(200, { 'content-type': OCI_INDEX }).end(BYTES);
        else response.writeHead(404).end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      });
      const one = destinationAt(t, at.host);
      assert.equal(await one.headManifest('v1', NEVER), undefined);
      assert.deepEqual(belowRoot(at), ['HEAD', 'GET']);
      isThere = true;
      assert.equal((await one.headManifest('v1', NEVER))?.digest, DIGEST);
      assert.deepEqual(belowRoot(at), ['HEAD', 'GET', 'HEAD', 'GET'], `${status}`);
    }
  });

  it('asks once by GET for one tag whose HEAD fails where others work, and learns nothing of it', async (t) => {
    const at = await serve(t, ({ method, url }, response) => {
      const isBroken = method === 'HEAD' && url?.endsWith('/broken') === true;
      const headers = { 'content-type': OCI_INDEX, 'docker-content-digest': DIGEST };
      response.writeHead(isBroken ? 505 : 200, headers);
      response.end(method === 'HEAD' ? undefined : BYTES);
    });
    const one = sourceAt(t, at.host);
    for (const tag of ['v1', 'broken', 'v2', 'broken'])
      assert.equal((await one.headManifest(tag, NEVER))?.digest, DIGEST, tag);
    assert.deepEqual(methodsOf(at), ['HEAD', 'HEAD', 'GET', 'HEAD', 'HEAD', 'GET']);
  });

  it('asks by GET where a HEAD by digest announces another one', async (t) => {
    for (const there of [OTHER, DIGEST]) {
      const at = await serve(t, ({ method, url }, response) => {
        const isThere = method === 'HEAD' || url?.endsWith(there) === true;
        response.writeHead(isThere ? 200 : 404, {
          'content-type': OCI_INDEX,
          ...(isThere ? { 'docker-content-digest': OTHER } : {}),
        });
        response.end(isThere ? BYTES : '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}');
      });
      const head = await destinationAt(t, at.host).headManifest(DIGEST, NEVER);
      assert.equal(head?.digest, there === DIGEST ? DIGEST : undefined);
    }
  });

  it('asks on by HEAD after one page in place of a manifest', async (t) => {
    let isPage = true;
    const at = await serve(t, (request, response) => {
      const head = { 'content-type': OCI_INDEX, 'docker-content-digest': DIGEST };
      if (isPage) response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>sign in');
      else response.writeHead(200, head).end(request.method === 'HEAD' ? undefined : BYTES);
    });
    const one = sourceAt(t, at.host);
    await rejection(one.headManifest('v1', NEVER), 'RESPONSE_INVALID');
    isPage = false;
    at.seen.length = 0;
    await one.headManifest('v1', NEVER);
    assert.deepEqual(methodsOf(at), ['HEAD']);
  });

  it('believes the 404 of a HEAD once HEAD is known to work', async (t) => {
    const at = await registry(t);
    at.store.putManifest('org/app', { mediaType: OCI_INDEX, bytes: BYTES }, 'v1');
    const one = sourceAt(t, at.host);
    await one.headManifest('v1', NEVER);
    assert.equal(await one.headManifest('v2', NEVER), undefined);
    assert.equal(await one.headManifest('v3', NEVER), undefined);
    // The first 404 that nothing was presented for asks the root, whether more is hidden.
    assert.deepEqual(at.counter.summary, {
      'HEAD manifest 200': 1,
      'HEAD manifest 404': 2,
      'GET ping 200': 1,
    });
  });

  it('believes the 404 of a HEAD in one repository for no other of its host', async (t) => {
    // As hosted and proxied ones are side by side (Nexus, Artifactory).
    const at = await serve(t, ({ method, url }, response) => {
      const isThere = method === 'GET' || url?.includes('/hosted/') === true;
      response.writeHead(isThere ? 200 : 404, {
        'content-type': OCI_INDEX,
        'docker-distribution-api-version': 'registry/2.0',
        ...(isThere ? { 'docker-content-digest': DIGEST } : {}),
      });
      response.end(method === 'HEAD' ? undefined : BYTES);
    });
    const all = open(t, [at.host]);
    for (const path of ['hosted/app', 'proxy/app', 'proxy/other', 'hosted/app']) {
      const one = sourceOf(all, at.host, path);
      assert.equal((await one.headManifest('v1', NEVER))?.digest, DIGEST, path);
    }
    assert.deepEqual(belowRoot(at), ['HEAD', 'HEAD', 'GET', 'GET', 'HEAD']);
  });

  it('says that a manifest is not there', async (t) => {
    const at = await registry(t);
    const one = sourceAt(t, at.host);
    assert.equal(await one.headManifest('v1', NEVER), undefined);
    assert.equal(await one.getManifest(DIGEST, NEVER), undefined);
  });

  it('takes a page under 403 for nobody’s word, and all else for the registry’s', async (t) => {
    const HTML = { 'content-type': 'text/html; charset=utf-8' };
    const denied = refusal(403, { code: 'DENIED', message: 'no' });
    const cases: readonly (readonly [Reply, ErrorCode])[] = [
      [
        { status: 403, headers: HTML, body: '<html>Attention Required!</html>' },
        'RESPONSE_INVALID',
      ],
      [{ status: 403, headers: HTML, body: '' }, 'FORBIDDEN'],
      [{ ...denied, headers: HTML }, 'FORBIDDEN'],
      [denied, 'FORBIDDEN'],
      [refusal(403, { status: 403, message: 'no' }), 'FORBIDDEN'],
      [{ status: 403, headers: { 'content-type': 'text/plain' }, body: 'Forbidden' }, 'FORBIDDEN'],
    ];
    for (const [reply, code] of cases) {
      const at = await replies(t, reply);
      for (const one of [sourceAt(t, at.host), destinationAt(t, at.host)])
        await rejection(one.headManifest('v1', NEVER), code);
    }
  });

  it('guard manifest-digest: takes by digest only the bytes that have it', async (t) => {
    const at = await replies(t, {});
    await rejection(sourceAt(t, at.host).getManifest(OTHER, NEVER), 'DIGEST_MISMATCH');
    assert.equal((await sourceAt(t, at.host).getManifest(DIGEST, NEVER))?.digest, DIGEST);
    const sha512 = digestOf(BYTES, 'sha512');
    assert.equal((await sourceAt(t, at.host).getManifest(sha512, NEVER))?.digest, sha512);
    const wrong = await replies(t, { headers: { 'docker-content-digest': OTHER } });
    assert.deepEqual(await sourceAt(t, wrong.host).getManifest(DIGEST, NEVER), MANIFEST);
    await rejection(sourceAt(t, wrong.host).getManifest(OTHER, NEVER), 'DIGEST_MISMATCH');
  });

  it('takes a page in a manifest’s place for a broken transfer, not for a bad image', async (t) => {
    const page = { headers: { 'content-type': 'text/html' }, body: '<html>Sign in</html>' };
    const proxy = await replies(t, page);
    await rejection(sourceAt(t, proxy.host).getManifest(DIGEST, NEVER), 'DIGEST_MISMATCH');
    await rejection(sourceAt(t, proxy.host).getManifest('v1', NEVER), 'RESPONSE_INVALID');
    for (const body of ['', '{"errors":[{"code":"UNKNOWN"}]}', BYTES.subarray(0, 20)]) {
      const at = await replies(t, { body });
      await rejection(sourceAt(t, at.host).getManifest('v1', NEVER), 'RESPONSE_INVALID');
      await rejection(sourceAt(t, at.host).getManifest(DIGEST, NEVER), 'DIGEST_MISMATCH');
    }
    const bad = Buffer.from('{"schemaVersion":2,"manifests":[],"layers":[{}]}');
    const proven = await replies(t, { body: bad });
    await rejection(sourceAt(t, proven.host).getManifest(digestOf(bad), NEVER), 'MANIFEST_INVALID');
  });

  it('guard announced-digest: takes by tag only the bytes that were announced', async (t) => {
    for (const underDigest of [undefined, Buffer.concat([BYTES, Buffer.from(' ')])]) {
      const at = await serve(t, (request, response) => {
        const byTag = request.url?.endsWith('/v1') === true;
        const headers = { 'content-type': OCI_INDEX, 'docker-content-digest': OTHER };
        response.writeHead(byTag || underDigest !== undefined ? 200 : 404, headers);
        response.end(byTag ? BYTES : underDigest);
      });
      await rejection(sourceAt(t, at.host).getManifest('v1', NEVER), 'DIGEST_MISMATCH');
    }
    const sha512 = await replies(t, {
      headers: { 'docker-content-digest': digestOf(BYTES, 'sha512') },
    });
    assert.equal((await sourceAt(t, sha512.host).getManifest('v1', NEVER))?.digest, DIGEST);
  });

  it('takes bytes that the registry has under their own digest, whatever it announces, and believes no HEAD then', async (t) => {
    // What is said beside a 404 is no manifest, even where it has the announced digest.
    const absent = Buffer.from('no such manifest');
    for (const announced of [OTHER, digestOf(absent)]) {
      const at = await serve(t, (request, response) => {
        const isAbsent = request.url?.endsWith(digestOf(absent)) === true;
        const headers = { 'content-type': OCI_INDEX, 'docker-content-digest': announced };
        response.writeHead(isAbsent ? 404 : 200, headers).end(isAbsent ? absent : BYTES);
      });
      const one = sourceAt(t, at.host);
      assert.equal((await one.headManifest('v1', NEVER))?.digest, announced);
      assert.deepEqual(await one.getManifest('v1', NEVER), MANIFEST);
      assert.equal((await one.headManifest('v1', NEVER))?.digest, DIGEST);
      assert.deepEqual(new Set(methodsOf(at).slice(1)), new Set(['GET']));
    }
  });

  it('guard announced-digest: takes neither where the registry has both, as behind a cache that lags', async (t) => {
    const before = Buffer.from('{"schemaVersion":2,"manifests":[],"annotations":{"it":"was"}}');
    const at = await serve(t, (request, response) => {
      const isNow = request.url?.endsWith(DIGEST) === true || request.method === 'HEAD';
      response.writeHead(200, {
        'content-type': OCI_INDEX,
        'docker-content-digest':
          request.url?.endsWith(digestOf(before)) === true ? digestOf(before) : DIGEST,
      });
      response.end(isNow ? BYTES : before);
    });
    const one = sourceAt(t, at.host);
    await rejection(one.getManifest('v1', NEVER), 'DIGEST_MISMATCH');
    assert.equal((await one.headManifest('v1', NEVER))?.digest, DIGEST);
  });

  it('takes no more than 4 MiB', async (t) => {
    const body = Buffer.concat([BYTES, Buffer.alloc(MAX_MANIFEST_BYTES, ' ')]);
    const at = await replies(t, { body });
    const read = sourceAt(t, at.host).getManifest('v1', NEVER);
    const fault = await rejection(read, 'MANIFEST_TOO_LARGE');
    assert.deepEqual([fault.side, fault.operation], ['source', 'get manifest']);
  });

  it('asks for nothing that is no reference', async (t) => {
    const at = await replies(t, {});
    const one = sourceAt(t, at.host);
    await rejection(one.getManifest('../../other/manifests/v1', NEVER), 'TAG_INVALID');
    await rejection(one.headManifest('v1?x', NEVER), 'TAG_INVALID');
    const pushed = destinationAt(t, at.host).putManifest('sha256:x', MANIFEST, NEVER);
    await rejection(pushed, 'DIGEST_INVALID');
    assert.equal(at.seen.length, 0);
  });

  it('pushes the bytes with their type, and tells whether the subject was seen', async (t) => {
    const at = await replies(t, {
      status: 201,
      headers: { 'oci-subject': OTHER, 'docker-content-digest': DIGEST },
    });
    const answer = await destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER);
    assert.deepEqual(answer, { digest: DIGEST, subjectAcknowledged: true });
    assert.equal(at.seen[0]?.headers['content-type'], OCI_INDEX);
    assert.equal(at.seen[0].headers['content-length'], String(BYTES.length));
    const plain = await replies(t, { status: 201 });
    const other = await destinationAt(t, plain.host).putManifest(DIGEST, MANIFEST, NEVER);
    assert.equal(other.subjectAcknowledged, false);
  });

  it('guard put-manifest-digest: notices that the registry stored something else', async (t) => {
    const at = await replies(t, { status: 201, headers: { 'docker-content-digest': OTHER } });
    await rejection(
      destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER),
      'DIGEST_MISMATCH',
    );
    const sha512 = await replies(t, {
      status: 201,
      headers: { 'docker-content-digest': `sha512:${'0'.repeat(128)}` },
    });
    await destinationAt(t, sha512.host).putManifest('v1', MANIFEST, NEVER);
  });

  it('tells what the destination misses, whatever the status', async (t) => {
    const detail = { digest: OTHER };
    const missing = { code: 'MANIFEST_BLOB_UNKNOWN', message: 'blob unknown', detail };
    for (const [status, errors] of [
      [404, [missing]],
      [400, [missing, { code: 'MANIFEST_INVALID' }]],
      [500, [{ code: 'UNKNOWN' }, missing]],
      [400, [{ code: 'BLOB_UNKNOWN', message: `Manifest references unknown blob(s): ${OTHER}` }]],
      [404, [{ code: 'MANIFEST_UNKNOWN', detail: OTHER }]],
    ] as const) {
      const at = await replies(t, refusal(status, ...errors));
      const pushed = destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER);
      assert.deepEqual((await rejection(pushed, 'DESTINATION_INCOMPLETE')).digests, [OTHER]);
      // Nothing was presented: the root tells whether a token would help.
      assert.equal(belowRoot(at).length, 1);
    }
    const unnamed = await replies(t, refusal(400, { code: 'BLOB_UNKNOWN' }));
    const pushed = destinationAt(t, unnamed.host).putManifest('v1', MANIFEST, NEVER);
    assert.deepEqual((await rejection(pushed, 'DESTINATION_INCOMPLETE')).digests, []);
  });

  it('tells that a tag may not be moved', async (t) => {
    for (const [status, message] of [
      [400, 'repository has enabled tag immutability'],
      [403, 'The tag v1 is immutable'],
      [405, 'tag may not be moved: it cannot be modified'],
      [409, 'tag already exists'],
      [412, 'tag cannot be overwritten'],
      // Nexus and ACR.
      [400, 'Repository does not allow updating assets: docker-hosted'],
      [405, 'The operation is disallowed on this registry, repository or image.'],
    ] as const) {
      const at = await replies(t, refusal(status, { code: 'DENIED', message }));
      await rejection(
        destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER),
        'TAG_IMMUTABLE',
      );
    }
    const byDigest = await replies(t, refusal(409, { code: 'DENIED', message: 'already exists' }));
    const pushed = destinationAt(t, byDigest.host).putManifest(DIGEST, MANIFEST, NEVER);
    await rejection(pushed, 'REQUEST_REFUSED');
    const at = await registry(t, { switches: { immutableTags: true } });
    at.store.putManifest('org/app', INDEX, 'v1');
    await rejection(destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER), 'TAG_IMMUTABLE');
  });

  const API = { 'docker-distribution-api-version': 'registry/2.0' };
  const HTML = { 'content-type': 'text/html' };
  const said = (status: number, code: string): Reply => refusal(status, { code, message: 'no' });
  const page = (status: number): Reply => ({ status, headers: HTML, body: `<h1>${status}</h1>` });
  const text = (status: number, body: string, headers = {}): Reply => ({
    status,
    headers: { 'content-type': 'text/plain', ...headers },
    body,
  });
  const refusals: readonly (readonly [string, Reply, ErrorCode])[] = [
    ['400 MANIFEST_INVALID', said(400, 'MANIFEST_INVALID'), 'MANIFEST_REFUSED'],
    ['413 UNSUPPORTED', said(413, 'UNSUPPORTED'), 'MANIFEST_REFUSED'],
    ['415 UNSUPPORTED', said(415, 'UNSUPPORTED'), 'MANIFEST_REFUSED'],
    ['422 UNKNOWN', said(422, 'UNKNOWN'), 'MANIFEST_REFUSED'],
    ['422 DENIED', said(422, 'DENIED'), 'FORBIDDEN'],
    ['400 UNKNOWN', said(400, 'UNKNOWN'), 'REQUEST_REFUSED'],
    ['a verdict on a page', { ...said(400, 'MANIFEST_INVALID'), headers: HTML }, 'REQUEST_REFUSED'],
    [
      'the name of an immutable repository',
      refusal(404, { code: 'NAME_UNKNOWN', message: 'no immutable/app' }),
      'NOT_FOUND',
    ],
    ['403 DENIED', said(403, 'DENIED'), 'FORBIDDEN'],
    ['400 DENIED', said(400, 'DENIED'), 'FORBIDDEN'],
    ['400 UNAUTHORIZED', said(400, 'UNAUTHORIZED'), 'UNAUTHORIZED'],
    ['400 NAME_INVALID', said(400, 'NAME_INVALID'), 'REQUEST_REFUSED'],
    ['404 NAME_UNKNOWN', said(404, 'NAME_UNKNOWN'), 'NOT_FOUND'],
    ['409 CONFLICT', said(409, 'CONFLICT'), 'REQUEST_REFUSED'],
    ['412 of a policy', said(412, 'PROJECTPOLICYVIOLATION'), 'REQUEST_REFUSED'],
    ['500 UNKNOWN', said(500, 'UNKNOWN'), 'SERVER_ERROR'],
    ['a proxy without a backend', text(404, 'default backend - 404'), 'NOT_FOUND'],
    ['a page of 404', page(404), 'NOT_FOUND'],
    ['maintenance of distribution', text(405, 'Method Not Allowed\n', API), 'REQUEST_REFUSED'],
    ['a page of 413', page(413), 'REQUEST_REFUSED'],
    ['a bare 400', text(400, 'Bad Request'), 'REQUEST_REFUSED'],
    ['a front that restarts (421)', text(421, 'Misdirected Request'), 'REQUEST_REFUSED'],
    ['425', text(425, 'Too Early'), 'REQUEST_REFUSED'],
    ['a quota (400)', said(400, 'QUOTA_EXCEEDED'), 'REQUEST_REFUSED'],
    ['the page of a sign-in (200)', page(200), 'RESPONSE_INVALID'],
  ];
  for (const [what, reply, code] of refusals) {
    it(`takes ${what} to a push as ${code}`, async (t) => {
      const at = await replies(t, reply);
      const pushed = destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER);
      const { side, disposition } = await rejection(pushed, code);
      const expected = code === 'MANIFEST_REFUSED' ? 'permanent' : 'transient';
      assert.deepEqual([side, disposition], ['destination', expected]);
    });
  }

  it('takes a push as done whose answer has the type of a page and says so', async (t) => {
    for (const reply of [
      { status: 201, headers: HTML, body: '' },
      { status: 202, headers: HTML, body: 'OK' },
      { status: 200, headers: { ...HTML, 'docker-content-digest': DIGEST }, body: 'OK' },
    ]) {
      const at = await replies(t, reply);
      const { digest } = await destinationAt(t, at.host).putManifest('v1', MANIFEST, NEVER);
      assert.equal(digest, DIGEST);
    }
  });

  it('passes on that a manifest is ambiguous', async (t) => {
    const at = await replies(t, {
      body: JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], layers: [{}] }),
    });
    await rejection(sourceAt(t, at.host).getManifest('v1', NEVER), 'MANIFEST_INVALID');
    // What says that it is a manifest is one, if a bad one.
    for (const document of [{ schemaVersion: 2 }, { mediaType: OCI_INDEX }]) {
      const bad = await replies(t, { body: JSON.stringify(document) });
      await rejection(sourceAt(t, bad.host).getManifest('v1', NEVER), 'MANIFEST_INVALID');
    }
  });
});
