import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { TokenIssuer } from '../../../stand-ins/metadata/token-issuer.ts';
import type { GoogleAuth } from '../../../stand-ins/registry/auth/google-guard.ts';
import { digestOf } from '../../../stand-ins/registry/digest.ts';
import type { LocalRegistry } from '../../../stand-ins/registry/registry.ts';
import { ask, pushBlob, start, storeImage } from '../loopback.ts';

const EMAIL = 'mirror@local.iam.gserviceaccount.com';
const LIST = '/v2/p/r/app/tags/list';

async function startGoogle(
  t: TestContext,
  issuer: TokenIssuer,
  allows?: GoogleAuth['allows'],
): Promise<LocalRegistry> {
  const registry = await start(t, {
    personality: 'artifact-registry',
    google: { accessTokens: issuer, ...(allows === undefined ? {} : { allows }) },
  });
  storeImage(registry, 'p/r/app', 'v1');
  return registry;
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

describe('Google credentials', () => {
  it('are asked for with the registry’s own token endpoint', async (t) => {
    const registry = await startGoogle(t, new TokenIssuer());
    const answer = await ask(registry.url, 'GET', LIST);
    assert.equal(answer.status, 401);
    assert.equal(
      answer.headers['www-authenticate'],
      `Bearer realm="${registry.url}/v2/token",service="${registry.host}",scope="repository:p/r/app:pull"`,
    );
  });

  for (const user of ['oauth2accesstoken', '_token', '_dcgcr_2_1_5_token']) {
    it(`are an access token as password of ${user}`, async (t) => {
      const issuer = new TokenIssuer();
      const registry = await startGoogle(t, issuer);
      const headers = basic(user, issuer.mint(EMAIL).token);
      assert.equal((await ask(registry.url, 'GET', LIST, { headers })).status, 200);
    });
  }

  it('are an access token as Bearer, while it is valid', async (t) => {
    let nowMs = 0;
    const issuer = new TokenIssuer({ clock: () => nowMs });
    const registry = await startGoogle(t, issuer);
    const headers = bearer(issuer.mint(EMAIL).token);
    assert.equal((await ask(registry.url, 'GET', LIST, { headers })).status, 200);
    nowMs = 3_600_000;
    assert.equal((await ask(registry.url, 'GET', LIST, { headers })).status, 401);
    assert.equal(
      (await ask(registry.url, 'GET', LIST, { headers: bearer('ya29.forged.x') })).status,
      401,
    );
    const robot = basic('robot', issuer.mint(EMAIL).token);
    assert.equal((await ask(registry.url, 'GET', LIST, { headers: robot })).status, 401);
  });

  it('are a token of /v2/token where access tokens are not taken', async (t) => {
    const issuer = new TokenIssuer();
    const registry = await startGoogle(t, issuer);
    registry.set({ accessTokens: 'refused' });
    const { token } = issuer.mint(EMAIL);
    assert.equal((await ask(registry.url, 'GET', LIST, { headers: bearer(token) })).status, 401);
    const path = '/v2/token?scope=repository:p/r/app:pull&service=x';
    assert.equal((await ask(registry.url, 'GET', path)).status, 403);
    const granted = await ask(registry.url, 'GET', path, {
      headers: basic('oauth2accesstoken', token),
    });
    const exchanged = bearer((granted.json as { token: string }).token);
    assert.equal((await ask(registry.url, 'GET', LIST, { headers: exchanged })).status, 200);
    const post = await ask(registry.url, 'POST', '/v2/p/r/app/blobs/uploads/', {
      headers: exchanged,
      body: '',
    });
    assert.deepEqual([post.status, post.codes], [403, ['DENIED']]);
    assert.equal(registry.counter.count({ kind: 'token' }), 2);
  });

  it('are not enough without the permission', async (t) => {
    const issuer = new TokenIssuer();
    const registry = await startGoogle(t, issuer, (_email, _name, action) => action === 'pull');
    const headers = bearer(issuer.mint(EMAIL).token);
    assert.equal((await ask(registry.url, 'GET', LIST, { headers })).status, 200);
    const post = await ask(registry.url, 'POST', '/v2/p/r/app/blobs/uploads/', {
      headers,
      body: '',
    });
    assert.deepEqual([post.status, post.codes], [403, ['DENIED']]);
    assert.match(post.body.toString(), /artifactregistry\.repositories\.uploadArtifacts/);
  });

  it('are not needed on the address of an upload, and may be refused there', async (t) => {
    const issuer = new TokenIssuer();
    const registry = await startGoogle(t, issuer);
    const headers = bearer(issuer.mint(EMAIL).token);
    const blob = Buffer.from('bytes');
    assert.equal((await pushBlob(registry.url, 'p/r/app', blob, headers)).status, 201);
    registry.set({ uploadBearer: 'refused' });
    const begun = await ask(registry.url, 'POST', '/v2/p/r/app/blobs/uploads/', {
      headers,
      body: '',
    });
    const path = `${begun.headers.location ?? ''}?digest=${digestOf(blob)}`;
    assert.equal((await ask(registry.url, 'PUT', path, { headers, body: blob })).status, 401);
    assert.equal((await ask(registry.url, 'PUT', path, { body: blob })).status, 201);
  });
});
