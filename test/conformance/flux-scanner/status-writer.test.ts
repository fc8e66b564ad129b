import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import type { Condition } from '../../stand-ins/flux-scanner/repository.ts';
import { StatusWriter } from '../../stand-ins/flux-scanner/status-writer.ts';
import { startCluster, type Cluster } from './cluster.ts';

const ready: Condition = {
  type: 'Ready',
  status: 'True',
  reason: 'Succeeded',
  message: 'found',
  lastTransitionTime: '2026-01-01T00:00:00Z',
};
const result = { tagCount: 1, revision: 'r', scanTime: '2026-01-01T00:00:00Z', latestTags: ['a'] };

describe('the status writer', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster();
  });
  after(() => cluster.close());

  async function writerOf(name: string): Promise<StatusWriter> {
    cluster.create(name, 'ghcr.io/org/app');
    const repository = await cluster.api.get('flux-system', name);
    assert.ok(repository !== undefined);
    return new StatusWriter(cluster.api, repository);
  }

  function patches(): number {
    return cluster.kubernetes.requests.filter(({ verb }) => verb === 'patch').length;
  }

  it('writes conditions and the rest apart, and nothing twice', async () => {
    const writer = await writerOf('apart');
    await writer.writeConditions([ready]);
    assert.equal(writer.repository.status?.lastScanResult, undefined);
    await writer.writeRest({ lastScanResult: result, observedGeneration: 1 });
    assert.deepEqual(writer.repository.status, {
      conditions: [ready],
      lastScanResult: result,
      observedGeneration: 1,
    });
    const before = patches();
    await writer.writeConditions([{ ...ready }]);
    await writer.writeRest({ lastScanResult: { ...result }, observedGeneration: 1 });
    assert.equal(patches(), before);
  });

  it('removes the latest tags when there are none any more', async () => {
    const writer = await writerOf('emptied');
    await writer.writeRest({ lastScanResult: result });
    const { latestTags: _latestTags, ...rest } = result;
    const empty = { ...rest, tagCount: 0 };
    await writer.writeRest({ lastScanResult: empty });
    assert.deepEqual(writer.repository.status?.lastScanResult, empty);
  });

  it('leaves alone what it is not told of', async () => {
    const writer = await writerOf('kept');
    await writer.writeRest({ canonicalImageName: 'ghcr.io/org/app' });
    await writer.writeRest({ observedGeneration: 1 });
    assert.equal(writer.repository.status?.canonicalImageName, 'ghcr.io/org/app');
  });
});
