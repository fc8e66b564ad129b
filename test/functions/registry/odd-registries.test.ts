import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Credential, Credentials } from '../../../functions/auth/credential.ts';
import { basicHeader } from '../../../functions/registry/bearer.ts';
import { realmPerRepository } from './odd-registries.ts';
import { NEVER, open, registry } from './setting.ts';

const INDEX = {
  mediaType: 'application/vnd.oci.image.index.v1+json',
  bytes: Buffer.from('{"schemaVersion":2,"manifests":[]}'),
};

describe('registries as users have them', () => {
  it('reads repositories side by side whose realms differ', async (t) => {
    const behind = await registry(t);
    const paths = Array.from({ length: 6 }, (_, n) => `team-${n}/app`);
    const tags = Array.from({ length: 6 }, (_, n) => `v${n}`);
    for (const path of paths) {
      for (const tag of tags) behind.store.putManifest(path, INDEX, tag);
    }
    const at = await realmPerRepository(t, behind.host);
    const registries = open(t, [at.host]);
    for (let event = 0; event < 3; event += 1) {
      await Promise.all(
        paths.map(async (path) => {
          const one = registries.source({ host: at.host, path }, { insecure: true });
          assert.deepEqual((await one.listTags(NEVER))?.tags, tags);
          const read = await Promise.all(tags.map((tag) => one.getManifest(tag, NEVER)));
          assert.ok(read.every((manifest) => manifest !== undefined));
        }),
      );
    }
    // Each repository was asked for once: its own challenge and its own token, and no more.
    const tokens = at.seen.filter(({ url }) => url.startsWith('/token/'));
    const asked = new Set(tokens.map(({ url }) => url.split('?', 1)[0]));
    assert.equal(asked.size, paths.length);
  });

  it('shows each account to the realm of its own prefix alone', async (t) => {
    const behind = await registry(t);
    const accounts: Readonly<Record<string, Credential>> = {
      'team-a/app': { kind: 'basic', username: 'a', password: 'secret-a' },
      'team-b/app': { kind: 'basic', username: 'b', password: 'secret-b' },
    };
    for (const path of [...Object.keys(accounts), 'public/app']) {
      behind.store.putManifest(path, INDEX, 'v1');
    }
    const at = await realmPerRepository(t, behind.host, (path) => basicHeader(accounts[path]));
    const source: Credentials = {
      credentialFor: (_host, path = '') => Promise.resolve(accounts[path]),
      refused: () => undefined,
    };
    const registries = open(t, [at.host], { credentials: { source, destination: source } });
    await Promise.all(
      [...Object.keys(accounts), 'public/app'].map(async (path) => {
        const one = registries.source({ host: at.host, path }, { insecure: true });
        assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1'], path);
      }),
    );
    for (const { url, authorization = '' } of at.seen) {
      if (!authorization.startsWith('Basic ')) continue;
      const repository = url.slice('/token/'.length).split('?', 1)[0] ?? '';
      assert.equal(authorization, basicHeader(accounts[repository]), url);
    }
  });
});
