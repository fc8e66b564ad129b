import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { createPublisher, dryRunPublisher, type EventPublisher } from '../../bridge/publisher.ts';
import { eventOf, type MirrorEvent } from '../../functions/contract/event.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';
import { startStandIns, type StandIns } from './stand-ins.ts';

function eventNamed(name: string, exclusionList: readonly string[] = []): MirrorEvent {
  return eventOf(
    {
      imageRepository: { namespace: 'ns', name, uid: name },
      image: 'ghcr.io/org/app',
      revision: '1',
      tagCount: 1,
      scanTime: '2026-08-10T09:00:02Z',
      exclusionList,
      reason: 'changed',
    },
    { clusterName: 'test', time: new Date() },
  );
}

describe('createPublisher', () => {
  let standIns: StandIns;
  let publisher: EventPublisher;
  before(async () => {
    standIns = await startStandIns();
    publisher = createPublisher({ project: 'test-project', topic: 'events', bulkTopic: 'bulk' });
  });
  after(async () => {
    await publisher.close();
    await standIns.close();
  });
  const requests = (): number => standIns.pubsub.requests('Publish');

  it('publishes a batch in one request, whole and in the lane', async () => {
    const before = requests();
    const events = Array.from({ length: 100 }, (_, index) => eventNamed(`app-${index}`));
    const outcomes = await publisher.publish('events', events);
    assert.deepEqual(
      outcomes,
      events.map(() => undefined),
    );
    assert.equal(requests() - before, 1);
    assert.deepEqual(standIns.events(), events);
    await publisher.publish('bulk', [eventNamed('bulky')]);
    assert.equal(standIns.events('bulk').length, 1);
  });

  it('tells a fault an event when the request fails, and does not try again itself', async () => {
    for (const status of [
      'UNAVAILABLE',
      'PERMISSION_DENIED',
      'NOT_FOUND',
      'RESOURCE_EXHAUSTED',
    ] as const) {
      standIns.pubsub.faults.add({ kind: 'refused', method: 'Publish', status });
      const before = requests();
      const outcomes = await publisher.publish('events', [eventNamed('a'), eventNamed('b')]);
      assert.deepEqual(
        outcomes.map((fault) => [fault?.code, fault?.disposition]),
        [
          ['PUBLISH_FAILED', 'transient'],
          ['PUBLISH_FAILED', 'transient'],
        ],
      );
      assert.match(outcomes[0]?.message ?? '', /projects\/test-project\/topics\/events/);
      assert.equal(requests() - before, 1, status);
    }
  });

  it('refuses an event that is too large, and publishes the others', async () => {
    const large = eventNamed(
      'large',
      Array.from({ length: 25 }, () => 'x'.repeat(12_000)),
    );
    const count = standIns.events().length;
    const outcomes = await publisher.publish('events', [eventNamed('a'), large, eventNamed('b')]);
    assert.deepEqual(
      outcomes.map((fault) => fault?.code),
      [undefined, 'EVENT_TOO_LARGE', undefined],
    );
    assert.equal(standIns.events().length, count + 2);
  });

  it('takes topics by their full names', async () => {
    const full = createPublisher({
      project: 'other',
      topic: 'projects/test-project/topics/events',
      bulkTopic: 'projects/test-project/topics/bulk',
    });
    const count = standIns.events().length;
    assert.deepEqual(await full.publish('events', [eventNamed('a')]), [undefined]);
    assert.equal(standIns.events().length, count + 1);
    await full.close();
  });

  it('publishes what waits after it was told of the end', async () => {
    const end = new AbortController();
    const told = createPublisher({
      project: 'test-project',
      topic: 'events',
      bulkTopic: 'bulk',
      signal: end.signal,
    });
    const count = standIns.events().length;
    assert.deepEqual(await told.publish('events', [eventNamed('before')]), [undefined]);
    end.abort();
    assert.deepEqual(await told.publish('events', [eventNamed('after')]), [undefined]);
    assert.equal(standIns.events().length, count + 2);
    await told.close();
  });

  it('tells which permission is missing where', async () => {
    assert.deepEqual(await publisher.missingPermissions(), []);
    standIns.pubsub.permissions.deny('pubsub.topics.publish');
    const missing = await publisher.missingPermissions();
    assert.deepEqual(await publisher.missingPermissions(['bulk']), missing.slice(1));
    standIns.pubsub.permissions.allow('pubsub.topics.publish');
    assert.equal(missing.length, 2);
    assert.match(
      missing[0] ?? '',
      /pubsub\.topics\.publish.*projects\/test-project\/topics\/events/,
    );
    assert.match(missing[1] ?? '', /projects\/test-project\/topics\/bulk/);
  });

  it('tells of a topic that does not exist', async () => {
    const lost = createPublisher({ project: 'test-project', topic: 'nowhere', bulkTopic: 'bulk' });
    const missing = await lost.missingPermissions();
    assert.equal(missing.length, 1);
    assert.match(missing[0] ?? '', /nowhere/);
    assert.equal((await lost.publish('events', [eventNamed('a')]))[0]?.code, 'PUBLISH_FAILED');
    await lost.close();
  });

  it('says nothing of permissions where there is no way to ask', async () => {
    standIns.pubsub.faults.add({
      kind: 'refused',
      method: 'TestIamPermissions',
      status: 'UNIMPLEMENTED',
      times: 2,
    });
    assert.deepEqual(await publisher.missingPermissions(), []);
  });
});

describe('dryRunPublisher', () => {
  it('says what would be published, and accepts all', async () => {
    const lines: string[] = [];
    const publisher = dryRunPublisher(createLogger({ write: (line) => lines.push(line) }));
    assert.deepEqual(await publisher.publish('bulk', [eventNamed('a'), eventNamed('b')]), [
      undefined,
      undefined,
    ]);
    const [line] = lines.map((each) => JSON.parse(each) as Record<string, unknown>);
    assert.deepEqual(
      [lines.length, line?.['name'], line?.['lane'], line?.['reason']],
      [2, 'a', 'bulk', 'changed'],
    );
    assert.deepEqual(await publisher.missingPermissions(), []);
    await publisher.close();
  });
});
