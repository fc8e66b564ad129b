import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { DistributionAuth } from '../../../stand-ins/registry/auth/distribution-guard.ts';
import type { LocalRegistry } from '../../../stand-ins/registry/registry.ts';
import { ask, pushBlob, start, storeImage } from '../loopback.ts';

const BASIC = { authorization: `Basic ${Buffer.from('robot:secret').toString('base64')}` };
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

  it('are refused to wrong passwords, and given for forms', async (t) => {
    const registry = await start(t, { auth: BEARER });
    const wrong = { authorization: `Basic ${Buffer.from('robot:guess').toString('base64')}` };
    assert.equal((await ask(registry.url, 'GET', '/token', { headers: wrong })).status, 401);
    const form = 'grant_type=password&username=robot&password=secret&scope=repository:a:push';
    const granted = await ask(registry.url, 'POST', '/token', { body: form });
    assert.equal(granted.status, 200);
    const other = await ask(registry.url, 'POST', '/token', { body: 'grant_type=refresh_token' });
    assert.equal(other.status, 400);
  });

  it('come in the forms that registries have', async (t) => {
    const registry = await start(t, {
      auth: {
        ...BEARER,
        announceExpiry: false,
        tokenField: 'access_token',
        realm: 'https://auth.example.com/t',
        service: 'other',
      },
    });
    const answer = await ask(registry.url, 'GET', '/token?scope=repository:a:pull');
    assert.deepEqual(Object.keys(answer.json as object), ['access_token']);
    const challenge = (await ask(registry.url, 'GET', '/v2/')).headers['www-authenticate'];
    assert.equal(challenge, 'Bearer realm="https://auth.example.com/t",service="other"');
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
    const wrong = { authorization: `Basic ${Buffer.from('robot:guess').toString('base64')}` };
    const path = '/v2/a/tags/list';
    assert.equal((await ask(registry.url, 'GET', path, { headers: wrong })).status, 401);
    const post = await ask(registry.url, 'POST', '/v2/a/blobs/uploads/', {
      headers: BASIC,
      body: '',
    });
    assert.deepEqual([post.status, post.codes], [403, ['DENIED']]);
  });
});
