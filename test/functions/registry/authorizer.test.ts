import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Credential, Credentials } from '../../../functions/auth/credential.ts';
import { openAuthorizer, type Authorizer } from '../../../functions/registry/authorizer.ts';
import { bearerTokens, type AskRealm } from '../../../functions/registry/bearer.ts';
import { credentials, fakeTiming, NEVER, rejection, settle } from './setting.ts';

const REGISTRY = new URL('https://r.example.com');
const CHALLENGE =
  'Bearer realm="https://r.example.com/token",service="r",scope="repository:org/app:pull"';
const PULL = { path: 'org/app', actions: 'pull' } as const;
const BASIC: Credential = { kind: 'basic', username: 'u', password: 'p' };

interface Rig {
  readonly authorizer: Authorizer;
  /** Scopes of the tokens asked for. */
  readonly asked: string[][];
  readonly credentials: Credentials & { readonly refusals: string[] };
}

function rig(
  byHost: Readonly<Record<string, Credential>> = {},
  status: () => number = () => 200,
): Rig {
  const asked: string[][] = [];
  const askRealm: AskRealm = ({ url }) => {
    asked.push(url.searchParams.getAll('scope'));
    const body = Buffer.from(JSON.stringify({ token: `t${asked.length}`, expires_in: 300 }));
    return Promise.resolve({ status: status(), header: () => undefined, body, url });
  };
  const known = credentials(byHost);
  const authorizer = openAuthorizer({
    registry: REGISTRY,
    credentials: known,
    tokens: bearerTokens(fakeTiming()),
    askRealm,
  });
  return { authorizer, asked, credentials: known };
}

/** Lets a first request be refused with a challenge. */
async function challenged({ authorizer }: Rig, challenge = CHALLENGE): Promise<boolean> {
  const used = await authorizer.authorize(PULL, NEVER);
  const again = await authorizer.refused(used, PULL, challenge);
  used.settled();
  return again;
}

describe('authorizer', () => {
  it('lets one request go first to an unknown host; the others learn from it', async () => {
    const { authorizer, asked } = rig();
    const first = await authorizer.authorize(PULL, NEVER);
    assert.equal(first.header, undefined);
    const others = [1, 2, 3].map(() => authorizer.authorize(PULL, NEVER));
    await settle();
    assert.equal(asked.length, 0);
    assert.equal(await authorizer.refused(first, PULL, CHALLENGE), true);
    first.settled();
    for (const used of await Promise.all(others)) assert.equal(used.header, 'Bearer t1');
    assert.deepEqual(asked, [['repository:org/app:pull']]);
  });

  it('lets the next go first where the first had no answer', async () => {
    const { authorizer } = rig();
    const first = await authorizer.authorize(PULL, NEVER);
    const second = authorizer.authorize(PULL, NEVER);
    first.settled();
    assert.equal((await second).way, 'unknown');
  });

  it('lets who waits for the first go when its signal aborts', async () => {
    const { authorizer } = rig();
    await authorizer.authorize(PULL, NEVER);
    const controller = new AbortController();
    const waiting = authorizer.authorize(PULL, controller.signal);
    controller.abort();
    await rejection(waiting, 'ABORTED');
  });

  it('presents nothing to a host that asks for nothing, and learns when it does', async () => {
    const { authorizer } = rig({ 'r.example.com': BASIC });
    const first = await authorizer.authorize(PULL, NEVER);
    authorizer.accepted(first);
    first.settled();
    const second = await authorizer.authorize(PULL, NEVER);
    assert.deepEqual([second.header, second.way], [undefined, 'open']);
    assert.equal(await authorizer.refused(second, PULL, CHALLENGE), true);
    assert.equal((await authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
  });

  it('asks for a token per repository, and no second 401', async () => {
    const one = rig();
    await challenged(one);
    const push = { path: 'org/other', actions: 'pull,push' } as const;
    assert.equal((await one.authorizer.authorize(push, NEVER)).header, 'Bearer t1');
    assert.equal(
      (await one.authorizer.authorize({ ...push, mountFrom: 'org/app' }, NEVER)).header,
      'Bearer t2',
    );
    assert.deepEqual(one.asked, [
      ['repository:org/other:pull,push'],
      ['repository:org/app:pull', 'repository:org/other:pull,push'],
    ]);
  });

  it('takes up the name that a registry has for a repository', async () => {
    const one = rig();
    assert.equal(await challenged(one, CHALLENGE.replace('org/app', 'remote/org/app')), true);
    await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual(one.asked, [['repository:remote/org/app:pull']]);
  });

  it('gets a new token once for one that was good before, and not for one just got', async () => {
    const one = rig();
    await challenged(one);
    const fresh = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(await one.authorizer.refused(fresh, PULL, CHALLENGE), false);
    await one.authorizer.authorize(PULL, NEVER);
    const cached = await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual([cached.header, cached.cached], ['Bearer t2', true]);
    assert.equal(await one.authorizer.refused(cached, PULL, CHALLENGE), true);
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t3');
  });

  it('uses Basic where that is all that is asked for, and tells that it was refused', async () => {
    const byHost: Record<string, Credential> = { 'r.example.com': BASIC };
    const one = rig(byHost);
    assert.equal(await challenged(one, 'Basic realm="r"'), true);
    const used = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(used.header, `Basic ${Buffer.from('u:p').toString('base64')}`);
    assert.equal(await one.authorizer.refused(used, PULL, 'Basic realm="r"'), false);
    assert.deepEqual(one.credentials.refusals, ['r.example.com']);
    byHost['r.example.com'] = { ...BASIC, password: 'new' };
    assert.equal(await one.authorizer.refused(used, PULL, 'Basic realm="r"'), true);
  });

  it('guard credentials-refused: has a refused credential read again', async () => {
    const one = rig({ 'r.example.com': BASIC });
    await challenged(one, 'Basic realm="r"');
    assert.deepEqual(one.credentials.refusals, []);
    const used = await one.authorizer.authorize(PULL, NEVER);
    await one.authorizer.refused(used, PULL, 'Basic realm="r"');
    assert.deepEqual(one.credentials.refusals, ['r.example.com']);
  });

  it('prefers Bearer to Basic, in any order', async () => {
    const one = rig({ 'r.example.com': BASIC });
    await challenged(one, `Basic realm="r", ${CHALLENGE}`);
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
  });

  it('presents Google’s token unasked, and the standard way after a refusal', async () => {
    const one = rig({ 'r.example.com': { kind: 'google', token: 'ya29' } });
    assert.equal(one.authorizer.preemptive, false);
    const used = await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual([used.header, used.way], ['Bearer ya29', 'preemptive']);
    assert.equal(one.authorizer.preemptive, true);
    assert.equal(await one.authorizer.refused(used, PULL, CHALLENGE), true);
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
    assert.equal(one.authorizer.preemptive, false);
    one.authorizer.keepPreemptive();
    const kept = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(kept.header, 'Bearer ya29');
    assert.equal(await one.authorizer.refused(kept, PULL, CHALLENGE), false);
  });

  it('presents a registry token of a docker config unasked', async () => {
    const one = rig({ 'r.example.com': { kind: 'registry', token: 'direct' } });
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer direct');
  });

  it('gives up on a refusal that asks for nothing it knows', async () => {
    const one = rig();
    const used = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(await one.authorizer.refused(used, PULL, undefined), false);
    assert.equal(await one.authorizer.refused(used, PULL, 'Negotiate'), false);
    used.settled();
  });

  it('guard token-realm-host: withholds credentials from a realm that is not trusted', async () => {
    const elsewhere = CHALLENGE.replace(
      'https://r.example.com/token',
      'https://auth.evil.org/token',
    );
    const named = rig({ 'r.example.com': BASIC });
    await challenged(named, elsewhere);
    await rejection(named.authorizer.authorize(PULL, NEVER), 'REALM_REFUSED');
    assert.equal(named.asked.length, 0);
    const anonymous = rig();
    await challenged(anonymous, elsewhere);
    assert.equal((await anonymous.authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
    const shared = rig({ 'r.example.com': BASIC, 'auth.evil.org': BASIC });
    await challenged(shared, elsewhere);
    assert.equal((await shared.authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
    const different = rig({ 'r.example.com': BASIC, 'auth.evil.org': { ...BASIC, password: 'x' } });
    await challenged(different, elsewhere);
    await rejection(different.authorizer.authorize(PULL, NEVER), 'REALM_REFUSED');
  });

  it('tries a changed credential once where the realm refuses the old one', async () => {
    const byHost: Record<string, Credential> = { 'r.example.com': BASIC };
    let refusals = 1;
    const one = rig(byHost, () => (refusals-- > 0 ? 401 : 200));
    await challenged(one);
    const before = one.credentials.refused.bind(one.credentials);
    Object.assign(one.credentials, {
      refused(host: string) {
        byHost['r.example.com'] = { ...BASIC, password: 'rotated' };
        before(host);
      },
    });
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t2');
    refusals = 2;
    const other = { path: 'org/other', actions: 'pull' } as const;
    await rejection(one.authorizer.authorize(other, NEVER), 'UNAUTHORIZED');
  });
});
