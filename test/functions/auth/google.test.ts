import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { googleHosts, googleTokens } from '../../../functions/auth/google.ts';
import { isMirrorError } from '../../../functions/errors.ts';
import { startMetadata } from '../../stand-ins/metadata/metadata.ts';
import { rejection } from '../../faults.ts';

/** The library finds the metadata server by its environment; each test has one of its own. */
async function withMetadata(t: TestContext, host: string): Promise<void> {
  const before = process.env['GCE_METADATA_HOST'];
  process.env['GCE_METADATA_HOST'] = host;
  process.env['METADATA_SERVER_DETECTION'] = 'assume-present';
  t.after(() => {
    if (before === undefined) delete process.env['GCE_METADATA_HOST'];
    else process.env['GCE_METADATA_HOST'] = before;
  });
  await Promise.resolve();
}

describe('Google’s hosts and tokens', () => {
  it('guard google-hosts-loopback: adds loopback hosts only', () => {
    for (const host of [
      'registry.example.com',
      '10.0.0.1:5000',
      '127.0.0.1.evil.org',
      'localhost.evil.org',
      '*',
    ]) {
      assert.throws(
        () => googleHosts([host]),
        (error) => isMirrorError(error, 'OPTION_INVALID'),
        host,
      );
    }
    assert.ok(googleHosts(['localhost:5000'])('localhost:5000'));
    assert.ok(googleHosts(['[::1]:5000'])('[::1]:5000'));
  });

  it('gets a token of the metadata server through the library', async (t) => {
    const metadata = await startMetadata();
    t.after(() => metadata.close());
    await withMetadata(t, metadata.host);
    const tokens = googleTokens();
    const token = await tokens.accessToken();
    assert.notEqual(metadata.issuer.verify(token), undefined);
    assert.equal(await tokens.accessToken(), token);
  });

  it('tells without secrets that no token is to be had', async (t) => {
    const server = createServer((_request, response) => {
      response.writeHead(403, { 'metadata-flavor': 'Google' }).end('no service account');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    await withMetadata(t, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    await assert.rejects(googleTokens().accessToken(), (error) => {
      assert.ok(isMirrorError(error, 'CREDENTIALS_UNAVAILABLE'));
      assert.equal(error.cause, undefined);
      return true;
    });
  });

  it('waits a bounded time for a metadata server that does not answer, and then asks anew', async (t) => {
    const state = { silent: true };
    const server = createServer((_request, response) => {
      if (state.silent) return;
      response.setHeader('metadata-flavor', 'Google');
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ access_token: 'late', expires_in: 3600, token_type: 'Bearer' }),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    await withMetadata(t, `127.0.0.1:${(server.address() as AddressInfo).port}`);
    const before = process.env['K_SERVICE'];
    process.env['K_SERVICE'] = 'service';
    t.after(() => {
      if (before === undefined) delete process.env['K_SERVICE'];
      else process.env['K_SERVICE'] = before;
    });
    // Its loading takes part of the time of the first question.
    await import('../../../functions/auth/library.ts');
    // Long enough for the library's own work on a machine that has no time.
    const tokens = googleTokens(10_000);
    await rejection(tokens.accessToken(), 'CREDENTIALS_UNAVAILABLE');
    state.silent = false;
    assert.equal(await tokens.accessToken(), 'late');
  });

  it('finds a metadata server that has come late', async (t) => {
    const server = createServer((_request, response) => {
      response.setHeader('metadata-flavor', 'Google');
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({ access_token: 'late', expires_in: 3600, token_type: 'Bearer' }),
      );
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    await withMetadata(t, `127.0.0.1:${port}`);
    process.env['METADATA_SERVER_DETECTION'] = 'ping-only';
    const tokens = googleTokens();
    await rejection(tokens.accessToken(), 'CREDENTIALS_UNAVAILABLE');
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    assert.equal(await tokens.accessToken(), 'late');
  });
});
