import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import fc from 'fast-check';

import {
  dockerConfig,
  findAuth,
  parseDockerConfig,
} from '../../../functions/auth/docker-config.ts';
import { isFault } from '../../../functions/fault.ts';
import { rejection, thrown } from '../../faults.ts';

function auth(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

function basic(username: string, password: string): unknown {
  return { kind: 'basic', username, password };
}

function config(auths: unknown, rest: object = {}): string {
  return JSON.stringify({ auths, ...rest });
}

async function file(t: TestContext, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'docker-config-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'config.json');
  await writeFile(path, text);
  return path;
}

describe('docker config', () => {
  it('reads user and password from either form, and tokens', () => {
    const auths = parseDockerConfig(
      config({
        'ghcr.io': { auth: auth('u', 'p:with:colons') },
        'quay.io': { username: 'q', password: 'secret' },
        'reg.example.com:5000': { identitytoken: 'refresh', auth: auth('u', '') },
        'token.example.com': { registrytoken: 'bearer' },
        'empty.example.com': {},
      }),
    );
    assert.deepEqual(findAuth(auths, 'ghcr.io'), basic('u', 'p:with:colons'));
    assert.deepEqual(findAuth(auths, 'quay.io'), basic('q', 'secret'));
    assert.deepEqual(findAuth(auths, 'reg.example.com:5000'), {
      kind: 'identity',
      token: 'refresh',
    });
    assert.deepEqual(findAuth(auths, 'token.example.com'), { kind: 'registry', token: 'bearer' });
    assert.equal(findAuth(auths, 'empty.example.com'), undefined);
  });

  it('reads keys that are URLs, and Docker Hub under each of its names', () => {
    const auths = parseDockerConfig(
      config({
        'https://index.docker.io/v1/': { auth: auth('hub', 'x') },
        'HTTPS.example.com/v2/': { auth: auth('e', 'y') },
      }),
    );
    for (const host of ['index.docker.io', 'docker.io', 'registry-1.docker.io']) {
      assert.deepEqual(findAuth(auths, host), basic('hub', 'x'));
    }
    assert.deepEqual(findAuth(auths, 'https.example.com'), basic('e', 'y'));
  });

  it('guard docker-config-host: matches hosts exactly', () => {
    const auths = parseDockerConfig(config({ 'example.com': { auth: auth('u', 'p') } }));
    const others = ['sub.example.com', 'example.com:443', 'example.com.evil.org', 'example.co', ''];
    for (const host of others) {
      assert.equal(findAuth(auths, host), undefined, host);
    }
  });

  it('guard docker-config-prefix: shows an account of a path to no other path of its host', () => {
    const auths = parseDockerConfig(
      config({
        'r.example.com/team-a': { auth: auth('a', 'p') },
        'r.example.com/team-b/': { auth: auth('b', 'p') },
        'https://r.example.com/team-b/inner/deep': { auth: auth('deep', 'p') },
      }),
    );
    assert.deepEqual(findAuth(auths, 'r.example.com', 'team-a/app'), basic('a', 'p'));
    assert.deepEqual(findAuth(auths, 'r.example.com', 'team-a'), basic('a', 'p'));
    assert.deepEqual(findAuth(auths, 'r.example.com', 'team-b/inner'), basic('b', 'p'));
    assert.deepEqual(findAuth(auths, 'r.example.com', 'team-b/inner/deep/app'), basic('deep', 'p'));
    for (const path of ['team-ab/app', 'team', 'other/team-a', '', undefined]) {
      assert.equal(findAuth(auths, 'r.example.com', path), undefined, path);
    }
    assert.equal(findAuth(auths, 'other.example.com', 'team-a/app'), undefined);
  });

  it('gives the longest prefix that matches, and the host’s own account elsewhere', () => {
    const auths = parseDockerConfig(
      config({
        'docker.io/org': { auth: auth('org', 'p') },
        'https://index.docker.io/v1/': { auth: auth('hub', 'p') },
      }),
    );
    for (const host of ['index.docker.io', 'docker.io', 'registry-1.docker.io']) {
      assert.deepEqual(findAuth(auths, host, 'org/app'), basic('org', 'p'));
      assert.deepEqual(findAuth(auths, host, 'library/app'), basic('hub', 'p'));
    }
  });

  it('guard docker-hub-names: gives what is for Docker Hub to no other host', () => {
    const auths = parseDockerConfig(config({ 'docker.io': { auth: auth('hub', 'p') } }));
    assert.deepEqual(findAuth(auths, 'index.docker.io'), basic('hub', 'p'));
    for (const host of ['ghcr.io', 'hub.docker.com', 'docker.example.com', '']) {
      assert.equal(findAuth(auths, host), undefined, host);
    }
  });

  it('guard credential-helpers: starts no program', () => {
    const helpers = [
      { credsStore: 'desktop' },
      { credHelpers: { 'gcr.io': 'gcloud' } },
      { credsStore: 'x', auths: {} },
    ];
    for (const rest of helpers) {
      thrown(() => parseDockerConfig(JSON.stringify(rest)), 'DOCKER_CONFIG_INVALID');
    }
    parseDockerConfig(JSON.stringify({ credsStore: '', credHelpers: {} }));
  });

  const malformed: readonly (readonly [string, string])[] = [
    ['no JSON', '{'],
    ['a list', '[]'],
    ['auths as a list', config([])],
    ['an entry as text', config({ 'a.io': 'x' })],
    ['auth as a number', config({ 'a.io': { auth: 1 } })],
    ['auth without a colon', config({ 'a.io': { auth: Buffer.from('user').toString('base64') } })],
    ['auth without a user', config({ 'a.io': { auth: auth('', 'p') } })],
    ['auth that is no base64', config({ 'a.io': { auth: 'ü' } })],
    ['a password without a user', config({ 'a.io': { password: 'p' } })],
  ];
  for (const [name, text] of malformed) {
    it(`refuses ${name}`, () => {
      thrown(() => parseDockerConfig(text), 'DOCKER_CONFIG_INVALID');
    });
  }

  it('gives back what any user and password were, and keeps them out of its faults', () => {
    const users = fc
      .string({ minLength: 1 })
      .filter((text) => !text.includes(':') && !text.includes('\0'));
    const passwords = fc.string().filter((text) => !text.includes('\0'));
    fc.assert(
      fc.property(users, passwords, (username, password) => {
        const auths = parseDockerConfig(config({ 'a.io': { auth: auth(username, password) } }));
        assert.deepEqual(findAuth(auths, 'a.io'), basic(username, password));
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const secret = 'dG9wc2VjcmV0';
        try {
          parseDockerConfig(config({ 'a.io': { auth: secret, registrytoken: value } }));
        } catch (error) {
          assert.ok(isFault(error, 'DOCKER_CONFIG_INVALID'));
          assert.ok(!error.message.includes(secret));
        }
      }),
    );
  });

  it('gives a config or a fault for any text', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
        try {
          parseDockerConfig(text);
        } catch (error) {
          assert.ok(isFault(error, 'DOCKER_CONFIG_INVALID'), String(error));
        }
      }),
    );
  });

  it('guard docker-config-age: reads the file again after 5 minutes', async (t) => {
    const path = await file(t, config({ 'a.io': { auth: auth('old', 'p') } }));
    let now = 0;
    const credentials = dockerConfig({ path, now: () => now });
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    await writeFile(path, config({ 'a.io': { auth: auth('new', 'p') } }));
    now = 5 * 60_000 - 1;
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    now = 5 * 60_000;
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('new', 'p'));
  });

  it('guard docker-config-refused: reads the file again after a refusal', async (t) => {
    const path = await file(t, config({ 'a.io': { auth: auth('old', 'p') } }));
    const credentials = dockerConfig({ path, now: () => 0 });
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    await writeFile(path, config({ 'a.io': { auth: auth('new', 'p') } }));
    credentials.refused('a.io');
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('new', 'p'));
  });

  it('tells that the file is missing, and finds it when it is there', async (t) => {
    const path = await file(t, '');
    await rm(path);
    const credentials = dockerConfig({ path });
    await rejection(credentials.credentialFor('a.io'), 'DOCKER_CONFIG_INVALID');
    await writeFile(path, config({}));
    assert.equal(await credentials.credentialFor('a.io'), undefined);
  });

  it('tells so too where another request is refused meanwhile', async (t) => {
    const path = await file(t, '');
    await rm(path);
    const credentials = dockerConfig({ path });
    const asked = credentials.credentialFor('a.io');
    credentials.refused('a.io');
    await rejection(asked, 'DOCKER_CONFIG_INVALID');
  });
});
