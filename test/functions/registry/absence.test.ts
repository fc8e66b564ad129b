import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, it } from 'node:test';

import { isRegistryWord, rememberForm } from '../../../functions/registry/absence.ts';
import type { Answer } from '../../../functions/registry/failure.ts';
import { newHostMemory } from '../../../functions/registry/host-capabilities.ts';
import { isRootsWord } from '../../../functions/registry/registry-form.ts';
import { NO_RETRY } from '../../../functions/registry/retry-policy.ts';
import {
  destinationAt,
  fakeTiming,
  NEVER,
  open,
  rejection,
  serve,
  sourceAt,
  sourceOf,
} from './setting.ts';

const DEFAULT_BACKEND = ['text/plain', 'default backend - 404'] as const;
const PAGE = ['text/html', '<html>404 Not Found</html>'] as const;
const GATEWAY = ['application/json', '{"message":"no Route matched"}'] as const;
const BARE = ['text/plain', '404 page not found\n'] as const;
const OCI = ['application/json', '{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}'] as const;

type Form = readonly [contentType: string, body: string];

function notFound(request: IncomingMessage, response: ServerResponse, [type, body]: Form): void {
  response.writeHead(404, { 'content-type': type });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function answer(headers: Readonly<Record<string, string>>, body: string): Answer {
  return {
    status: 404,
    header: (name) => headers[name],
    body: Buffer.from(body),
    url: new URL('https://registry.example.com/'),
  };
}

describe('a 404', () => {
  it('is the registry’s where it has the registry’s form', () => {
    const memory = newHostMemory();
    const version = { 'docker-distribution-api-version': 'registry/2.0' };
    assert.ok(isRegistryWord('GET', answer({}, OCI[1]), memory));
    assert.ok(isRegistryWord('HEAD', answer(version, ''), memory));
    assert.ok(
      isRegistryWord('GET', answer({ ...version, 'content-type': 'text/plain' }, ''), memory),
    );
    // Docker's recipe for nginx adds the header to nginx's own pages too.
    assert.ok(
      !isRegistryWord('GET', answer({ ...version, 'content-type': PAGE[0] }, PAGE[1]), memory),
    );
    for (const [type, body] of [DEFAULT_BACKEND, PAGE, GATEWAY, BARE]) {
      assert.ok(!isRegistryWord('GET', answer({ 'content-type': type }, body), memory), body);
    }
  });

  for (const [code, fault] of [
    ['TOOMANYREQUESTS', 'RATE_LIMITED'],
    ['DENIED', 'FORBIDDEN'],
    ['UNAUTHORIZED', 'UNAUTHORIZED'],
  ] as const) {
    it(`is what its body says: ${code}`, async (t) => {
      const form = ['application/json', `{"errors":[{"code":"${code}"}]}`] as const;
      const at = await serve(t, (request, response) => {
        notFound(request, response, form);
      });
      const timing = fakeTiming();
      const registries = open(t, [at.host], { timing, retryPolicy: NO_RETRY });
      const one = sourceOf(registries, at.host);
      await rejection(one.listTags(NEVER), fault);
      await rejection(one.getManifest('v1', NEVER), fault);
    });
  }

  it('is remembered in the form that was confirmed, and pages never are', () => {
    const memory = newHostMemory();
    const bare = answer({ 'content-type': BARE[0] }, BARE[1]);
    rememberForm('GET', bare, memory);
    assert.ok(isRegistryWord('GET', bare, memory));
    assert.ok(!isRegistryWord('HEAD', bare, memory));
    assert.ok(
      !isRegistryWord('GET', answer({ 'content-type': BARE[0] }, DEFAULT_BACKEND[1]), memory),
    );
    const page = answer({ 'content-type': PAGE[0] }, PAGE[1]);
    rememberForm('GET', page, memory);
    assert.ok(!isRegistryWord('GET', page, memory));
  });

  it('is remembered in a hundred forms of 256 bytes at most, and then anew', () => {
    const memory = newHostMemory();
    const forms = Array.from({ length: 101 }, (_none, n) => answer({}, `${n}`.padStart(256)));
    for (const form of forms) rememberForm('GET', form, memory);
    rememberForm('GET', answer({}, 'x'.repeat(257)), memory);
    assert.equal(memory.bareNotFound.size, 1);
    assert.ok(isRegistryWord('GET', forms[100] ?? assert.fail(), memory));
  });

  it('of the API’s root is the registry’s word in a registry’s form alone, as a 401 is', () => {
    const page = { 'content-type': 'text/html' };
    for (const [status, headers, body, expected] of [
      [401, page, '<html>', true],
      [403, {}, OCI[1], true],
      [404, {}, OCI[1], true],
      [403, {}, 'no', false],
      [404, {}, 'no', false],
      [200, page, '<html>', false],
      [200, {}, '{}', true],
      [500, {}, 'oops', true],
    ] as const) {
      assert.equal(
        isRootsWord({ ...answer(headers, body), status }),
        expected,
        `${status} ${body}`,
      );
    }
  });

  it('of a proxy without a backend is transient, for lists, tags and digests of either side', async (t) => {
    for (const form of [DEFAULT_BACKEND, PAGE, GATEWAY, ['', '']] as const) {
      const at = await serve(t, (request, response) => {
        notFound(request, response, form);
      });
      const digest = `sha256:${'0'.repeat(64)}`;
      for (const side of [sourceAt, destinationAt]) {
        const one = side(t, at.host);
        const faults = [
          await rejection(one.listTags(NEVER), 'RESPONSE_INVALID'),
          await rejection(one.headManifest('v1', NEVER), 'RESPONSE_INVALID'),
          await rejection(one.getManifest('v1', NEVER), 'RESPONSE_INVALID'),
          await rejection(one.getManifest(digest, NEVER), 'RESPONSE_INVALID'),
        ];
        for (const fault of faults) {
          assert.deepEqual([fault.disposition, fault.status], ['transient', 404]);
        }
      }
    }
  });

  it('without a body is believed of a host whose root is a registry’s, and costs three requests once', async (t) => {
    for (const form of [BARE, ['', '']] as const) {
      const at = await serve(t, (request, response) => {
        if (request.url === '/v2/') response.writeHead(200).end('{}');
        else notFound(request, response, form);
      });
      const one = destinationAt(t, at.host);
      assert.equal(await one.listTags(NEVER), undefined);
      assert.deepEqual(
        at.seen.map(({ url }) => url),
        // Its root is looked at for a challenge, and for the form of a registry.
        ['/v2/org/app/tags/list?n=1000', '/v2/', '/v2/', '/v2/org/app/tags/list?n=1000'],
      );
      assert.equal(await one.listTags(NEVER), undefined);
      assert.equal(at.seen.length, 5);
      // A HEAD has no body, so the first is confirmed by a GET; the next is believed.
      assert.equal(await one.headManifest('v1', NEVER), undefined);
      assert.equal(await one.headManifest('v2', NEVER), undefined);
      assert.deepEqual(
        at.seen.slice(5).map(({ method }) => method),
        ['HEAD', 'GET', 'HEAD'],
      );
    }
  });

  for (const [status, headers, body, isBelieved] of [
    [200, { 'content-type': BARE[0] }, 'works', false],
    [200, { 'docker-distribution-api-version': 'registry/2.0' }, 'works', true],
    [200, {}, '', true],
    [200, { 'content-type': PAGE[0] }, '', false],
    [401, {}, '', false],
    [405, {}, '', false],
  ] as const) {
    const word = isBelieved ? 'is' : 'is not';
    it(`${word} believed of a host whose root says ${status} '${body}' ${JSON.stringify(headers)}`, async (t) => {
      const at = await serve(t, (request, response) => {
        if (request.url === '/v2/') response.writeHead(status, headers).end(body);
        else notFound(request, response, BARE);
      });
      const listing = sourceAt(t, at.host).listTags(NEVER);
      if (isBelieved) assert.equal(await listing, undefined);
      else await rejection(listing, 'RESPONSE_INVALID');
    });
  }

  it('to a blob is looked at without a wait: its reader holds a stream that others wait for', async (t) => {
    const at = await serve(t, (request, response) => {
      if (request.url === '/v2/') response.writeHead(429, { 'retry-after': '300' }).end();
      else notFound(request, response, BARE);
    });
    const registries = open(t, [at.host], { timing: fakeTiming() });
    const one = sourceOf(registries, at.host);
    const blob = { mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, sizeBytes: 5 };
    const fault = await rejection(one.openBlob(blob, 0, NEVER), 'RATE_LIMITED');
    assert.equal(fault.retryAfterMs, 300_000);
    assert.equal(at.seen.length, 2);
  });

  it('that a second look does not confirm is transient', async (t) => {
    let lists = 0;
    const at = await serve(t, (request, response) => {
      if (request.url === '/v2/') response.writeHead(200).end('{}');
      else if (lists++ === 0) notFound(request, response, DEFAULT_BACKEND);
      else response.writeHead(200).end('{"tags":["v1"]}');
    });
    await rejection(sourceAt(t, at.host).listTags(NEVER), 'RESPONSE_INVALID');
    assert.deepEqual((await sourceAt(t, at.host).listTags(NEVER))?.tags, ['v1']);
    const another = await serve(t, (request, response) => {
      if (request.url === '/v2/') response.writeHead(200).end('{}');
      else notFound(request, response, lists++ % 2 === 0 ? DEFAULT_BACKEND : BARE);
    });
    await rejection(sourceAt(t, another.host).listTags(NEVER), 'RESPONSE_INVALID');
  });

  it('is believed where the root asks for credentials, as a registry does', async (t) => {
    const at = await serve(t, (request, response) => {
      const basic = { 'www-authenticate': 'Basic realm="registry"' };
      if (request.url === '/v2/') response.writeHead(401, basic).end();
      else notFound(request, response, PAGE);
    });
    assert.equal(await sourceAt(t, at.host).getManifest('v1', NEVER), undefined);
  });
});
