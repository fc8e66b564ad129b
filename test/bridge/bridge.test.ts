import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { connectApiServer } from '../../bridge/kubernetes/api-server.ts';
import { createPublisher } from '../../bridge/publisher.ts';
import type { KubeObject } from '../stand-ins/kubernetes/object.ts';
import { imageRepository, type Wanted } from './objects.ts';
import { PUBLISHING_SCENARIOS, recordedScenarios } from './recorded-stream.ts';
import { aWhile, eventually, startStandIns, type StandIns } from './stand-ins.ts';

describe('the bridge', () => {
  let standIns: StandIns;
  const put = (name: string, wanted: Wanted = {}): KubeObject =>
    standIns.kubernetes.put(imageRepository(name, { revision: '1', ...wanted }));
  beforeEach(async () => {
    standIns = await startStandIns();
  });
  afterEach(() => standIns.close());

  it('publishes every object once on start in the bulk lane, and then what changes', async () => {
    put('app');
    put('unscanned', { revision: '' });
    await standIns.start();
    const [initial] = await standIns.until(1, 'bulk');
    assert.equal(initial?.data.reason, 'initial');
    assert.equal(initial.data.image, 'ghcr.io/org/app');
    assert.equal(initial.source, '//kubernetes/namespaces/flux-system/imagerepositories/app');
    put('app', { scanTime: '2026-08-10T09:05:02Z' });
    put('app', { revision: '2', scanTime: '2026-08-10T09:10:02Z' });
    const [changed] = await standIns.until(1);
    assert.equal(changed?.data.reason, 'changed');
    assert.equal(changed.data.previousRevision, '1');
    await standIns.fence();
    assert.equal(standIns.events().length, 1 + 1);
    assert.equal(standIns.events('bulk').length, 1);
  });

  it('publishes exactly what it should of a real Flux’s stream, with 1,000 objects interleaved', async () => {
    // Of 1,000 objects with one resync in 12 hours each, one would come while this runs.
    const running = await standIns.start(['--resync-interval', '0']);
    await running.ready();
    const copies = 1000;
    let expected = 0;
    for (const { name, events } of recordedScenarios()) {
      for (const event of events) {
        const { metadata } = event.object as unknown as KubeObject;
        for (let copy = 0; copy < copies; copy += 1) {
          const uid = `copy-${copy}`;
          const object = { ...event.object, metadata: { ...metadata, uid, name: uid } };
          if (event.type === 'DELETED') standIns.kubernetes.remove('flux-system', uid);
          else standIns.kubernetes.put(object as KubeObject);
        }
        // As many events of other objects as one may meet between two of one object.
        await new Promise((resolve) => setImmediate(resolve));
      }
      if (PUBLISHING_SCENARIOS.includes(name)) expected += copies;
      await standIns.until(expected, 'events', 150_000);
    }
    await eventually('all are forgotten', async () => {
      const { body } = await running.page('/metrics');
      return /^imagerepo_mirror_bridge_watched_objects 0$/m.test(body);
    });
    assert.equal(standIns.events('bulk').length, 0);
    const byName = new Map<string, string[]>();
    for (const { data } of standIns.events()) {
      const { name } = data.imageRepository;
      byName.set(name, [...(byName.get(name) ?? []), `${data.image}@${data.revision}`]);
    }
    assert.equal(byName.size, copies);
    const sequences = new Set([...byName.values()].map((sequence) => sequence.join(' ')));
    assert.deepEqual(
      [...sequences].map((sequence) => sequence.split(' ').length),
      [PUBLISHING_SCENARIOS.length],
      [...sequences].slice(0, 3).join('\n'),
    );
  });

  it('never loses a change while Pub/Sub refuses, and publishes the newest state once', async () => {
    for (const status of ['PERMISSION_DENIED', 'NOT_FOUND', 'UNAVAILABLE'] as const) {
      standIns.pubsub.faults.add({ kind: 'refused', method: 'Publish', status, times: 4 });
    }
    put('app', { revision: '' });
    const running = await standIns.start();
    await running.ready();
    put('app', { revision: '1' });
    await eventually('a try', () => standIns.pubsub.requests('Publish') >= 2);
    put('app', { revision: '2' });
    put('app', { revision: '3', annotations: { requestedAt: 'now' } });
    const [event] = await standIns.until(1);
    assert.equal(event?.data.revision, '3');
    assert.equal(event.data.reason, 'requested');
    // 12 refusals and the event; the bridge's sign of life is one of the refused, or one more.
    const requests = standIns.pubsub.requests('Publish');
    assert.ok(requests === 13 || requests === 14, String(requests));
    await standIns.fence();
    assert.equal(standIns.events().length, 1 + 1);
  });

  it('publishes a change at once while a long replay goes on', async () => {
    for (let index = 0; index < 300; index += 1) put(`app-${index}`);
    await standIns.start(['--replay-rate', '20']);
    await standIns.until(3, 'bulk');
    put('app-299', { revision: '2' });
    const [changed] = await standIns.until(1);
    assert.equal(changed?.data.imageRepository.name, 'app-299');
    assert.ok(standIns.events('bulk').length < 100);
    assert.ok(standIns.events('bulk').every(({ data }) => data.imageRepository.name !== 'app-299'));
  });

  it('survives an interruption of everything: API server, watch and Pub/Sub', async () => {
    put('app');
    await standIns.start();
    await standIns.until(1, 'bulk');
    await standIns.kubernetes.faults.halt();
    standIns.pubsub.faults.add({
      kind: 'refused',
      method: 'Publish',
      status: 'UNAVAILABLE',
      times: 3,
    });
    put('app', { revision: '2' });
    put('new', { revision: '9' });
    await standIns.kubernetes.faults.resume('forget');
    const [changed] = await standIns.until(1);
    assert.equal(changed?.data.revision, '2');
    const bulk = await standIns.until(2, 'bulk');
    assert.equal(bulk[1]?.data.imageRepository.name, 'new');
  });

  it('refuses invalid and colliding objects alone: log, metric, Warning Event, until mended', async () => {
    put('bad', { annotations: { include: '(' } });
    put('one', { image: 'ghcr.io/a/app', createdAt: '2024-01-01T00:00:00Z' });
    put('two', { image: 'ghcr.io/b/app', createdAt: '2025-01-01T00:00:00Z' });
    const running = await standIns.start(['--destination-layout', 'name']);
    const [first] = await standIns.until(1, 'bulk');
    assert.equal(first?.data.imageRepository.name, 'one');
    const written = (): number =>
      standIns.kubernetes.requests.filter(
        ({ verb, resource }) => verb === 'create' && resource === 'events',
      ).length;
    await eventually('both are told', () => written() === 2);
    const refused = running.lines.filter(({ severity }) => severity === 'WARNING');
    assert.deepEqual(refused.map(({ name, reason }) => [name, reason]).sort(), [
      ['bad', 'AnnotationInvalid'],
      ['two', 'DestinationCollision'],
    ]);
    const { body } = await running.page('/metrics');
    assert.match(body, /refused_objects\{reason="AnnotationInvalid"\} 1/);
    assert.match(body, /refused_objects\{reason="DestinationCollision"\} 1/);
    put('bad', { annotations: { include: '^v' } });
    standIns.kubernetes.remove('flux-system', 'one');
    const bulk = await standIns.until(3, 'bulk');
    assert.deepEqual(
      bulk
        .slice(1)
        .map(({ data }) => data.imageRepository.name)
        .sort(),
      ['bad', 'two'],
    );
  });

  it('publishes nothing and writes nothing, the Lease neither, in a dry run, and says what it would', async () => {
    put('app');
    put('bad', { annotations: { include: '(' } });
    const running = await standIns.start(['--dry-run', '--enable-leader-election']);
    await eventually('it is told', () =>
      running.lines.some(({ msg }) => String(msg).startsWith('would publish initial')),
    );
    await aWhile();
    assert.equal(standIns.events('bulk').length, 0);
    const asked = new Set(standIns.kubernetes.requests.map(({ resource }) => resource));
    assert.deepEqual([...asked], ['imagerepositories']);
    assert.ok(running.lines.some(({ msg }) => String(msg).includes('without a Lease')));
  });

  it('waits for what is being published when it is stopped', async () => {
    put('app');
    const running = await standIns.start();
    await standIns.until(1, 'bulk');
    standIns.pubsub.faults.add({ kind: 'slow', method: 'Publish', delayMs: 400 });
    const before = standIns.pubsub.requests('Publish');
    put('app', { revision: '2' });
    await eventually('it is under way', () => standIns.pubsub.requests('Publish') > before);
    await running.stop();
    assert.equal(standIns.events().length, 1);
  });

  it('gives its Lease up although a sign of life gets no answer', { timeout: 60_000 }, async () => {
    const silent = createPublisher({ project: 'test-project', topic: 'events', bulkTopic: 'bulk' });
    const told = Promise.withResolvers<undefined>();
    const answered = Promise.withResolvers<undefined>();
    const publishMessage = async (): Promise<undefined> => {
      told.resolve(undefined);
      return answered.promise;
    };
    const running = await standIns.start(['--enable-leader-election'], {
      publisher: { ...silent, publishMessage },
    });
    await told.promise;
    await running.bridge.stop(100);
    assert.ok(running.lines.some(({ msg }) => msg === 'released the Lease'));
    answered.resolve(undefined);
    await silent.close();
  });

  it('publishes what came while a renewal was late', { timeout: 60_000 }, async () => {
    put('app');
    const apiServer = connectApiServer(standIns.kubeconfig);
    let renewal = Promise.resolve<unknown>(undefined);
    let waiting = 0;
    const running = await standIns.start(
      [
        ...['--enable-leader-election', '--leader-election-lease-duration', '60s'],
        ...['--leader-election-renew-deadline', '300ms', '--leader-election-retry-period', '50ms'],
      ],
      {
        apiServer: {
          ...apiServer,
          send: async (method, path, ...rest) => {
            if (path.includes('/leases')) {
              waiting += 1;
              await renewal;
              waiting -= 1;
            }
            return apiServer.send(method, path, ...rest);
          },
        },
      },
    );
    await standIns.until(1, 'bulk');
    const late = Promise.withResolvers<undefined>();
    try {
      renewal = late.promise;
      await eventually('a renewal waits', () => waiting === 1);
      await aWhile(400);
      put('app', { revision: '2' });
      await eventually('the change waits', async () => {
        const { body } = await running.page('/metrics');
        return /queue_depth{[^}]*"change"[^}]*} 1$/m.test(body);
      });
    } finally {
      late.resolve(undefined);
    }
    await standIns.until(1);
    // It led all the time: what is published is no replay.
    assert.equal(running.lines.filter(({ msg }) => msg === 'became leader').length, 1);
    assert.equal(standIns.events('bulk').length, 1);
    await running.stop();
    apiServer.close();
  });

  it('resyncs and follows up, and neither while the object is suspended', async () => {
    put('app');
    put('still', { suspend: true });
    await standIns.start(['--resync-interval', '4s', '--follow-up', '1s']);
    await standIns.until(1, 'bulk');
    let revision = 2;
    let changedAtMs = Date.now();
    put('app', { revision: String(revision) });
    await eventually('both came', () => {
      const reasons = standIns.events().map(({ data }) => data.reason);
      // A resync that comes within the second after a change takes the follow-up's place.
      if (!reasons.includes('follow-up') && Date.now() - changedAtMs > 1500) {
        changedAtMs = Date.now();
        revision += 1;
        put('app', { revision: String(revision) });
      }
      return reasons.includes('resync') && reasons.includes('follow-up');
    });
    assert.ok(standIns.events().every(({ data }) => data.imageRepository.name === 'app'));
  });
});

describe('the bridge’s readiness', () => {
  let standIns: StandIns;
  beforeEach(async () => {
    standIns = await startStandIns();
  });
  afterEach(() => standIns.close());

  it('is alive whatever is away, and ready when the watch is complete', async () => {
    await standIns.kubernetes.faults.halt();
    const running = await standIns.start();
    assert.equal((await running.page('/healthz')).status, 200);
    assert.equal((await running.page('/readyz')).status, 503);
    await standIns.kubernetes.faults.resume();
    await running.ready();
    standIns.kubernetes.faults.setCrd(false);
    await eventually('not ready, for its watch', async () => {
      const { status, body } = await running.page('/readyz');
      return status === 503 && /^watch: .*image\.toolkit\.fluxcd\.io/.test(body);
    });
    assert.equal((await running.page('/healthz')).status, 200);
  });

  it('is not while the permission to publish is missing, and names topic and principal', async () => {
    standIns.pubsub.permissions.deny('pubsub.topics.publish');
    const running = await standIns.start();
    await eventually('it is told', async () =>
      /permission: .*projects\/test-project\/topics\/events/.test(
        (await running.page('/readyz')).body,
      ),
    );
    assert.ok(running.lines.some(({ severity }) => severity === 'ERROR'));
  });
});

describe('the bridge’s logs', () => {
  it('carry the keys of Flux and the severity of Cloud Logging', async () => {
    const standIns = await startStandIns();
    try {
      standIns.kubernetes.put(imageRepository('app', { revision: '1' }));
      const running = await standIns.start();
      await standIns.until(1, 'bulk');
      await eventually('it is logged', () =>
        running.lines.some(({ reason }) => reason === 'initial'),
      );
      const line = running.lines.find(({ reason }) => reason === 'initial');
      assert.equal(line?.['severity'], 'INFO');
      assert.equal(line['level'], 'info');
      assert.equal(typeof line['ts'], 'string');
      assert.equal(line['msg'], line['message']);
      assert.deepEqual(line['ImageRepository'], { name: 'app', namespace: 'flux-system' });
      assert.equal(line['controllerKind'], 'ImageRepository');
    } finally {
      await standIns.close();
    }
  });
});
