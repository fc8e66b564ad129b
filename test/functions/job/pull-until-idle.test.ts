import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it, type TestContext } from 'node:test';
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

/** Pulls from `drain`, which nobody else reads. */
async function pull(
  { client }: Broker,
  taking: Taker,
  own: Partial<PullUntilIdleOptions> = {},
): ReturnType<typeof pullUntilIdle> {
  return pullUntilIdle(client, taking, {
    subscription: own.subscription ?? {
      ...(await readSubscription(client, 'drain', NEVER)),
      comesBackMs: 0,
    },
    maxMessages: 10,
    maxExtensionSeconds: 600,
    idleMs: IDLE_MS,
    logger: keptLines().logger,
    signal: NEVER,
    ...own,
  });
}

/** A broker with the topic and the subscription `drain`, for one test. */
async function drainBroker(t: TestContext): Promise<Broker> {
  const broker = await startBroker('drain');
  t.after(async () => broker.close());
  return broker;
}

/** One that hurries, whose subscription is made as Terraform does. */
async function fastBroker(t: TestContext, options: CreateSubscriptionOptions): Promise<Broker> {
  const broker = await startBrokerWith({ speed: SPEED });
  t.after(async () => broker.close());
  await broker.admin.createTopic('drain');
  await broker.admin.createSubscription('drain', 'drain', options);
  return broker;
}

/** Publishes so many events. */
async function publish({ client }: Broker, count = 1): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    await topicPublisher(client, 'drain').publish(encodeEvent(sampleEvent()));
  }
}

/** Lets the broker not answer to a method any more. */
function refuse({ pubsub }: Broker, method: 'Pull' | 'StreamingPull'): void {
  const times = Number.POSITIVE_INFINITY;
  pubsub.faults.add({ method, kind: 'refused', status: 'UNAVAILABLE', times });
}

/** Counts what it is given, and acknowledges it unless it does something else. */
function taker(
  onMessage = (message: PulledMessage): void => {
    message.ack();
  },
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
  it('ends when nothing comes any more', async (t) => {
    const broker = await drainBroker(t);
    await publish(broker, 3);
    const taking = taker();
    const ending = await pull(broker, taking);
    assert.equal(ending, 'empty');
    assert.equal(taking.received, 3);
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 3);
  });

  it('waits for what is under way, however long nothing comes', async (t) => {
    const broker = await drainBroker(t);
    await publish(broker);
    const steps: string[] = [];
    const taking = taker((message) => {
      taking.idle = false;
      setTimeout(() => {
        steps.push('worked');
        message.ack();
        taking.idle = true;
      }, 4 * IDLE_MS);
    });
    await pull(broker, taking);
    steps.push('ended');
    assert.deepEqual(steps, ['worked', 'ended']);
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
  });

  it('tells that what is kept leaves no place for more', async (t) => {
    const broker = await drainBroker(t);
    await publish(broker, 5);
    const taking = taker(() => undefined);
    const ending = await pull(broker, taking, { maxMessages: 3 });
    assert.deepEqual([ending, taking.received], ['full', 3]);
  });

  it('ends at once when it is told to', async (t) => {
    const broker = await drainBroker(t);
    const controller = new AbortController();
    const ended = pull(broker, taker(), { idleMs: 600_000, signal: controller.signal });
    while (broker.pubsub.requests('StreamingPull') === 0) await delay(10);
    controller.abort();
    assert.equal(await ended, 'stopped');
  });

  it('says why it waits for a deadline that it may not read', async (t) => {
    const broker = await drainBroker(t);
    const { logger, lines } = keptLines();
    const facts = await readSubscription(broker.client, 'drain', NEVER);
    const subscription = { ...facts, topic: undefined, comesBackMs: 2000 };
    assert.equal(await pull(broker, taker(), { logger, subscription }), 'empty');
    assert.match(String(lines[0]?.['message']), /which are waited for \(.* may not be read,/);
  });

  for (const own of [0, 1]) {
    const title = own === 0 ? 'where nothing came at all' : 'also where something came';
    it(`waits for what another reader took, ${title}`, async (t) => {
      const broker = await fastBroker(t, {
        ackDeadlineSeconds: 60,
        retryPolicy: { minimumBackoff: { seconds: 60 }, maximumBackoff: { seconds: 60 } },
      });
      await publish(broker, 1 + own);
      await takeOne(broker);
      const { logger, lines } = keptLines();
      const taking = taker();
      const subscription = await hastened(broker);
      assert.equal(await pull(broker, taking, { logger, subscription }), 'empty');
      assert.equal(taking.received, own + 1);
      assert.equal(lines.filter(({ severity }) => severity === 'NOTICE').length, 1);
    });
  }

  it('waits for what an attempt of the job held that was killed', async (t) => {
    const broker = await fastBroker(t, { ackDeadlineSeconds: 60 });
    const attempt = spawn(
      process.execPath,
      [new URL('killed-attempt.ts', import.meta.url).pathname],
      {
        env: { ...process.env, PUBSUB_EMULATOR_HOST: broker.pubsub.host },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    const received = createInterface(attempt.stdout);
    await publish(broker);
    await broker.pubsub.view.until((view) => view.subscription(SUBSCRIPTION)?.acknowledged === 1);
    const extended = broker.pubsub.requests('ModifyAckDeadline');
    await publish(broker);
    await once(received, 'line');
    // The client extends what it receives at once.
    while (broker.pubsub.requests('ModifyAckDeadline') === extended) await delay(10);
    const ended = once(attempt, 'exit');
    attempt.kill('SIGKILL');
    await ended;
    const taking = taker();
    const subscription = await hastened(broker);
    assert.equal(await pull(broker, taking, { subscription }), 'empty');
    assert.equal(taking.received, 1);
  });

  it('waits for what it was shown and handed back', async (t) => {
    const broker = await fastBroker(t, {
      retryPolicy: { minimumBackoff: { seconds: 100 }, maximumBackoff: { seconds: 100 } },
    });
    await publish(broker);
    // It is asked for before a stream brings it.
    refuse(broker, 'StreamingPull');
    const taking = taker();
    const subscription = { ...(await hastened(broker)), comesBackMs: 0 };
    const ended = pull(broker, taking, { subscription });
    while (broker.pubsub.requests('Pull') === 0) await delay(10);
    broker.pubsub.faults.clear();
    await publish(broker);
    assert.equal(await ended, 'empty');
    assert.equal(taking.received, 2);
  });

  it('tells that messages wait which do not come', async (t) => {
    const broker = await drainBroker(t);
    await publish(broker);
    refuse(broker, 'StreamingPull');
    const ending = await pull(broker, taker());
    assert.equal(ending, 'not-empty');
    const left = broker.pubsub.view.subscription(SUBSCRIPTION);
    assert.deepEqual([left?.undelivered, left?.outstanding], [1, 0]);
  });

  it('calls nothing empty that does not answer any more', async (t) => {
    const broker = await drainBroker(t);
    refuse(broker, 'Pull');
    await rejection(pull(broker, taker()), 'PULL_FAILED');
  });

  it('fails where the subscription goes away', async (t) => {
    const broker = await drainBroker(t);
    const subscription = await readSubscription(broker.client, 'drain', NEVER);
    await broker.admin.subscription('drain').delete();
    const pulled = pull(broker, taker(), { subscription, idleMs: 600_000 });
    await rejection(pulled, 'PULL_FAILED');
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
