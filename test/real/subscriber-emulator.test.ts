import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import { after, before, describe, it } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { startEmulatedSubscriber, type EmulatedSubscriber } from './emulated-subscriber.ts';
import { required, skipUnless } from './servers/found.ts';
import {
  findPubsubEmulator,
  startPubsubEmulator,
  type PubsubEmulator,
} from './servers/pubsub-emulator.ts';

const search = findPubsubEmulator();
// All of it waits for conditions; this is what a machine with no time to spare may take.
const TIMEOUT = { timeout: 600_000 };

describe("subscriber over Google's Pub/Sub emulator", { skip: skipUnless(search) }, () => {
  let emulator: PubsubEmulator;
  let rig: EmulatedSubscriber;

  before(async () => {
    emulator = await startPubsubEmulator(required(search));
    rig = await startEmulatedSubscriber(emulator);
  });
  after(async () => {
    await rig.close();
    await emulator.stop();
  });

  async function push(repository: string, tags: number): Promise<void> {
    for (let n = 0; n < tags; n++) await rig.registries.push(repository, `1.0.${n}`);
  }

  /** The line of a delivery is written before its message is acknowledged, and after the copies. */
  async function told(
    repository: string,
    fields: Readonly<Record<string, unknown>>,
    count = 1,
  ): Promise<void> {
    while (rig.eventLines(repository, fields).length < count) await delay(20);
  }

  it('fans out through the bulk topic, and copies nothing twice', TIMEOUT, async () => {
    await push('org/fan', 8);
    await rig.publish(rig.event('org/fan'));
    await rig.mirrored('org/fan');
    await told('org/fan', { decisionReason: 'Finished' }, 2);
    assert.equal(rig.eventLines('org/fan', { decisionReason: 'FannedOut' }).length, 1);
    assert.equal(rig.eventLines('org/fan').length, 3);
    assert.equal(rig.manifestPuts('org/fan'), 8);
  });

  it('redelivers what failed until it succeeds', TIMEOUT, async () => {
    await push('org/retry', 2);
    rig.registries.source.faults.add({
      path: /org\/retry\/manifests\/1\.0\.1/,
      times: 4,
      effect: { kind: 'answer', status: 503 },
    });
    await rig.publish(rig.event('org/retry'));
    await rig.mirrored('org/retry');
    await told('org/retry', { decision: 'acknowledge' });
    // The other tag was copied: only what failed is published again.
    assert.ok(rig.eventLines('org/retry', { decision: 'continue' }).length > 0);
    assert.equal(rig.manifestPuts('org/retry'), 2);
  });

  it('goes on where the deadline cut it', TIMEOUT, async () => {
    await push('org/slow', 3);
    rig.registries.source.faults.add({
      kind: 'blob',
      path: /org\/slow/,
      effect: { kind: 'stall', at: 'head' },
    });
    await rig.publish(rig.event('org/slow'));
    await rig.mirrored('org/slow');
    await told('org/slow', { decision: 'acknowledge' });
    const continued = rig.eventLines('org/slow', { decision: 'continue' });
    assert.ok(continued.length > 0);
    assert.deepEqual(
      continued.map(({ continuation = 0 }) => continuation),
      continued.map((_line, index) => index),
    );
    assert.equal(rig.manifestPuts('org/slow'), 3);
  });

  it('mirrors again what was deleted at the destination, by a seek', TIMEOUT, async () => {
    await push('org/seek', 2);
    const since = new Date();
    await rig.publish(rig.event('org/seek'));
    await rig.mirrored('org/seek');
    await told('org/seek', { decision: 'acknowledge' });
    assert.equal(rig.registries.destination.store.deleteTag('m/org/seek', '1.0.0'), true);
    await rig.admin.subscription(TOPICS.events).seek(since);
    await rig.mirrored('org/seek');
    await told('org/seek', { decision: 'acknowledge' }, 2);
    // What was still there is left alone.
    assert.equal(rig.manifestPuts('org/seek'), 3);
  });

  it('puts aside what can never succeed; the job republishes it as it was', TIMEOUT, async () => {
    const { attributes, data } = encodeEvent(rig.event('org/broken'));
    const broken = { attributes: { ...attributes, 'ce-time': 'yesterday' }, data };
    await rig.publish(broken);
    const [letter] = await rig.deadLetters('org/broken', 1);
    assert.deepEqual(letter?.attributes, {
      ...broken.attributes,
      'error-code': 'EVENT_INVALID',
      'error-field': 'time',
    });
    assert.deepEqual(letter.data, data);

    await rig.pullTopic('again');
    const republish = ['--drain', TOPICS.deadLetter, '--republish', 'again'];
    const other = await rig.job([...republish, '--filter', 'code=EVENT_TOO_LARGE']);
    assert.equal(other.code, 0);
    assert.deepEqual(await rig.take('again'), []);
    assert.equal((await rig.job([...republish, '--filter', 'code=EVENT_INVALID'])).code, 0);
    assert.deepEqual(await rig.take('again'), [broken]);
    assert.deepEqual(await rig.take(TOPICS.deadLetter), []);
  });

  it('mirrors what Pub/Sub gave up, once it is republished', TIMEOUT, async () => {
    await push('org/down', 2);
    const outage = rig.registries.source.faults.add({
      path: /org\/down\/tags/,
      times: Number.POSITIVE_INFINITY,
      effect: { kind: 'answer', status: 503 },
    });
    const event = rig.event('org/down');
    await rig.publish(event);
    const [letter] = await rig.deadLetters('org/down', 1);
    // "Best effort" (dead-letter policy): at least as many attempts, and perhaps two letters.
    assert.ok(rig.eventLines('org/down', { decision: 'retry' }).length >= 5);
    assert.ok(Number(letter?.attributes['CloudPubSubDeadLetterSourceDeliveryCount']) >= 5);
    outage.remove();
    const { code, lines } = await rig.job([
      '--drain',
      TOPICS.deadLetter,
      '--republish',
      TOPICS.events,
    ]);
    assert.equal(code, 0);
    const summary = lines.find(({ entry }) => entry === 'republish');
    assert.ok(Number(summary?.['republished']) >= 1, JSON.stringify(lines));
    await rig.mirrored('org/down');
    await told('org/down', { decision: 'acknowledge' });
    // A second letter may come later still: each that there ever was is republished, or stands there once.
    const republished = Number(summary?.['republished']);
    let left = 0;
    for (;;) {
      const letters = await rig.take(TOPICS.deadLetter);
      left += letters.filter(({ data }) => data.includes('org/down')).length;
      const all = await rig.deadLetters('org/down', republished + left);
      if (all.length === republished + left) break;
      await delay(100);
    }
  });

  it(
    'drains a backlog: the newest of each object, every batch, the failed kept',
    TIMEOUT,
    async () => {
      await rig.pullTopic('backlog');
      const repositories = ['org/one', 'org/two'];
      for (const repository of [...repositories, 'org/batch', 'org/fails'])
        await push(repository, 2);
      for (const minute of [2, 1, 3]) {
        const time = new Date(Date.UTC(2026, 7, 1, 0, minute));
        for (const repository of repositories) {
          const event = rig.event(repository, { revision: String(minute) }, time);
          await rig.publish(event, 'backlog');
        }
      }
      for (const tag of ['1.0.0', '1.0.1']) {
        await rig.publish(rig.event('org/batch', { tags: [tag] }), 'backlog');
      }
      const outage = rig.registries.source.faults.add({
        path: /org\/fails\/tags/,
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'answer', status: 503 },
      });
      const failing = rig.event('org/fails');
      await rig.publish(failing, 'backlog');

      const first = await rig.job(['--drain', 'backlog']);
      const summary = first.lines.find(({ entry }) => entry === 'drain');
      const { received, executed, replaced, handedBack } = summary ?? {};
      assert.equal(received, 9);
      // How many of an object are seen together is the broker's; none is executed and replaced both.
      assert.equal(Number(executed) + Number(replaced), 8);
      assert.equal(handedBack, 1);
      assert.equal(first.code, 1);
      for (const repository of [...repositories, 'org/batch']) {
        await rig.mirrored(repository);
        assert.equal(rig.manifestPuts(repository), 2);
      }

      outage.remove();
      const second = await rig.job(['--drain', 'backlog']);
      assert.equal(second.code, 0);
      assert.equal(second.lines.find(({ entry }) => entry === 'drain')?.['executed'], 1);
      await rig.mirrored('org/fails');
      assert.deepEqual(await rig.take('backlog'), []);
    },
  );

  it('keeps a message leased for as long as its work takes', TIMEOUT, async () => {
    await rig.admin.createTopic('long');
    await rig.admin.createSubscription('long', 'long', { ackDeadlineSeconds: 10 });
    await push('org/long', 4);
    rig.registries.source.set({ rttMs: 1500 });
    await rig.publish(rig.event('org/long'), 'long');
    const { code, lines } = await rig.job(['--drain', 'long']);
    rig.registries.source.set({ rttMs: 0 });
    assert.equal(code, 0);
    const worked = lines.find(({ entry }) => entry === 'event');
    assert.ok(Number(worked?.['durationSeconds']) > 10, 'the work was shorter than the lease');
    assert.equal(lines.find(({ entry }) => entry === 'drain')?.['received'], 1);
    await rig.mirrored('org/long');
    assert.deepEqual(await rig.take('long'), []);
  });
});
