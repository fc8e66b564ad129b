import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { recordedScenarios } from '../bridge/recorded-stream.ts';
import { startScanner } from '../stand-ins/flux-scanner/scanner.ts';
import {
  askKubeApi,
  watchKubeApi,
  type KubeAccess,
  type KubeMethod,
} from '../stand-ins/kubernetes/client.ts';
import { until } from '../until.ts';

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

/** A plain registry with these tags by repository; what is not there is unknown. */
function startRegistry(
  port: number,
  tags: ReadonlyMap<string, readonly string[]>,
): Promise<Server> {
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
        ?.map(({ manager, subresource = '' }) => `${manager} ${subresource}`)
        .sort(),
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
      // Seconds in the recording; minutes here, so that no scan is due by itself.
      .replaceAll(/"interval":"(\d+)[sm]"/g, '"interval":"$1m"')
      .replaceAll(/127\.0\.0\.1:\d+/g, 'REGISTRY')
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME'),
  ) as object;
}

function isSameState(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  return ['type', 'status', 'reason', 'message'].every((name) => a[name] === b[name]);
}

/**
 * Lets a scanner go through every scenario of the recorded stream against an API server with the
 * namespace flux-system, and compares every watch event with what Flux made of it.
 */
export async function playRecordedScenarios(access: KubeAccess): Promise<void> {
  const recorded = new Map(
    recordedScenarios().map(({ name, events }) => [name, events as readonly RecordedEvent[]]),
  );
  const first = ['6.0.4', '6.1.0', '6.1.1', 'latest'];
  const tags = new Map([
    ['org/app', first],
    ['org/app2', [...first, '6.1.2']],
  ]);
  let registry = await startRegistry(0, tags);
  const { port } = registry.address() as AddressInfo;
  const ending = new AbortController();
  // Each look at the clock is a second later, so that every move of a time shows.
  let nowMs = Date.parse('2026-11-22T12:55:13Z');
  // No retry comes by itself: how many of them fit before the next step would be a matter of speed.
  const scanner = await startScanner({
    ...access,
    minRetryMs: 10 * 60_000,
    nowMs: () => (nowMs += 1000),
  });
  const seen: RecordedEvent[] = [];
  const { metadata } = (await askKubeApi(access, 'GET', collection)).body as {
    readonly metadata: { readonly resourceVersion: string };
  };
  const watching = follow(access, metadata.resourceVersion, seen, ending.signal);

  /** Runs a scenario and compares as many events as the recording has. */
  async function compare(name: string, act: () => Promise<void>): Promise<void> {
    const expected = recorded.get(name);
    assert.ok(expected !== undefined && expected.length > 0, name);
    const start = seen.length;
    await act();
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

  try {
    const patch = (spec: object) => write(access, 'PATCH', '/app', 'kubectl-patch', { spec });
    await compare('created', async () => {
      const spec = { image: `127.0.0.1:${port}/org/app`, insecure: true, interval: '10m' };
      const applied = JSON.stringify({
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageRepository',
        metadata: { annotations: {}, name: 'app', namespace: 'flux-system' },
        spec,
      });
      await write(access, 'POST', '', 'kubectl-client-side-apply', {
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
      write(access, 'PATCH', '/app', 'kubectl-annotate', {
        metadata: {
          annotations: { 'reconcile.fluxcd.io/requestedAt': '2026-11-22T12:56:05.303531456Z' },
        },
      }),
    );
    await compare('exclusionList changed', () => patch({ exclusionList: ['^latest$'] }));
    await compare('interval changed (spec edit without effect on tags)', async () => {
      await patch({ interval: '12m' });
      await until(() => seen.at(-1)?.object.status['observedGeneration'] === 3);
      await scanNow();
    });
    await compare('suspended', () => patch({ suspend: true }));
    await compare('resumed', () => {
      nowMs += 3_600_000;
      return patch({ suspend: false });
    });
    await compare('registry down, scan fails', async () => {
      await stopRegistry(registry);
      for (let scan = 1; scan <= 4; scan += 1) {
        await assert.rejects(scanNow(), /connection refused/);
      }
    });
    await compare('registry back', async () => {
      registry = await startRegistry(port, tags);
      await scanNow();
      await scanNow();
    });
    await compare('image changed to one that does not exist', async () => {
      await patch({ image: `127.0.0.1:${port}/org/nope` });
      await until(() => isRetrying(seen.at(-1)));
      for (let scan = 2; scan <= 4; scan += 1) {
        await assert.rejects(scanNow(), /repository name not known/);
      }
    });
    await compare('image changed to another repository with the same tags', () =>
      patch({ image: `127.0.0.1:${port}/org/app2` }),
    );
    await compare('invalid image', () => patch({ image: `https://127.0.0.1:${port}/org/app2` }));
    await compare('deleted', () => write(access, 'DELETE', '/app', 'kubectl'));
  } finally {
    ending.abort();
    await scanner.close();
    await stopRegistry(registry);
    await watching;
  }
}

function isRetrying(event: RecordedEvent | undefined): boolean {
  const conditions = event?.object.status.conditions ?? [];
  return conditions.some(({ reason }) => reason === 'ProgressingWithRetry');
}

const collection = '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories';

async function write(
  access: KubeAccess,
  method: KubeMethod,
  path: string,
  manager: string,
  body?: object,
): Promise<void> {
  const target = `${collection}${path}?fieldManager=${manager}`;
  const answer = await askKubeApi(access, method, target, body);
  assert.ok(answer.status < 300, JSON.stringify(answer.body));
}

/** Reads a watch of all changes into `seen` until the signal. */
async function follow(
  access: KubeAccess,
  from: string,
  seen: RecordedEvent[],
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of watchKubeApi(
      access,
      `${collection}?watch=1&resourceVersion=${from}`,
      signal,
    )) {
      seen.push(event as unknown as RecordedEvent);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
