import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import type { Credential } from '../../../functions/auth/credentials.ts';
import {
  basicHeader,
  bearerTokens,
  type AskRealm,
  type TokenQuestion,
} from '../../../functions/registry/bearer.ts';
import { rejection } from '../../faults.ts';
import { fakeTiming, NEVER, settle } from './setting.ts';

const BASIC: Credential = { kind: 'basic', username: 'u', password: 'pä' };
const QUESTION: TokenQuestion = {
  realm: new URL('https://auth.example.com/token?x=1'),
  service: 'r.example.com',
  scopes: ['repository:a:pull'],
  credential: undefined,
};

type Asked = Parameters<AskRealm>[0];

/** A realm that answers with its n-th token. */
function realm(
  answer: (n: number) => unknown = (n) => ({ token: `t${n}`, expires_in: 300 }),
  status = 200,
): {
  readonly asked: Asked[];
  readonly ask: AskRealm;
} {
  const asked: Asked[] = [];
  return {
    asked,
    ask(request) {
      asked.push(request);
      const body = Buffer.from(JSON.stringify(answer(asked.length)));
      return Promise.resolve({ status, header: () => undefined, body, url: request.url });
    },
  };
}

describe('bearer tokens', () => {
  it('asks as the specification says', async () => {
    const { asked, ask } = realm();
    const tokens = bearerTokens(fakeTiming());
    const scopes = ['repository:a:pull,push', 'repository:b:pull'];
    await tokens.token({ ...QUESTION, scopes, credential: BASIC }, ask, NEVER);
    const [{ method, url, headers } = assert.fail('not asked')] = asked;
    assert.equal(method, 'GET');
    assert.equal(url.searchParams.get('service'), 'r.example.com');
    assert.equal(url.searchParams.get('x'), '1');
    assert.deepEqual(url.searchParams.getAll('scope'), scopes);
    assert.equal(headers['authorization'], `Basic ${Buffer.from('u:pä').toString('base64')}`);
  });

  it('goes anonymously without a credential', async () => {
    const { asked, ask } = realm();
    await bearerTokens(fakeTiming()).token({ ...QUESTION, service: undefined }, ask, NEVER);
    const [{ url, headers } = assert.fail('not asked')] = asked;
    assert.equal(headers['authorization'], undefined);
    assert.equal(url.search, '?x=1&scope=repository%3Aa%3Apull');
  });

  it('exchanges an identity token by POST', async () => {
    const { asked, ask } = realm(() => ({ access_token: 't', expires_in: 60 }));
    const credential: Credential = { kind: 'identity', token: 'refresh' };
    const tokens = bearerTokens(fakeTiming());
    const { token } = await tokens.token({ ...QUESTION, credential }, ask, NEVER);
    assert.equal(token, 't');
    const [{ method, headers, body } = assert.fail('not asked')] = asked;
    assert.equal(method, 'POST');
    assert.equal(headers['authorization'], undefined);
    const form = new URLSearchParams(String(body));
    assert.equal(form.get('grant_type'), 'refresh_token');
    assert.equal(form.get('refresh_token'), 'refresh');
    assert.equal(form.get('scope'), 'repository:a:pull');
    assert.equal(form.get('service'), 'r.example.com');
    await tokens.token({ ...QUESTION, service: undefined, credential }, ask, NEVER);
    assert.equal(new URLSearchParams(String(asked[1]?.body)).get('service'), 'auth.example.com');
  });

  it('tells what a realm says that gives no token, and where', async () => {
    for (const [status, code] of [
      [401, 'UNAUTHORIZED'],
      [403, 'FORBIDDEN'],
      [400, 'UNAUTHORIZED'],
      [404, 'UNAUTHORIZED'],
    ] as const) {
      const { ask } = realm(() => ({ details: 'incorrect username or password' }), status);
      const fault = await rejection(bearerTokens(fakeTiming()).token(QUESTION, ask, NEVER), code);
      assert.match(fault.message, new RegExp(`${status}: .*incorrect username or password`));
      assert.equal(
        fault.url,
        'https://auth.example.com/token?x=REDACTED&service=r.example.com&scope=repository:a:pull',
      );
      assert.deepEqual([fault.status, fault.disposition], [status, 'transient']);
    }
    const oci = { errors: [{ code: 'DENIED', message: 'requested access is denied' }] };
    const { ask } = realm(() => oci, 403);
    const fault = await rejection(
      bearerTokens(fakeTiming()).token(QUESTION, ask, NEVER),
      'FORBIDDEN',
    );
    assert.match(fault.message, /requested access is denied/);
    assert.deepEqual(fault.registryCodes, ['DENIED']);
    for (const [credential, words] of [
      [BASIC, ''],
      [{ kind: 'google', token: 'ya29', advice: 'grant a role' }, '; grant a role'],
    ] as const) {
      const silent: AskRealm = ({ url }) =>
        Promise.resolve({ status: 401, header: () => undefined, body: Buffer.alloc(0), url });
      const asking = bearerTokens(fakeTiming()).token({ ...QUESTION, credential }, silent, NEVER);
      const { message } = await rejection(asking, 'UNAUTHORIZED');
      assert.equal(message, `the token realm answers 401${words}`);
    }
  });

  it('guard token-words: repeats no secret that the realm repeats', async () => {
    const credential: Credential = { kind: 'basic', username: 'user', password: 'top secret' };
    const header = basicHeader(credential) ?? '';
    const { ask } = realm(() => `no ${header} for top secret`, 401);
    const question = { ...QUESTION, credential };
    const fault = await rejection(
      bearerTokens(fakeTiming()).token(question, ask, NEVER),
      'UNAUTHORIZED',
    );
    assert.match(fault.message, /no Basic REDACTED for REDACTED/);
    const identity: Credential = { kind: 'identity', token: 'refresh-token' };
    const other = realm(() => ({ error: 'bad refresh-token' }), 400);
    const refused = bearerTokens(fakeTiming()).token(
      { ...QUESTION, credential: identity },
      other.ask,
      NEVER,
    );
    assert.doesNotMatch((await rejection(refused, 'UNAUTHORIZED')).message, /refresh-token/);
    for (const [password, said] of [
      ['pass', 'bad REDACTED for it'],
      ['for', 'bad pass for it'],
    ] as const) {
      const { ask } = realm(() => 'bad pass for it', 401);
      const question = { ...QUESTION, credential: { ...credential, password } };
      const asking = bearerTokens(fakeTiming()).token(question, ask, NEVER);
      assert.ok((await rejection(asking, 'UNAUTHORIZED')).message.includes(said), password);
    }
  });

  it('guard text-length: cuts what a token realm says', async () => {
    const { ask } = realm(() => 'x'.repeat(1000), 401);
    const refused = bearerTokens(fakeTiming()).token(QUESTION, ask, NEVER);
    assert.ok((await rejection(refused, 'UNAUTHORIZED')).message.length < 600);
  });

  it('keeps a token until 60 s before its end, a short one for half its life', async () => {
    const timing = fakeTiming();
    const long = realm();
    const short = realm((n) => ({ token: `s${n}`, expires_in: 100 }));
    const tokens = bearerTokens(timing);
    const other = { ...QUESTION, service: 'other' };
    const got = async (question: TokenQuestion): Promise<readonly [string, boolean]> => {
      const { ask } = question === other ? short : long;
      const { token, mayHaveEnded } = await tokens.token(question, ask, NEVER);
      return [token, mayHaveEnded()];
    };
    assert.deepEqual(await got(QUESTION), ['t1', false]);
    const waits = await tokens.token(other, short.ask, NEVER);
    assert.deepEqual([waits.token, waits.mayHaveEnded()], ['s1', false]);
    await timing.pass(49_999);
    assert.deepEqual([waits.mayHaveEnded(), ...(await got(other))], [false, 's1', true]);
    await timing.pass(1);
    assert.deepEqual([waits.mayHaveEnded(), ...(await got(other))], [true, 's2', false]);
    await timing.pass(239_999 - 50_000);
    assert.deepEqual(await got(QUESTION), ['t1', true]);
    await timing.pass(1);
    assert.deepEqual(await got(QUESTION), ['t2', false]);
  });

  it('believes no life of more than an hour', async () => {
    const timing = fakeTiming();
    const { asked, ask } = realm(() => ({ token: 't', expires_in: 1e9 }));
    const tokens = bearerTokens(timing);
    for (const passed of [0, 59 * 60_000 - 1, 1]) {
      await timing.pass(passed);
      await tokens.token(QUESTION, ask, NEVER);
    }
    assert.equal(asked.length, 2);
  });

  for (const [life, keptMs] of [
    [undefined, 30_000],
    [0, 30_000],
    [-1, 30_000],
    ['300', 30_000],
    [1, 500],
  ] as const) {
    it(`keeps a token whose life is told as ${life} for ${keptMs} ms`, async () => {
      const timing = fakeTiming();
      const { asked, ask } = realm((n) => ({ token: `t${n}`, expires_in: life }));
      const tokens = bearerTokens(timing);
      await tokens.token(QUESTION, ask, NEVER);
      await timing.pass(keptMs - 1);
      await tokens.token(QUESTION, ask, NEVER);
      assert.equal(asked.length, 1);
      await timing.pass(1);
      await tokens.token(QUESTION, ask, NEVER);
      assert.equal(asked.length, 2);
    });
  }

  it('asks once for many, and goes on when the first of them aborts', async () => {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let asks = 0;
    const ask: AskRealm = async ({ url }) => {
      asks += 1;
      await promise;
      return { status: 200, header: () => undefined, body: Buffer.from('{"token":"t"}'), url };
    };
    const tokens = bearerTokens(fakeTiming());
    const first = new AbortController();
    const leaving = tokens.token(QUESTION, ask, first.signal);
    const staying = [1, 2, 3].map(() => tokens.token(QUESTION, ask, NEVER));
    first.abort();
    await rejection(leaving, 'ABORTED');
    resolve(undefined);
    for (const { token } of await Promise.all(staying)) assert.equal(token, 't');
    assert.equal(asks, 1);
  });

  const keys: readonly (readonly [string, readonly Partial<TokenQuestion>[]])[] = [
    [
      'realm',
      [
        { realm: new URL('https://auth.example.com/token?x=2') },
        { realm: new URL('https://auth.example.org/token?x=1') },
      ],
    ],
    ['service', [{ service: undefined }, { service: 'other.example.com' }]],
    ['scope', [{ scopes: ['repository:a:pull,push'] }, { scopes: ['repository:b:pull'] }]],
    [
      'credential',
      [
        { credential: BASIC },
        { credential: { ...BASIC, password: 'other' } },
        { credential: { kind: 'google', token: 'pä' } },
      ],
    ],
  ];
  for (const [part, changes] of keys) {
    it(`guard token-cache-${part}: shares no token where the ${part} differs`, async () => {
      const { asked, ask } = realm();
      const tokens = bearerTokens(fakeTiming());
      const questions = [QUESTION, ...changes.map((change) => ({ ...QUESTION, ...change }))];
      const given: string[] = [];
      for (const question of questions)
        given.push((await tokens.token(question, ask, NEVER)).token);
      assert.equal(new Set(given).size, questions.length);
      for (const question of questions) await tokens.token(question, ask, NEVER);
      assert.equal(asked.length, questions.length);
    });
  }

  it('forgets a token that was refused, and no other', async () => {
    const { ask } = realm();
    const tokens = bearerTokens(fakeTiming());
    const other = { ...QUESTION, service: 'other' };
    await tokens.token(QUESTION, ask, NEVER);
    await tokens.token(other, ask, NEVER);
    tokens.forget('t1');
    tokens.forget('unknown');
    assert.equal((await tokens.token(other, ask, NEVER)).token, 't2');
    assert.equal((await tokens.token(QUESTION, ask, NEVER)).token, 't3');
  });

  it('keeps 10,000 tokens, and drops the oldest beyond them', async () => {
    const { asked, ask } = realm();
    const tokens = bearerTokens(fakeTiming());
    const get = async (n: number): Promise<string> =>
      (await tokens.token({ ...QUESTION, service: String(n) }, ask, NEVER)).token;
    for (let n = 1; n <= 10_000; n += 1) await get(n);
    assert.equal(await get(1), 't1');
    await get(10_001);
    assert.equal(await get(2), 't2');
    assert.equal(await get(1), 't10002');
    assert.equal(asked.length, 10_002);
  });

  it('waits a minute for a realm, and leaves no timer behind', async () => {
    const timing = fakeTiming();
    let timers = 0;
    const tokens = bearerTokens({
      ...timing,
      setTimer(delayMs, action) {
        const clear = timing.setTimer(delayMs, action);
        timers += 1;
        return () => {
          timers -= 1;
          clear();
        };
      },
    });
    const silent: AskRealm = async (_request, signal) => {
      await once(signal, 'abort');
      throw signal.reason;
    };
    const asking = rejection(tokens.token(QUESTION, silent, NEVER), 'TIMEOUT');
    await settle();
    await timing.pass(59_999);
    assert.equal(timers, 1);
    await timing.pass(1);
    assert.equal(timers, 0);
    await asking;
  });

  it('keeps no failure', async () => {
    const tokens = bearerTokens(fakeTiming());
    await rejection(tokens.token(QUESTION, realm(undefined, 401).ask, NEVER), 'UNAUTHORIZED');
    await rejection(tokens.token(QUESTION, realm(undefined, 403).ask, NEVER), 'FORBIDDEN');
    assert.equal((await tokens.token(QUESTION, realm().ask, NEVER)).token, 't1');
  });

  const unusable: readonly (readonly [string, unknown])[] = [
    ['nothing', null],
    ['no token', { expires_in: 1 }],
    ['an empty token', { token: '' }],
    ['a token that is a number', { token: 1 }],
    ['a token with a line break', { token: 'a\r\nx-evil: 1' }],
    ['a token with a space', { token: 'a b' }],
  ];
  for (const [name, body] of unusable) {
    it(`refuses ${name}`, async () => {
      const { url } = await rejection(
        bearerTokens(fakeTiming()).token(QUESTION, realm(() => body).ask, NEVER),
        'RESPONSE_INVALID',
      );
      assert.ok(url?.startsWith(QUESTION.realm.origin), url);
    });
  }

  it('writes Basic for what has a user', () => {
    assert.equal(
      basicHeader({ kind: 'google', token: 'ya29' }),
      `Basic ${Buffer.from('oauth2accesstoken:ya29').toString('base64')}`,
    );
    assert.equal(basicHeader({ kind: 'identity', token: 'x' }), undefined);
    assert.equal(basicHeader({ kind: 'registry', token: 'x' }), undefined);
    assert.equal(basicHeader(undefined), undefined);
  });
});
