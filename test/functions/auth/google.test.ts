import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { googleHosts, googleTokens } from '../../../functions/auth/google.ts';
import { startMetadata } from '../../stand-ins/metadata/metadata.ts';
import { rejection, thrown } from '../../faults.ts';
import { withEnvironment } from '../environment.ts';
import { serve } from '../registry/setting.ts';
import { answerMetadata, lateMetadata, withMetadata } from './metadata.ts';

describe('Google’s hosts and tokens', () => {
  it('guard google-hosts-loopback: adds loopback hosts only', () => {
    for (const host of [
      'registry.example.com',
      '10.0.0.1:5000',
      '127.0.0.1.evil.org',
      'localhost.evil.org',
      '*',
    ]) {
      thrown(() => googleHosts([host]), 'OPTION_INVALID');
    }
    assert.ok(googleHosts(['localhost:5000'])('localhost:5000'));
    assert.ok(googleHosts(['[::1]:5000'])('[::1]:5000'));
  });

  it('gets a token of the metadata server through the library', async (t) => {
    const metadata = await startMetadata();
    t.after(() => metadata.close());
    withMetadata(t, metadata.host);
    const tokens = googleTokens();
    const token = await tokens.accessToken();
    assert.notEqual(metadata.issuer.verify(token), undefined);
    assert.equal(await tokens.accessToken(), token);
  });

  it('starts no gcloud to find a project that no token is of', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-gcloud-'));
    t.after(() => {
      rmSync(folder, { recursive: true, force: true });
    });
    const started = join(folder, 'started');
    writeFileSync(join(folder, 'gcloud'), `#!/bin/sh\necho >${started}\n`, { mode: 0o755 });
    const { host } = await serve(t, answerMetadata);
    withMetadata(t, host);
    withEnvironment(t, { PATH: `${folder}:${process.env['PATH'] ?? ''}` });
    assert.equal(await googleTokens().accessToken(), 'late');
    assert.equal(existsSync(started), false);
  });

  it('tells without secrets that no token is to be had', async (t) => {
    const { host } = await serve(t, (_request, response) => {
      response.writeHead(403, { 'metadata-flavor': 'Google' }).end('no service account');
    });
    withMetadata(t, host);
    const fault = await rejection(googleTokens().accessToken(), 'CREDENTIALS_UNAVAILABLE');
    assert.equal(fault.cause, undefined);
  });

  it('waits a bounded time for a metadata server that does not answer, and then asks anew', async (t) => {
    let isSilent = true;
    const { host } = await serve(t, (request, response) => {
      if (!isSilent) answerMetadata(request, response);
    });
    withMetadata(t, host);
    withEnvironment(t, { K_SERVICE: 'service' });
    // Its loading takes part of the time of the first question.
    await import('../../../functions/auth/library.ts');
    // Long enough for the library's own work on a machine that has no time.
    const tokens = googleTokens(10_000);
    await rejection(tokens.accessToken(), 'CREDENTIALS_UNAVAILABLE');
    isSilent = false;
    assert.equal(await tokens.accessToken(), 'late');
  });

  it('finds a metadata server that has come late', async (t) => {
    const metadata = await lateMetadata(t, 'ping-only');
    const tokens = googleTokens();
    await rejection(tokens.accessToken(), 'CREDENTIALS_UNAVAILABLE');
    await metadata.come();
    assert.equal(await tokens.accessToken(), 'late');
  });
});
