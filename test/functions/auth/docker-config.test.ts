import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import fc from 'fast-check';

import { openDockerConfig, type DockerConfig } from '../../../functions/auth/docker-config.ts';
import { isMirrorError } from '../../../functions/errors.ts';
import { rejection } from '../../faults.ts';

function auth(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString('base64');
}

function basic(username: string, password: string): unknown {
  return { kind: 'basic', username, password };
}

function config(auths: unknown, rest: object = {}): string {
  return JSON.stringify({ auths, ...rest });
}

const folder = mkdtempSync(join(tmpdir(), 'docker-config-'));
after(() => {
  rmSync(folder, { recursive: true });
});
let files = 0;

/** The path of a file of this text. */
async function file(text: string): Promise<string> {
  const path = join(folder, `${(files += 1)}.json`);
  await writeFile(path, text);
  return path;
}

/** A file of this text, opened. */
async function opened(text: string): Promise<DockerConfig> {
  return openDockerConfig({ path: await file(text) });
}

/** What the first question to a file of this text does. */
async function asked(text: string): Promise<unknown> {
  return (await opened(text)).credentialFor('a.io');
}

describe('docker config', () => {
  it('reads user and password from either form, and tokens', async () => {
    const auths = await opened(
      config({
        'ghcr.io': { auth: auth('u', 'p:with:colons') },
        'quay.io': { username: 'q', password: 'secret' },
        'reg.example.com:5000': { identitytoken: 'refresh', auth: auth('u', '') },
        'token.example.com': { registrytoken: 'bearer' },
        'empty.example.com': {},
      }),
    );
    assert.deepEqual(await auths.credentialFor('ghcr.io'), basic('u', 'p:with:colons'));
    assert.deepEqual(await auths.credentialFor('quay.io'), basic('q', 'secret'));
    assert.deepEqual(await auths.credentialFor('reg.example.com:5000'), {
      kind: 'identity',
      token: 'refresh',
    });
    assert.deepEqual(await auths.credentialFor('token.example.com'), {
      kind: 'registry',
      token: 'bearer',
    });
    assert.equal(await auths.credentialFor('empty.example.com'), undefined);
  });

  it('reads keys that are URLs, and Docker Hub under each of its names', async () => {
    const auths = await opened(
      config({
        'https://index.docker.io/v1/': { auth: auth('hub', 'x') },
        'HTTPS.example.com/v2/': { auth: auth('e', 'y') },
      }),
    );
    for (const host of ['index.docker.io', 'docker.io', 'registry-1.docker.io']) {
      assert.deepEqual(await auths.credentialFor(host), basic('hub', 'x'));
    }
    assert.deepEqual(await auths.credentialFor('https.example.com'), basic('e', 'y'));
  });

  it('guard docker-config-host: matches hosts exactly', async () => {
    const auths = await opened(config({ 'example.com': { auth: auth('u', 'p') } }));
    const others = ['sub.example.com', 'example.com:443', 'example.com.evil.org', 'example.co', ''];
    for (const host of others) {
      assert.equal(await auths.credentialFor(host), undefined, host);
    }
  });

  it('guard docker-config-prefix: shows an account of a path to no other path of its host', async () => {
    const auths = await opened(
      config({
        'r.example.com/team-a': { auth: auth('a', 'p') },
        'r.example.com/team-b/': { auth: auth('b', 'p') },
        'https://r.example.com/team-b/inner/deep': { auth: auth('deep', 'p') },
      }),
    );
    assert.deepEqual(await auths.credentialFor('r.example.com', 'team-a/app'), basic('a', 'p'));
    assert.deepEqual(await auths.credentialFor('r.example.com', 'team-a'), basic('a', 'p'));
    assert.deepEqual(await auths.credentialFor('r.example.com', 'team-b/inner'), basic('b', 'p'));
    assert.deepEqual(
      await auths.credentialFor('r.example.com', 'team-b/inner/deep/app'),
      basic('deep', 'p'),
    );
    for (const path of ['team-ab/app', 'team', 'other/team-a', '', undefined]) {
      assert.equal(await auths.credentialFor('r.example.com', path), undefined, path);
    }
    assert.equal(await auths.credentialFor('other.example.com', 'team-a/app'), undefined);
  });

  it('gives the longest prefix that matches, and the host’s own account elsewhere', async () => {
    const auths = await opened(
      config({
        'docker.io/org': { auth: auth('org', 'p') },
        'https://index.docker.io/v1/': { auth: auth('hub', 'p') },
      }),
    );
    for (const host of ['index.docker.io', 'docker.io', 'registry-1.docker.io']) {
      assert.deepEqual(await auths.credentialFor(host, 'org/app'), basic('org', 'p'));
      assert.deepEqual(await auths.credentialFor(host, 'library/app'), basic('hub', 'p'));
    }
  });

  it('prefers the plain host to a URL of it, whichever comes first', async () => {
    const entries = ['a.io', 'https://a.io'].map((key) => [key, { auth: auth(key, 'p') }] as const);
    for (const auths of [entries, entries.toReversed()]) {
      const one = await opened(config(Object.fromEntries(auths)));
      assert.deepEqual(await one.credentialFor('a.io'), basic('a.io', 'p'));
    }
  });

  it('takes a version for a part of a path where more follows it', async () => {
    const auths = await opened(config({ 'a.io/v1/app': { auth: auth('u', 'p') } }));
    assert.deepEqual(await auths.credentialFor('a.io', 'v1/app'), basic('u', 'p'));
    assert.equal(await auths.credentialFor('a.io', 'other'), undefined);
  });

  it('reads a file of 1 MiB, and none that is larger', async () => {
    const text = config({}).padEnd(1024 * 1024);
    assert.equal(await asked(text), undefined);
    await rejection(asked(`${text} `), 'DOCKER_CONFIG_INVALID');
  });

  it('guard docker-hub-names: gives what is for Docker Hub to no other host', async () => {
    const auths = await opened(config({ 'docker.io': { auth: auth('hub', 'p') } }));
    assert.deepEqual(await auths.credentialFor('index.docker.io'), basic('hub', 'p'));
    for (const host of ['ghcr.io', 'hub.docker.com', 'docker.example.com', '']) {
      assert.equal(await auths.credentialFor(host), undefined, host);
    }
  });

  it('guard credential-helpers: starts no program', async () => {
    const helpers = [
      { credsStore: 'desktop' },
      { credHelpers: { 'gcr.io': 'gcloud' } },
      { credsStore: 'x', auths: {} },
    ];
    for (const rest of helpers) {
      await rejection(asked(JSON.stringify(rest)), 'DOCKER_CONFIG_INVALID');
    }
    for (const none of ['', null])
      await asked(JSON.stringify({ credsStore: none, credHelpers: {} }));
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
    it(`refuses ${name}`, async () => {
      await rejection(asked(text), 'DOCKER_CONFIG_INVALID');
    });
  }

  it('gives back what any user and password were, and keeps them out of its faults', async () => {
    const users = fc
      .string({ minLength: 1 })
      .filter((text) => !text.includes(':') && !text.includes('\0'));
    const passwords = fc.string().filter((text) => !text.includes('\0'));
    await fc.assert(
      fc.asyncProperty(users, passwords, async (username, password) => {
        const auths = await opened(config({ 'a.io': { auth: auth(username, password) } }));
        assert.deepEqual(await auths.credentialFor('a.io'), basic(username, password));
      }),
    );
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const secret = 'dG9wc2VjcmV0';
        try {
          await asked(config({ 'a.io': { auth: secret, registrytoken: value } }));
        } catch (error) {
          assert.ok(isMirrorError(error, 'DOCKER_CONFIG_INVALID'));
          assert.ok(!error.message.includes(secret));
        }
      }),
    );
  });

  it('gives a config or a fault for any text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), fc.json()), async (text) => {
        try {
          await asked(text);
        } catch (error) {
          assert.ok(isMirrorError(error, 'DOCKER_CONFIG_INVALID'), String(error));
        }
      }),
    );
  });

  it('guard docker-config-age: reads the file again after 5 minutes', async () => {
    const path = await file(config({ 'a.io': { auth: auth('old', 'p') } }));
    let now = 0;
    const credentials = openDockerConfig({ path, now: () => now });
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    await writeFile(path, config({ 'a.io': { auth: auth('new', 'p') } }));
    now = 5 * 60_000 - 1;
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    now = 5 * 60_000;
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('new', 'p'));
  });

  it('guard docker-config-refused: reads the file again after a refusal', async () => {
    const path = await file(config({ 'a.io': { auth: auth('old', 'p') } }));
    const credentials = openDockerConfig({ path, now: () => 0 });
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('old', 'p'));
    await writeFile(path, config({ 'a.io': { auth: auth('new', 'p') } }));
    credentials.reread();
    assert.deepEqual(await credentials.credentialFor('a.io'), basic('new', 'p'));
  });

  it('tells that the file is missing, and finds it when it is there', async () => {
    const path = await file('');
    await rm(path);
    const credentials = openDockerConfig({ path });
    await rejection(credentials.credentialFor('a.io'), 'DOCKER_CONFIG_INVALID');
    await writeFile(path, config({}));
    assert.equal(await credentials.credentialFor('a.io'), undefined);
  });

  it('tells so too where another request is refused meanwhile', async () => {
    const path = await file('');
    await rm(path);
    const credentials = openDockerConfig({ path });
    const early = credentials.credentialFor('a.io');
    credentials.reread();
    await rejection(early, 'DOCKER_CONFIG_INVALID');
  });
});
