import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ManualClock } from '../../stand-ins/pubsub/clock.ts';
import type { Message } from '../../stand-ins/pubsub/message.ts';
import { seededRandom } from '../../stand-ins/pubsub/random.ts';
import { Refusal } from '../../stand-ins/pubsub/refusal.ts';
import type { SubscriptionConfig } from '../../stand-ins/pubsub/subscription-config.ts';
import { Subscription, type DeliveryHabits } from '../../stand-ins/pubsub/subscription.ts';
import { Topic } from '../../stand-ins/pubsub/topic.ts';
import { RecordingConsumer } from './recording-consumer.ts';

const HOUR_MS = 3_600_000;

interface Letter {
  readonly messageId: string;
  readonly attempts: number;
}

interface Setting {
  readonly clock: ManualClock;
  readonly subscription: Subscription;
  readonly topic: Topic;
  readonly letters: Letter[];
  /** Publishes messages with these sequences. */
  readonly publish: (...sequences: readonly number[]) => void;
  readonly publishMessage: (message: Partial<Message> & { readonly sequence: number }) => void;
}

interface Options {
  readonly config?: Partial<SubscriptionConfig>;
  readonly habits?: Partial<DeliveryHabits>;
  readonly topicRetentionMs?: number;
  readonly hasDeadLetterTopic?: boolean;
}

function setting(options: Options = {}): Setting {
  const clock = new ManualClock(0);
  const letters: Letter[] = [];
  const topic = new Topic({
    name: 'projects/p/topics/abc',
    labels: {},
    retentionMs: options.topicRetentionMs,
  });
  const config: SubscriptionConfig = {
    name: 'projects/p/subscriptions/abc',
    topic: topic.config.name,
    push: undefined,
    ackDeadlineMs: 10_000,
    retainAcked: false,
    retentionMs: 24 * HOUR_MS,
    labels: {},
    ordered: false,
    ttlMs: undefined,
    filter: '',
    deadLetter: undefined,
    retry: undefined,
    ...options.config,
  };
  const subscription = new Subscription(config, topic, {
    clock,
    random: seededRandom(1),
    habits: { shuffled: false, duplicateShare: 0, backoffFactor: 1, ...options.habits },
    deadLetter: ({ messageId }, _config, attempts) => {
      if (options.hasDeadLetterTopic === false) return false;
      letters.push({ messageId, attempts });
      return true;
    },
    changed: () => undefined,
  });
  const publishMessage: Setting['publishMessage'] = (message) => {
    const whole: Message = {
      messageId: `m${message.sequence}`,
      data: Buffer.from('x'),
      attributes: {},
      orderingKey: '',
      publishTimeMs: clock.nowMs(),
      ...message,
    };
    topic.keep(whole, clock.nowMs());
    subscription.receive(whole);
    subscription.dispatch();
  };
  return {
    clock,
    subscription,
    topic,
    letters,
    publishMessage,
    publish: (...sequences) => {
      for (const sequence of sequences) publishMessage({ sequence });
    },
  };
}

const twoAttempts = { topic: 'projects/p/topics/dead', maxDeliveryAttempts: 5 };
const backoff = { minimumBackoffMs: 1_000, maximumBackoffMs: 8_000 };

describe('subscription', () => {
  it('delivers to whoever has room, in turn', () => {
    const { subscription, publish } = setting();
    const consumers = [new RecordingConsumer(2), new RecordingConsumer(2)];
    for (const consumer of consumers) subscription.attach(consumer);
    publish(1, 2, 3, 4, 5);
    assert.deepEqual(
      consumers.map(({ messageIds }) => messageIds),
      [
        ['m1', 'm3'],
        ['m2', 'm4'],
      ],
    );
    assert.deepEqual([subscription.counts.ready, subscription.counts.outstanding], [1, 4]);
  });

  it('delivers the next one when there is room again', () => {
    const { subscription, publish } = setting();
    const consumer = new RecordingConsumer(1);
    subscription.attach(consumer);
    publish(1, 2);
    subscription.acknowledge(consumer.last.ackId);
    assert.deepEqual(consumer.messageIds, ['m1', 'm2']);
    assert.equal(subscription.totals.acknowledged, 1);
  });

  it('counts an acknowledgement once, and knows none that it did not ask for', () => {
    const { subscription, publish } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    for (const ackId of [consumer.last.ackId, consumer.last.ackId, 'm1-99']) {
      subscription.acknowledge(ackId);
    }
    assert.equal(subscription.totals.acknowledged, 1);
  });

  it('drops what the filter does not keep', () => {
    const { subscription, publishMessage } = setting({ config: { filter: 'attributes:kept' } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publishMessage({ sequence: 1 });
    publishMessage({ sequence: 2, attributes: { kept: '' } });
    assert.deepEqual(consumer.messageIds, ['m2']);
    assert.deepEqual(subscription.unacknowledged().length, 1);
  });

  it('leaves a message with a consumer that goes, until its deadline', () => {
    const { subscription, publish, clock } = setting();
    const gone = new RecordingConsumer();
    subscription.attach(gone);
    publish(1);
    subscription.detach(gone);
    const next = new RecordingConsumer();
    subscription.attach(next);
    clock.advance(9_999);
    assert.deepEqual(next.messageIds, []);
    clock.advance(1);
    assert.deepEqual(next.messageIds, ['m1']);
  });

  it('drops what its retention does not cover any more', () => {
    const { subscription, publish, clock } = setting({ config: { retentionMs: HOUR_MS } });
    publish(1);
    clock.advance(HOUR_MS + 1);
    publish(2);
    assert.deepEqual(
      subscription.unacknowledged().map(({ messageId }) => messageId),
      ['m2'],
    );
  });

  it('keeps a backlog as long as its topic does, where that is longer', () => {
    const { subscription, publish, clock } = setting({
      config: { retentionMs: HOUR_MS },
      topicRetentionMs: 2 * HOUR_MS,
    });
    publish(1);
    clock.advance(HOUR_MS + 1);
    assert.equal(subscription.unacknowledged().length, 1);
    clock.advance(HOUR_MS);
    assert.equal(subscription.unacknowledged().length, 0);
  });

  it('tells its consumers when it is closed, and forgets everything', () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.close(new Refusal('NOT_FOUND', 'deleted'));
    assert.equal(consumer.dismissals[0]?.status, 'NOT_FOUND');
    assert.equal(consumer.endings[0]?.[1], 'withdrawn');
    assert.equal(clock.timers, 0);
    assert.equal(subscription.counts.outstanding, 0);
  });
});

describe('ack deadline', () => {
  it("is the consumer's, and a failed delivery when it passes", () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer(Infinity, 30_000);
    subscription.attach(consumer);
    publish(1);
    const { ackId } = consumer.last;
    clock.advance(29_999);
    assert.equal(consumer.deliveries.length, 1);
    clock.advance(1);
    assert.deepEqual(consumer.endings, [[ackId, 'expired']]);
    assert.equal(subscription.totals.expired, 1);
    assert.equal(consumer.deliveries.length, 2);
    assert.equal(consumer.last.attempt, 2);
  });

  it('can be extended, from the moment of asking', () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    clock.advance(9_000);
    subscription.extend(consumer.last.ackId, 60_000);
    clock.advance(59_999);
    assert.equal(consumer.deliveries.length, 1);
    clock.advance(1);
    assert.equal(consumer.deliveries.length, 2);
  });

  it('makes a late acknowledgement void', () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer(1);
    subscription.attach(consumer);
    publish(1);
    const late = consumer.last.ackId;
    clock.advance(10_000);
    subscription.acknowledge(late);
    assert.equal(subscription.totals.acknowledged, 0);
    assert.equal(subscription.counts.outstanding, 1);
  });
});

describe('redelivery', () => {
  it('is immediate without a retry policy', () => {
    const { subscription, publish } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.nack(consumer.last.ackId);
    assert.deepEqual(consumer.messageIds, ['m1', 'm1']);
    assert.equal(subscription.totals.nacked, 1);
  });

  it('waits longer with each failure, up to the maximum', () => {
    const { subscription, publish, clock } = setting({ config: { retry: backoff } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    for (const waitMs of [1_000, 2_000, 4_000, 8_000, 8_000]) {
      const before = consumer.deliveries.length;
      subscription.nack(consumer.last.ackId);
      clock.advance(waitMs - 1);
      assert.equal(consumer.deliveries.length, before);
      clock.advance(1);
      assert.equal(consumer.deliveries.length, before + 1);
    }
    assert.equal(consumer.last.attempt, 6);
  });

  it('waits for each message by itself', () => {
    const { subscription, publish } = setting({ config: { retry: backoff } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.nack(consumer.last.ackId);
    publish(2);
    assert.deepEqual(consumer.messageIds, ['m1', 'm2']);
  });

  it('waits a share of it where that is asked for, while the ack deadline stays', () => {
    const { subscription, publish, clock } = setting({
      config: { retry: backoff },
      habits: { backoffFactor: 0.01 },
    });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.nack(consumer.last.ackId);
    clock.advance(9);
    assert.equal(consumer.deliveries.length, 1);
    clock.advance(1);
    assert.equal(consumer.deliveries.length, 2);
    clock.advance(9_999);
    assert.equal(subscription.totals.expired, 0);
  });
});

describe('dead letters', () => {
  it('are written after so many attempts, nacks and expired deadlines alike', () => {
    const { subscription, publish, clock, letters } = setting({
      config: { deadLetter: twoAttempts },
    });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    for (let nacks = 0; nacks < 3; nacks += 1) subscription.nack(consumer.last.ackId);
    clock.advance(10_000);
    assert.deepEqual(letters, []);
    assert.equal(consumer.last.attempt, 5);
    clock.advance(10_000);
    assert.deepEqual(letters, [{ messageId: 'm1', attempts: 5 }]);
    assert.equal(consumer.deliveries.length, 5);
    assert.equal(subscription.counts.outstanding, 0);
    assert.deepEqual(subscription.totals, {
      delivered: 5,
      acknowledged: 0,
      nacked: 3,
      expired: 2,
      deadLettered: 1,
    });
  });

  it('are not written without a topic for them: the message is delivered on', () => {
    const { subscription, publish } = setting({
      config: { deadLetter: twoAttempts },
      hasDeadLetterTopic: false,
    });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    for (let nacks = 0; nacks < 10; nacks += 1) subscription.nack(consumer.last.ackId);
    assert.equal(consumer.last.attempt, 11);
    assert.equal(subscription.totals.deadLettered, 0);
  });

  it('let the next message of an ordering key go', () => {
    const { subscription, publishMessage, letters } = setting({
      config: { deadLetter: twoAttempts, ordered: true },
    });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    for (const sequence of [1, 2]) publishMessage({ sequence, orderingKey: 'key' });
    for (let nacks = 0; nacks < 5; nacks += 1) {
      assert.equal(consumer.last.message.messageId, 'm1');
      subscription.nack(consumer.last.ackId);
    }
    assert.equal(letters.length, 1);
    assert.equal(consumer.last.message.messageId, 'm2');
  });
});

describe('chance', () => {
  it('brings messages in another order than they were published', () => {
    const { subscription, publish, clock } = setting({ habits: { shuffled: true } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    const sequences = Array.from({ length: 30 }, (_unused, index) => index);
    publish(...sequences);
    clock.advance(100);
    const inOrder = sequences.map((sequence) => `m${sequence}`);
    assert.notDeepEqual(consumer.messageIds, inOrder);
    assert.deepEqual([...consumer.messageIds].sort(), [...inOrder].sort());
  });

  it('delivers a share of the messages once more, acknowledged though they are', () => {
    const { subscription, publish, clock } = setting({ habits: { duplicateShare: 0.1 } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(...Array.from({ length: 1_000 }, (_unused, index) => index));
    for (const { ackId } of [...consumer.deliveries]) subscription.acknowledge(ackId);
    clock.advance(1_000);
    const duplicates = consumer.deliveries.slice(1_000);
    assert.ok(duplicates.length > 70 && duplicates.length < 130, String(duplicates.length));
    assert.ok(duplicates.every(({ attempt }) => attempt === 1));
    for (const { ackId } of duplicates.slice(10)) subscription.acknowledge(ackId);
    for (const { ackId } of duplicates.slice(0, 10)) subscription.nack(ackId);
    assert.equal(subscription.totals.acknowledged, 1_000);
    assert.equal(consumer.deliveries.length, 1_000 + duplicates.length);
  });

  it('lets a duplicate be acknowledged for the message', () => {
    const { subscription, publish, clock } = setting({ habits: { duplicateShare: 1 } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    clock.advance(1_000);
    assert.equal(consumer.deliveries.length, 2);
    subscription.acknowledge(consumer.last.ackId);
    subscription.nack(consumer.deliveries[0]?.ackId ?? '');
    assert.equal(subscription.totals.acknowledged, 1);
    assert.equal(consumer.deliveries.length, 2);
  });

  it('does not mind a duplicate that fails while the message is on its way', () => {
    const { subscription, publish, clock } = setting({ habits: { duplicateShare: 1 } });
    const consumer = new RecordingConsumer(Infinity, 600_000);
    subscription.attach(consumer);
    publish(1);
    clock.advance(1_000);
    const [first, duplicate] = consumer.deliveries;
    subscription.nack(duplicate?.ackId ?? '');
    assert.equal(consumer.deliveries.length, 2);
    assert.equal(subscription.counts.outstanding, 1);
    subscription.acknowledge(first?.ackId ?? '');
    assert.equal(subscription.totals.acknowledged, 1);
  });

  it('delivers a duplicate late where there is no room for it', () => {
    const { subscription, publish, clock } = setting({ habits: { duplicateShare: 1 } });
    const consumer = new RecordingConsumer(1, 600_000);
    subscription.attach(consumer);
    publish(1);
    clock.advance(1_000);
    assert.equal(consumer.deliveries.length, 1);
    subscription.acknowledge(consumer.last.ackId);
    assert.deepEqual(consumer.messageIds, ['m1', 'm1']);
    assert.equal(subscription.counts.outstanding, 0);
  });

  it('repeats nothing of which the order matters', () => {
    const { subscription, publishMessage, clock } = setting({
      config: { ordered: true },
      habits: { duplicateShare: 1 },
    });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publishMessage({ sequence: 1, orderingKey: 'key' });
    clock.advance(5_000);
    assert.equal(consumer.deliveries.length, 1);
  });
});

describe('seek', () => {
  it('replays from a time on what the topic retains, and acknowledges what is older', () => {
    const { subscription, publish, clock } = setting({ topicRetentionMs: HOUR_MS });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    for (const sequence of [1, 2, 3]) {
      publish(sequence);
      clock.advance(1_000);
    }
    subscription.acknowledge(consumer.deliveries[1]?.ackId ?? '');
    subscription.acknowledge(consumer.deliveries[2]?.ackId ?? '');
    subscription.seek(({ publishTimeMs }) => publishTimeMs >= 1_000);
    assert.deepEqual(consumer.messageIds.slice(3), ['m2', 'm3']);
    clock.advance(60_000);
    assert.ok(!consumer.messageIds.slice(3).includes('m1'));
  });

  it('replays what the subscription itself has kept', () => {
    const { subscription, publish } = setting({ config: { retainAcked: true } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.acknowledge(consumer.last.ackId);
    subscription.seek(() => true);
    assert.deepEqual(consumer.messageIds, ['m1', 'm1']);
  });

  it('brings nothing back that was kept nowhere', () => {
    const { subscription, publish } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.acknowledge(consumer.last.ackId);
    subscription.seek(() => true);
    assert.deepEqual(consumer.messageIds, ['m1']);
  });

  it('replays through the filter', () => {
    const { subscription, publishMessage } = setting({
      config: { filter: 'attributes:kept' },
      topicRetentionMs: HOUR_MS,
    });
    publishMessage({ sequence: 1 });
    publishMessage({ sequence: 2, attributes: { kept: '' } });
    subscription.seek(() => true);
    assert.deepEqual(
      subscription.unacknowledged().map(({ messageId }) => messageId),
      ['m2'],
    );
  });

  it('lets a delivery go on that it does not touch', () => {
    const { subscription, publish } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.seek(() => true);
    subscription.acknowledge(consumer.last.ackId);
    assert.equal(subscription.totals.acknowledged, 1);
    assert.equal(consumer.deliveries.length, 1);
  });

  it('takes a delivery back that it acknowledges', () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.seek(() => false);
    assert.equal(consumer.endings[0]?.[1], 'withdrawn');
    clock.advance(60_000);
    assert.equal(consumer.deliveries.length, 1);
  });
});

describe('reconfiguration', () => {
  it('applies to the next failure', () => {
    const { subscription, publish, clock } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.reconfigure({ ...subscription.config, retry: backoff });
    subscription.nack(consumer.last.ackId);
    assert.equal(consumer.deliveries.length, 1);
    clock.advance(1_000);
    assert.equal(consumer.deliveries.length, 2);
  });

  it('forgets acknowledged messages where they are no longer kept', () => {
    const { subscription, publish } = setting({ config: { retainAcked: true } });
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    publish(1);
    subscription.acknowledge(consumer.last.ackId);
    subscription.reconfigure({ ...subscription.config, retainAcked: false });
    subscription.seek(() => true);
    assert.equal(consumer.deliveries.length, 1);
  });

  it('sends those away who pull what is pushed now', () => {
    const { subscription } = setting();
    const consumer = new RecordingConsumer();
    subscription.attach(consumer);
    assert.equal(subscription.connected, true);
    const push = { endpoint: 'http://127.0.0.1:1/', format: 'wrapped' } as const;
    subscription.reconfigure({ ...subscription.config, push });
    assert.equal(consumer.dismissals[0]?.status, 'FAILED_PRECONDITION');
    assert.equal(subscription.connected, false);
  });
});
