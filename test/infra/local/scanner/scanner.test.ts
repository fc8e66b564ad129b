import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';

import {
  startKubernetes,
  type LocalKubernetes,
} from '../../../../infra/local/kubernetes/kubernetes.ts';
import type { RepositoryStatus } from '../../../../infra/local/scanner/repository.ts';
import {
  startScanner,
  type Scanner,
  type ScannerOptions,
} from '../../../../infra/local/scanner/scanner.ts';
import { startCluster, type Cluster } from './cluster.ts';
import { serve, type TestServer } from './servers.ts';

interface RecordedEvent {
  readonly type: string;
  readonly object: {
    readonly metadata: {
      readonly generation: number;
      readonly finalizers?: readonly string[];
      readonly deletionTimestamp?: string;
      readonly managedFields?: readonly {
        readonly manager: string;
        readonly subresource?: string;
        readonly fieldsV1: object;
      }[];
    };
    readonly spec: object;
    readonly status: Record<string, unknown> & {
      readonly conditions?: readonly Record<string, unknown>[];
    };
  };
}

/** Tags by repository; what is not there is unknown. */
const tags = new Map([
  ['org/app', ['6.0.4', '6.1.0', '6.1.1', 'latest']],
  ['org/app2', ['6.0.4', '6.1.0', '6.1.1', '6.1.2', 'latest']],
]);

function startRegistry(port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const repository = /^\/v2\/(.+)\/tags\/list/.exec(request.url ?? '')?.[1];
    if (repository === undefined) {
      response.end('{}');
      return;
    }
    const found = tags.get(repository);
    response.statusCode = found === undefined ? 404 : 200;
    response.end(
      JSON.stringify(
        found === undefined
          ? {
              errors: [
                {
                  code: 'NAME_UNKNOWN',
                  message: 'repository name not known to registry',
                  detail: { name: repository },
                },
              ],
            }
          : { name: repository, tags: found },
      ),
    );
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () => {
      resolve(server);
    });
  });
}

function stopRegistry(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => {
      resolve();
    });
    server.closeAllConnections();
  });
}

/** The recording's events by scenario, without bookmarks. */
async function recordedScenarios(): Promise<ReadonlyMap<string, readonly RecordedEvent[]>> {
  const text = await readFile(new URL('../../../data/flux-watch.ndjson', import.meta.url), 'utf8');
  const scenarios = new Map<string, RecordedEvent[]>();
  let events: RecordedEvent[] = [];
  for (const line of text.trim().split('\n')) {
    const entry = JSON.parse(line) as RecordedEvent & { readonly scenario?: string };
    if (entry.scenario !== undefined) {
      events = [];
      scenarios.set(entry.scenario, events);
    } else if (entry.type !== 'BOOKMARK') {
      events.push(entry);
    }
  }
  return scenarios;
}

/** An event without what differs from run to run: times, ports and versions. */
function shapeOf({ type, object }: RecordedEvent, previous: RecordedEvent | undefined): object {
  const before = previous?.object.status ?? {};
  const { metadata, spec, status } = object;
  return JSON.parse(
    JSON.stringify({
      type,
      generation: metadata.generation,
      finalizers: metadata.finalizers,
      deleting: metadata.deletionTimestamp !== undefined,
      managers: metadata.managedFields
        ?.map(({ manager, subresource = '', fieldsV1 }) => ({ manager, subresource, fieldsV1 }))
        .sort((a, b) => (a.manager + a.subresource < b.manager + b.subresource ? -1 : 1)),
      spec,
      status: {
        ...status,
        conditions: status.conditions?.map((condition) => ({
          ...condition,
          kept:
            (before.conditions ?? []).find((each) => isSameState(each, condition))?.[
              'lastTransitionTime'
            ] === condition['lastTransitionTime'],
        })),
        moved: Object.keys(status)
          .filter((name) => JSON.stringify(status[name]) !== JSON.stringify(before[name]))
          .sort(),
      },
    })
      .replaceAll(/127\.0\.0\.1:\d+/g, 'REGISTRY')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'),
  ) as object;
}

function isSameState(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  return ['type', 'status', 'reason', 'message'].every((name) => a[name] === b[name]);
}

describe('the scanner over the Kubernetes stand-in', () => {
  let kubernetes: LocalKubernetes;
  let scanner: Scanner;
  let registry: Server;
  let port: number;
  let nowMs = Date.parse('2026-11-22T12:55:13Z');
  const seen: RecordedEvent[] = [];
  const abort = new AbortController();
  let recorded: ReadonlyMap<string, readonly RecordedEvent[]>;

  before(async () => {
    recorded = await recordedScenarios();
    registry = await startRegistry(0);
    ({ port } = registry.address() as AddressInfo);
    kubernetes = await startKubernetes({
      nowMs: () => {
        // Each look at the clock is a second later, so that every move of a time shows.
        nowMs += 1000;
        return nowMs;
      },
    });
    const response = await fetch(`${base()}?watch=1`, {
      headers: headers(),
      signal: abort.signal,
    });
    void readLines(response, (line) => {
      seen.push(JSON.parse(line) as RecordedEvent);
    });
    scanner = await startScanner({
      apiServer: kubernetes.url,
      token: kubernetes.adminToken,
      minRetryMs: 20,
      nowMs: () => (nowMs += 1000),
    });
  });
  after(async () => {
    abort.abort();
    await scanner.close();
    await stopRegistry(registry);
    await kubernetes.close();
  });

  function base(): string {
    return `${kubernetes.url}/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories`;
  }

  function headers(): Record<string, string> {
    return { authorization: `Bearer ${kubernetes.adminToken}` };
  }

  async function write(method: string, path: string, manager: string, body?: object) {
    const response = await fetch(`${base()}${path}?fieldManager=${manager}`, {
      method,
      headers: {
        ...headers(),
        'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    assert.ok(response.ok, await response.text());
  }

  async function until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
  }

  /** Runs a scenario and compares as many events as the recording has. */
  async function compare(
    name: string,
    act: () => Promise<void>,
    startOf = (before: number) => before,
  ): Promise<void> {
    const expected = recorded.get(name);
    assert.ok(expected !== undefined && expected.length > 0, name);
    const before = seen.length;
    await act();
    await until(() => seen.length > before);
    const start = startOf(before);
    await until(() => seen.length >= start + expected.length);
    const all = [...recorded.values()].flat();
    const first = all.indexOf(expected[0]!);
    for (const [index, event] of expected.entries()) {
      assert.deepEqual(
        shapeOf(seen[start + index]!, seen[start + index - 1]),
        shapeOf(event, all[first + index - 1]),
        `${name}, event ${index + 1}`,
      );
    }
  }

  it('does as Flux did in every recorded scenario', async () => {
    const patch = (spec: object) => write('PATCH', '/app', 'kubectl-patch', { spec });
    await compare('created', async () => {
      const spec = { image: `127.0.0.1:${port}/org/app`, insecure: true, interval: '10s' };
      const applied = JSON.stringify({
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageRepository',
        metadata: { annotations: {}, name: 'app', namespace: 'flux-system' },
        spec,
      });
      await write('POST', '', 'kubectl-client-side-apply', {
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageRepository',
        metadata: {
          name: 'app',
          annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `${applied}\n` },
        },
        spec,
      });
    });
    const scanNow = () => scanner.scanNow('flux-system', 'app');
    await compare('no-change scans', async () => {
      await scanNow();
      await scanNow();
    });
    await compare('one new tag 6.1.2', () => {
      tags.get('org/app')?.push('6.1.2');
      return scanNow();
    });
    await compare('tag latest moved to another digest', async () => {
      await scanNow();
      await scanNow();
    });
    await compare('requestedAt annotation', () =>
      write('PATCH', '/app', 'kubectl-annotate', {
        metadata: {
          annotations: { 'reconcile.fluxcd.io/requestedAt': '2026-11-22T12:56:05.303531456Z' },
        },
      }),
    );
    await compare('exclusionList changed', () => patch({ exclusionList: ['^latest$'] }));
    await compare('interval changed (spec edit without effect on tags)', async () => {
      await patch({ interval: '12s' });
      await until(() => seen.at(-1)?.object.status['observedGeneration'] === 3);
      await scanNow();
    });
    await compare('suspended', () => patch({ suspend: true }));
    await compare('resumed', () => {
      nowMs += 60_000;
      return patch({ suspend: false });
    });
    await compare('registry down, scan fails', async () => {
      await stopRegistry(registry);
      await assert.rejects(scanNow());
    });
    await compare(
      'registry back',
      async () => {
        registry = await startRegistry(port);
        await until(() => reasonOf(seen.at(-1)) === 'Succeeded');
        await scanNow();
      },
      // The failed scans before it are as many as there was time for.
      () => seen.findLastIndex((event) => isRetrying(event)) + 1,
    );
    await compare('image changed to one that does not exist', () =>
      patch({ image: `127.0.0.1:${port}/org/nope` }),
    );
    await compare('image changed to another repository with the same tags', () =>
      patch({ image: `127.0.0.1:${port}/org/app2` }),
    );
    await compare('invalid image', () => patch({ image: `https://127.0.0.1:${port}/org/app2` }));
    await compare('deleted', () => write('DELETE', '/app', 'kubectl'));
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

function reasonOf(event: RecordedEvent | undefined): unknown {
  return event?.object.status.conditions?.find(({ type }) => type === 'Ready')?.['reason'];
}

function isRetrying({ object }: RecordedEvent): boolean {
  return (object.status.conditions ?? []).some(({ reason }) => reason === 'ProgressingWithRetry');
}

async function readLines(response: Response, each: (line: string) => void): Promise<void> {
  let rest = '';
  const decoder = new TextDecoder();
  try {
    for await (const chunk of response.body! as AsyncIterable<Uint8Array>) {
      const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      lines.forEach(each);
    }
  } catch {
    // Aborted at the end of the test.
  }
}
