import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { backfill, type BackfillParts } from '../../bridge/backfill.ts';
import { readConfig } from '../../bridge/config.ts';
import { connectApiServer } from '../../bridge/kubernetes/api-server.ts';
import { createPublisher, dryRunPublisher } from '../../bridge/publisher.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { rejection } from '../faults.ts';
import { imageRepository, type Wanted } from './objects.ts';
import { quick, startStandIns, type Line, type StandIns } from './stand-ins.ts';

describe('backfill', () => {
  let standIns: StandIns;
  let lines: Line[] = [];
  const put = (name: string, wanted: Wanted = {}): unknown =>
    standIns.kubernetes.put(imageRepository(name, { revision: '1', ...wanted }));
  beforeEach(async () => {
    standIns = await startStandIns({ namespaces: ['flux-system', 'team'] });
    lines = [];
    put('app');
    put('paused', { suspend: true });
    put('off', { annotations: { enabled: 'false' } });
    put('unscanned', { revision: '' });
    put('going', { deleting: true });
    put('team-app', { namespace: 'team', labels: { shard: 'one' } });
  });
  afterEach(() => standIns.close());

  /** Runs the backfill; gives the exit code. */
  async function run(
    args: readonly string[] = [],
    signal = new AbortController().signal,
    waits: Pick<BackfillParts, 'tellMs' | 'progressMs'> = {},
    env: Readonly<Record<string, string>> = {},
  ): Promise<number> {
    const config = readConfig(['--once', '--project', 'test-project', ...args], env);
    const apiServer = connectApiServer(standIns.kubeconfig);
    const logger = createLogger({ write: (line) => lines.push(JSON.parse(line) as Line) });
    const publisher = config.dryRun ? dryRunPublisher(logger) : createPublisher(config);
    try {
      return await backfill(
        config,
        { apiServer, publisher, logger, backoff: quick, ...waits },
        signal,
      );
    } finally {
      await publisher.close();
      apiServer.close();
    }
  }
  const names = (): readonly string[] =>
    standIns
      .events('bulk')
      .map(({ data }) => data.imageRepository.name)
      .sort();
  const progress = (): readonly string[] =>
    lines.map(({ message }) => String(message)).filter((text) => text.startsWith('progress'));
  const summary = (): Line => lines.findLast((line) => 'published' in line) ?? {};

  it('publishes every object to the bulk lane, but those suspended, disabled or not scanned', async () => {
    assert.equal(await run(), 0);
    assert.deepEqual(names(), ['app', 'team-app']);
    for (const { data } of standIns.events('bulk')) {
      assert.deepEqual([data.reason, data.verify], ['requested', 'mutable']);
    }
    assert.equal(standIns.events().length, 0);
    assert.deepEqual(
      [summary()['published'], summary()['skipped'], summary()['failed']],
      [2, 4, 0],
    );
    const skipped = lines.filter(({ msg, message }) =>
      String(msg ?? message).startsWith('skipped'),
    );
    assert.deepEqual(skipped.map(({ name }) => name).sort(), [
      'going',
      'off',
      'paused',
      'unscanned',
    ]);
    assert.deepEqual(progress(), []);
  });

  it('says now and then how far it is', async () => {
    await run([], undefined, { progressMs: 0 });
    assert.deepEqual(progress(), ['progress: 1 of 2 events', 'progress: 2 of 2 events']);
  });

  it('publishes what is named, suspended or disabled all the same', async () => {
    assert.equal(await run(['--name', 'flux-system/paused', '--name', 'flux-system/off']), 0);
    assert.deepEqual(names(), ['off', 'paused']);
  });

  it('fails for what is named and not there, not scanned or being deleted, and publishes the others', async () => {
    for (const name of ['absent', 'unscanned', 'going']) {
      assert.equal(
        await run(['--name', `flux-system/${name}`, '--name', 'flux-system/app']),
        1,
        name,
      );
      assert.equal(summary()['failed'], 1);
      assert.equal(summary()['published'], 1);
    }
  });

  it('fails for what it cannot read and was asked for, names it, and publishes the others', async () => {
    const malformed = imageRepository('bad', { revision: '1' });
    (malformed['spec'] as { suspend?: unknown }).suspend = 'yes';
    standIns.kubernetes.put(malformed);
    for (const args of [[], ['--name', 'flux-system/bad', '--name', 'flux-system/app']]) {
      assert.equal(await run(args), 1);
      const { published, failed, malformed: named } = summary();
      assert.deepEqual(
        [published, failed, named],
        [args.length === 0 ? 2 : 1, 1, ['flux-system/bad']],
      );
      assert.ok(JSON.stringify(summary()).includes('1 failed (malformed: flux-system/bad)'));
    }
    assert.ok(!JSON.stringify(lines).includes('there is no ImageRepository'));
    assert.equal(await run(['--name', 'flux-system/app']), 0);
  });

  it('asks for exactly the tags that are named', async () => {
    assert.equal(
      await run(['--name', 'flux-system/app', '--tags', '1.0.0,1.1.0', '--verify', 'all']),
      0,
    );
    const [event] = standIns.events('bulk');
    assert.equal(event?.type, 'io.imagerepo-mirror.tags.requested.v1');
    assert.deepEqual(event.data.tags, ['1.0.0', '1.1.0']);
    assert.equal(event.data.verify, 'all');
  });

  it('keeps to the label selector and the namespace', async () => {
    assert.equal(await run(['--watch-label-selector', 'shard=one']), 0);
    assert.deepEqual(names(), ['team-app']);
  });

  it('keeps to the namespace it runs in where it is to', async () => {
    const env = { RUNTIME_NAMESPACE: 'team' };
    assert.equal(await run(['--watch-all-namespaces=false'], undefined, {}, env), 0);
    assert.deepEqual(names(), ['team-app']);
  });

  it('fails for an invalid object and for one that collides', async () => {
    put('bad', { annotations: { semver: '(' } });
    put('other', { image: 'quay.io/org/app', createdAt: '2027-01-01T00:00:00Z' });
    assert.equal(await run(['--destination-layout', 'name']), 1);
    assert.deepEqual(names(), ['app', 'team-app']);
    assert.equal(summary()['failed'], 2);
  });

  it('fails for what is named and disabled where another image is written, the older or the newer', async () => {
    const both = ['--name', 'flux-system/younger', '--name', 'flux-system/older'];
    const annotations = { enabled: 'false' };
    put('younger', { image: 'quay.io/org/app', createdAt: '2027-01-01T00:00:00Z', annotations });
    put('older', { image: 'gcr.io/org/app', createdAt: '2026-01-01T00:00:00Z', annotations });
    const layout = ['--destination-layout', 'name'];
    assert.equal(await run([...layout, ...both, '--name', 'flux-system/app']), 1);
    assert.deepEqual([names(), summary()['failed']], [['app'], 2]);
    // Of two that are both disabled the older one.
    standIns.kubernetes.remove('flux-system', 'app');
    assert.equal(await run([...layout, ...both]), 1);
    assert.deepEqual([names(), summary()['failed']], [['app', 'older'], 1]);
  });

  it('tries again what Pub/Sub refuses, and fails when it goes on', async () => {
    const refusal = { kind: 'refused', method: 'Publish', status: 'UNAVAILABLE' } as const;
    standIns.pubsub.faults.add({ ...refusal, times: 3 });
    assert.equal(await run(), 0);
    assert.deepEqual(names(), ['app', 'team-app']);
    standIns.pubsub.faults.add({ ...refusal, times: Infinity });
    const refused = standIns.pubsub.requests('Publish');
    assert.equal(await run(['--timeout', '5s']), 1);
    // Once the first batch has waited in vain the rest is not tried.
    assert.equal(Number(summary()['failed']) + Number(summary()['untried']), 2);
    assert.ok(standIns.pubsub.requests('Publish') - refused > 1);
  });

  it('gives the rest up once nothing was accepted for the whole time', async () => {
    for (let index = 0; index < 120; index += 1) put(`many-${index}`);
    standIns.pubsub.faults.add({
      kind: 'refused',
      method: 'Publish',
      status: 'UNAVAILABLE',
      times: Infinity,
    });
    assert.equal(await run(['--timeout', '300ms', '--replay-rate', '0']), 1);
    const { published, failed, untried } = summary();
    assert.deepEqual([published, failed, untried], [0, 100, 22]);
    assert.match(String(summary()['message']), / 100 failed, 22 not tried$/);
  });

  it('fails for what is too large alone, and publishes all the others', async () => {
    for (let index = 0; index < 120; index += 1) put(`many-${index}`);
    put('a-large', { exclusionList: Array.from({ length: 25 }, () => 'x'.repeat(12_000)) });
    assert.equal(await run(['--replay-rate', '0']), 1);
    const { published, failed, untried } = summary();
    assert.deepEqual([published, failed, untried], [122, 1, 0]);
  });

  for (const answer of [429, 503, 410, 'reset'] as const) {
    it(`begins its list anew where a page of it meets ${answer}`, async () => {
      for (let index = 0; index < 600; index += 1) put(`many-${index}`, { revision: '' });
      const { faults } = standIns.kubernetes;
      // The first page is served; the second, behind its continue token, is not.
      faults.request({ verbs: ['list'], delayMs: 1 });
      faults.request({ verbs: ['list'], answer });
      assert.equal(await run(), 0);
      assert.deepEqual(names(), ['app', 'team-app']);
    });
  }

  it('gives up a list that is never answered, and says meanwhile what it waits for', async () => {
    standIns.kubernetes.faults.request({ verbs: ['list'], answer: 'hang', times: Infinity });
    assert.equal(await run(['--timeout', '1s'], undefined, { tellMs: 50 }), 1);
    const told = lines.map(({ message }) => String(message));
    assert.ok(told.includes('waiting for the list of ImageRepositories'), told.join());
    assert.equal(told.at(-1), 'nothing was published');
    assert.equal((lines.at(-1)?.['error'] as { readonly code: string }).code, 'TIMEOUT');
  });

  it('ends at once when it is told to, while it waits', { timeout: 20_000 }, async () => {
    standIns.kubernetes.faults.request({ verbs: ['list'], answer: 'hang', times: Infinity });
    const controller = new AbortController();
    const running = run([], controller.signal);
    setTimeout(() => {
      controller.abort();
    }, 300);
    assert.equal(await running, 1);
    assert.deepEqual(lines, []);
  });

  it('refuses to run where it cannot tell which namespace it is to list', async () => {
    await rejection(run(['--watch-all-namespaces=false']), 'OPTION_INVALID');
    assert.equal(standIns.events('bulk').length, 0);
  });

  it('stops before it begins where it may not publish or list', async () => {
    standIns.pubsub.permissions.deny('pubsub.topics.publish');
    assert.equal(await run(), 1);
    assert.ok(lines.some(({ message }) => String(message).includes('pubsub.topics.publish')));
    standIns.pubsub.permissions.allow('pubsub.topics.publish');
    standIns.kubernetes.faults.request({ verbs: ['list'], answer: 403 });
    assert.equal(await run(), 1);
    assert.equal(standIns.events('bulk').length, 0);
  });

  it('publishes nothing in a dry run', async () => {
    assert.equal(await run(['--dry-run']), 0);
    assert.equal(standIns.events('bulk').length, 0);
    assert.equal(lines.filter(({ reason }) => reason === 'requested').length, 2);
    assert.equal(summary()['message'], 'would publish 2 events; 4 skipped, 0 failed');
  });

  it('keeps to its rate, and ends with 1 when it is interrupted', async () => {
    for (let index = 0; index < 60; index += 1) put(`many-${index}`);
    const controller = new AbortController();
    const running = run(['--replay-rate', '20'], controller.signal);
    await standIns.until(3, 'bulk');
    controller.abort();
    assert.equal(await running, 1);
    assert.ok(standIns.events('bulk').length < 60);
  });
});
