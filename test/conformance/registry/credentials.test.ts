import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import type { DistributionAuth } from '../../stand-ins/registry/auth/distribution-guard.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { ask, pushBlob, start, storeImage } from './loopback.ts';

function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
}

const BASIC = basic('robot', 'secret');
const WRONG = basic('robot', 'guess');
const BEARER: DistributionAuth = { scheme: 'bearer', users: { robot: 'secret' } };

async function token(
  registry: LocalRegistry,
  scope: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  const answer = await ask(registry.url, 'GET', `/token?service=s&scope=${scope}`, { headers });
  assert.equal(answer.status, 200);
  const { token: text } = answer.json as { token: string };
  return { authorization: `Bearer ${text}` };
}

describe('bearer tokens', () => {
  it('are asked for with realm, service and the scope that is missing', async (t) => {
    const registry = await start(t, { auth: BEARER });
    const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
    assert.equal(answer.status, 401);
    assert.deepEqual(answer.codes, ['UNAUTHORIZED']);
    assert.equal(
      answer.headers['www-authenticate'],
      `Bearer realm="${registry.url}/token",service="${registry.host}",scope="repository:org/app:pull"`,
    );
    const ping = await ask(registry.url, 'GET', '/v2/');
    assert.equal(
      ping.headers['www-authenticate'],
      `Bearer realm="${registry.url}/token",service="${registry.host}"`,
    );
  });

  it('let anybody pull and users push', async (t) => {
    const registry = await start(t, { auth: BEARER });
    storeImage(registry, 'org/app', 'v1');
    const anonymous = await token(registry, 'repository:org/app:pull,push');
    const list = await ask(registry.url, 'GET', '/v2/org/app/tags/list', { headers: anonymous });
    assert.equal(list.status, 200);
    const path = '/v2/org/app/blobs/uploads/';
    const refused = await ask(registry.url, 'POST', path, { headers: anonymous, body: '' });
    assert.equal(refused.status, 401);
    assert.match(refused.headers['www-authenticate'] ?? '', /error="insufficient_scope"/);
    const user = await token(registry, 'repository:org/app:pull,push', BASIC);
    assert.equal((await pushBlob(registry.url, 'org/app', Buffer.from('x'), user)).status, 201);
  });

  it('are good for their repositories only, a mount for both of its own', async (t) => {
    const registry = await start(t, { auth: BEARER });
    const headers = await token(registry, 'repository:a:pull,push', BASIC);
    assert.equal((await ask(registry.url, 'GET', '/v2/b/tags/list', { headers })).status, 401);
    const path = `/v2/a/blobs/uploads/?mount=sha256:${'0'.repeat(64)}&from=b`;
    const refused = await ask(registry.url, 'POST', path, { headers, body: '' });
    assert.match(
      refused.headers['www-authenticate'] ?? '',
      /scope="repository:a:pull,push repository:b:pull"/,
    );
    const both = await token(registry, 'repository:a:pull,push&scope=repository:b:pull', BASIC);
    assert.equal((await ask(registry.url, 'POST', path, { headers: both, body: '' })).status, 202);
  });

  it('expire, and can be revoked', async (t) => {
    let nowMs = 1_000_000;
    const registry = await start(t, { auth: BEARER, clock: () => nowMs });
    storeImage(registry, 'a', 'v1');
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await ask(registry.url, 'GET', '/v2/a/tags/list', { headers })).status;
    const first = await token(registry, 'repository:a:pull');
    nowMs += 299_000;
    assert.equal(await status(first), 200);
    nowMs += 2_000;
    assert.equal(await status(first), 401);
    const second = await token(registry, 'repository:a:pull');
    assert.equal(await status(second), 200);
    registry.revokeTokens();
    assert.equal(await status(second), 401);
    nowMs += 1;
    assert.equal(await status(await token(registry, 'repository:a:pull')), 200);
  });

  it('are refused to wrong passwords', async (t) => {
    const registry = await start(t, { auth: BEARER });
    assert.equal((await ask(registry.url, 'GET', '/token', { headers: WRONG })).status, 401);
  });
});

describe('basic credentials', () => {
  it('are asked for where anonymous readers may not', async (t) => {
    const registry = await start(t, {
      auth: { scheme: 'basic', users: { robot: 'secret' }, allows: (user) => user === 'robot' },
    });
    storeImage(registry, 'a', 'v1');
    const refused = await ask(registry.url, 'GET', '/v2/a/tags/list');
    assert.equal(refused.status, 401);
    assert.match(refused.headers['www-authenticate'] ?? '', /^Basic realm=/);
    assert.equal(
      (await ask(registry.url, 'GET', '/v2/a/tags/list', { headers: BASIC })).status,
      200,
    );
  });

  it('are refused where they are wrong or not enough', async (t) => {
    const registry = await start(t, {
      auth: {
        scheme: 'basic',
        users: { robot: 'secret' },
        allows: (_user, _repository, action) => action === 'pull',
      },
    });
    const path = '/v2/a/tags/list';
    assert.equal((await ask(registry.url, 'GET', path, { headers: WRONG })).status, 401);
    const post = await ask(registry.url, 'POST', '/v2/a/blobs/uploads/', {
      headers: BASIC,
      body: '',
    });
    assert.deepEqual([post.status, post.codes], [403, ['DENIED']]);
  });
});

const EMAIL = 'mirror@local.iam.gserviceaccount.com';
const LIST = '/v2/p/r/app/tags/list';

async function startGoogle(t: TestContext, issuer: TokenIssuer): Promise<LocalRegistry> {
  const registry = await start(t, {
    dialect: 'artifact-registry',
    google: { accessTokens: issuer },
  });
  storeImage(registry, 'p/r/app', 'v1');
  return registry;
}

function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
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
    assert.match(post.body.toString(), /artifactregistry\.repositories\.uploadArtifacts/);
    assert.equal(registry.counter.count({ kind: 'token' }), 2);
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
