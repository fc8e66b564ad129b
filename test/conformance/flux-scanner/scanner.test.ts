import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import type { RepositoryStatus } from '../../stand-ins/flux-scanner/repository.ts';
import {
  startScanner,
  type Scanner,
  type ScannerOptions,
} from '../../stand-ins/flux-scanner/scanner.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { playRecordedScenarios } from './recorded-scenarios.ts';
import { serve, type TestServer } from './servers.ts';

describe('the scanner over the Kubernetes stand-in', () => {
  let kubernetes: LocalKubernetes;
  before(async () => {
    kubernetes = await startKubernetes();
  });
  after(() => kubernetes.close());

  it('does as Flux did in every recorded scenario', async () => {
    await playRecordedScenarios({ apiServer: kubernetes.url, token: kubernetes.adminToken });
  });
});

describe('the scanner', () => {
  let cluster: Cluster;
  let source: TestServer;
  let found = ['1.0.0'];
  before(async () => {
    cluster = await startCluster();
    source = await serve((_request, response) => response.end(JSON.stringify({ tags: found })));
  });
  after(async () => {
    await source.close();
    await cluster.close();
  });

  function start(options: Partial<ScannerOptions> = {}): Promise<Scanner> {
    const { kubernetes } = cluster;
    return startScanner({ apiServer: kubernetes.url, token: kubernetes.adminToken, ...options });
  }

  function statusOf(name: string): RepositoryStatus | undefined {
    return cluster.kubernetes.get('flux-system', name)?.['status'] as RepositoryStatus | undefined;
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  it('scans what was there before it and what comes later', async () => {
    cluster.create('before', `${source.host}/org/before`);
    const scanner = await start();
    try {
      cluster.create('later', `${source.host}/org/later`);
      await until(() => ['before', 'later'].every((name) => statusOf(name)?.lastScanResult));
    } finally {
      await scanner.close();
    }
  });

  it('scans again when the interval is over', async () => {
    cluster.create('often', `${source.host}/org/often`, { interval: '20ms' });
    const scanner = await start();
    try {
      await until(() => statusOf('often')?.lastScanResult !== undefined);
      found = ['1.0.0', '1.1.0'];
      await until(() => statusOf('often')?.lastScanResult?.tagCount === 2);
    } finally {
      await scanner.close();
    }
  });

  it('waits with scanNow until the status is written, and fails where the scan does', async () => {
    cluster.create('now', `${source.host}/org/now`);
    const scanner = await start({ minRetryMs: 60_000 });
    try {
      await scanner.scanNow('flux-system', 'now');
      found = ['1.0.0', '1.1.0', '1.2.0'];
      await scanner.scanNow('flux-system', 'now');
      assert.equal(statusOf('now')?.lastScanResult?.tagCount, 3);
      cluster.create('broken', `${source.host}/org/broken`, { exclusionList: ['['] });
      await assert.rejects(scanner.scanNow('flux-system', 'broken'), Error);
      await assert.rejects(scanner.scanNow('flux-system', 'none'), Error);
    } finally {
      await scanner.close();
    }
  });

  it('looks after one namespace where it is told to', async () => {
    cluster.create('elsewhere', `${source.host}/org/elsewhere`);
    const version = cluster.kubernetes.get('flux-system', 'elsewhere')?.metadata.resourceVersion;
    const scanner = await start({ namespace: 'default' });
    await scanner.close();
    const after = cluster.kubernetes.get('flux-system', 'elsewhere')?.metadata.resourceVersion;
    assert.equal(after, version);
  });

  it('survives closed watches, an expired version and a restart of the API server', async () => {
    const { faults } = cluster.kubernetes;
    const failures: string[] = [];
    const scanner = await start({
      onOutcome: (key) => {
        if (key === '') failures.push(key);
      },
    });
    try {
      const disturbances: Readonly<Record<string, () => void | Promise<void>>> = {
        ended: () => {
          faults.dropWatches('end');
        },
        cut: () => {
          faults.dropWatches('cut');
        },
        expired: () => {
          faults.expireWatches();
        },
        restarted: async () => {
          await faults.halt();
          await faults.resume('forget');
        },
      };
      for (const [name, disturb] of Object.entries(disturbances)) {
        await until(() => cluster.kubernetes.openWatches > 0);
        await disturb();
        cluster.create(name, `${source.host}/org/${name}`);
        await until(() => statusOf(name)?.lastScanResult !== undefined);
      }
      assert.ok(failures.length > 0);
    } finally {
      await scanner.close();
    }
  });
});
