import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { PubSub, type CreateSubscriptionOptions } from '@google-cloud/pubsub';

import { startPubsub, type LocalPubsub } from '../../stand-ins/pubsub/server.ts';
import { retryDelayMs } from '../../stand-ins/pubsub/subscription-config.ts';
import { observeTopics } from '../../stand-ins/pubsub/topic-observer.ts';
import { until } from '../../until.ts';
import { startEndpoint } from './endpoint.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

const TOPIC = 'projects/test-project/topics/topic';
const SUBSCRIPTION = 'projects/test-project/subscriptions/pushed';
/** The longest that a test waits for something; a healthy one waits milliseconds. */
const patience = (): AbortSignal => AbortSignal.timeout(120_000);

// What a test tells the stand-in and sees of it, which no product has.
describe('the Pub/Sub stand-in', () => {
  it('meets a client with refusals, which it repeats or gives up', async (t) => {
    const { pubsub, publish } = await start(t);
    pubsub.faults.add({
      kind: 'refused',
      method: 'Publish',
      status: 'UNAVAILABLE',
      resource: TOPIC,
      times: 2,
    });
    await publish('x');
    assert.equal(pubsub.requests('Publish'), 3);
    for (const [status, code] of [
      ['PERMISSION_DENIED', 7],
      ['NOT_FOUND', 5],
    ] as const) {
      pubsub.faults.add({ kind: 'refused', method: 'Publish', status });
      await assert.rejects(publish('x'), { code });
    }
    assert.equal(pubsub.requests('Publish'), 5);
    pubsub.faults.add(
      { kind: 'refused', method: 'Publish', status: 'NOT_FOUND', resource: `${TOPIC}-other` },
      { kind: 'refused', method: 'Publish', status: 'NOT_FOUND', times: Infinity },
    );
    pubsub.faults.clear();
    await publish('x');
    assert.equal(pubsub.view.messages(TOPIC).length, 2);
  });

  it('holds a request back, and does not carry it out when it is closed meanwhile', async (t) => {
    const { pubsub, publish } = await start(t);
    pubsub.faults.add({ kind: 'slow', method: 'Publish', delayMs: 60_000 });
    const hanging = publish('x').catch(() => 'failed');
    await until(() => pubsub.requests('Publish') > 0);
    await pubsub.close();
    assert.equal(pubsub.view.messages(TOPIC).length, 0);
    t.after(() => hanging);
  });

  it('takes permissions away and gives them back', async (t) => {
    const { pubsub, client, publish } = await start(t);
    const permission = 'pubsub.topics.publish';
    const { iam } = client.topic('topic');
    assert.deepEqual((await iam.testPermissions([permission]))[0], { [permission]: true });
    pubsub.permissions.deny(permission);
    assert.deepEqual((await iam.testPermissions([permission]))[0], { [permission]: false });
    await assert.rejects(publish('x'), { code: 7 });
    pubsub.permissions.allow(permission);
    await publish('x');
    assert.equal(pubsub.requests('TestIamPermissions'), 2);
    assert.deepEqual((await client.topic('none').iam.testPermissions([permission]))[0], {
      [permission]: false,
    });
    await assert.rejects(iam.testPermissions(['pubsub.topics.*']), { code: 3 });
  });

  it('says what it does not do', async (t) => {
    const { client } = await start(t);
    const topic = client.topic('topic');
    const unimplemented: readonly (readonly [string, () => Promise<unknown>])[] = [
      ['lists', () => client.getTopics()],
      ['updates', () => topic.setMetadata({ labels: { a: 'b' } })],
      ['ordering', () => topic.createSubscription('ordered', { enableMessageOrdering: true })],
      [
        'keys',
        () =>
          client
            .topic('topic', { messageOrdering: true })
            .publishMessage({ data: Buffer.from('x'), orderingKey: 'k' }),
      ],
      ['once', () => topic.createSubscription('once', { enableExactlyOnceDelivery: true })],
      ['retention', () => topic.createSubscription('acked', { retainAckedMessages: true })],
      [
        'identity',
        () =>
          topic.createSubscription('identity', {
            pushConfig: { pushEndpoint: 'http://127.0.0.1:9/', oidcToken: { audience: 'a' } },
          }),
      ],
      ['keys of its own', () => client.createTopic({ name: 'kms', kmsKeyName: 'k' })],
    ];
    for (const [what, request] of unimplemented) {
      await assert.rejects(request(), { code: 12 }, what);
    }
  });

  it('delivers everything, at least once, in any order and with all its chance', async (t) => {
    const endpoint = await startEndpoint(t, ({ index }) => (index % 10 === 3 ? 503 : 204));
    const { pubsub, publish, push } = await start(t, {
      shuffled: true,
      duplicateShare: 0.05,
      backoffFactor: 0.001,
    });
    await push(endpoint.url);
    const texts = Array.from({ length: 300 }, (_unused, index) => String(index));
    await Promise.all(texts.map(publish));
    await pubsub.view.until(
      (view) => view.subscription(SUBSCRIPTION)?.acknowledged === texts.length,
      patience(),
    );
    const arrived = endpoint.requests.map(({ body }) => body.toString());
    assert.deepEqual([...new Set(arrived)].sort(), [...texts].sort());
    assert.notDeepEqual(arrived.slice(0, 50), texts.slice(0, 50));
  });

  it('brings a message twice though nothing failed', async (t) => {
    const endpoint = await startEndpoint(t);
    const { publish, push } = await start(t, { duplicateShare: 1 });
    await push(endpoint.url);
    await publish('x');
    const [first, second] = [await endpoint.next(), await endpoint.next()];
    assert.deepEqual([first.body.toString(), second.body.toString()], ['x', 'x']);
  });

  it('begins with few push requests at once, and more with each success', async (t) => {
    const opened = Promise.withResolvers<undefined>();
    const endpoint = await startEndpoint(t, async () => {
      await opened.promise;
      return 204;
    });
    const { pubsub, publish, push } = await start(t);
    await push(endpoint.url);
    await Promise.all(Array.from({ length: 200 }, () => publish('x')));
    for (let count = 0; count < 5; count += 1) await endpoint.next();
    assert.deepEqual(pubsub.view.subscriptions(), [
      {
        name: SUBSCRIPTION,
        pushEndpoint: endpoint.url,
        undelivered: 195,
        outstanding: 5,
        acknowledged: 0,
        nacked: 0,
      },
    ]);
    opened.resolve(undefined);
    await pubsub.view.until(
      (view) => view.subscription(SUBSCRIPTION)?.acknowledged === 200,
      patience(),
    );
  });

  // By Pub/Sub's documentation; the emulator has it the other way.
  it('takes 102 and 202 as acknowledgements, 203 and redirects as nacks', async (t) => {
    const endpoint = await startEndpoint(t, ({ body }, response) => {
      const status = Number(body.toString());
      if (status === 102) response.writeProcessing();
      else response.writeHead(status, { location: '/elsewhere' }).end();
      return undefined;
    });
    const { pubsub, publish, push } = await start(t, { backoffFactor: 1 });
    await push(endpoint.url);
    for (const status of ['102', '202', '203', '302']) await publish(status);
    await pubsub.view.until((view) => {
      const { acknowledged, nacked } = view.subscription(SUBSCRIPTION) ?? {};
      return acknowledged === 2 && nacked === 2;
    }, patience());
    assert.deepEqual(new Set(endpoint.requests.map(({ path }) => path)), new Set(['/push']));
  });

  it('lets deadlines and waits pass faster', async (t) => {
    const { publish, push } = await start(t, { backoffFactor: 1, speed: 1_000 });
    const endpoint = await startEndpoint(t, ({ index }) => [undefined, 503][index] ?? undefined);
    await push(endpoint.url);
    await publish('x');
    // The first is abandoned after 10 s by the product's time, and both come again after 10 s and 20 s.
    await (
      await endpoint.next()
    ).abandoned;
    await endpoint.next();
    await endpoint.next();
  });

  it('gives a message up whose attribute cannot be a header', async (t) => {
    const endpoint = await startEndpoint(t);
    const { pubsub, client, push } = await start(t);
    await client.createTopic('dead');
    const deadLetterTopic = 'projects/test-project/topics/dead';
    await push(endpoint.url, { deadLetterPolicy: { deadLetterTopic, maxDeliveryAttempts: 5 } });
    await client
      .topic('topic')
      .publishMessage({ data: Buffer.from('x'), attributes: { 'a b': 'c' } });
    await pubsub.view.until((view) => view.messages(deadLetterTopic).length === 1, patience());
    assert.equal(endpoint.requests.length, 0);
  });

  it('shows its topics, and waits until something holds', async (t) => {
    const { pubsub, publish } = await start(t);
    assert.deepEqual(pubsub.view.topics(), [{ name: TOPIC, published: 0 }]);
    const published = pubsub.view.until((view) => view.topics()[0]?.published === 1, patience());
    await publish('x');
    await published;
    const abort = new AbortController();
    const waiting = pubsub.view.until(() => false, abort.signal);
    abort.abort(new Error('enough'));
    await assert.rejects(waiting, { message: 'enough' });
    assert.deepEqual(pubsub.view.messages(`${TOPIC}-none`), []);
    assert.equal(pubsub.view.subscription(SUBSCRIPTION), undefined);
  });

  it('is read along with by an observer', async (t) => {
    const { pubsub, publish } = await start(t);
    const seen = Promise.withResolvers<string>();
    const observer = await observeTopics({
      host: pubsub.host,
      projectId: 'test-project',
      topics: ['topic'],
      onMessage: (topic, { data }) => {
        seen.resolve(`${topic}: ${data.toString()}`);
      },
    });
    await publish('x');
    assert.equal(await seen.promise, 'topic: x');
    await observer.close();
  });
});

describe('retry delay', () => {
  const policy = { minimumBackoffMs: 10_000, maximumBackoffMs: 600_000 };
  it('doubles up to the maximum, and is none without a policy', () => {
    const delays = [1, 2, 3, 6, 7, 8, 1_000].map((failures) => retryDelayMs(policy, failures));
    assert.deepEqual(delays, [10_000, 20_000, 40_000, 320_000, 600_000, 600_000, 600_000]);
    assert.equal(retryDelayMs(undefined, 3), 0);
    assert.equal(retryDelayMs({ minimumBackoffMs: 0, maximumBackoffMs: 0 }, 1_000), 0);
  });
});

interface Running {
  readonly pubsub: LocalPubsub;
  readonly client: PubSub;
  readonly publish: (text: string) => Promise<string>;
  /** Makes the subscription `pushed`. */
  readonly push: (url: string, options?: CreateSubscriptionOptions) => Promise<void>;
}

/** A stand-in with a topic, closed with the test; in order and without duplicates unless told otherwise. */
async function start(
  t: TestContext,
  habits: Parameters<typeof startPubsub>[0] = {},
): Promise<Running> {
  const pubsub = await startPubsub({
    shuffled: false,
    duplicateShare: 0,
    backoffFactor: 0,
    ...habits,
  });
  const client = new PubSub({
    projectId: 'test-project',
    apiEndpoint: pubsub.host,
    emulatorMode: true,
  });
  t.after(async () => {
    await client.close();
    await pubsub.close();
  });
  await client.createTopic('topic');
  const topic = client.topic('topic', { batching: { maxMessages: 1 } });
  return {
    pubsub,
    client,
    publish: (text) => topic.publishMessage({ data: Buffer.from(text) }),
    push: async (url, options = {}) => {
      await topic.createSubscription('pushed', {
        pushConfig: { pushEndpoint: url, noWrapper: { writeMetadata: true } },
        retryPolicy: { minimumBackoff: { seconds: 10 }, maximumBackoff: { seconds: 600 } },
        ...options,
      });
    },
  };
}
