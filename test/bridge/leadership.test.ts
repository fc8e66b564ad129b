import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { everything } from '../stand-ins/kubernetes/access.ts';
import { leases } from '../stand-ins/kubernetes/resource.ts';
import type { KubeObject } from '../stand-ins/kubernetes/object.ts';
import { connectApiServer } from '../../bridge/kubernetes/api-server.ts';
import { imageRepository, type Wanted } from './objects.ts';
import {
  aWhile,
  eventually,
  startStandIns,
  type RunningBridge,
  type StandIns,
} from './stand-ins.ts';

function election(leaseDuration: string, renewDeadline: string): readonly string[] {
  return [
    '--enable-leader-election',
    `--leader-election-lease-duration=${leaseDuration}`,
    `--leader-election-renew-deadline=${renewDeadline}`,
    '--leader-election-retry-period=50ms',
  ];
}

/** A leader that keeps its Lease, however busy the machine is. */
const ELECTION = election('120s', '100s');
/** One whose Lease expires while a test waits for it. */
const BRIEF = election('10s', '8s');

interface LeaseSpec {
  readonly holderIdentity: string;
  readonly leaseTransitions: number;
}

describe('two bridges', () => {
  let standIns: StandIns;
  const put = (name: string, wanted: Wanted = {}): KubeObject =>
    standIns.kubernetes.put(imageRepository(name, { revision: '1', ...wanted }));
  const lease = (name = 'imagerepo-mirror-leader-election'): LeaseSpec | undefined =>
    standIns.kubernetes.get('flux-system', name, leases)?.['spec'] as LeaseSpec | undefined;
  beforeEach(async () => {
    standIns = await startStandIns();
  });
  afterEach(() => standIns.close());

  /** A leader, and a standby whose watch is complete. */
  async function pair(args = ELECTION): Promise<readonly [RunningBridge, RunningBridge]> {
    const leader = await standIns.start(args);
    await eventually('the first leads', () => leader.leads());
    const standby = await standIns.start(args);
    await standby.ready();
    return [leader, standby];
  }

  it('publish every change once', async () => {
    put('app');
    const [, standby] = await pair();
    for (let revision = 2; revision <= 20; revision += 1) {
      put('app', { revision: String(revision) });
      await standIns.until(revision - 1);
    }
    await standIns.fence();
    assert.equal(standIns.events().length, 19 + 1);
    assert.equal(standIns.events('bulk').length, 1);
    assert.equal(await standby.leads(), false);
  });

  it('hand over at a stop: what changed first, then everything in the bulk lane', async () => {
    for (let index = 0; index < 20; index += 1) put(`app-${index}`);
    const [leader, standby] = await pair([...ELECTION, '--replay-rate', '0']);
    await standIns.until(20, 'bulk');
    put('app-3', { revision: '2' });
    await standIns.until(1);
    await leader.stop();
    put('app-4', { revision: '2' });
    await eventually('the second leads', () => standby.leads());
    // What the first has published already is published again: the second was not told of it.
    const events = await standIns.until(3);
    assert.deepEqual(
      events.map(({ data }) => `${data.imageRepository.name}:${data.reason}`).sort(),
      ['app-3:changed', 'app-3:changed', 'app-4:changed'],
    );
    const replayed = (await standIns.until(38, 'bulk')).slice(20);
    assert.equal(new Set(replayed.map(({ data }) => data.imageRepository.name)).size, 18);
    assert.ok(replayed.every(({ data }) => data.reason === 'initial'));
    assert.equal(lease()?.leaseTransitions, 1);
  });

  it('publish what the old leader left unpublished, however old it is', async () => {
    put('app');
    const [leader, standby] = await pair(BRIEF);
    await standIns.until(1, 'bulk');
    const before = standIns.pubsub.requests('Publish');
    standIns.pubsub.faults.add({
      kind: 'refused',
      method: 'Publish',
      status: 'UNAVAILABLE',
      times: Infinity,
    });
    put('app', { revision: '2' });
    await eventually('the leader tries', () => standIns.pubsub.requests('Publish') > before + 2);
    // Longer than the lease duration.
    await aWhile(11_000);
    await leader.stop();
    standIns.pubsub.faults.clear();
    await eventually('the second leads', () => standby.leads());
    const [event] = await standIns.until(1);
    assert.equal(event?.data.revision, '2');
    assert.equal(event.data.reason, 'changed');
    await standIns.fence();
    assert.equal(standIns.events().length, 1 + 1);
    assert.equal(standIns.events('bulk').length, 1);
  });

  it('leave the Lease to the one whose list is complete', async () => {
    put('app');
    const kubeconfig = await standIns.userConfig('blind', everything);
    standIns.kubernetes.faults.request({
      verbs: ['list'],
      user: 'blind',
      answer: 'hang',
      times: Infinity,
    });
    const blind = await standIns.start(ELECTION, { apiServer: connectApiServer(kubeconfig) });
    await eventually('it looks at the Lease', () =>
      blind.lines.some(({ message }) => String(message).includes('left to others')),
    );
    assert.equal(lease(), undefined);
    const seeing = await standIns.start(ELECTION);
    await eventually('the other leads', () => seeing.leads());
    await standIns.until(1, 'bulk');
    assert.equal(await blind.leads(), false);
  });

  it('report no age of what waits while they stand by', async () => {
    put('app');
    const [leader, standby] = await pair();
    put('app', { revision: '2' });
    await standIns.until(1);
    const { body } = await standby.page('/metrics');
    assert.match(body, /^imagerepo_mirror_bridge_oldest_unpublished_event_age_seconds 0$/m);
    assert.equal((await standby.page('/readyz')).status, 200);
    await leader.stop();
  });

  it('replay everything when the second began to watch after the last renewal', async () => {
    for (let index = 0; index < 5; index += 1) put(`app-${index}`);
    const first = await standIns.start(ELECTION);
    await standIns.until(5, 'bulk');
    await first.stop();
    await standIns.start(ELECTION);
    await standIns.until(10, 'bulk');
  });

  it('take over when the leader is cut off, and never publish twice', async () => {
    put('app');
    const kubeconfig = await standIns.userConfig('first', everything);
    const leader = await standIns.start(BRIEF, { apiServer: connectApiServer(kubeconfig) });
    await eventually('the first leads', () => leader.leads());
    const standby = await standIns.start(BRIEF);
    await standby.ready();
    await standIns.until(1, 'bulk');
    // The leader still sees the objects, but can no longer renew.
    standIns.kubernetes.faults.request({
      resource: 'leases',
      user: 'first',
      answer: 'hang',
      times: Infinity,
    });
    await eventually('the second leads', () => standby.leads());
    assert.equal(await leader.leads(), false);
    put('app', { revision: '2' });
    await standIns.until(1);
    await standIns.fence();
    assert.equal(standIns.events().length, 1 + 1);
  });

  it('read the Lease whose renew deadline is an odd number of milliseconds', async () => {
    put('app');
    const times = [
      '--leader-election-renew-deadline=16101ms',
      '--leader-election-retry-period=50ms',
    ];
    const running = await standIns.start(['--enable-leader-election', ...times]);
    await eventually('it leads', () => running.leads());
  });

  it('keep the Lease of their selector', async () => {
    await standIns.start([...ELECTION, '--watch-label-selector', 'sharding.fluxcd.io/key=shard1']);
    await eventually(
      'the Lease is there',
      () => lease('imagerepo-mirror-leader-election-73fdc1be')?.holderIdentity !== undefined,
    );
    assert.equal(lease(), undefined);
  });
});
