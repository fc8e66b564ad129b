import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import { UploadScheduler, type StreamWish } from '../../../functions/mirror/upload-scheduler.ts';
import { NEVER as never, rejection } from '../../faults.ts';

const SMALL_BLOB_BYTES = 1024 * 1024;

function wish(event: object, more: Partial<StreamWish> = {}): StreamWish {
  return { event, sourceHost: 'ghcr.io', sizeBytes: SMALL_BLOB_BYTES, ...more };
}

/** Lets everything that is ready go on. */
async function settled(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

/** Asks for places; who has one so far stands in `held`. */
class Asking {
  readonly held: string[] = [];
  readonly #scheduler: UploadScheduler;
  readonly #ends = new Map<string, () => void>();

  constructor(scheduler: UploadScheduler) {
    this.#scheduler = scheduler;
  }

  ask(name: string, asked: StreamWish): void {
    // Of some that may wait for ever.
    const { signal } = new AbortController();
    void this.#scheduler.acquire(asked, signal).then((end) => {
      this.held.push(name);
      this.#ends.set(name, end);
    });
  }

  async end(name: string): Promise<void> {
    this.#ends.get(name)?.();
    this.#ends.get(name)?.();
    await settled();
  }
}

describe('UploadScheduler', () => {
  it('runs at most so many streams of each lane', async () => {
    const scheduler = new UploadScheduler({ small: 1, large: 4 });
    const asking = new Asking(scheduler);
    for (const name of ['a', 'b', 'c']) asking.ask(name, wish({}));
    asking.ask('small', wish({}, { sizeBytes: SMALL_BLOB_BYTES - 1 }));
    await settled();
    assert.deepEqual(asking.held.toSorted(), ['a', 'b', 'small']);
    assert.equal(scheduler.load, 4);
    await asking.end('a');
    assert.deepEqual(asking.held.toSorted(), ['a', 'b', 'c', 'small']);
    for (const name of ['b', 'c', 'small']) await asking.end(name);
    assert.equal(scheduler.load, 0);
    for (const sourceHost of ['d', 'd', 'd']) asking.ask(sourceHost, wish({}, { sourceHost }));
    await settled();
    assert.deepEqual(asking.held.slice(4), ['d', 'd'], 'who ended keeps no place of another');
  });

  it('lets events take turns', async () => {
    const scheduler = new UploadScheduler({ small: 1, large: 1 });
    const asking = new Asking(scheduler);
    const [busy, other] = [{}, {}];
    asking.ask('busy 1', wish(busy));
    for (const name of ['busy 2', 'busy 3']) asking.ask(name, wish(busy));
    asking.ask('other', wish(other));
    await settled();
    for (const name of ['busy 1', 'other', 'busy 2']) {
      assert.equal(asking.held.at(-1), name);
      await asking.end(name);
    }
    assert.equal(asking.held.at(-1), 'busy 3');
  });

  it('gives a place to the source with the fewest', async () => {
    const asking = new Asking(new UploadScheduler({ small: 1, large: 4 }));
    const event = {};
    const slow = { sourceHost: 'slow.example' };
    for (const name of ['slow 1', 'slow 2', 'slow 3']) asking.ask(name, wish(event, slow));
    await settled();
    assert.deepEqual(asking.held, ['slow 1', 'slow 2']);
    for (const name of ['fast 1', 'fast 2']) asking.ask(name, wish(event));
    await settled();
    assert.deepEqual(asking.held, ['slow 1', 'slow 2', 'fast 1']);
    await asking.end('slow 1');
    assert.deepEqual(asking.held.slice(3), ['slow 3']);
    await asking.end('fast 1');
    assert.equal(asking.held.at(-1), 'fast 2');
  });

  it('gives a place to the source with the fewest before an event that was never served', async () => {
    const asking = new Asking(new UploadScheduler());
    const few = {};
    for (const [sourceHost, count] of [
      ['many.example', 5],
      ['few.example', 1],
      ['other.example', 2],
    ] as const) {
      for (let each = 1; each <= count; each += 1) {
        asking.ask(sourceHost, wish(few, { sourceHost }));
      }
    }
    await settled();
    assert.equal(asking.held.length, 8);
    asking.ask('never served', wish({}, { sourceHost: 'many.example' }));
    asking.ask('fewest', wish(few, { sourceHost: 'few.example' }));
    await asking.end('other.example');
    assert.deepEqual(asking.held.slice(8), ['fewest']);
  });

  it('leaves a place to a third source while two of them never end', async () => {
    // Half of the 16 of a process.
    const large = 8;
    const asking = new Asking(new UploadScheduler());
    const hosts = ['trickles.example', 'crawls.example', 'third.example'];
    for (const sourceHost of hosts) {
      for (let count = 1; count <= large; count += 1) {
        asking.ask(sourceHost, wish({}, { sourceHost }));
      }
      await settled();
    }
    assert.equal(asking.held.filter((host) => host === 'trickles.example').length, large - 2);
    assert.deepEqual(asking.held.slice(large - 2), ['crawls.example', 'third.example']);
  });

  it('expects as many of a lane as one host may have, beside who holds and who waits', async () => {
    const scheduler = new UploadScheduler();
    const [small, large] = [{ sizeBytes: 1 }, { sizeBytes: SMALL_BLOB_BYTES }];
    const end = await scheduler.acquire(wish({}), never);
    const expected = Array.from({ length: 6 }, () => scheduler.expect(large));
    assert.deepEqual(
      expected.map(({ hasPlace }) => hasPlace),
      [true, true, true, true, true, false],
    );
    assert.ok(scheduler.expect(small).hasPlace);
    for (const one of expected) {
      one.end();
      one.end();
    }
    end();
    assert.deepEqual(
      Array.from({ length: 7 }, () => scheduler.expect(large).hasPlace),
      [true, true, true, true, true, true, false],
    );
  });

  it('lets small blobs that trickle take no place of a layer, nor layers one of a config', async () => {
    const asking = new Asking(new UploadScheduler());
    const slow = { sourceHost: 'trickles.example' };
    for (let count = 1; count <= 14; count += 1) {
      asking.ask('slow small', wish({}, { ...slow, sizeBytes: 1 }));
      asking.ask('slow large', wish({}, slow));
    }
    await settled();
    assert.equal(asking.held.length, 12);
    asking.ask('layer', wish({}));
    asking.ask('config', wish({}, { sizeBytes: 1 }));
    await settled();
    assert.deepEqual(asking.held.slice(12), ['layer', 'config']);
  });

  it('gives no more places than there are, however many hosts ask', async () => {
    const asking = new Asking(new UploadScheduler({ small: 1, large: 4 }));
    for (let host = 1; host <= 6; host += 1) {
      asking.ask(`host ${host}`, wish({}, { sourceHost: `host-${host}.example` }));
    }
    await settled();
    assert.equal(asking.held.length, 4);
  });

  it('lets who waits leave, and lets nobody in whose signal is aborted', async () => {
    const scheduler = new UploadScheduler({ small: 1, large: 1 });
    const end = await scheduler.acquire(wish({}), never);
    const leaving = new AbortController();
    const left = scheduler.acquire(wish({}), leaving.signal);
    leaving.abort();
    await rejection(left, 'ABORTED');
    await rejection(scheduler.acquire(wish({}), leaving.signal), 'ABORTED');
    end();
    const staying = new AbortController();
    (await scheduler.acquire(wish({}), staying.signal))();
    assert.equal(scheduler.load, 0);
    assert.deepEqual(getEventListeners(staying.signal, 'abort'), []);
  });

  it('tells an observer who waits, holds and frees', async () => {
    const told: string[] = [];
    const scheduler = new UploadScheduler(undefined, {
      transfer: async (work) => work(),
      waits: (kind) => {
        told.push(`waits ${kind}`);
        return {
          taken: () => told.push(`holds ${kind}`),
          freed: () => told.push(`frees ${kind}`),
        };
      },
    });
    (await scheduler.acquire(wish({}), never))();
    assert.deepEqual(told, ['waits body', 'holds body', 'frees body']);
  });
});
