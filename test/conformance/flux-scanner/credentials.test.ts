import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { secrets } from '../../stand-ins/kubernetes/resource.ts';
import { credentialsOf } from '../../stand-ins/flux-scanner/credentials.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { scanned } from './repositories.ts';

describe('the credentials for a registry', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster();
    const auth = Buffer.from('user:pass:word').toString('base64');
    const config = {
      auths: { 'ghcr.io': { auth }, 'https://quay.io': { username: 'q', password: 'p' } },
    };
    for (const [name, data] of [
      ['pull', { '.dockerconfigjson': Buffer.from(JSON.stringify(config)).toString('base64') }],
      ['other', { token: 'eA==' }],
    ] as const) {
      cluster.kubernetes.put(
        {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: {
            name,
            namespace: 'flux-system',
            uid: name,
            resourceVersion: '',
            creationTimestamp: '2026-01-01T00:00:00Z',
          },
          data,
        },
        secrets,
      );
    }
  });
  after(() => cluster.close());

  function of(registry: string, secret?: string): ReturnType<typeof credentialsOf> {
    const spec = secret === undefined ? {} : { secretRef: { name: secret } };
    return credentialsOf(scanned({ spec }), registry, cluster.api);
  }

  it('are none where none are named', async () => {
    assert.equal(await of('ghcr.io'), undefined);
    assert.equal(await of('docker.io', 'pull'), undefined);
  });

  it('are those of the Secret for this host', async () => {
    assert.deepEqual(await of('ghcr.io', 'pull'), { username: 'user', password: 'pass:word' });
    assert.deepEqual(await of('quay.io', 'pull'), { username: 'q', password: 'p' });
  });

  it('fail for a Secret that is missing or of another kind, and for a cloud login', async () => {
    await assert.rejects(of('ghcr.io', 'none'), {
      message: 'failed to configure authentication options: secrets "none" not found',
    });
    await assert.rejects(of('ghcr.io', 'other'), Error);
    await assert.rejects(
      credentialsOf(scanned({ spec: { provider: 'gcp' } }), 'ghcr.io', cluster.api),
      Error,
    );
  });
});
