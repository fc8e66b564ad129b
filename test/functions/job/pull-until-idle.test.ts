import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import type { CreateSubscriptionOptions } from '@google-cloud/pubsub';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import {
  endedWell,
  pullUntilIdle,
  type PullUntilIdleOptions,
  type Taker,
} from '../../../functions/job/pull-until-idle.ts';
import {
  readSubscription,
  type SubscriptionFacts,
} from '../../../functions/pubsub/subscription.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import type { PulledMessage } from '../../../functions/pubsub/puller.ts';
import { PROJECT, startBroker, startBrokerWith, type Broker } from '../pubsub/broker.ts';
import { keptLines, sampleEvent } from '../subscriber/samples.ts';
import { rejection } from '../../faults.ts';

const SUBSCRIPTION = `projects/${PROJECT}/subscriptions/drain`;
const NEVER = new AbortController().signal;
const IDLE_MS = 300;
/** How many times as fast as Pub/Sub's the deadlines and back-offs of some brokers pass. */
const SPEED = 20;

/** Options of a pull from `drain`, which nobody else reads. */
async function optionsOf(
  { client }: Broker,
  own: Partial<PullUntilIdleOptions> = {},
): Promise<PullUntilIdleOptions> {
  return {
    subscription: { ...(await readSubscription(client, 'drain', NEVER)), comesBackMs: 0 },
    maxMessages: 10,
    maxExtensionSeconds: 600,
    idleMs: IDLE_MS,
    logger: keptLines().logger,
    signal: NEVER,
    ...own,
  };
}

function taker(
  onMessage: (message: PulledMessage) => void,
): Taker & { received: number; idle: boolean } {
  const self = {
    received: 0,
    idle: true,
    receive: (message: PulledMessage) => {
      self.received += 1;
      onMessage(message);
    },
    stop: async () => Promise.resolve(),
  };
  return self;
}

describe('pull until idle', () => {
  it('ends when nothing comes any more', async () => {
    const broker = await startBroker('drain');
    try {
      for (const tag of ['a', 'b', 'c']) {
        await topicPublisher(broker.client, 'drain').publish(
          encodeEvent(sampleEvent({ tags: [tag] })),
        );
      }
      const taking = taker((message) => {
        message.ack();
      });
      const ending = await pullUntilIdle(broker.client, taking, await optionsOf(broker));
      assert.equal(ending, 'empty');
      assert.equal(taking.received, 3);
      await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 3);
    } finally {
      await broker.close();
    }
  });

  it('waits for what is under way, however long nothing comes', async () => {
    const broker = await startBroker('drain');
    try {
      await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
      const steps: string[] = [];
      const taking = taker((message) => {
        taking.idle = false;
        setTimeout(() => {
          steps.push('worked');
          message.ack();
          taking.idle = true;
        }, 4 * IDLE_MS);
      });
      await pullUntilIdle(broker.client, taking, await optionsOf(broker));
      steps.push('ended');
      assert.deepEqual(steps, ['worked', 'ended']);
      await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
    } finally {
      await broker.close();
    }
  });

  it('tells that what is kept leaves no place for more', async () => {
    const broker = await startBroker('drain');
    try {
      for (let n = 0; n < 5; n++) {
        await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
      }
      const kept: PulledMessage[] = [];
      const taking = taker((message) => kept.push(message));
      const ending = await pullUntilIdle(
        broker.client,
        taking,
        await optionsOf(broker, { maxMessages: 3 }),
      );
      assert.deepEqual([ending, kept.length], ['full', 3]);
    } finally {
      await broker.close();
    }
  });

  it('ends at once when it is told to', async () => {
    const broker = await startBroker('drain');
    try {
      const controller = new AbortController();
      const ended = pullUntilIdle(
        broker.client,
        taker(() => undefined),
        await optionsOf(broker, { idleMs: 600_000, signal: controller.signal }),
      );
      controller.abort();
      assert.equal(await ended, 'stopped');
    } finally {
      await broker.close();
    }
  });

  it('says why it waits for a deadline that it may not read', async () => {
    const broker = await startBroker('drain');
    try {
      const { logger, lines } = keptLines();
      const facts = await readSubscription(broker.client, 'drain', NEVER);
      const subscription = { ...facts, topic: undefined, comesBackMs: 2000 };
      const options = await optionsOf(broker, { logger, subscription });
      const taking = taker(() => undefined);
      assert.equal(await pullUntilIdle(broker.client, taking, options), 'empty');
      assert.match(String(lines[0]?.['message']), /which are waited for \(.* may not be read,/);
    } finally {
      await broker.close();
    }
  });

  for (const own of [0, 1]) {
    const title = own === 0 ? 'where nothing came at all' : 'also where something came';
    it(`waits for what another reader took, ${title}`, async () => {
      const broker = await startBrokerWith({ speed: SPEED });
      try {
        await subscribe(broker, {
          ackDeadlineSeconds: 60,
          retryPolicy: { minimumBackoff: { seconds: 60 }, maximumBackoff: { seconds: 60 } },
        });
        for (let n = 0; n <= own; n += 1) {
          await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
        }
        await takeOne(broker);
        const { logger, lines } = keptLines();
        const taking = taker((message) => {
          message.ack();
        });
        const subscription = await hastened(broker);
        const options = await optionsOf(broker, { logger, subscription });
        assert.equal(await pullUntilIdle(broker.client, taking, options), 'empty');
        assert.equal(taking.received, own + 1);
        assert.equal(lines.filter(({ severity }) => severity === 'NOTICE').length, 1);
      } finally {
        await broker.close();
      }
    });
  }

  it('waits for what an attempt of the job held that was killed', async () => {
    const broker = await startBrokerWith({ speed: SPEED });
    try {
      await subscribe(broker, { ackDeadlineSeconds: 60 });
      const attempt = spawn(
        process.execPath,
        [new URL('killed-attempt.ts', import.meta.url).pathname],
        {
          env: { ...process.env, PUBSUB_EMULATOR_HOST: broker.pubsub.host },
          stdio: ['ignore', 'pipe', 'inherit'],
        },
      );
      const received = createInterface(attempt.stdout);
      const publisher = topicPublisher(broker.client, 'drain');
      await publisher.publish(encodeEvent(sampleEvent()));
      await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
      const extended = broker.pubsub.requests('ModifyAckDeadline');
      await publisher.publish(encodeEvent(sampleEvent()));
      await once(received, 'line');
      // The client extends what it receives at once.
      while (broker.pubsub.requests('ModifyAckDeadline') === extended) await delay(10);
      const ended = once(attempt, 'exit');
      attempt.kill('SIGKILL');
      await ended;
      const taking = taker((message) => {
        message.ack();
      });
      const subscription = await hastened(broker);
      const options = await optionsOf(broker, { subscription });
      assert.equal(await pullUntilIdle(broker.client, taking, options), 'empty');
      assert.equal(taking.received, 1);
    } finally {
      await broker.close();
    }
  });

  it('waits for what it was shown and handed back', async () => {
    const broker = await startBrokerWith({ speed: SPEED });
    try {
      await subscribe(broker, {
        retryPolicy: { minimumBackoff: { seconds: 100 }, maximumBackoff: { seconds: 100 } },
      });
      const publisher = topicPublisher(broker.client, 'drain');
      await publisher.publish(encodeEvent(sampleEvent()));
      // It is asked for before a stream brings it.
      broker.pubsub.faults.add({
        method: 'StreamingPull',
        kind: 'refused',
        status: 'UNAVAILABLE',
        times: Number.POSITIVE_INFINITY,
      });
      const taking = taker((message) => {
        message.ack();
      });
      const subscription = { ...(await hastened(broker)), comesBackMs: 0 };
      const options = await optionsOf(broker, { subscription });
      const ended = pullUntilIdle(broker.client, taking, options);
      while (broker.pubsub.requests('Pull') === 0) await delay(10);
      broker.pubsub.faults.clear();
      await publisher.publish(encodeEvent(sampleEvent()));
      assert.equal(await ended, 'empty');
      assert.equal(taking.received, 2);
    } finally {
      await broker.close();
    }
  });

  it('tells that messages wait which do not come', async () => {
    const broker = await startBroker('drain');
    try {
      await topicPublisher(broker.client, 'drain').publish(encodeEvent(sampleEvent()));
      broker.pubsub.faults.add({
        method: 'StreamingPull',
        kind: 'refused',
        status: 'UNAVAILABLE',
        times: Number.POSITIVE_INFINITY,
      });
      const ending = await pullUntilIdle(
        broker.client,
        taker(() => undefined),
        await optionsOf(broker),
      );
      assert.equal(ending, 'not-empty');
      const left = broker.pubsub.view.subscription(SUBSCRIPTION);
      assert.deepEqual([left?.undelivered, left?.outstanding], [1, 0]);
    } finally {
      await broker.close();
    }
  });

  it('calls nothing empty that does not answer any more', async () => {
    const broker = await startBroker('drain');
    try {
      broker.pubsub.faults.add({
        method: 'Pull',
        kind: 'refused',
        status: 'UNAVAILABLE',
        times: Number.POSITIVE_INFINITY,
      });
      await rejection(
        pullUntilIdle(
          broker.client,
          taker(() => undefined),
          await optionsOf(broker),
        ),
        'PULL_FAILED',
      );
    } finally {
      await broker.close();
    }
  });

  it('fails where the subscription goes away', async () => {
    const broker = await startBroker('drain');
    try {
      const options = await optionsOf(broker, { idleMs: 600_000 });
      await broker.admin.subscription('drain').delete();
      await rejection(
        pullUntilIdle(
          broker.client,
          taker(() => undefined),
          options,
        ),
        'PULL_FAILED',
      );
    } finally {
      await broker.close();
    }
  });
});

describe('endedWell', () => {
  for (const [ending, isWell, said] of [
    ['empty', true, undefined],
    ['full', false, /as many messages are kept as can be leased/],
    ['not-empty', false, /^drain is not empty/],
    ['stopped', false, /^stopped before drain was empty/],
  ] as const) {
    it(`takes ${ending} for ${isWell ? 'the end' : 'none, and says so'}`, () => {
      const { logger, lines } = keptLines();
      assert.equal(endedWell(ending, 'drain', logger), isWell);
      assert.deepEqual(
        lines.map(({ severity }) => severity),
        isWell ? [] : ['WARNING'],
      );
      if (said !== undefined) assert.match(String(lines[0]?.['message']), said);
    });
  }
});

/** Makes the subscription `drain`, as Terraform does, on a topic of that name. */
async function subscribe({ admin }: Broker, options: CreateSubscriptionOptions): Promise<void> {
  await admin.createTopic('drain');
  await admin.createSubscription('drain', 'drain', options);
}

/** What is read of the subscription, by the broker's own time. */
async function hastened({ client }: Broker): Promise<SubscriptionFacts> {
  const facts = await readSubscription(client, 'drain', NEVER);
  return {
    ...facts,
    comesBackMs: facts.comesBackMs / SPEED,
    longestBackoffMs: facts.longestBackoffMs / SPEED,
  };
}

/** Takes a message as another reader does, which neither settles it nor extends its lease. */
async function takeOne({ admin }: Broker): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    admin.request(
      {
        client: 'SubscriberClient',
        method: 'pull',
        reqOpts: { subscription: SUBSCRIPTION, maxMessages: 1 },
      },
      (error) => {
        if (error === null) resolve();
        else reject(error);
      },
    );
  });
}
