import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { isMirrorError } from '../../functions/errors.ts';
import { wasSentInFull } from '../../functions/registry/sent-in-full.ts';
import type { Transport, TransportRequest } from '../../functions/registry/transport.ts';
import { Random } from '../random.ts';
import { bytesOf, digestOf } from '../functions/mirror/images.ts';
import type { Disturbance } from './disturbance.ts';
import { Network } from './network.ts';
import { SimulatedRegistry, type RegistryTraits } from './registry.ts';
import { Scheduler } from './scheduler.ts';

const TRAITS: RegistryTraits = {
  host: 'alpha.example',
  google: false,
  mountProbe: true,
  refusesMounts: false,
  singlePost: 'ignored',
  realm: false,
  range: 'honoured',
  referrers: 'absent',
  keepsReferrers: false,
  redirectsBlobs: false,
  checksParts: true,
  pageSize: undefined,
};
const BLOB = bytesOf('a blob', 20_000);
const DIGEST = digestOf(BLOB);
const NO_SIGNAL = new AbortController().signal;

interface Stage {
  readonly transport: Transport;
  readonly network: Network;
  readonly registry: SimulatedRegistry;
  /** Runs virtual time until the promise has settled, and tells how long that took. */
  settled<T>(
    promise: Promise<T>,
  ): Promise<{ readonly ms: number; readonly fault?: unknown; readonly value?: T }>;
}

function stage(struck?: Disturbance): Stage {
  const random = new Random(1);
  const scheduler = new Scheduler(random, 0, false);
  const pace = { latenciesMs: [1], parts: 4, uploadBytesPerSecond: undefined };
  const disturber = { next: () => struck, stop: () => undefined };
  const network = new Network(scheduler, random, disturber, pace, {});
  const contents = new Map([[DIGEST, BLOB]]);
  const registry = new SimulatedRegistry(
    TRAITS,
    contents,
    () => undefined,
    () => scheduler.now,
  );
  registry.repository('org/app').blobs.add(DIGEST);
  network.add(registry);
  const client = { name: 'test', isAlive: () => true };
  return {
    network,
    registry,
    transport: network.transport(client, 'source'),
    async settled(promise) {
      const startedAtMs = scheduler.now;
      let over = false;
      const result = promise
        .then(
          (value) => ({ value }),
          (fault: unknown) => ({ fault }),
        )
        .finally(() => {
          over = true;
        });
      await scheduler.run(
        () => over,
        () => false,
        Infinity,
      );
      return { ms: scheduler.now - startedAtMs, ...(await result) };
    },
  };
}

function get(more: Partial<TransportRequest> = {}): TransportRequest {
  const url = new URL(`https://alpha.example/v2/org/app/blobs/${DIGEST}`);
  return { method: 'GET', url, headers: {}, ...more };
}

async function read({ transport }: Stage, request = get(), signal = NO_SIGNAL): Promise<Buffer> {
  const response = await transport.send(request, signal);
  const chunks: Buffer[] = [];
  for await (const chunk of response.chunks) chunks.push(chunk);
  return Buffer.concat(chunks);
}

describe('the network of the simulation', () => {
  it('carries a body in parts', async () => {
    const set = stage();
    const { value } = await set.settled(read(set));
    assert.deepEqual(value, BLOB);
    assert.deepEqual(
      set.network.records.map(({ end }) => end),
      ['read'],
    );
  });

  const cases: readonly (readonly [Disturbance, string, number])[] = [
    [{ kind: 'silent', arrives: false }, 'TIMEOUT', 60_000],
    [{ kind: 'stuck', share: 0.5 }, 'TIMEOUT', 15_000],
    [{ kind: 'trickle', partBytes: 10, gapMs: 6_000 }, 'TIMEOUT', 15_000],
    [{ kind: 'cut', share: 0.5 }, 'NETWORK', 0],
    [{ kind: 'unreachable' }, 'NETWORK', 0],
    [{ kind: 'answer-lost' }, 'NETWORK', 0],
  ];
  for (const [struck, code, leastMs] of cases) {
    it(`ends what is ${struck.kind} as the transport does: ${code}`, async () => {
      const set = stage(struck);
      const { fault, ms } = await set.settled(read(set));
      assert.ok(isMirrorError(fault) && fault.code === code);
      assert.ok(ms >= leastMs && ms < leastMs + 100, `after ${ms} ms`);
    });
  }

  it('goes on with what moves, however slowly', async () => {
    const set = stage({ kind: 'trickle', partBytes: 5_000, gapMs: 13_000 });
    const { value } = await set.settled(read(set));
    assert.deepEqual(value, BLOB);
  });

  it('ends at the budget of a request that has one', async () => {
    const set = stage({ kind: 'late', delayMs: 45_000 });
    const { fault, ms } = await set.settled(read(set, get({ budgetMs: 30_000 })));
    assert.ok(isMirrorError(fault) && fault.code === 'TIMEOUT');
    assert.equal(ms, 30_000);
  });

  it('ends with the signal, and leaves nothing at it', async () => {
    const set = stage({ kind: 'silent', arrives: true });
    const abort = new AbortController();
    set.network.scheduler.after(500, 'world', 'abort', () => {
      abort.abort();
    });
    const { fault, ms } = await set.settled(read(set, get(), abort.signal));
    assert.ok(isMirrorError(fault) && fault.code === 'ABORTED');
    assert.equal(ms, 500);
    assert.equal(getEventListeners(abort.signal, 'abort').length, 0);
  });

  it('takes an upload part by part and tells when it began to flow', async () => {
    const set = stage();
    set.registry.repository('org/other');
    const post = await set.settled(
      set.transport.send(
        {
          method: 'POST',
          url: new URL('https://alpha.example/v2/org/other/blobs/uploads/'),
          headers: {},
        },
        NO_SIGNAL,
      ),
    );
    const location = post.value?.header('location') ?? '';
    const url = new URL(`https://alpha.example${location}?digest=${DIGEST}`);
    const told: (number | string)[] = [];
    const stream = Readable.from([BLOB.subarray(0, 9_000), BLOB.subarray(9_000)]);
    const body = { stream, sizeBytes: BLOB.length, onBytes: (count: number) => told.push(count) };
    const put = set.transport.send(
      { method: 'PUT', url, headers: {}, body, onBodyFlow: () => told.push('flows') },
      NO_SIGNAL,
    );
    const { value } = await set.settled(put);
    assert.equal(value?.status, 201);
    assert.deepEqual(told, ['flows', 9_000, 11_000]);
    assert.ok(set.registry.repository('org/other').blobs.has(DIGEST));
  });

  it('marks what was sent in full and never answered', async () => {
    const set = stage({ kind: 'answer-lost' });
    const url = new URL(`https://alpha.example/uploads/org/app/1?digest=${DIGEST}`);
    const body = { stream: Readable.from([BLOB]), sizeBytes: BLOB.length };
    const put = set.transport.send({ method: 'PUT', url, headers: {}, body }, NO_SIGNAL);
    const { fault } = await set.settled(put);
    assert.ok(isMirrorError(fault) && wasSentInFull(fault));
  });
});
