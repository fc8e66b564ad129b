import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { jsonCall } from '../../../functions/registry/json-call.ts';
import { rejection } from '../../faults.ts';
import { localTransport, NEVER, serve } from './setting.ts';

describe('JSON call', () => {
  it('sends JSON and reads JSON, at any status, and follows nothing', async (t) => {
    let received = '';
    const server = await serve(t, (request, response) => {
      request.setEncoding('utf8').on('data', (text: string) => (received += text));
      request.on('end', () => {
        if (request.url === '/html') response.writeHead(502).end('<html>');
        else if (request.url === '/away') response.writeHead(302, { location: '/html' }).end();
        else if (request.url === '/most') response.end(`{}${' '.repeat(4 * 1024 * 1024 - 2)}`);
        else if (request.url === '/more') response.end(`{}${' '.repeat(4 * 1024 * 1024 - 1)}`);
        else if (request.url === '/long') response.writeHead(400).end('x'.repeat(5 * 1024 * 1024));
        else response.writeHead(409).end('{"error":1}');
      });
    });
    const call = jsonCall(localTransport(t));
    const headers = { authorization: 'Bearer x' };
    assert.deepEqual(
      await call({ method: 'POST', url: `${server.url}/run`, body: { a: 1 }, headers }, NEVER),
      {
        status: 409,
        body: { error: 1 },
      },
    );
    assert.equal(received, '{"a":1}');
    assert.equal(server.seen[0]?.headers['content-type'], 'application/json');
    assert.equal(server.seen[0].authorization, 'Bearer x');
    assert.deepEqual(await call({ method: 'GET', url: `${server.url}/html` }, NEVER), {
      status: 502,
      body: undefined,
    });
    assert.equal((await call({ method: 'GET', url: `${server.url}/away` }, NEVER)).status, 302);
    assert.equal((await call({ method: 'GET', url: `${server.url}/long` }, NEVER)).status, 400);
    const most = await call({ method: 'GET', url: `${server.url}/most` }, NEVER);
    assert.deepEqual(most, { status: 200, body: {} });
    const more = call({ method: 'GET', url: `${server.url}/more` }, NEVER);
    await rejection(more, 'RESPONSE_TOO_LARGE');
    assert.equal(server.seen.length, 6);
  });

  it('speaks to no private address on its own', async (t) => {
    const addresses = { privateHosts: new Set<string>(), loopback: false };
    const call = jsonCall(localTransport(t, { addresses }));
    const sent = call({ method: 'GET', url: 'http://169.254.169.254/' }, NEVER);
    await rejection(sent, 'ADDRESS_REFUSED');
  });
});
