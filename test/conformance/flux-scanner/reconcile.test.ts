import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { reconcile, type Outcome } from '../../stand-ins/flux-scanner/reconcile.ts';
import { REQUESTED_AT, type Repository } from '../../stand-ins/flux-scanner/repository.ts';
import type { TagStorage } from '../../stand-ins/flux-scanner/revision.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { serve, type TestServer } from './servers.ts';

const START_MS = Date.parse('2026-01-01T00:00:00Z');

describe('reconciling an ImageRepository', () => {
  let cluster: Cluster;
  let registry: TestServer;
  const tags = ['1.0.0', '1.1.0', 'x.sig'];
  const database = new Map<string, readonly string[]>();
  before(async () => {
    cluster = await startCluster();
    registry = await serve((request, response) => {
      const path = request.url ?? '';
      if (path.includes('/none/')) response.writeHead(404).end('{}');
      else response.end(JSON.stringify(path.includes('/empty/') ? { tags: null } : { tags }));
    });
  });
  after(async () => {
    await registry.close();
    await cluster.close();
  });

  async function read(name: string): Promise<Repository> {
    const repository = await cluster.api.get('flux-system', name);
    assert.ok(repository !== undefined);
    return repository;
  }

  async function run(
    name: string,
    options: { nowMs?: number; forced?: boolean; storage?: TagStorage } = {},
  ): Promise<Outcome> {
    const { nowMs = START_MS, forced = false, storage = 'badger' } = options;
    return reconcile(
      {
        api: cluster.api,
        storage,
        database,
        nowMs: () => nowMs,
        signal: new AbortController().signal,
      },
      await read(name),
      forced,
    );
  }

  /** Makes an object and takes it through the first step, the finalizer. */
  async function make(name: string, path: string, spec: object = {}): Promise<void> {
    cluster.create(name, `${registry.host}/org/${path}`, { insecure: true, ...spec });
    assert.deepEqual(await run(name), { kind: 'again' });
    assert.deepEqual((await read(name)).metadata.finalizers, ['finalizers.fluxcd.io']);
  }

  function conditionsOf({ status }: Repository): readonly (readonly string[])[] {
    return (status?.conditions ?? []).map((each) => [each.type, each.status, each.reason]);
  }

  it('scans, excludes and writes what it found', async () => {
    await make('ok', 'ok');
    assert.deepEqual(await run('ok'), { kind: 'done', afterMs: 600_000 });
    const ok = await read('ok');
    assert.deepEqual(conditionsOf(ok), [['Ready', 'True', 'Succeeded']]);
    assert.equal(ok.status?.canonicalImageName, `${registry.host}/org/ok`);
    assert.deepEqual(ok.status.lastScanResult, {
      latestTags: ['1.1.0', '1.0.0'],
      revision: '495453000',
      scanTime: '2026-01-01T00:00:00Z',
      tagCount: 2,
    });
    assert.equal(ok.status.observedGeneration, 1);
  });

  it('does not scan before it is due, unless it must', async () => {
    await make('due', 'due');
    await run('due');
    const asked = registry.requests.length;
    assert.deepEqual(await run('due', { nowMs: START_MS + 60_000 }), {
      kind: 'done',
      afterMs: 540_000,
    });
    assert.equal(registry.requests.length, asked);
    await run('due', { nowMs: START_MS + 60_000, forced: true });
    assert.equal((await read('due')).status?.lastScanResult?.scanTime, '2026-01-01T00:01:00Z');
  });

  it('writes the other form of the revision', async () => {
    await make('files', 'files');
    await run('files', { storage: 'files' });
    const { status } = await read('files');
    assert.match(status?.lastScanResult?.revision ?? '', /^sha256:[0-9a-f]{64}$/);
  });

  it('finds no tags', async () => {
    await make('empty', 'empty');
    await run('empty');
    const result = { revision: '18153657', scanTime: '2026-01-01T00:00:00Z', tagCount: 0 };
    assert.deepEqual((await read('empty')).status?.lastScanResult, result);
  });

  it('passes through Unknown where it remembers no tags', async () => {
    await make('restarted', 'restarted');
    await run('restarted');
    database.delete(`${registry.host}/org/restarted`);
    const version = cluster.kubernetes.resourceVersion;
    await run('restarted', { nowMs: START_MS + 60_000 });
    const messages: string[] = [];
    const { signal } = new AbortController();
    for await (const { object } of cluster.api.watch('flux-system', String(version), signal)) {
      const ready = object.status?.conditions?.find(({ type }) => type === 'Ready');
      messages.push(`${ready?.status ?? ''} ${ready?.message ?? ''}`);
      if (messages.length === 3) break;
    }
    assert.deepEqual(messages, [
      'Unknown scanning: no tags in database',
      'True successful scan: found 2 tags with checksum 495453000',
      'True successful scan: found 2 tags with checksum 495453000',
    ]);
  });

  it('keeps the old result when a scan fails', async () => {
    await make('failing', 'ok');
    await run('failing');
    const { status: before, ...object } = await read('failing');
    await cluster.api.patch(object, 'main', { spec: { image: `${registry.host}/org/none` } });
    const outcome = await run('failing');
    assert.equal(outcome.kind, 'failed');
    const failing = await read('failing');
    assert.deepEqual(conditionsOf(failing), [
      ['Reconciling', 'True', 'ProgressingWithRetry'],
      ['Ready', 'False', 'ReadOperationFailed'],
    ]);
    assert.deepEqual(failing.status?.lastScanResult, before?.lastScanResult);
    assert.equal(failing.status?.canonicalImageName, `${registry.host}/org/ok`);
    assert.deepEqual([failing.metadata.generation, failing.status.observedGeneration], [2, 1]);
  });

  for (const [name, spec, reason] of [
    ['pattern', { exclusionList: ['['] }, 'ReadOperationFailed'],
    ['secret', { secretRef: { name: 'none' } }, 'AuthenticationFailed'],
    ['cloud', { provider: 'gcp' }, 'AuthenticationFailed'],
  ] as const) {
    it(`retries a bad ${name}`, async () => {
      await make(name, 'ok', spec);
      assert.equal((await run(name)).kind, 'failed');
      assert.deepEqual(conditionsOf(await read(name)), [
        ['Reconciling', 'True', 'ProgressingWithRetry'],
        ['Ready', 'False', reason],
      ]);
    });
  }

  it('gives up on a bad image until it is mended', async () => {
    await make('bad', 'ok', { image: 'https://ghcr.io/org/app' });
    assert.deepEqual(await run('bad'), { kind: 'done' });
    const bad = await read('bad');
    assert.deepEqual(conditionsOf(bad), [
      ['Stalled', 'True', 'ImageURLInvalid'],
      ['Ready', 'False', 'ImageURLInvalid'],
    ]);
    assert.equal(bad.status?.observedGeneration, 1);
    await cluster.api.patch(bad, 'main', { spec: { image: `${registry.host}/org/ok` } });
    await run('bad');
    assert.deepEqual(conditionsOf(await read('bad')), [['Ready', 'True', 'Succeeded']]);
  });

  it('only notes requests and generations while it is suspended', async () => {
    await make('suspended', 'ok');
    await run('suspended');
    const before = await read('suspended');
    await cluster.api.patch(before, 'main', {
      spec: { suspend: true },
      metadata: { annotations: { [REQUESTED_AT]: 'now' } },
    });
    const asked = registry.requests.length;
    assert.deepEqual(await run('suspended'), { kind: 'done' });
    const { status } = await read('suspended');
    assert.equal(registry.requests.length, asked);
    assert.deepEqual([status?.observedGeneration, status?.lastHandledReconcileAt], [2, 'now']);
    assert.deepEqual(status?.lastScanResult, before.status?.lastScanResult);
  });

  it('lets go of what is being deleted', async () => {
    await make('deleted', 'ok');
    const options = {
      method: 'DELETE',
      headers: { authorization: `Bearer ${cluster.kubernetes.adminToken}` },
    };
    const path =
      '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories/deleted';
    assert.equal((await fetch(cluster.kubernetes.url + path, options)).status, 200);
    assert.deepEqual(await run('deleted'), { kind: 'done' });
    assert.equal(await cluster.api.get('flux-system', 'deleted'), undefined);
  });
});
