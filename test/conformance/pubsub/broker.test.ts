import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Broker } from '../../stand-ins/pubsub/broker.ts';
import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import type { MessageContent } from '../../stand-ins/pubsub/message.ts';
import { seededRandom } from '../../stand-ins/pubsub/random.ts';
import type { SubscriptionConfig } from '../../stand-ins/pubsub/subscription-config.ts';
import { RecordingConsumer } from './recording-consumer.ts';

const DAY_MS = 86_400_000;
const topic = 'projects/p/topics/topic';
const dead = 'projects/p/topics/dead';
const name = 'projects/p/subscriptions/abc';

interface Setting {
  readonly clock: ManualClock;
  readonly broker: Broker;
}

function setting(retentionMs?: number): Setting {
  const clock = new ManualClock(0);
  const habits = { shuffled: false, duplicateShare: 0, backoffFactor: 1 };
  const broker = new Broker({ clock, random: seededRandom(1), habits });
  broker.createTopic({ name: topic, labels: {}, retentionMs });
  return { clock, broker };
}

function config(fields: Partial<SubscriptionConfig> = {}): SubscriptionConfig {
  return {
    name,
    topic,
    push: undefined,
    ackDeadlineMs: 10_000,
    retainAcked: false,
    retentionMs: 7 * DAY_MS,
    labels: {},
    ordered: false,
    ttlMs: undefined,
    filter: '',
    deadLetter: undefined,
    retry: undefined,
    ...fields,
  };
}

function content(text: string): MessageContent {
  return { data: Buffer.from(text), attributes: {}, orderingKey: '' };
}

function backlogOf(broker: Broker, subscription = name): readonly string[] {
  return broker
    .subscription(subscription)
    .unacknowledged()
    .map(({ data }) => data.toString());
}

describe('broker', () => {
  it('gives each subscription every message, from its creation on', () => {
    const { broker } = setting(DAY_MS);
    const other = 'projects/p/subscriptions/other';
    broker.publish(topic, [content('before')]);
    broker.createSubscription(config());
    broker.publish(topic, [content('1')]);
    broker.createSubscription(config({ name: other }));
    broker.publish(topic, [content('2'), content('3')]);
    assert.deepEqual(backlogOf(broker), ['1', '2', '3']);
    assert.deepEqual(backlogOf(broker, other), ['2', '3']);
  });

  it('gives every message an id of its own', () => {
    const { broker } = setting();
    const other = 'projects/p/topics/other';
    broker.createTopic({ name: other, labels: {}, retentionMs: undefined });
    const ids = [
      ...broker.publish(topic, [content('1'), content('2')]),
      ...broker.publish(other, [content('3')]),
    ];
    assert.equal(new Set(ids).size, 3);
    assert.ok(ids.every((id) => /^\d{16}$/.test(id)));
  });

  it('publishes all messages of a request or none', () => {
    const { broker } = setting();
    broker.createSubscription(config());
    assert.throws(() => broker.publish(topic, [content('good'), content('')]), {
      status: 'INVALID_ARGUMENT',
    });
    assert.deepEqual(backlogOf(broker), []);
  });

  it('leaves a subscription its messages when the topic is deleted', () => {
    const { broker } = setting();
    broker.createSubscription(config());
    broker.publish(topic, [content('1')]);
    broker.deleteTopic(topic);
    assert.equal(broker.subscription(name).config.topic, '_deleted-topic_');
    assert.deepEqual(backlogOf(broker), ['1']);
    broker.createTopic({ name: topic, labels: {}, retentionMs: undefined });
    broker.publish(topic, [content('2')]);
    assert.deepEqual(backlogOf(broker), ['1']);
  });

  it('gives a subscription made again under its name nothing of the old one', () => {
    const { broker } = setting();
    broker.createSubscription(config());
    broker.publish(topic, [content('1')]);
    broker.deleteSubscription(name);
    broker.createSubscription(config());
    assert.deepEqual(backlogOf(broker), []);
  });

  it('writes dead letters to their topic, and none where it was deleted', () => {
    const { broker } = setting();
    const letters = 'projects/p/subscriptions/letters';
    broker.createTopic({ name: dead, labels: {}, retentionMs: undefined });
    broker.createSubscription(config({ name: letters, topic: dead }));
    broker.createSubscription(config({ deadLetter: { topic: dead, maxDeliveryAttempts: 5 } }));
    const consumer = new RecordingConsumer();
    broker.subscription(name).attach(consumer);
    const fail = (): void => {
      broker.publish(topic, [content('poison')]);
      for (let nacks = 0; nacks < 5; nacks += 1) {
        broker.subscription(name).nack(consumer.last.ackId);
      }
    };
    fail();
    assert.deepEqual(backlogOf(broker, letters), ['poison']);
    assert.deepEqual(backlogOf(broker), []);
    broker.deleteTopic(dead);
    fail();
    assert.deepEqual(backlogOf(broker), ['poison']);
  });

  const refused: readonly (readonly [string, string, (broker: Broker) => unknown])[] = [
    [
      'a topic twice',
      'ALREADY_EXISTS',
      (broker) => broker.createTopic({ name: topic, labels: {}, retentionMs: undefined }),
    ],
    [
      'a subscription twice',
      'ALREADY_EXISTS',
      (broker) => {
        broker.createSubscription(config());
        broker.createSubscription(config());
      },
    ],
    [
      'a subscription without its topic',
      'NOT_FOUND',
      (broker) => broker.createSubscription(config({ topic: dead })),
    ],
    [
      'a subscription without its dead-letter topic',
      'NOT_FOUND',
      (broker) =>
        broker.createSubscription(config({ deadLetter: { topic: dead, maxDeliveryAttempts: 5 } })),
    ],
    [
      'a change to a dead-letter topic that is missing',
      'NOT_FOUND',
      (broker) => {
        const subscription = broker.createSubscription(config());
        broker.reconfigure(
          subscription,
          config({ deadLetter: { topic: dead, maxDeliveryAttempts: 5 } }),
        );
      },
    ],
    ['an unknown topic', 'NOT_FOUND', (broker) => broker.publish(dead, [content('x')])],
    ['an unknown subscription', 'NOT_FOUND', (broker) => broker.subscription(name)],
    ['an unknown snapshot', 'NOT_FOUND', (broker) => broker.snapshot('projects/p/snapshots/abc')],
    [
      'to delete what is not there',
      'NOT_FOUND',
      (broker) => {
        broker.deleteSubscription(name);
      },
    ],
  ];
  for (const [what, status, act] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(() => act(setting().broker), { name: 'Refusal', status });
    });
  }
});

describe('expiration of a subscription', () => {
  it('comes when nobody has used it for its ttl', () => {
    const { broker, clock } = setting();
    broker.createSubscription(config({ ttlMs: 31 * DAY_MS }));
    clock.advance(31 * DAY_MS);
    assert.equal(broker.subscriptions.size, 1);
    clock.advance(1);
    assert.equal(broker.subscriptions.size, 0);
  });

  it('starts over with each use', () => {
    const { broker, clock } = setting();
    broker.createSubscription(config({ ttlMs: DAY_MS }));
    clock.advance(DAY_MS);
    broker.subscription(name);
    clock.advance(DAY_MS);
    assert.equal(broker.subscriptions.size, 1);
  });

  it('does not come while somebody pulls, nor without a ttl', () => {
    const { broker, clock } = setting();
    const kept = 'projects/p/subscriptions/kept';
    broker.createSubscription(config({ ttlMs: DAY_MS })).attach(new RecordingConsumer());
    broker.createSubscription(config({ name: kept }));
    clock.advance(100 * DAY_MS);
    assert.deepEqual([...broker.subscriptions.keys()], [name, kept]);
  });
});

describe('seek to a time', () => {
  it('replays on a new subscription what its topic retains', () => {
    const { broker, clock } = setting(DAY_MS);
    broker.publish(topic, [content('old')]);
    clock.advance(1_000);
    broker.publish(topic, [content('new')]);
    broker.createSubscription(config());
    assert.deepEqual(backlogOf(broker), []);
    broker.seekToTime(name, 1_000);
    assert.deepEqual(backlogOf(broker), ['new']);
    broker.seekToTime(name, 0);
    assert.deepEqual(backlogOf(broker), ['old', 'new']);
  });

  it('acknowledges an older backlog', () => {
    const { broker, clock } = setting();
    broker.createSubscription(config());
    broker.publish(topic, [content('old')]);
    clock.advance(1_000);
    broker.publish(topic, [content('new')]);
    broker.seekToTime(name, 500);
    assert.deepEqual(backlogOf(broker), ['new']);
  });

  it('purges everything where the time is to come, and keeps what comes then', () => {
    const { broker, clock } = setting();
    broker.createSubscription(config());
    broker.publish(topic, [content('old')]);
    broker.seekToTime(name, clock.nowMs() + DAY_MS);
    broker.publish(topic, [content('new')]);
    assert.deepEqual(backlogOf(broker), ['new']);
  });
});

describe('seek to a snapshot', () => {
  const snapshot = 'projects/p/snapshots/abc';

  it('brings back what was unacknowledged then, and what came later', () => {
    const { broker } = setting();
    broker.createSubscription(config());
    const consumer = new RecordingConsumer();
    broker.subscription(name).attach(consumer);
    broker.publish(topic, [content('acknowledged'), content('open')]);
    const [first, second] = consumer.deliveries;
    broker.subscription(name).acknowledge(first?.ackId ?? '');
    broker.createSnapshot(snapshot, name, {});
    broker.subscription(name).acknowledge(second?.ackId ?? '');
    broker.publish(topic, [content('later')]);
    broker.subscription(name).acknowledge(consumer.last.ackId);
    assert.deepEqual(backlogOf(broker), []);
    broker.seekToSnapshot(name, snapshot);
    assert.deepEqual(backlogOf(broker), ['open', 'later']);
  });

  it('works for another subscription of the topic, and acknowledges what is not in it', () => {
    const { broker } = setting();
    const other = 'projects/p/subscriptions/other';
    broker.createSubscription(config());
    const consumer = new RecordingConsumer();
    broker.subscription(name).attach(consumer);
    broker.createSubscription(config({ name: other }));
    broker.publish(topic, [content('1'), content('2')]);
    broker.subscription(name).acknowledge(consumer.deliveries[0]?.ackId ?? '');
    broker.createSnapshot(snapshot, name, {});
    broker.seekToSnapshot(other, snapshot);
    assert.deepEqual(backlogOf(broker, other), ['2']);
  });

  it('is refused for a subscription of another topic', () => {
    const { broker } = setting();
    const other = 'projects/p/subscriptions/other';
    broker.createTopic({ name: dead, labels: {}, retentionMs: undefined });
    broker.createSubscription(config());
    broker.createSubscription(config({ name: other, topic: dead }));
    broker.createSnapshot(snapshot, name, {});
    assert.throws(
      () => {
        broker.seekToSnapshot(other, snapshot);
      },
      { name: 'Refusal', status: 'FAILED_PRECONDITION' },
    );
  });

  it('is over when the snapshot expires or is deleted', () => {
    const { broker, clock } = setting();
    broker.createSubscription(config());
    broker.createSnapshot(snapshot, name, {});
    clock.advance(7 * DAY_MS - 1);
    assert.equal(broker.snapshots.size, 1);
    clock.advance(1);
    assert.equal(broker.snapshots.size, 0);
    broker.createSnapshot(snapshot, name, {});
    broker.deleteSnapshot(snapshot);
    assert.throws(() => broker.snapshot(snapshot), { status: 'NOT_FOUND' });
  });

  it('cannot be made twice, under a malformed name, or of a deleted topic', () => {
    const { broker } = setting();
    broker.createSubscription(config());
    broker.createSnapshot(snapshot, name, {});
    assert.throws(() => broker.createSnapshot(snapshot, name, {}), { status: 'ALREADY_EXISTS' });
    assert.throws(() => broker.createSnapshot('abc', name, {}), { status: 'INVALID_ARGUMENT' });
    broker.deleteTopic(topic);
    assert.throws(() => broker.createSnapshot('projects/p/snapshots/def', name, {}), {
      status: 'FAILED_PRECONDITION',
    });
  });
});

describe('listener', () => {
  it('is told of changes until it stops', () => {
    const { broker } = setting();
    let changes = 0;
    const stop = broker.listen(() => {
      changes += 1;
    });
    broker.createSubscription(config());
    const made = changes;
    assert.ok(made > 0);
    broker.publish(topic, [content('x')]);
    const published = changes;
    assert.ok(published > made);
    stop();
    broker.publish(topic, [content('x')]);
    assert.equal(changes, published);
  });
});
