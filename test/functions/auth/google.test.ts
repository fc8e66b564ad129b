import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import {
  googleCredentials,
  googleHosts,
  googleTokens,
  whereAvailable,
} from '../../../functions/auth/google.ts';
import { Fault, isFault } from '../../../functions/fault.ts';
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

const counting = (): { readonly asked: string[]; accessToken(): Promise<string> } => {
  const asked: string[] = [];
  return {
    asked,
    accessToken: () => {
      asked.push('token');
      return Promise.resolve(`token-${asked.length}`);
    },
  };
};

describe('Google credentials', () => {
  const hosts: readonly (readonly [string, boolean])[] = [
    ['europe-docker.pkg.dev', true],
    ['docker.europe-west1.rep.pkg.dev', true],
    ['gcr.io', true],
    ['eu.gcr.io', true],
    ['127.0.0.1:5000', true],
    ['127.0.0.1:5001', false],
    ['pkg.dev', false],
    ['pkg.dev.evil.org', false],
    ['evilpkg.dev', false],
    ['evilgcr.io', false],
    ['gcr.io.evil.org', false],
    ['gcr.io:8080', false],
    ['europe-docker.pkg.dev:444', false],
    ['ghcr.io', false],
    ['', false],
  ];

  for (const [host, google] of hosts) {
    const does = google ? 'presents the token to' : 'guard google-hosts-only: withholds it from';
    it(`${does} '${host}'`, async () => {
      const tokens = counting();
      const credentials = googleCredentials(googleHosts(['127.0.0.1:5000']), tokens);
      const expected = google ? { kind: 'google', token: 'token-1' } : undefined;
      assert.deepEqual(await credentials.credentialFor(host), expected);
      assert.equal(tokens.asked.length, google ? 1 : 0);
    });
  }

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
        (error) => isFault(error, 'OPTION_INVALID'),
        host,
      );
    }
    assert.ok(googleHosts(['localhost:5000'])('localhost:5000'));
    assert.ok(googleHosts(['[::1]:5000'])('[::1]:5000'));
  });

  it('asks for a token per request and keeps none', async () => {
    const credentials = googleCredentials(googleHosts(), counting());
    assert.deepEqual(await credentials.credentialFor('gcr.io'), {
      kind: 'google',
      token: 'token-1',
    });
    assert.deepEqual(await credentials.credentialFor('gcr.io'), {
      kind: 'google',
      token: 'token-2',
    });
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
      assert.ok(isFault(error, 'CREDENTIALS_UNAVAILABLE'));
      assert.equal(error.cause, undefined);
      return true;
    });
  });
});

describe('credentials where available', () => {
  it('goes anonymously where there is no identity, and asks again after a minute', async () => {
    let [asked, nowMs, failing] = [0, 0, true];
    const credentials = whereAvailable(
      {
        credentialFor: async () => {
          asked += 1;
          if (failing) throw new Fault('CREDENTIALS_UNAVAILABLE', 'none');
          return Promise.resolve({ kind: 'google', token: 't' });
        },
        refused: () => undefined,
      },
      () => nowMs,
    );
    assert.equal(await credentials.credentialFor('gcr.io'), undefined);
    assert.equal(await credentials.credentialFor('gcr.io'), undefined);
    assert.equal(asked, 1);
    failing = false;
    nowMs = 60_000;
    assert.deepEqual(await credentials.credentialFor('gcr.io'), { kind: 'google', token: 't' });
  });

  it('hides no other fault', async () => {
    const credentials = whereAvailable({
      credentialFor: async () => Promise.reject(new Fault('DOCKER_CONFIG_INVALID', 'x')),
      refused: () => undefined,
    });
    await rejection(credentials.credentialFor('gcr.io'), 'DOCKER_CONFIG_INVALID');
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
    const tokens = googleTokens(3000);
    await rejection(tokens.accessToken(), 'CREDENTIALS_UNAVAILABLE');
    state.silent = false;
    assert.equal(await tokens.accessToken(), 'late');
  });
});
