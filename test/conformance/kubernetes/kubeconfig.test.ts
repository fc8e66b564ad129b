import assert from 'node:assert/strict';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { KubeConfig } from '@kubernetes/client-node';

import { writeKubeconfig } from '../../stand-ins/kubernetes/kubeconfig.ts';

describe('a kubeconfig file', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('is read by the real client and by its owner only', async () => {
    const path = join(folder, 'https');
    const server = 'https://127.0.0.1:1';
    await writeKubeconfig(path, {
      server,
      token: 'secret',
      certificateAuthority: 'PEM',
      user: 'u',
    });
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const config = new KubeConfig();
    config.loadFromFile(path);
    assert.deepEqual(
      [config.getCurrentCluster()?.server, config.getCurrentUser()?.token],
      [server, 'secret'],
    );
    assert.equal(Buffer.from(config.getCurrentCluster()?.caData ?? '', 'base64').toString(), 'PEM');
    assert.equal(config.getCurrentCluster()?.skipTLSVerify, false);
  });

  it('says that http is meant', async () => {
    const path = join(folder, 'http');
    await writeKubeconfig(path, { server: 'http://127.0.0.1:1', token: 'secret' });
    const config = new KubeConfig();
    config.loadFromFile(path);
    assert.equal(config.getCurrentCluster()?.skipTLSVerify, true);
  });
});
