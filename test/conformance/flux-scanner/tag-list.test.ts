import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, it } from 'node:test';

import {
  isLoopback,
  listTags,
  type TagListOptions,
} from '../../stand-ins/flux-scanner/tag-list.ts';
import { serve, type TestServer } from './servers.ts';

type Answer = (url: URL, request: IncomingMessage, response: ServerResponse) => void;

async function withRegistry(
  answer: Answer,
  test: (server: TestServer) => Promise<void>,
): Promise<void> {
  const server = await serve((request, response) => {
    const url = new URL(request.url ?? '/', `http://${request.headers.host ?? ''}`);
    if (url.pathname === '/v2/') response.end('{}');
    else answer(url, request, response);
  });
  try {
    await test(server);
  } finally {
    await server.close();
  }
}

function list(
  server: TestServer,
  options: Partial<TagListOptions> = {},
): Promise<readonly string[]> {
  const image = {
    registry: server.host,
    repository: 'org/app',
    canonicalName: `${server.host}/org/app`,
  };
  return listTags(image, { insecure: false, ...options });
}

describe('listing tags', () => {
  it('follows the pages of the same origin', async () => {
    await withRegistry(
      (url, _request, response) => {
        const last = url.searchParams.get('last');
        if (last === null) {
          response.setHeader('link', '</v2/org/app/tags/list?n=1000&last=b>; rel="next"');
          response.end('{"tags":["a","b"]}');
        } else response.end('{"tags":["c"]}');
      },
      async (server) => {
        assert.deepEqual(await list(server), ['a', 'b', 'c']);
        assert.deepEqual(server.requests, [
          'GET /v2/',
          'GET /v2/org/app/tags/list?n=1000',
          'GET /v2/org/app/tags/list?n=1000&last=b',
        ]);
      },
    );
  });

  it('refuses a next page elsewhere', async () => {
    await withRegistry(
      (_url, _request, response) => {
        response.setHeader('link', '<http://127.0.0.1:1/v2/org/app/tags/list>; rel="next"');
        response.end('{"tags":["a"]}');
      },
      (server) => assert.rejects(list(server), Error),
    );
  });

  it('takes null for no tags', async () => {
    await withRegistry(
      (_url, _request, response) => response.end('{"tags":null}'),
      async (server) => {
        assert.deepEqual(await list(server), []);
      },
    );
  });

  it('asks for an anonymous token where the registry wants one', async () => {
    const server = await serve((request, response) => {
      const url = new URL(request.url ?? '/', `http://${request.headers.host ?? ''}`);
      if (url.pathname === '/token') {
        response.end('{"token":"secret"}');
      } else if (request.headers.authorization === 'Bearer secret') {
        response.end('{"tags":["a"]}');
      } else {
        const realm = `http://${request.headers.host ?? ''}/token`;
        response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="here"` });
        response.end();
      }
    });
    try {
      assert.deepEqual(await list(server), ['a']);
      assert.deepEqual(server.requests, [
        'GET /v2/',
        'GET /token?scope=repository%3Aorg%2Fapp%3Apull&service=here',
        'GET /v2/org/app/tags/list?n=1000',
      ]);
      assert.equal(server.received[1]?.headers.authorization, undefined);
      await list(server, { credentials: { username: 'me', password: 'pass' } });
      assert.equal(
        server.received[4]?.headers.authorization,
        `Basic ${Buffer.from('me:pass').toString('base64')}`,
      );
    } finally {
      await server.close();
    }
  });

  it('sends Basic credentials where the registry wants those', async () => {
    const server = await serve((request, response) => {
      if (request.headers.authorization !== undefined) response.end('{"tags":["a"]}');
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    });
    try {
      assert.deepEqual(await list(server, { credentials: { username: 'u', password: 'p' } }), [
        'a',
      ]);
      await assert.rejects(list(server), Error);
    } finally {
      await server.close();
    }
  });

  it("fails in Flux's words", async () => {
    await withRegistry(
      (_url, _request, response) => {
        response.statusCode = 404;
        response.end(
          '{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry","detail":{"name":"org/app"}}]}',
        );
      },
      (server) =>
        assert.rejects(list(server), {
          message: `GET http://${server.host}/v2/org/app/tags/list?n=1000: NAME_UNKNOWN: repository name not known to registry; map[name:org/app]`,
        }),
    );
    const gone = await serve(() => undefined);
    await gone.close();
    await assert.rejects(list(gone), {
      message: `Get "https://${gone.host}/v2/": dial tcp ${gone.host}: connect: connection refused; Get "http://${gone.host}/v2/": dial tcp ${gone.host}: connect: connection refused`,
    });
  });

  it('fails for what is no list of tags', async () => {
    for (const body of ['{"tags":"a"}', '{"tags":[1]}', 'no json']) {
      await withRegistry(
        (_url, _request, response) => response.end(body),
        (server) => assert.rejects(list(server), Error),
      );
    }
    await withRegistry(
      (_url, _request, response) => response.writeHead(500).end('oh'),
      (server) => assert.rejects(list(server), /500/),
    );
  });

  it('knows loopback', () => {
    for (const host of ['localhost', 'localhost:5000', '127.0.0.1:1', '127.1.2.3', '[::1]:5000']) {
      assert.equal(isLoopback(host), true, host);
    }
    for (const host of ['ghcr.io', 'localhost.example.com', '128.0.0.1', '10.0.0.1:5000']) {
      assert.equal(isLoopback(host), false, host);
    }
  });
});
