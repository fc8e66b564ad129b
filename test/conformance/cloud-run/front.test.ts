import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';

import { startRunFront, type RunFront } from '../../stand-ins/cloud-run/front.ts';
import type { Instance } from '../../stand-ins/cloud-run/instance.ts';

interface Container {
  /** Answers the oldest request. */
  readonly respond: (status?: number) => void;
  readonly waiting: ServerResponse[];
}

const fronts: RunFront[] = [];
after(async () => {
  await Promise.all(fronts.map(async (front) => front.close()));
});

async function rig(
  options: Partial<Parameters<typeof startRunFront>[0]> = {},
): Promise<{ front: RunFront; containers: Container[] }> {
  const containers: Container[] = [];
  const start = async (): Promise<Instance> => {
    const waiting: ServerResponse[] = [];
    const server = createServer((request, response) => {
      request.resume();
      waiting.push(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { promise: gone, resolve: end } = Promise.withResolvers<number>();
    containers.push({
      waiting,
      respond: (status = 204) => {
        waiting.shift()?.writeHead(status).end();
      },
    });
    const close = (code: number): void => {
      server.closeAllConnections();
      server.close();
      end(code);
    };
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      gone,
      kill: () => {
        close(137);
      },
      stop: async () => {
        for (const response of waiting.splice(0)) response.writeHead(500).end();
        close(0);
        await gone;
      },
    };
  };
  const front = await startRunFront({ start, ...options });
  fronts.push(front);
  return { front, containers };
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

async function post(front: RunFront): Promise<number> {
  return (await fetch(front.url, { method: 'POST', body: 'x' })).status;
}

describe('Cloud Run front', () => {
  it('starts instances as requests come, up to its limit, and refuses the rest', async () => {
    const { front, containers } = await rig({ maxInstances: 2, concurrency: 2 });
    const first = Array.from({ length: 4 }, async () => post(front));
    await until(() => containers.reduce((sum, { waiting }) => sum + waiting.length, 0) === 4);
    assert.equal(containers.length, 2);
    assert.equal(await post(front), 429);
    for (const container of containers) {
      container.respond();
      container.respond();
    }
    assert.deepEqual(await Promise.all(first), [204, 204, 204, 204]);
    const again = post(front);
    await until(() => containers.some(({ waiting }) => waiting.length === 1));
    for (const container of containers) container.respond(500);
    assert.equal(await again, 500);
    assert.deepEqual([...front.answers].sort(), [
      [204, 4],
      [429, 1],
      [500, 1],
    ]);
  });

  it('answers 504 when it takes too long, and the container goes on', async () => {
    const { front, containers } = await rig({ concurrency: 1, timeoutMs: 30 });
    assert.equal(await post(front), 504);
    assert.equal(containers[0]?.waiting.length, 1);
    assert.equal(await post(front), 429);
    containers[0].respond();
    await until(() => containers[0]?.waiting.length === 0);
  });

  it('gives a stopped instance no more requests, and starts another', async () => {
    const { front, containers } = await rig({ concurrency: 1 });
    const held = post(front);
    await until(() => containers[0]?.waiting.length === 1);
    const stopping = front.stop(front.instances[0]!);
    assert.equal(await held, 500);
    await stopping;
    const next = post(front);
    await until(() => containers.length === 2 && containers[1]?.waiting.length === 1);
    containers[1]?.respond();
    assert.equal(await next, 204);
  });

  it('answers 503 for the requests of a killed instance', async () => {
    const { front, containers } = await rig();
    const held = post(front);
    await until(() => containers[0]?.waiting.length === 1);
    await front.kill(front.instances[0]!);
    assert.equal(await held, 503);
    assert.equal(front.inFlight, 0);
  });

  it('answers 503 where no instance starts', async () => {
    const front = await startRunFront({ start: async () => Promise.reject(new Error('x')) });
    fronts.push(front);
    assert.equal(await post(front), 503);
  });
});
