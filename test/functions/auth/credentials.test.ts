import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import {
  ANONYMOUS,
  openCredentials,
  readRealm,
  requireTrustedRealm,
  type Credential,
  type CredentialRules,
  type CredentialsOf,
} from '../../../functions/auth/credentials.ts';
import { googleHosts } from '../../../functions/auth/google.ts';
import { MirrorError, type Side } from '../../../functions/errors.ts';
import { rejection, thrown } from '../../faults.ts';

const folder = mkdtempSync(join(tmpdir(), 'credentials-'));
after(() => {
  rmSync(folder, { recursive: true });
});

/** A docker config with an account for each key, by its name. */
function dockerConfig(...keys: readonly string[]): string {
  const path = join(folder, 'config.json');
  const auths = Object.fromEntries(keys.map((key) => [key, { username: key, password: 'p' }]));
  writeFileSync(path, JSON.stringify({ auths }));
  return path;
}

/** Credentials of a process whose destination is `d.example.com`, and how many tokens it asked for. */
function opened(rules: Partial<CredentialRules> = {}): {
  readonly of: CredentialsOf;
  readonly tokens: () => number;
} {
  let tokens = 0;
  const of = openCredentials({
    destinationHost: 'd.example.com',
    isAllowedSource: () => true,
    isGoogle: googleHosts(['127.0.0.1:5000']),
    googleTokens: { accessToken: () => Promise.resolve(`token-${(tokens += 1)}`) },
    ...rules,
  });
  return { of, tokens: () => tokens };
}

/** Who is presented to a repository of a host: the account's name, or the token. */
async function presented(
  of: CredentialsOf,
  side: 'source' | 'destination',
  host: string,
  path = 'org/app',
): Promise<string | undefined> {
  const credential = await of(side, { host, path }).credentialFor(host, path);
  return credential?.kind === 'basic' ? credential.username : credential?.token;
}

describe('credentials', () => {
  it('guard source-credentials: go to the sources alone that the operator allows', async () => {
    const { of, tokens } = opened({
      destinationHost: 'eu.gcr.io',
      isAllowedSource: ({ host, path }) => host === 'gcr.io' && path === 'org/app',
      dockerConfigFile: dockerConfig('evil.org'),
    });
    assert.equal(await presented(of, 'source', 'gcr.io', 'org/other'), undefined);
    assert.equal(await presented(of, 'source', 'evil.org'), undefined);
    assert.equal(tokens(), 0);
    assert.equal(await presented(of, 'source', 'gcr.io'), 'token-1');
    assert.equal(await presented(of, 'destination', 'eu.gcr.io'), 'token-2');
    assert.equal(of('source', { host: 'evil.org', path: 'org/app' }), ANONYMOUS);
  });

  it('guard destination-credentials: those of the destination go to its own host alone', async () => {
    const { of, tokens } = opened({
      destinationHost: 'eu.gcr.io',
      dockerConfigFile: dockerConfig('ghcr.io'),
    });
    assert.equal(await presented(of, 'destination', 'ghcr.io'), undefined);
    assert.equal(await presented(of, 'destination', 'gcr.io'), undefined);
    assert.equal(tokens(), 0);
    assert.equal(await presented(of, 'destination', 'eu.gcr.io'), 'token-1');
  });

  it('of the docker config go to the host that they stand under, on either side', async () => {
    const { of } = opened({ dockerConfigFile: dockerConfig('ghcr.io', 'd.example.com') });
    assert.equal(await presented(of, 'source', 'ghcr.io'), 'ghcr.io');
    assert.equal(await presented(of, 'source', 'quay.io'), undefined);
    assert.equal(await presented(of, 'destination', 'd.example.com'), 'd.example.com');
  });

  it('knows the destination where its URL leaves the port of http out', async () => {
    const rules = { destinationHost: 'd.local:80', dockerConfigFile: dockerConfig('d.local') };
    assert.equal(await presented(opened(rules).of, 'destination', 'd.local'), 'd.local');
  });

  it('are one object for each side, so that what is learnt with them stays apart', () => {
    const { of } = opened();
    const name = { host: 'd.example.com', path: 'org/app' };
    assert.equal(of('source', name), of('source', { ...name, path: 'org/other' }));
    assert.notEqual(of('source', name), of('destination', name));
  });

  it('tell a token realm’s own, to be compared with the registry’s', async () => {
    const { of } = opened({ dockerConfigFile: dockerConfig('auth.example.com') });
    const one = of('destination', { host: 'd.example.com', path: 'org/app' });
    const expected = { kind: 'basic', username: 'auth.example.com', password: 'p' };
    assert.deepEqual(await one.accountAtRealm('auth.example.com', 'org/app'), expected);
  });

  it('tell of a token realm the account for a path, as the registry has one for each', async () => {
    const { of } = opened({ dockerConfigFile: dockerConfig('auth.example.com/team-b') });
    const one = of('source', { host: 'r.example.com', path: 'team-b/app' });
    const found = await one.accountAtRealm('auth.example.com', 'team-b/app');
    assert.equal(found?.kind, 'basic');
    assert.equal(await one.accountAtRealm('auth.example.com', 'team-a/app'), undefined);
  });

  it('are read again from the docker config after a refusal', async () => {
    const { of } = opened({ dockerConfigFile: dockerConfig('ghcr.io') });
    assert.equal(await presented(of, 'source', 'ghcr.io'), 'ghcr.io');
    dockerConfig('quay.io');
    assert.equal(await presented(of, 'source', 'quay.io'), undefined);
    of('source', { host: 'quay.io', path: 'org/app' }).refused('quay.io');
    assert.equal(await presented(of, 'source', 'quay.io'), 'quay.io');
  });
});

describe('Google’s token', () => {
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
  ];

  for (const [host, google] of hosts) {
    const does = google ? 'is presented to' : 'guard google-hosts-only: is withheld from';
    it(`${does} '${host}'`, async () => {
      const { of, tokens } = opened({ destinationHost: host });
      for (const side of ['source', 'destination'] as const) {
        const before = tokens();
        const expected = google ? `token-${before + 1}` : undefined;
        assert.equal(await presented(of, side, host), expected);
        assert.equal(tokens(), google ? before + 1 : before);
      }
    });
  }

  it('goes after an account that the docker config gives for the very host', async () => {
    const { of } = opened({ dockerConfigFile: dockerConfig('gcr.io') });
    assert.notEqual(await presented(of, 'source', 'gcr.io'), 'token-1');
    assert.equal(await presented(of, 'source', 'eu.gcr.io'), 'token-1');
  });

  it('goes to the destination before an account of its whole host, which may be a vendor’s', async () => {
    const rules = { destinationHost: 'gcr.io' };
    const { of } = opened({ ...rules, dockerConfigFile: dockerConfig('gcr.io') });
    assert.equal(await presented(of, 'destination', 'gcr.io'), 'token-1');
    const known = of('destination', { host: 'gcr.io', path: 'org/app' });
    const one = await known.credentialFor('gcr.io', 'org/app');
    assert.ok(one?.kind === 'google');
    const advice = /entry for the whole gcr\.io .*under gcr\.io\/PROJECT\/REPOSITORY/;
    assert.match(one.advice ?? '', advice);
    const own = opened({ ...rules, dockerConfigFile: dockerConfig('gcr.io', 'gcr.io/org') });
    assert.equal(await presented(own.of, 'destination', 'gcr.io'), 'gcr.io/org');
    const without = lateIdentity({ dockerConfigFile: dockerConfig('gcr.io') });
    assert.equal(await presented(without.of, 'destination', 'gcr.io'), 'gcr.io');
  });

  /** A process whose identity comes when it is told to. */
  function lateIdentity(rules: Partial<CredentialRules> = {}): {
    readonly of: CredentialsOf;
    readonly asked: () => number;
    readonly come: () => void;
  } {
    let [asked, failing] = [0, true];
    const { of } = opened({
      destinationHost: 'gcr.io',
      googleTokens: {
        accessToken: () => {
          asked += 1;
          if (failing) return Promise.reject(new MirrorError('CREDENTIALS_UNAVAILABLE', 'none'));
          return Promise.resolve('t');
        },
      },
      ...rules,
    });
    return { of, asked: () => asked, come: () => (failing = false) };
  }

  it('is not needed for a source, and looked for again after a minute', async () => {
    let nowMs = 0;
    const { of, asked, come } = lateIdentity({
      now: () => nowMs,
      dockerConfigFile: dockerConfig('eu.gcr.io'),
    });
    assert.equal(await presented(of, 'source', 'gcr.io'), undefined);
    assert.equal(await presented(of, 'source', 'gcr.io'), undefined);
    assert.equal(asked(), 1);
    assert.equal(await presented(of, 'source', 'eu.gcr.io'), 'eu.gcr.io');
    await rejection(presented(of, 'destination', 'gcr.io'), 'CREDENTIALS_UNAVAILABLE');
    come();
    nowMs = 59_999;
    assert.equal(await presented(of, 'source', 'gcr.io'), undefined);
    nowMs = 60_000;
    assert.equal(await presented(of, 'source', 'gcr.io'), 't');
  });

  it('is looked for again at once where a Google host refused who came without it', async () => {
    const { of, asked, come } = lateIdentity({ now: () => 0 });
    const source = of('source', { host: 'gcr.io', path: 'org/app' });
    assert.equal(await presented(of, 'source', 'gcr.io'), undefined);
    come();
    source.refused('ghcr.io');
    assert.equal(await presented(of, 'source', 'gcr.io'), undefined);
    source.refused('gcr.io');
    assert.equal(await presented(of, 'source', 'gcr.io'), 't');
    assert.equal(asked(), 2);
  });

  it('is looked for once more a minute and side, however often a Google host refuses', async () => {
    let nowMs = 0;
    const { of, asked } = lateIdentity({
      now: () => nowMs,
      dockerConfigFile: dockerConfig('gcr.io'),
    });
    const ask = async (side: Side): Promise<void> => {
      for (let question = 0; question < 3; question += 1) {
        await presented(of, side, 'gcr.io');
        await presented(of, side, 'eu.gcr.io').catch(() => undefined);
        of(side, { host: 'gcr.io', path: 'org/app' }).refused('gcr.io');
      }
    };
    await ask('source');
    assert.equal(asked(), 2);
    nowMs = 30_000;
    await ask('source');
    assert.equal(asked(), 2);
    await ask('destination');
    assert.equal(asked(), 4);
    nowMs = 60_000;
    await ask('source');
    assert.equal(asked(), 6);
  });

  it('of the destination is looked for, whatever a source was told', async () => {
    const dockerConfigFile = dockerConfig('gcr.io');
    const { of, come } = lateIdentity({ now: () => 0, dockerConfigFile });
    assert.equal(await presented(of, 'source', 'eu.gcr.io'), undefined);
    come();
    assert.equal(await presented(of, 'destination', 'gcr.io'), 't');
  });

  it('hides no other fault', async () => {
    const { of } = opened({
      googleTokens: { accessToken: () => Promise.reject(new MirrorError('OPTION_INVALID', 'x')) },
    });
    await rejection(presented(of, 'source', 'gcr.io'), 'OPTION_INVALID');
  });
});

const REGISTRY = new URL('https://r.example.com');
const PLAIN = new URL('http://127.0.0.1:5000');
const ACCOUNT: Credential = { kind: 'basic', username: 'u', password: 'p' };

function refused(action: () => unknown): void {
  thrown(action, 'REALM_REFUSED');
}

describe('a token realm', () => {
  const trust = (realm: string, registry = REGISTRY, atRealm?: Credential): void => {
    requireTrustedRealm(readRealm(realm, registry), registry, ACCOUNT, atRealm);
  };

  const distrust = (...question: Parameters<typeof trust>): void => {
    refused(() => {
      trust(...question);
    });
  };

  it('is trusted with a credential on the registry’s host, at a known partner, or where it has the same', () => {
    const hub = new URL('https://index.docker.io');
    trust('https://r.example.com/token');
    trust('https://r.example.com:5001/auth');
    trust('https://auth.docker.io/token', hub);
    trust('https://gitlab.com/jwt/auth', new URL('https://registry.gitlab.com'));
    trust('https://auth.example.com/token', REGISTRY, { ...ACCOUNT });
    trust('http://127.0.0.1:5001/token', PLAIN);
  });

  it('guard token-realm-host: gets no credential elsewhere', () => {
    for (const realm of [
      'https://evil.org/token',
      'https://auth.docker.io/token',
      'https://r.example.com.evil.org/',
      'https://example.com/token',
      'https://sub.r.example.com/',
    ]) {
      distrust(realm);
    }
    const [hub, other] = [new URL('https://index.docker.io'), { ...ACCOUNT, password: 'other' }];
    distrust('https://auth.docker.io:444/token', hub);
    distrust('https://auth.example.com/', REGISTRY, other);
  });

  it('guard token-realm-https: is asked over TLS, except by a registry that has none, on its host', () => {
    for (const [realm, registry] of [
      ['http://r.example.com/token', REGISTRY],
      ['http://auth.example.com/token', PLAIN],
      ['http://169.254.169.254/computeMetadata/v1/', PLAIN],
      ['file:///etc/passwd', REGISTRY],
    ] as const) {
      refused(() => readRealm(realm, registry));
    }
    assert.throws(
      () => readRealm('http://r.example.com/token', REGISTRY),
      /realm without TLS at r\.example\.com: .*proxy/,
    );
  });

  it('guard token-realm-userinfo: has no user in its URL', () => {
    for (const user of ['user:pass', ':pass', 'user'])
      refused(() => readRealm(`https://${user}@r.example.com/token`, REGISTRY));
  });

  it('is a URL', () => {
    refused(() => readRealm(undefined, REGISTRY));
    refused(() => readRealm('/token', REGISTRY));
  });
});
