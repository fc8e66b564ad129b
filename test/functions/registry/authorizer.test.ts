import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Credential, Credentials } from '../../../functions/auth/credentials.ts';
import { openAuthorizer, type Authorizer } from '../../../functions/registry/authorizer.ts';
import { bearerTokens, type AskRealm } from '../../../functions/registry/bearer.ts';
import { rejection } from '../../faults.ts';
import { credentials, fakeTiming, type FakeTiming, NEVER, settle } from './setting.ts';

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
  readonly timing: FakeTiming;
}

function rig(
  byHost: Readonly<Record<string, Credential>> = {},
  status: () => number = () => 200,
): Rig {
  const asked: string[][] = [];
  const timing = fakeTiming();
  const askRealm: AskRealm = ({ url }) => {
    asked.push(url.searchParams.getAll('scope'));
    const body = Buffer.from(JSON.stringify({ token: `t${asked.length}`, expires_in: 300 }));
    return Promise.resolve({ status: status(), header: () => undefined, body, url });
  };
  const known = credentials(byHost);
  const authorizer = openAuthorizer({
    registry: REGISTRY,
    credentials: known,
    tokens: bearerTokens(timing),
    askRealm,
  });
  return { authorizer, asked, credentials: known, timing };
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

  it('lets all others go together where the first had no answer', async () => {
    const { authorizer } = rig();
    const first = await authorizer.authorize(PULL, NEVER);
    const others = [1, 2, 3].map(() => authorizer.authorize(PULL, NEVER));
    await settle();
    first.settled();
    for (const used of await Promise.all(others)) assert.equal(used.way, 'unknown');
    const later = authorizer.authorize(PULL, NEVER);
    for (const other of others) (await other).settled();
    assert.equal((await later).way, 'unknown');
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
    // What was asked before and is answered late unlearns nothing.
    authorizer.accepted(second);
    assert.equal((await authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
    // One repository that changed its way says nothing against a guess.
    const other = { path: 'org/other', actions: 'pull' } as const;
    assert.equal((await authorizer.authorize(other, NEVER)).header, 'Bearer t2');
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

  it('asks for what the challenge says, joined with what it needs', async () => {
    const challenges = [
      ['repository:org/app:metadata_read', 'repository:org/app:pull,metadata_read'],
      ['repository:org/app:pull,push', 'repository:org/app:pull,push'],
      ['repository:org/app:*', 'repository:org/app:pull,*'],
      ['', 'repository:org/app:pull'],
      ['nonsense', 'repository:org/app:pull'],
    ] as const;
    for (const [scope, asked] of challenges) {
      const one = rig();
      await challenged(one, CHALLENGE.replace('repository:org/app:pull', scope));
      await one.authorizer.authorize(PULL, NEVER);
      assert.deepEqual(one.asked, [[asked]]);
    }
    const push = { path: 'org/app', actions: 'pull,push' } as const;
    for (const [scope, ...asked] of [
      [
        'repository:org/app:metadata_read registry:catalog:*',
        'registry:catalog:*',
        'repository:org/app:pull,push,metadata_read',
      ],
      ['registry:catalog:*', 'registry:catalog:*', 'repository:org/app:pull,push'],
      [
        'repository:org/base:pull repository:org/app:pull',
        'repository:org/app:pull,push',
        'repository:org/base:pull',
      ],
    ] as const) {
      const several = rig();
      await challenged(several, CHALLENGE.replace('repository:org/app:pull', scope));
      await several.authorizer.authorize(push, NEVER);
      assert.deepEqual(several.asked, [asked]);
    }
  });

  it('asks for what a mount reads with the mount alone', async () => {
    const one = rig();
    const push = { path: 'org/app', actions: 'pull,push' } as const;
    const mount = { ...push, mountFrom: 'org/dev' };
    const used = await one.authorizer.authorize(mount, NEVER);
    const scope = 'repository:org/app:pull,push repository:org/dev:pull';
    const challenge = CHALLENGE.replace('repository:org/app:pull', scope);
    assert.equal(await one.authorizer.refused(used, mount, challenge), true);
    used.settled();
    await one.authorizer.authorize(push, NEVER);
    await one.authorizer.authorize(mount, NEVER);
    const [own] = scope.split(' ');
    assert.deepEqual(one.asked, [[own], scope.split(' ')]);
  });

  it('learns 10,000 repositories, and the oldest anew beyond them', async () => {
    const { authorizer } = rig();
    const accept = (path: string): void => {
      const known = { kind: 'open' } as const;
      authorizer.accepted({
        header: undefined,
        path,
        way: 'open',
        known,
        settled: () => undefined,
      });
    };
    const used = await authorizer.authorize(PULL, NEVER);
    await authorizer.refused(used, PULL, CHALLENGE);
    used.settled();
    for (let n = 1; n < 10_000; n += 1) accept(`p${n}`);
    accept('p1');
    assert.equal((await authorizer.authorize(PULL, NEVER)).way, 'bearer');
    accept('p10000');
    assert.equal((await authorizer.authorize(PULL, NEVER)).way, 'unknown');
    assert.equal((await authorizer.authorize({ ...PULL, path: 'p1' }, NEVER)).way, 'open');
  });

  it('asks again where a known way wants more: lists of Azure’s scope maps want metadata_read', async () => {
    const one = rig();
    await challenged(one);
    const used = await one.authorizer.authorize(PULL, NEVER);
    const more = CHALLENGE.replace('org/app:pull', 'org/app:metadata_read');
    assert.equal(await one.authorizer.refused(used, PULL, more), true);
    await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual(one.asked.at(-1), ['repository:org/app:pull,metadata_read']);
    const again = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(again.mayHaveEnded?.(), true);
    // A challenge that names no scope takes nothing back.
    const bare = CHALLENGE.replace(/,scope=.*/, '');
    assert.equal(await one.authorizer.refused(again, PULL, bare), true);
    const fresh = await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual(one.asked.at(-1), ['repository:org/app:pull,metadata_read']);
    assert.equal(await one.authorizer.refused(fresh, PULL, bare), false);
    const service = bare.replace('service="r"', 'service="s"');
    assert.equal(await one.authorizer.refused(fresh, PULL, service), true);
  });

  it('keeps what a repository has taught to itself', async () => {
    const one = rig();
    await challenged(one);
    const other = { path: 'other/app', actions: 'pull' } as const;
    const elsewhere =
      'Bearer realm="https://r.example.com/other-token",service="other",scope="repository:other/app:pull"';
    const guessed = await one.authorizer.authorize(other, NEVER);
    assert.equal(guessed.way, 'bearer');
    assert.equal(await one.authorizer.refused(guessed, other, elsewhere), true);
    const known = async (scope: typeof PULL | typeof other): Promise<string | undefined> => {
      const used = await one.authorizer.authorize(scope, NEVER);
      return used.known?.kind === 'bearer' ? used.known.realm.pathname : undefined;
    };
    assert.equal(await known(other), '/other-token');
    assert.equal(await known(PULL), '/token');
    assert.equal(await known(other), '/other-token');
    // Nothing is guessed any more where two repositories differ.
    const third = { path: 'third/app', actions: 'pull' } as const;
    const used = await one.authorizer.authorize(third, NEVER);
    assert.equal(used.way, 'unknown');
    used.settled();
  });

  it('guard credential-prefix: shows an account to no realm that only another account’s path named', async () => {
    const byPath: Readonly<Record<string, Credential>> = {
      'org/app': BASIC,
      'team/app': { ...BASIC, username: 'team' },
    };
    const asked: string[] = [];
    const authorizer = openAuthorizer({
      registry: REGISTRY,
      credentials: {
        credentialFor: (_host, path) => Promise.resolve(byPath[path]),
        accountAtRealm: (_host, path) => Promise.resolve(byPath[path]),
        refused: () => undefined,
      },
      tokens: bearerTokens(fakeTiming()),
      askRealm: ({ url, headers }) => {
        asked.push(headers['authorization'] ?? 'anonymous');
        const body = Buffer.from(JSON.stringify({ token: 't', expires_in: 300 }));
        return Promise.resolve({ status: 200, header: () => undefined, body, url });
      },
    });
    const first = await authorizer.authorize(PULL, NEVER);
    await authorizer.refused(first, PULL, CHALLENGE);
    first.settled();
    await authorizer.authorize(PULL, NEVER);
    for (const path of ['team/app', 'public/app']) {
      const used = await authorizer.authorize({ path, actions: 'pull' }, NEVER);
      assert.equal(used.way, 'unknown', path);
      used.settled();
    }
    assert.deepEqual(asked, [`Basic ${Buffer.from('u:p').toString('base64')}`]);
  });

  it('gets a new token once for one that was good before, and not for one just got', async () => {
    const one = rig();
    await challenged(one);
    const fresh = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(await one.authorizer.refused(fresh, PULL, CHALLENGE), false);
    await one.authorizer.authorize(PULL, NEVER);
    const cached = await one.authorizer.authorize(PULL, NEVER);
    assert.deepEqual([cached.header, cached.mayHaveEnded?.()], ['Bearer t2', true]);
    assert.equal(await one.authorizer.refused(cached, PULL, CHALLENGE), true);
    const waits = await one.authorizer.authorize(PULL, NEVER);
    assert.equal(waits.header, 'Bearer t3');
    // A pause of minutes passes before it is sent; the token is good for five.
    await one.timing.pass(240_000);
    assert.equal(await one.authorizer.refused(waits, PULL, CHALLENGE), true);
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t4');
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

  it('has no credential read again where the realm fails', async () => {
    const one = rig({ 'r.example.com': BASIC }, () => 503);
    await challenged(one);
    const other = { path: 'org/other', actions: 'pull' } as const;
    for (const scope of [PULL, other])
      await rejection(one.authorizer.authorize(scope, NEVER), 'SERVER_ERROR');
    assert.deepEqual(one.credentials.refusals, []);
  });

  it('prefers Bearer to Basic, in any order', async () => {
    const one = rig({ 'r.example.com': BASIC });
    await challenged(one, `Basic realm="r", ${CHALLENGE}`);
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Bearer t1');
  });

  it('uses Basic beside a Bearer that names no realm, and refuses that one alone', async () => {
    const one = rig({ 'r.example.com': BASIC });
    await challenged(one, 'Bearer service="r", Basic realm="r"');
    assert.equal((await one.authorizer.authorize(PULL, NEVER)).header, 'Basic dTpw');
    await rejection(challenged(rig(), 'Bearer service="r"'), 'REALM_REFUSED');
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

  it('presents nothing of another kind unasked once Google’s token is gone, and a late one', async () => {
    const google: Credential = { kind: 'google', token: 'ya29' };
    const byHost: Record<string, Credential> = { 'r.example.com': google };
    const gone = rig(byHost);
    gone.authorizer.accepted(await gone.authorizer.authorize(PULL, NEVER));
    byHost['r.example.com'] = BASIC;
    const other = { path: 'org/other', actions: 'pull' } as const;
    assert.equal((await gone.authorizer.authorize(other, NEVER)).way, 'unknown');
    const later: Record<string, Credential> = {};
    const late = rig(later);
    await challenged(late);
    later['r.example.com'] = google;
    assert.equal((await late.authorizer.authorize(other, NEVER)).header, 'Bearer ya29');
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

  /** Asks about a repository that shows its list to anybody and answers a push by 403. */
  async function hidden(one: Rig, shows?: boolean): Promise<boolean> {
    const used = await one.authorizer.authorize(PULL, NEVER);
    one.authorizer.accepted(used, shows);
    used.settled();
    return one.authorizer.hidden(used, PULL, CHALLENGE, NEVER);
  }

  it('asks again for what may be hidden once a credential is mended that was refused', async () => {
    let status = 401;
    const one = rig({ 'r.example.com': BASIC }, () => status);
    await rejection(hidden(one), 'UNAUTHORIZED');
    status = 200;
    assert.equal(await hidden(one), true);
  });

  it('takes a realm that gives nobody a token for one that hides nothing, and asks it once', async () => {
    const one = rig({}, () => 401);
    assert.deepEqual([await hidden(one), await hidden(one)], [false, false]);
    assert.equal(one.asked.length, 1);
  });

  it('believes what it is shown while the realm fails, and asks that again', async () => {
    const failing = rig({}, () => 503);
    assert.deepEqual([await hidden(failing), await hidden(failing)], [false, false]);
    assert.equal(failing.asked.length, 2);
    await rejection(hidden(rig({}, () => 429)), 'RATE_LIMITED');
    for (const [status, code] of [
      [401, 'UNAUTHORIZED'],
      [503, 'SERVER_ERROR'],
    ] as const)
      await rejection(
        hidden(
          rig({}, () => status),
          false,
        ),
        code,
      );
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
    // The realm was a guess: this repository may have one of its own, and is asked.
    const used = await one.authorizer.authorize(other, NEVER);
    assert.deepEqual([used.way, used.header], ['unknown', undefined]);
    const own = CHALLENGE.replace('org/app', 'org/other');
    assert.equal(await one.authorizer.refused(used, other, own), true);
    used.settled();
    await rejection(one.authorizer.authorize(other, NEVER), 'UNAUTHORIZED');
  });
});
