import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { selfSignedCertificate } from '../../stand-ins/kubernetes/self-signed-certificate.ts';
import { listen } from '../../stand-ins/kubernetes/listener.ts';
import { exchange, open } from '../../stand-ins/flux-scanner/http.ts';
import { serve } from './servers.ts';

describe('an HTTP exchange', () => {
  it('sends method, headers and body and reads the whole answer', async () => {
    const server = await serve((request, response) => {
      request.pipe(response.writeHead(201, { 'x-answer': request.headers['x-ask'] }));
    });
    try {
      const answer = await exchange(new URL(`http://${server.host}/path?a=b`), {
        method: 'PUT',
        headers: { 'x-ask': 'yes' },
        body: 'text',
      });
      assert.deepEqual(
        [answer.status, answer.text, answer.headers['x-answer']],
        [201, 'text', 'yes'],
      );
      assert.deepEqual(server.requests, ['PUT /path?a=b']);
    } finally {
      await server.close();
    }
  });

  it('gives a redirect as it is', async () => {
    const server = await serve((_request, response) => {
      response.writeHead(302, { location: '/elsewhere' }).end();
    });
    try {
      assert.equal((await exchange(new URL(`http://${server.host}/`))).status, 302);
      assert.equal(server.requests.length, 1);
    } finally {
      await server.close();
    }
  });

  it('trusts the certificate that it is given, and no other', async () => {
    const certificate = selfSignedCertificate();
    const listener = await listen((_request, response) => response.end('ok'), 0, certificate);
    const url = new URL(`https://127.0.0.1:${listener.port}/`);
    try {
      const { text } = await exchange(url, { certificateAuthority: certificate.cert });
      assert.equal(text, 'ok');
      await assert.rejects(exchange(url), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
    } finally {
      await listener.halt();
    }
  });

  it('ends with its signal', async () => {
    const server = await serve(() => undefined);
    try {
      const ending = new AbortController();
      const opening = open(new URL(`http://${server.host}/`), { signal: ending.signal });
      ending.abort();
      await assert.rejects(opening, { name: 'AbortError' });
    } finally {
      await server.close();
    }
  });
});
