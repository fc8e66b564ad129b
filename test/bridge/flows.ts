import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';

import type { BridgeParts } from '../../bridge/bridge.ts';
import { connectApiServer } from '../../bridge/kubernetes/api-server.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import type { Cluster } from './cluster.ts';
import { kubeconfigThrough, serverOf, startTcpProxy } from '../tcp-proxy.ts';
import {
  aWhile,
  eventually,
  startBroker,
  startRunning,
  type Broker,
  type RunningBridge,
} from './stand-ins.ts';

/** Longer than a busy machine keeps a replica from renewing. */
const ELECTION = [
  '--enable-leader-election',
  '--leader-election-lease-duration=20s',
  '--leader-election-renew-deadline=16s',
  '--leader-election-retry-period=100ms',
];
const LEASE = 'imagerepo-mirror-leader-election';

/** What the bridge does at any Kubernetes API server: the stand-in's and a real one's. */
export function bridgeFlows(
  title: string,
  skip: string | false,
  startCluster: () => Promise<Cluster>,
): void {
  describe(title, { skip }, () => {
    let cluster: Cluster;
    let broker: Broker;
    let running: RunningBridge[] = [];
    /** Names of objects are never used twice, so that tests do not meet each other's. */
    let sequence = 0;
    before(async () => {
      cluster = await startCluster();
      broker = await startBroker();
    });
    after(async () => {
      await broker.close();
      await cluster.close();
    });
    afterEach(async () => {
      for (const each of running) await each.stop();
      running = [];
    });

    const fresh = (): string => `app-${(sequence += 1)}`;

    async function start(
      args: readonly string[] = [],
      kubeconfig = cluster.kubeconfig,
      parts: Partial<BridgeParts> = {},
    ): Promise<RunningBridge> {
      const started = await startRunning(connectApiServer(kubeconfig), args, {
        // Slow enough for a real API server to come back between two tries.
        backoff: { minMs: 50, maxMs: 500 },
        ...parts,
      });
      running.push(started);
      return started;
    }

    /** `reason@revision` of what was published of an object, in both lanes. */
    function published(name: string): readonly string[] {
      const ofObject = ({ data }: MirrorEvent): boolean => data.imageRepository.name === name;
      return [...broker.events('bulk'), ...broker.events('events')]
        .filter(ofObject)
        .map(({ data }) => `${data.reason}@${data.revision}`);
    }

    async function until(name: string, expected: readonly string[]): Promise<void> {
      await eventually(
        `${expected.join()} of ${name}`,
        () => published(name).length >= expected.length,
      );
      assert.deepEqual(published(name), expected);
    }

    it('publishes on start, and then what changes, and nothing else', async () => {
      const [name, later] = [fresh(), fresh()];
      await cluster.put(name, { revision: '1' });
      await start();
      await until(name, ['initial@1']);
      await cluster.put(name, { revision: '1', scanTime: '2026-08-10T09:05:02Z' });
      await cluster.put(name, { revision: '2', scanTime: '2026-08-10T09:10:02Z' });
      await until(name, ['initial@1', 'changed@2']);
      await cluster.put(later);
      await cluster.put(later, { revision: '7' });
      await until(later, ['changed@7']);
      await cluster.put(name, { revision: '2', annotations: { latest: '5' } });
      await until(name, ['initial@1', 'changed@2', 'configured@2']);
      await cluster.put(name, { revision: '2', annotations: { latest: '5', requestedAt: 'now' } });
      await until(name, ['initial@1', 'changed@2', 'configured@2', 'requested@2']);
      await cluster.remove(name);
      await cluster.put(name, { revision: '2' });
      await eventually('the new object is published', () => published(name).length === 5);
      await aWhile();
      assert.equal(published(later).length, 1);
    });

    it('refuses an invalid annotation with a Warning Event until it is mended', async () => {
      const name = fresh();
      await cluster.put(name, { revision: '1', annotations: { include: '(' } });
      await start();
      await eventually('the Event is written', async () =>
        (await cluster.events()).some(
          ({ involvedObject, reason, type }) =>
            involvedObject.kind === 'ImageRepository' &&
            involvedObject.name === name &&
            reason === 'AnnotationInvalid' &&
            type === 'Warning',
        ),
      );
      assert.deepEqual(published(name), []);
      await cluster.put(name, { revision: '1', annotations: { include: '^v' } });
      await until(name, ['initial@1']);
    });

    it('watches what its label selector selects', async () => {
      const name = fresh();
      const selector = 'sharding.fluxcd.io/key in (shard1,shard2)';
      const labelled = (value: string): object => ({ 'sharding.fluxcd.io/key': value });
      const put = (value: string): Promise<void> =>
        cluster.put(name, { revision: '1', labels: { ...labelled(value) } });
      await put('other');
      await (await start(['--watch-label-selector', selector])).ready();
      await put('shard1');
      await until(name, ['initial@1']);
      await put('other');
      await put('shard2');
      await until(name, ['initial@1', 'initial@1']);
    });

    for (const history of ['keep', 'forget'] as const) {
      it(`survives a restart of the API server (${history} its history)`, async () => {
        const name = fresh();
        await cluster.put(name, { revision: '1' });
        const bridge = await start();
        await until(name, ['initial@1']);
        await cluster.put(name, { revision: '2' });
        await until(name, ['initial@1', 'changed@2']);
        await cluster.halt();
        await eventually('it waits', async () => (await bridge.page('/readyz')).status === 503);
        assert.equal((await bridge.page('/healthz')).status, 200);
        await cluster.resume(history);
        await cluster.put(name, { revision: '3' });
        await until(name, ['initial@1', 'changed@2', 'changed@3']);
        await bridge.ready();
        const { body } = await bridge.page('/metrics');
        const expired = /watch_restarts_total\{cause="Expired"\} [1-9]/.test(body);
        if (history === 'forget') assert.ok(expired, 'no watch was told 410');
      });
    }

    it('says what it may not do, and works as soon as it may', async () => {
      const name = fresh();
      await cluster.put(name, { revision: '1' });
      const bridge = await start(ELECTION, cluster.limitedKubeconfig);
      const told = async (...words: readonly string[]): Promise<boolean> => {
        const { status, body } = await bridge.page('/readyz');
        return status === 503 && words.every((word) => body.includes(word));
      };
      const listDenied = ['cannot list resource "imagerepositories"', cluster.limitedUser];
      await eventually('list is denied', () => told(...listDenied));
      const group = { apiGroups: ['image.toolkit.fluxcd.io'], resources: ['imagerepositories'] };
      await cluster.grant({ ...group, verbs: ['get', 'list'] });
      await eventually('watch is denied', () => told('cannot watch resource "imagerepositories"'));
      await cluster.grant({ ...group, verbs: ['watch'] });
      await bridge.ready();
      assert.deepEqual(published(name), []);
      const leases = { apiGroups: ['coordination.k8s.io'], resources: ['leases'] };
      await cluster.grant({ ...leases, verbs: ['get', 'create', 'update'] });
      await eventually('it leads', () => bridge.leads());
      await until(name, ['initial@1']);
    });

    it('publishes what changed while its connections were dead', async () => {
      const name = fresh();
      await cluster.put(name, { revision: '1' });
      const proxy = await startTcpProxy(await serverOf(cluster.kubeconfig));
      try {
        const kubeconfig = `${cluster.kubeconfig}-dead`;
        await kubeconfigThrough(proxy, cluster.kubeconfig, kubeconfig);
        await start([], kubeconfig, { silenceMs: 2000 });
        await until(name, ['initial@1']);
        proxy.silence();
        await cluster.put(name, { revision: '2' });
        await until(name, ['initial@1', 'changed@2']);
      } finally {
        await proxy.close();
      }
    });

    it('loses no change with two replicas, over a hand-over and a death', async () => {
      const name = fresh();
      await cluster.put(name, { revision: '1' });
      const first = await start(ELECTION);
      await until(name, ['initial@1']);
      const second = await start(ELECTION);
      await second.ready();
      await cluster.put(name, { revision: '2' });
      await until(name, ['initial@1', 'changed@2']);
      await first.stop();
      await cluster.put(name, { revision: '3' });
      await eventually('3 is published', () => published(name).includes('changed@3'));
      assert.equal(await second.leads(), true);
      const third = await start(ELECTION);
      await third.ready();
      await cluster.put(name, { revision: '4' });
      await eventually('4 is published', () => published(name).includes('changed@4'));
      const lease = await cluster.lease(LEASE);
      assert.ok((lease?.leaseTransitions ?? 0) >= 1);
      assert.equal(await third.leads(), false);
    });

    it('publishes what only the standby saw, when a leader that sees nothing goes', async () => {
      const [name, other] = [fresh(), fresh()];
      await cluster.put(name, { revision: '1' });
      await cluster.put(other, { revision: '1' });
      const proxy = await startTcpProxy(await serverOf(cluster.kubeconfig));
      try {
        const kubeconfig = `${cluster.kubeconfig}-through-proxy`;
        const blind = await start(
          ELECTION,
          await kubeconfigThrough(proxy, cluster.kubeconfig, kubeconfig),
        );
        await eventually('the first leads', () => blind.leads());
        await until(name, ['initial@1']);
        const standby = await start(ELECTION);
        await standby.ready();
        // Its watch is dead and says nothing; its renewals find new connections.
        proxy.silence();
        await cluster.put(name, { revision: '2' });
        await eventually('the standby sees it', async () =>
          (await standby.page('/metrics')).body.includes('cause="RevisionChanged"} 1'),
        );
        const seenMs = Date.now();
        await eventually('the leader has renewed for longer than a lease', async () => {
          const { renewTime = '' } = (await cluster.lease(LEASE)) ?? {};
          return Date.parse(renewTime) > seenMs + 21_000;
        });
        assert.equal(await blind.leads(), true);
        assert.deepEqual(published(name), ['initial@1']);
        await blind.stop();
        await until(name, ['initial@1', 'changed@2']);
        await until(other, ['initial@1', 'initial@1']);
      } finally {
        await proxy.close();
      }
    });
  });
}
