import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { BlobPool, type BlobWish } from '../../../functions/mirror/blob-pool.ts';
import { NO_DEADLINE, type Deadline } from '../../../functions/mirror/deadline.ts';
import { Knowledge } from '../../../functions/mirror/knowledge.ts';
import { failing, FakeDestination, FakeHost, FakeSource } from './fakes.ts';
import { coded, never } from './faults.ts';
import { blobOf, imageOf, type Blob } from './images.ts';

class PoolRig {
  nowMs = 0;
  readonly clock = (): number => this.nowMs;
  readonly knowledge = new Knowledge(this.clock);
  readonly pool = new BlobPool({ knowledge: this.knowledge, clock: this.clock, backOff: () => 0 });
  readonly host = new FakeHost();
  readonly one = new FakeDestination('p/r/one', 'europe-docker.pkg.dev', this.host);
  readonly two = new FakeDestination('p/r/two', 'europe-docker.pkg.dev', this.host);
  readonly source = new FakeSource();
  readonly blob: Blob;

  constructor(blob: Blob = blobOf('blob')) {
    this.blob = blob;
    this.source.add(imageOf('image', [blob]));
  }

  wish(more: Partial<BlobWish> = {}): BlobWish {
    return {
      source: this.source,
      destination: this.one,
      blob: this.blob.descriptor,
      turn: this,
      deadline: NO_DEADLINE,
      ...more,
    };
  }
}

/** Holds every call that begins with `prefix` until released. */
function holding(prefix: string): {
  readonly before: (call: string) => Promise<void>;
  readonly release: () => void;
  readonly reached: Promise<void>;
} {
  const gate = Promise.withResolvers<undefined>();
  const reached = Promise.withResolvers<undefined>();
  return {
    before: async (call) => {
      if (!call.startsWith(prefix)) return;
      reached.resolve(undefined);
      await gate.promise;
    },
    release: () => {
      gate.resolve(undefined);
    },
    reached: reached.promise.then(() => undefined),
  };
}

describe('BlobPool', () => {
  it('sends a blob once for all who want it at one repository', async () => {
    const rig = new PoolRig();
    const results = await Promise.all(
      Array.from({ length: 5 }, () => rig.pool.bring(rig.wish(), never)),
    );
    assert.deepEqual(
      results.map(({ arrival, bytesUploaded }) => `${arrival} ${bytesUploaded}`),
      ['uploaded 100', 'known 0', 'known 0', 'known 0', 'known 0'],
    );
    assert.equal(rig.one.bytesReceived, 100);
  });

  it('mounts it into another repository of the host, which waits for the first', async () => {
    const rig = new PoolRig();
    const [first, second] = await Promise.all([
      rig.pool.bring(rig.wish(), never),
      rig.pool.bring(rig.wish({ destination: rig.two }), never),
    ]);
    assert.equal(first.arrival, 'uploaded');
    assert.equal(second.arrival, 'mounted');
    assert.deepEqual(rig.two.calls, [
      `destination uploadBlob ${rig.blob.descriptor.digest} from p/r/one`,
    ]);
  });

  it('sends it to each host', async () => {
    const rig = new PoolRig();
    const elsewhere = new FakeDestination('p/r/one', 'us-docker.pkg.dev');
    await Promise.all([
      rig.pool.bring(rig.wish(), never),
      rig.pool.bring(rig.wish({ destination: elsewhere }), never),
    ]);
    assert.equal(rig.one.bytesReceived, 100);
    assert.equal(elsewhere.bytesReceived, 100);
  });

  it('asks nothing for a blob that it knows to be there, for 15 minutes', async () => {
    const rig = new PoolRig();
    await rig.pool.bring(rig.wish(), never);
    rig.nowMs += 15 * 60_000 - 1;
    assert.equal((await rig.pool.bring(rig.wish(), never)).arrival, 'known');
    rig.nowMs += 1;
    assert.equal((await rig.pool.bring(rig.wish(), never)).arrival, 'present');
  });

  it('goes on when the leader leaves, and counts for who stays', async () => {
    const rig = new PoolRig();
    const hold = holding('source openBlob');
    rig.source.before.push(hold.before);
    const leaving = new AbortController();
    const leader = rig.pool.bring(rig.wish(), leaving.signal);
    const other = rig.pool.bring(rig.wish(), never);
    await hold.reached;
    leaving.abort();
    await assert.rejects(leader, coded('ABORTED'));
    hold.release();
    assert.deepEqual(await other, { arrival: 'uploaded', bytesUploaded: 100 });
    assert.equal(rig.one.count('destination uploadBlob'), 1);
  });

  it('gives a transfer up when everybody has left', async () => {
    const rig = new PoolRig();
    const hold = holding('source openBlob');
    rig.source.before.push(hold.before);
    const leaving = new AbortController();
    const both = [0, 1].map(() => rig.pool.bring(rig.wish(), leaving.signal));
    await hold.reached;
    leaving.abort();
    for (const left of both) await assert.rejects(left, coded('ABORTED'));
    hold.release();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.one.blobs.size, 0);
    assert.equal((await rig.pool.bring(rig.wish(), never)).arrival, 'uploaded');
  });

  it('lets the next who waits try what failed', async () => {
    const rig = new PoolRig();
    rig.source.before.push(failing('source openBlob', 'NETWORK', 1));
    const results = await Promise.allSettled([
      rig.pool.bring(rig.wish(), never),
      rig.pool.bring(rig.wish(), never),
      rig.pool.bring(rig.wish(), never),
    ]);
    assert.deepEqual(
      results.map((result) =>
        result.status === 'fulfilled' ? result.value.arrival : (result.reason as Fault).code,
      ),
      ['NETWORK', 'uploaded', 'known'],
    );
  });

  it('tries a blob that the source lacks once for all who wait', async () => {
    const rig = new PoolRig();
    rig.source.blobs.clear();
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => rig.pool.bring(rig.wish(), never)),
    );
    for (const result of results) {
      assert.equal(
        result.status === 'rejected' && (result.reason as Fault).code,
        'SOURCE_INCOMPLETE',
      );
    }
    assert.equal(rig.source.count('source openBlob'), 1);
  });

  it('sends again what broke at the destination, four times at most', async () => {
    const rig = new PoolRig();
    rig.one.before.push(failing('destination commit', 'SERVER_ERROR', 3));
    assert.equal((await rig.pool.bring(rig.wish(), never)).arrival, 'uploaded');
    assert.equal(rig.one.count('destination uploadBlob'), 4);

    const broken = new PoolRig();
    broken.one.before.push(failing('destination commit', 'SERVER_ERROR'));
    await assert.rejects(broken.pool.bring(broken.wish(), never), coded('SERVER_ERROR'));
    assert.equal(broken.one.count('destination uploadBlob'), 4);
  });

  it('sends wrong bytes once more, no more', async () => {
    const rig = new PoolRig();
    rig.source.before.push(failing('source openBlob', 'DIGEST_MISMATCH'));
    await assert.rejects(rig.pool.bring(rig.wish(), never), coded('DIGEST_MISMATCH'));
    assert.equal(rig.source.count('source openBlob'), 2);
  });

  it('leaves a broken source to its reader', async () => {
    const rig = new PoolRig();
    rig.source.before.push(failing('source openBlob', 'NETWORK'));
    await assert.rejects(rig.pool.bring(rig.wish(), never), coded('NETWORK'));
    assert.equal(rig.source.count('source openBlob'), 1);
  });

  it('does not send again what nobody wants any more', async () => {
    const rig = new PoolRig();
    const leaving = new AbortController();
    rig.one.before.push((call) => {
      if (!call.startsWith('destination commit')) return;
      leaving.abort();
      throw new Fault('SERVER_ERROR', 'no', { side: 'destination' });
    });
    await assert.rejects(rig.pool.bring(rig.wish(), leaving.signal), coded('ABORTED'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.one.count('destination uploadBlob'), 1);
  });

  it('sends what proved to be missing, whatever a probe says, once for all who miss it', async () => {
    const rig = new PoolRig();
    await rig.pool.bring(rig.wish(), never);
    const missedAtMark = rig.knowledge.mark();
    const results = await Promise.all([
      rig.pool.bring(rig.wish({ missedAtMark }), never),
      rig.pool.bring(rig.wish({ missedAtMark }), never),
    ]);
    assert.deepEqual(results.map(({ arrival }) => arrival).sort(), ['known', 'uploaded']);
    assert.equal(rig.one.count('destination uploadBlob'), 2);
    assert.equal(rig.one.count(`destination uploadBlob ${rig.blob.descriptor.digest} force`), 1);
  });

  it('asks the size of a blob whose manifest does not tell it', async () => {
    const rig = new PoolRig();
    const unsized = { ...rig.blob.descriptor, sizeBytes: -1 };
    const result = await rig.pool.bring(rig.wish({ blob: unsized }), never);
    assert.deepEqual(result, { arrival: 'uploaded', bytesUploaded: 100 });
    assert.equal(rig.source.count('source blobSize'), 1);
    rig.source.blobs.clear();
    const gone = { ...blobOf('gone').descriptor, sizeBytes: -1 };
    await assert.rejects(
      rig.pool.bring(rig.wish({ blob: gone }), never),
      coded('SOURCE_INCOMPLETE'),
    );
  });

  it('runs at most 8 small and 8 large streams', async () => {
    const rig = new PoolRig();
    let streams = 0;
    let most = 0;
    rig.source.before.push(async (call) => {
      if (!call.startsWith('source openBlob')) return;
      streams += 1;
      most = Math.max(most, streams);
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      streams -= 1;
    });
    const blobs = Array.from({ length: 40 }, (_none, index) =>
      blobOf(`blob ${index}`, index % 2 === 0 ? 10 : 1024 * 1024),
    );
    rig.source.add(imageOf('many', blobs));
    await Promise.all(
      blobs.map(({ descriptor }) => rig.pool.bring(rig.wish({ blob: descriptor }), never)),
    );
    assert.equal(most, 16);
  });

  it('starts a large blob as soon as a small one has gone that it waited for', async () => {
    const large = blobOf('large', 4 * 1024 * 1024);
    const rig = new PoolRig(large);
    const small = blobOf('small', 1000);
    rig.source.add(imageOf('small', [small]));
    const hold = holding(`source openBlob ${small.descriptor.digest}`);
    rig.source.before.push(hold.before);
    // Just enough time for the large one alone, at the rate that is taken for granted.
    const deadline: Deadline = {
      untilLastStartMs: () => 4000,
      untilEndMs: () => 4000,
      wholeMs: 60_000,
    };
    const first = rig.pool.bring(rig.wish({ blob: small.descriptor, deadline }), never);
    await hold.reached;
    const second = rig.pool.bring(rig.wish({ deadline }), never);
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.source.count(`source openBlob ${large.descriptor.digest}`), 0);
    hold.release();
    assert.equal((await first).arrival, 'uploaded');
    assert.equal((await second).arrival, 'uploaded');
  });

  it('starts no blob when it is too late, and asks nothing', async () => {
    const rig = new PoolRig();
    const deadline: Deadline = { untilLastStartMs: () => 0, untilEndMs: () => 60_000, wholeMs: 1 };
    await assert.rejects(rig.pool.bring(rig.wish({ deadline }), never), coded('DEADLINE_EXCEEDED'));
    assert.deepEqual([...rig.source.calls, ...rig.one.calls], []);
  });

  it('leaves to another event what its own leader has no time for', async () => {
    const rig = new PoolRig();
    const late: Deadline = { untilLastStartMs: () => 0, untilEndMs: () => 60_000, wholeMs: 1 };
    const results = await Promise.allSettled([
      rig.pool.bring(rig.wish({ deadline: late }), never),
      rig.pool.bring(rig.wish(), never),
    ]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
  });
});
