import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it, type TestContext } from 'node:test';

import { required, skipUnless } from './servers/found.ts';
import {
  findPubsubEmulator,
  startPubsubEmulator,
  type PubsubEmulator,
} from './servers/pubsub-emulator.ts';

interface Delivery {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

const search = findPubsubEmulator();
const project = 'projects/test-project';

describe("Google's Pub/Sub emulator", { skip: skipUnless(search) }, () => {
  let emulator: PubsubEmulator;
  before(async () => {
    emulator = await startPubsubEmulator(required(search));
  });
  after(() => emulator.stop());

  it('pushes what is published, unwrapped and with its attributes as headers', async (t) => {
    const { url, deliveries } = await startReceiver(t, [204]);
    await createPush(emulator, 'unwrapped', url, { noWrapper: { writeMetadata: true } });
    const messageId = await publish(emulator, 'unwrapped', '{"n":1}', { 'ce-type': 'test.v1' });

    const { headers, body } = await deliveries.next();
    assert.equal(body, '{"n":1}');
    assert.equal(headers['ce-type'], 'test.v1');
    assert.equal(headers['x-goog-pubsub-message-id'], messageId);
  });

  it('pushes again what was refused', async (t) => {
    const { url, deliveries } = await startReceiver(t, [503, 204]);
    await createPush(emulator, 'refused', url, {});
    const messageId = await publish(emulator, 'refused', 'again', {});

    for (const delivery of [await deliveries.next(), await deliveries.next()]) {
      const { message } = JSON.parse(delivery.body) as {
        readonly message: { readonly messageId: string; readonly data: string };
      };
      assert.equal(message.messageId, messageId);
      assert.equal(Buffer.from(message.data, 'base64').toString(), 'again');
    }
  });

  it('is gone after its stop', async () => {
    const other = await startPubsubEmulator(required(search));
    assert.equal((await fetch(`http://${other.host}/`)).status, 200);
    await other.stop();
    await assert.rejects(fetch(`http://${other.host}/`));
  });
});

/** A push endpoint that answers each delivery with the next of these statuses, the last one for ever. */
async function startReceiver(
  t: TestContext,
  statuses: readonly number[],
): Promise<{ readonly url: string; readonly deliveries: Deliveries }> {
  const deliveries = new Deliveries();
  let answered = 0;
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      response.statusCode = statuses[answered] ?? statuses.at(-1) ?? 204;
      answered += 1;
      response.end();
      deliveries.add({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, deliveries };
}

/** What has been delivered, taken in order. */
class Deliveries {
  readonly #arrived: Delivery[] = [];
  #waiting: ((delivery: Delivery) => void) | undefined;

  add(delivery: Delivery): void {
    const take = this.#waiting;
    this.#waiting = undefined;
    if (take === undefined) this.#arrived.push(delivery);
    else take(delivery);
  }

  next(): Promise<Delivery> {
    const first = this.#arrived.shift();
    return first === undefined
      ? new Promise((resolve) => (this.#waiting = resolve))
      : Promise.resolve(first);
  }
}

async function createPush(
  emulator: PubsubEmulator,
  name: string,
  pushEndpoint: string,
  wrapper: object,
): Promise<void> {
  await call(emulator, 'PUT', `topics/${name}`, {});
  await call(emulator, 'PUT', `subscriptions/${name}`, {
    topic: `${project}/topics/${name}`,
    ackDeadlineSeconds: 10,
    pushConfig: { pushEndpoint, ...wrapper },
    retryPolicy: { minimumBackoff: '0.1s', maximumBackoff: '1s' },
  });
}

async function publish(
  emulator: PubsubEmulator,
  topic: string,
  text: string,
  attributes: Readonly<Record<string, string>>,
): Promise<string | undefined> {
  const answer = (await call(emulator, 'POST', `topics/${topic}:publish`, {
    messages: [{ data: Buffer.from(text).toString('base64'), attributes }],
  })) as { readonly messageIds: readonly string[] };
  return answer.messageIds[0];
}

async function call(
  emulator: PubsubEmulator,
  method: 'PUT' | 'POST',
  path: string,
  body: object,
): Promise<unknown> {
  const response = await fetch(`${emulator.url}/${project}/${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200);
  return response.json();
}
