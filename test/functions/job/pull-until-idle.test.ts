import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { isFault } from '../../../functions/fault.ts';
import { pullUntilIdle, type Taker } from '../../../functions/job/pull-until-idle.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import type { PulledMessage } from '../../../functions/pubsub/puller.ts';
import { PROJECT, startBroker } from '../pubsub/broker.ts';
import { sampleEvent } from '../subscriber/samples.ts';

const SUBSCRIPTION = `projects/${PROJECT}/subscriptions/drain`;
const options = { subscription: 'drain', maxMessages: 10, maxExtensionSeconds: 600, idleMs: 300 };

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
      const ending = await pullUntilIdle(broker.client, taking, {
        ...options,
        signal: new AbortController().signal,
      });
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
        }, 4 * options.idleMs);
      });
      await pullUntilIdle(broker.client, taking, {
        ...options,
        signal: new AbortController().signal,
      });
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
      const ending = await pullUntilIdle(broker.client, taking, {
        ...options,
        maxMessages: 3,
        signal: new AbortController().signal,
      });
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
        {
          ...options,
          idleMs: 600_000,
          signal: controller.signal,
        },
      );
      controller.abort();
      assert.equal(await ended, 'stopped');
    } finally {
      await broker.close();
    }
  });

  it('fails where the subscription is not there', async () => {
    const broker = await startBroker();
    try {
      await assert.rejects(
        pullUntilIdle(
          broker.client,
          taker(() => undefined),
          {
            ...options,
            idleMs: 600_000,
            signal: new AbortController().signal,
          },
        ),
        (error) => isFault(error, 'PULL_FAILED'),
      );
    } finally {
      await broker.close();
    }
  });
});
