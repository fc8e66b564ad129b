import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { isMirrorError } from '../../../functions/errors.ts';
import { queueClient, type QueueClient } from '../../../functions/pubsub/client.ts';
import { topicPublisher } from '../../../functions/pubsub/publisher.ts';
import { startTcpProxy, type TcpProxy } from '../../tcp-proxy.ts';
import { sampleEvent } from '../subscriber/samples.ts';
import { PROJECT, startBroker, type Broker } from './broker.ts';
import { rejection } from '../../faults.ts';

const message = encodeEvent(sampleEvent());

/** Sets variables of the environment for the time of a test. */
function withEnvironment(t: TestContext, wanted: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(wanted)) {
    const before = process.env[name];
    process.env[name] = value;
    t.after(() => {
      if (before === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before;
    });
  }
}

/** A broker behind a proxy, and a client that reaches it so. */
async function proxied(
  t: TestContext,
  options: Parameters<typeof queueClient>[1],
): Promise<{ broker: Broker; proxy: TcpProxy; client: QueueClient }> {
  const broker = await startBroker('events');
  const proxy = await startTcpProxy(broker.pubsub.host);
  withEnvironment(t, { PUBSUB_EMULATOR_HOST: proxy.address });
  const client = queueClient(PROJECT, options);
  t.after(async () => {
    await client.close();
    await proxy.close();
    await broker.close();
  });
  return { broker, proxy, client };
}

const isLate = (error: unknown): boolean =>
  isMirrorError(error, 'PUBLISH_FAILED') && error.status === 4;

describe('queue client', () => {
  it('is made once', async () => {
    const broker = await startBroker();
    try {
      const [first, second] = [await broker.client.open(), await broker.client.open()];
      assert.equal(first.pubsub, second.pubsub);
    } finally {
      await broker.close();
    }
  });

  it('closes without having been used', async () => {
    await queueClient(undefined).close();
  });

  it('is made anew, with a connection of its own, when two calls had no answer', async (t) => {
    const { proxy, client } = await proxied(t, { timeoutMs: 2000 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    assert.equal(proxy.accepted, 1);
    proxy.silence();
    await assert.rejects(publisher.publish(message), isLate);
    assert.equal((await client.open()).pubsub, pubsub);
    await assert.rejects(publisher.publish(message), isLate);
    await publisher.publish(message);
    assert.equal(proxy.accepted, 2);
  });

  it('shares no connection with another that a silent server has accepted', async (t) => {
    const { proxy, client } = await proxied(t, { timeoutMs: 500 });
    const other = queueClient(PROJECT, { timeoutMs: 60_000 });
    proxy.silenceNew(true);
    const waiting = topicPublisher(other, 'events', { repeats: false }).publish(message);
    waiting.catch(() => undefined);
    const publisher = topicPublisher(client, 'events', { repeats: false });
    for (let call = 0; call < 2; call += 1) {
      await assert.rejects(publisher.publish(message), isLate);
    }
    proxy.silenceNew(false);
    // The connection that the other still waits for stays silent for ever.
    await publisher.publish(message);
    await other.close();
  });

  it('is kept where an answer comes between two calls without one', async (t) => {
    const { broker, client } = await proxied(t, { timeoutMs: 500 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    for (let round = 0; round < 2; round += 1) {
      broker.pubsub.faults.add({
        kind: 'slow',
        method: 'Publish',
        delayMs: 5000,
        times: 1,
      });
      await assert.rejects(publisher.publish(message), isLate);
      await publisher.publish(message);
    }
    assert.equal((await client.open()).pubsub, pubsub);
  });

  it('keeps the client of its streams when calls get no answer', async (t) => {
    const { proxy, client } = await proxied(t, { timeoutMs: 500 });
    const { pubsub: stream } = await client.openStream();
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    const { pubsub } = await client.open();
    assert.notEqual(pubsub, stream);
    proxy.silence();
    for (let call = 0; call < 2; call += 1) {
      await assert.rejects(publisher.publish(message), isLate);
    }
    assert.notEqual((await client.open()).pubsub, pubsub);
    assert.equal((await client.openStream()).pubsub, stream);
    assert.equal(stream.isOpen, true);
  });

  it('is made anew once for all streams that gave it up', async (t) => {
    const { client } = await proxied(t, {});
    const [one, two] = [await client.openStream(), await client.openStream()];
    one.giveUp();
    const { pubsub } = await client.openStream();
    assert.notEqual(pubsub, one.pubsub);
    two.giveUp();
    assert.equal((await client.openStream()).pubsub, pubsub);
  });

  it('notices a connection that is dead while nothing is called', async (t) => {
    const { proxy, client } = await proxied(t, { keepaliveMs: 100, timeoutMs: 60_000 });
    const publisher = topicPublisher(client, 'events', { repeats: false });
    await publisher.publish(message);
    proxy.silence();
    // The call under way fails with the connection, long before its own time is over.
    assert.equal((await rejection(publisher.publish(message), 'PUBLISH_FAILED')).status, 14);
    await publisher.publish(message);
    assert.equal(proxy.accepted, 2);
  });
});

/** A metadata server that comes when it is told to. */
async function lateMetadata(t: TestContext): Promise<{ come(): Promise<void>; asked(): number }> {
  const free = createServer().listen(0, '127.0.0.1');
  await once(free, 'listening');
  const { port } = free.address() as AddressInfo;
  await new Promise((resolve) => free.close(resolve));
  let asked = 0;
  let server: Server | undefined;
  withEnvironment(t, {
    GCE_METADATA_HOST: `127.0.0.1:${port}`,
    METADATA_SERVER_DETECTION: 'assume-present',
  });
  t.after(() => {
    server?.close();
    server?.closeAllConnections();
  });
  return {
    asked: () => asked,
    async come() {
      server = createServer((request, response) => {
        asked += 1;
        response.setHeader('metadata-flavor', 'Google');
        const { pathname } = new URL(request.url ?? '/', 'http://metadata');
        if (pathname.endsWith('/project-id')) response.end('late-project');
        else {
          response.setHeader('content-type', 'application/json');
          response.end(
            JSON.stringify({ access_token: 't', expires_in: 3600, token_type: 'Bearer' }),
          );
        }
      });
      server.listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
  };
}

describe('queue client, its credentials', () => {
  it('come from a metadata server that comes late, with the project', async (t) => {
    const metadata = await lateMetadata(t);
    const client = queueClient(undefined, { timeoutMs: 15_000 });
    t.after(() => client.close());
    await rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
    await metadata.come();
    const { pubsub } = await client.open();
    assert.equal(pubsub.projectId, 'late-project');
    const asked = metadata.asked();
    await client.open();
    assert.equal(metadata.asked(), asked);
  });

  it('come from a file that was not there', async (t) => {
    withEnvironment(t, { GOOGLE_APPLICATION_CREDENTIALS: '/nowhere/key.json' });
    const client = queueClient(PROJECT);
    for (let tries = 0; tries < 2; tries += 1) {
      await assert.rejects(
        client.open(),
        (error) =>
          isMirrorError(error, 'CREDENTIALS_UNAVAILABLE') &&
          error.message.includes('/nowhere/key.json'),
      );
    }
  });

  it('are waited for no longer than the signal says', { timeout: 20_000 }, async (t) => {
    const server = createServer(() => undefined).listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    withEnvironment(t, {
      GCE_METADATA_HOST: `127.0.0.1:${port}`,
      METADATA_SERVER_DETECTION: 'assume-present',
    });
    const controller = new AbortController();
    const client = queueClient(PROJECT, { signal: controller.signal, timeoutMs: 3_600_000 });
    const opened = rejection(client.open(), 'CREDENTIALS_UNAVAILABLE');
    await once(server, 'request');
    controller.abort();
    assert.match((await opened).message, /gcloud auth .*: the run ended before they came/);
    await client.close();
  });
});
