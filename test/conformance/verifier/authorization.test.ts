import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  challengedAuthorization,
  fixedAuthorization,
} from '../../stand-ins/verifier/authorization.ts';
import { ask, start } from '../registry/loopback.ts';

const PULL = { repository: 'a', actions: 'pull' } as const;

describe('authorization', () => {
  it('is the same header, asked for anew', async () => {
    let count = 0;
    const authorization = fixedAuthorization(() => `Bearer ${++count}`);
    assert.equal(await authorization({ ...PULL, challenge: undefined }), 'Bearer 1');
    assert.equal(await authorization({ ...PULL, challenge: 'Bearer realm="x"' }), 'Bearer 2');
  });

  it('fetches a token for a challenge and keeps it for the repository', async (t) => {
    const registry = await start(t, { auth: { scheme: 'bearer' } });
    const challenge = (await ask(registry.url, 'GET', '/v2/a/tags/list')).headers[
      'www-authenticate'
    ];
    const authorization = challengedAuthorization();
    assert.equal(await authorization({ ...PULL, challenge: undefined }), undefined);
    const header = await authorization({ ...PULL, challenge });
    assert.match(header ?? '', /^Bearer local-/);
    assert.equal(await authorization({ ...PULL, challenge: undefined }), header);
    const other = { ...PULL, repository: 'b', challenge: undefined };
    assert.equal(await authorization(other), undefined);
    assert.equal(registry.counter.count({ kind: 'token', status: 200 }), 1);
  });

  it('answers Basic with the credentials', async () => {
    const authorization = challengedAuthorization({ user: 'u', password: 'p' });
    assert.equal(await authorization({ ...PULL, challenge: 'Basic realm="r"' }), 'Basic dTpw');
    assert.equal(await challengedAuthorization()({ ...PULL, challenge: 'Basic' }), undefined);
  });

  it('rejects where the token is refused', async (t) => {
    const registry = await start(t, { auth: { scheme: 'bearer', users: { u: 'p' } } });
    const challenge = (await ask(registry.url, 'GET', '/v2/')).headers['www-authenticate'];
    const authorization = challengedAuthorization({ user: 'u', password: 'wrong' });
    await assert.rejects(authorization({ ...PULL, challenge }), /401/);
  });
});
