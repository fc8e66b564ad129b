import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { BlobCopier, type BlobWish } from '../../../functions/mirror/copy-blob.ts';
import { NO_DEADLINE, type Deadline } from '../../../functions/mirror/deadline.ts';
import { PresenceCache } from '../../../functions/mirror/presence-cache.ts';
import type { LaneWidths } from '../../../functions/mirror/upload-scheduler.ts';
import { until } from '../../until.ts';
import { failing, FakeDestination, FakeHost, FakeSource } from './fakes.ts';
import { fakeTiming, settle } from '../registry/setting.ts';
import { blobOf, imageOf, type Blob } from './images.ts';
import { recordOf, Rig } from './rig.ts';
import { NEVER as never, rejection } from '../../faults.ts';

/** A delivery in which no blob may start any more. */
const LATE: Deadline = { ...NO_DEADLINE, lastStart: AbortSignal.abort(), earlyUntilMs: 0 };

class CopierRig {
  /** Added to the time of {@link timing}. */
  nowMs = 0;
  readonly clock = (): number => this.nowMs + this.timing.now();
  readonly presence = new PresenceCache(this.clock);
  readonly timing = fakeTiming(0);
  readonly blobs: BlobCopier;
  readonly host = new FakeHost();
  readonly one = new FakeDestination('p/r/one', 'europe-docker.pkg.dev', this.host);
  readonly two = new FakeDestination('p/r/two', 'europe-docker.pkg.dev', this.host);
  readonly source = new FakeSource();
  readonly blob: Blob;

  constructor(blob: Blob = blobOf('blob'), lanes?: LaneWidths) {
    this.blob = blob;
    this.blobs = new BlobCopier({
      presence: this.presence,
      timing: { now: this.clock, setTimer: (delayMs, action) => this.#timer(delayMs, action) },
      lanes,
      random: () => 0,
    });
    this.source.add(imageOf('image', [blob]));
  }

  /** What waits for no time at all needs no test to let it pass. */
  #timer(delayMs: number, action: () => void): () => void {
    if (delayMs > 0) return this.timing.setTimer(delayMs, action);
    const immediate = setImmediate(action);
    return () => {
      clearImmediate(immediate);
    };
  }

  wish(more: Partial<BlobWish> = {}): BlobWish {
    return {
      source: this.source,
      destination: this.one,
      blob: this.blob.descriptor,
      event: this,
      deadline: NO_DEADLINE,
      ...more,
    };
  }

  async copy(more?: Partial<BlobWish>, signal = never): ReturnType<BlobCopier['copy']> {
    return this.blobs.copy(this.wish(more), signal);
  }

  /** Another source of the blob. */
  otherSource(name = 'quay.io/org/app'): FakeSource {
    return new FakeSource(name).add(imageOf('image', [this.blob]));
  }
}

/** How each copy came, or the code of its fault. */
async function endings(
  copies: readonly ReturnType<BlobCopier['copy']>[],
): Promise<readonly string[]> {
  const results = await Promise.allSettled(copies);
  return results.map((result) =>
    result.status === 'fulfilled' ? result.value.arrival : (result.reason as MirrorError).code,
  );
}

describe('BlobCopier', () => {
  it('sends a blob once for all who want it at one repository', async () => {
    const rig = new CopierRig();
    const results = await Promise.all(Array.from({ length: 5 }, () => rig.copy()));
    assert.deepEqual(
      results.map(({ arrival, bytesUploaded }) => `${arrival} ${bytesUploaded}`),
      ['uploaded 100', 'known 0', 'known 0', 'known 0', 'known 0'],
    );
    assert.equal(rig.one.bytesReceived, 100);
  });

  it('mounts it into another repository of the host, which waits for the first', async () => {
    const rig = new CopierRig();
    const copies = [rig.copy(), rig.copy({ destination: rig.two })];
    assert.deepEqual(await endings(copies), ['uploaded', 'mounted']);
    assert.deepEqual(rig.two.calls, [
      `destination uploadBlob ${rig.blob.descriptor.digest} from p/r/one`,
    ]);
    assert.equal(rig.presence.mounts(rig.source, rig.two), false);
  });

  it('mounts it from its source where that is on the same host, and remembers that this works', async () => {
    const rig = new CopierRig();
    const source = rig.otherSource('europe-docker.pkg.dev/p/dev/app');
    rig.host.repositories.set('p/dev/app', source);
    assert.equal(rig.presence.mounts(source, rig.one), false);
    const result = await rig.copy({ source });
    assert.deepEqual(result, { arrival: 'mounted', bytesUploaded: 0 });
    assert.deepEqual(source.calls, []);
    assert.equal(rig.presence.mounts(source, rig.one), true);
    assert.equal(rig.presence.mounts(source, rig.two), false);
  });

  it('waits for nobody’s bytes where blobs are mounted from its source', async () => {
    const rig = new CopierRig();
    const source = rig.otherSource('europe-docker.pkg.dev/p/dev/app');
    rig.host.repositories.set('p/dev/app', source);
    rig.presence.setMounts(source, rig.one, true);
    const opening = rig.source.hold('source openBlob');
    const slow = rig.copy({ destination: rig.two });
    await opening.reached;
    assert.equal((await rig.copy({ source })).arrival, 'mounted');
    opening.release();
    await slow;
  });

  it('remembers whether another repository’s blob could be mounted', async () => {
    const rig = new CopierRig();
    const { digest } = rig.blob.descriptor;
    await rig.copy();
    const three = new FakeDestination('p/r/three', rig.one.host, rig.host);
    assert.equal((await rig.copy({ destination: rig.two })).arrival, 'mounted');
    assert.equal(rig.presence.isMountable(three, digest), true);
    rig.host.repositories.clear();
    assert.equal((await rig.copy({ destination: three })).arrival, 'uploaded');
    assert.equal(
      rig.presence.isMountable(new FakeDestination('p/r/four', rig.one.host), digest),
      false,
    );
  });

  it('mounts from another of Google’s registries, and sends what that does not bring', async () => {
    const rig = new CopierRig();
    const source = new FakeSource('us-docker.pkg.dev/p/dev/app');
    source.google = true;
    const other = blobOf('other');
    source.add(imageOf('image', [rig.blob, other]));
    rig.host.repositories.set(source.name, {
      blobs: new Map([[rig.blob.descriptor.digest, rig.blob.bytes]]),
    });
    const came: (readonly [arrival: string, mounts: boolean])[] = [];
    for (const { descriptor } of [rig.blob, other]) {
      const { arrival } = await rig.copy({ source, blob: descriptor });
      came.push([arrival, rig.presence.mounts(source, rig.one)]);
    }
    assert.deepEqual(came, [
      ['mounted', true],
      ['uploaded', false],
    ]);
    // What the host is known to hold is asked for there first.
    await rig.copy({ source, blob: other.descriptor, destination: rig.two });
    assert.deepEqual(rig.two.calls, [
      `destination uploadBlob ${other.descriptor.digest} from p/r/one`,
    ]);
  });

  it('mounts nothing where only one of the two registries is Google’s', async () => {
    for (const isGoogle of [true, false]) {
      const rig = new CopierRig();
      rig.source.google = isGoogle;
      const destination = new FakeDestination('p/r/app', 'registry.example');
      destination.google = !isGoogle;
      assert.equal((await rig.copy({ destination })).arrival, 'uploaded');
      assert.deepEqual(destination.calls, [`destination uploadBlob ${rig.blob.descriptor.digest}`]);
    }
  });

  it('mounts nothing of unknown size from its source', async () => {
    const rig = new CopierRig();
    const source = rig.otherSource('europe-docker.pkg.dev/p/dev/app');
    rig.host.repositories.set('p/dev/app', source);
    const blob = { ...rig.blob.descriptor, sizeBytes: -1 };
    assert.equal((await rig.copy({ source, blob })).arrival, 'uploaded');
  });

  it('sends it to each host', async () => {
    const rig = new CopierRig();
    const elsewhere = new FakeDestination('p/r/one', 'us-docker.pkg.dev');
    await Promise.all([rig.copy(), rig.copy({ destination: elsewhere })]);
    assert.equal(rig.one.bytesReceived, 100);
    assert.equal(elsewhere.bytesReceived, 100);
  });

  it('asks nothing for a blob that it knows to be there, for 15 minutes', async () => {
    const rig = new CopierRig();
    await rig.copy();
    rig.nowMs += 15 * 60_000 - 1;
    assert.equal((await rig.copy()).arrival, 'known');
    rig.nowMs += 1;
    assert.equal((await rig.copy()).arrival, 'present');
  });

  it('goes on when the leader leaves, and counts for who stays', async () => {
    const rig = new CopierRig();
    const hold = rig.source.hold('source openBlob');
    const leaving = new AbortController();
    const leader = rig.copy({}, leaving.signal);
    const other = rig.copy();
    await hold.reached;
    leaving.abort();
    await rejection(leader, 'ABORTED');
    hold.release();
    assert.deepEqual(await other, { arrival: 'uploaded', bytesUploaded: 100 });
    assert.equal(rig.one.count('destination uploadBlob'), 1);
  });

  it('gives a transfer up when everybody has left', async () => {
    const rig = new CopierRig();
    const hold = rig.source.hold('source openBlob');
    const leaving = new AbortController();
    const both = [0, 1].map(() => rig.copy({}, leaving.signal));
    await hold.reached;
    leaving.abort();
    for (const left of both) await rejection(left, 'ABORTED');
    hold.release();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.one.blobs.size, 0);
    assert.equal((await rig.copy()).arrival, 'uploaded');
  });

  it('tells who joins that it is under way, and who leads when its bytes flow', async () => {
    // Two of the three are left for other hosts.
    const rig = new CopierRig(blobOf('blob'), { small: 3, large: 3 });
    const asking = rig.one.hold('destination uploadBlob');
    const told: string[] = [];
    const other = blobOf('other');
    rig.source.add(imageOf('other', [other]));
    const copies = [
      rig.copy({ blob: other.descriptor, onUnderWay: () => told.push('first') }),
      ...['leads', 'joins'].map(async (name) => rig.copy({ onUnderWay: () => told.push(name) })),
    ];
    await asking.reached;
    assert.deepEqual(told, ['joins', 'first'], 'there is a stream for the first alone');
    asking.release();
    await Promise.all(copies);
    assert.deepEqual(told, ['joins', 'first', 'first', 'leads', 'joins']);
  });

  it('expects no stream any more for a blob that has one, or needs none', async () => {
    const rig = new CopierRig(blobOf('blob'), { small: 4, large: 3 });
    rig.one.before.push(failing('destination uploadBlob', 'MANIFEST_REFUSED', 1));
    await rejection(rig.copy(), 'MANIFEST_REFUSED');
    const flows = Promise.withResolvers<undefined>();
    rig.one.onChunk = async () => flows.promise;
    const first = rig.copy();
    await settle();
    const other = blobOf('other');
    rig.source.add(imageOf('other', [other]));
    const told: string[] = [];
    const asking = rig.one.hold('destination uploadBlob', 1);
    const copy = rig.copy({ blob: other.descriptor, onUnderWay: () => told.push('second') });
    await asking.reached;
    assert.deepEqual(told, ['second'], 'the first counts once, as one that flows');
    asking.release();
    flows.resolve(undefined);
    await Promise.all([first, copy]);
  });

  it('takes the third fault of its leaders for its own, where each may be the leader’s alone', async () => {
    const rig = new CopierRig();
    rig.source.before.push(failing('source openBlob', 'RATE_LIMITED'));
    const told = await endings(Array.from({ length: 6 }, async () => rig.copy()));
    assert.deepEqual(told, Array(6).fill('RATE_LIMITED'));
    assert.equal(rig.source.count('source openBlob'), 3);
  });

  it('leaves nothing at the signals of a delivery', async () => {
    const rig = new CopierRig();
    const [end, lastStart] = [new AbortController(), new AbortController()];
    await rig.copy({ deadline: { ...NO_DEADLINE, lastStart: lastStart.signal } }, end.signal);
    for (const { signal } of [end, lastStart]) {
      assert.deepEqual(getEventListeners(signal, 'abort'), []);
    }
  });

  it('tells all who share a transfer how it failed, and lets the next try again', async () => {
    const rig = new CopierRig();
    rig.source.before.push(failing('source openBlob', 'NETWORK', 1));
    assert.deepEqual(await endings([rig.copy(), rig.copy()]), ['NETWORK', 'NETWORK']);
    assert.equal((await rig.copy()).arrival, 'uploaded');
  });

  it('tries a blob that the source lacks once for all who wait', async () => {
    const rig = new CopierRig();
    rig.source.blobs.clear();
    const told = await endings(Array.from({ length: 4 }, async () => rig.copy()));
    assert.deepEqual(told, Array(4).fill('SOURCE_INCOMPLETE'));
    assert.equal(rig.source.count('source openBlob'), 1);
  });

  it('sends again what broke at the destination, four times at most', async () => {
    const rig = new CopierRig();
    rig.one.before.push(failing('destination commit', 'SERVER_ERROR', 3));
    assert.equal((await rig.copy()).arrival, 'uploaded');
    assert.equal(rig.one.count('destination uploadBlob'), 4);

    const { presence, timing } = new Rig();
    const once = new FakeDestination();
    once.before.push(failing('destination commit', 'SERVER_ERROR', 1));
    const copier = new BlobCopier({ presence, timing });
    await copier.copy(rig.wish({ destination: once }), never);
    assert.equal(once.count('destination uploadBlob'), 2);

    const broken = new CopierRig();
    broken.one.before.push(failing('destination commit', 'SERVER_ERROR'));
    await rejection(broken.copy(), 'SERVER_ERROR');
    assert.equal(broken.one.count('destination uploadBlob'), 4);
  });

  for (const [name, code, opens] of [
    ['sends wrong bytes once more, no more', 'DIGEST_MISMATCH', 2],
    ['leaves a broken source to its reader', 'NETWORK', 1],
  ] as const) {
    it(name, async () => {
      const rig = new CopierRig();
      rig.source.before.push(failing('source openBlob', code));
      await rejection(rig.copy(), code);
      assert.equal(rig.source.count('source openBlob'), opens);
    });
  }

  it('does not send again what nobody wants any more', async () => {
    const rig = new CopierRig();
    const leaving = new AbortController();
    rig.one.before.push((call) => {
      if (!call.startsWith('destination commit')) return;
      leaving.abort();
      throw new MirrorError('SERVER_ERROR', 'no', { side: 'destination' });
    });
    await rejection(rig.copy({}, leaving.signal), 'ABORTED');
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(rig.one.count('destination uploadBlob'), 1);
  });

  it('sends what proved to be missing, whatever a probe says, once for all who miss it', async () => {
    const rig = new CopierRig();
    await rig.copy();
    const missedAtVersion = rig.presence.version();
    const both = [1, 2].map(async () => rig.copy({ missedAtVersion }));
    assert.deepEqual((await endings(both)).toSorted(), ['known', 'uploaded']);
    assert.equal(rig.one.count('destination uploadBlob'), 2);
    assert.equal(rig.one.count(`destination uploadBlob ${rig.blob.descriptor.digest} force`), 1);
  });

  it('asks the size of a blob whose manifest does not tell it', async () => {
    const rig = new CopierRig();
    const unsized = { ...rig.blob.descriptor, sizeBytes: -1 };
    const result = await rig.copy({ blob: unsized });
    assert.deepEqual(result, { arrival: 'uploaded', bytesUploaded: 100 });
    assert.equal(rig.source.count('source blobSize'), 1);
    rig.source.blobs.clear();
    const gone = { ...blobOf('gone').descriptor, sizeBytes: -1 };
    await rejection(rig.copy({ blob: gone }), 'SOURCE_INCOMPLETE');
  });

  it('runs at most 8 small and 8 large streams, two places of each kept from a single source', async () => {
    const rig = new CopierRig();
    const other = new FakeSource('quay.io/org/app');
    let streams = 0;
    let most = 0;
    const watch = async (call: string): Promise<void> => {
      if (!call.startsWith('source openBlob')) return;
      streams += 1;
      most = Math.max(most, streams);
      for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
      streams -= 1;
    };
    for (const source of [rig.source, other]) source.before.push(watch);
    const blobs = Array.from({ length: 40 }, (_none, index) =>
      blobOf(`blob ${index}`, index % 2 === 0 ? 10 : 1024 * 1024),
    );
    for (const source of [rig.source, other]) source.add(imageOf('many', blobs));
    const copyAll = async (sources: readonly FakeSource[]): Promise<void> => {
      await Promise.all(
        blobs.map(async ({ descriptor }, index) => {
          const source = sources[Math.floor(index / 2) % sources.length]!;
          await rig.copy({ source, blob: descriptor });
        }),
      );
    };
    await copyAll([rig.source]);
    assert.equal(most, 12);
    rig.nowMs += 16 * 60_000;
    rig.one.blobs.clear();
    await copyAll([rig.source, other]);
    assert.equal(most, 14);
  });

  it('starts no blob when it is too late, and asks nothing', async () => {
    const rig = new CopierRig();
    await rejection(rig.copy({ deadline: LATE }), 'DEADLINE_EXCEEDED');
    assert.deepEqual([...rig.source.calls, ...rig.one.calls], []);
    assert.deepEqual(rig.blobs.openWork(), []);
  });

  it('leaves what has not begun at the last start, and waits for what flows', async () => {
    const rig = new CopierRig();
    const mounting = rig.one.hold('destination uploadBlob');
    const lastStart = new AbortController();
    const deadline = { ...NO_DEADLINE, lastStart: lastStart.signal, earlyUntilMs: 0 };
    const early = rig.copy({ deadline });
    await mounting.reached;
    lastStart.abort();
    await rejection(early, 'DEADLINE_EXCEEDED');
    mounting.release();

    const flowing = rig.source.hold('source openBlob');
    const leader = rig.copy();
    await flowing.reached;
    const late = rig.copy({ deadline: LATE });
    flowing.release();
    assert.deepEqual(await endings([leader, late]), ['uploaded', 'known']);
  });

  it('tells apart what began early and was cut by the deadline, by the fact alone', async () => {
    for (const [reason, earlyUntilMs, code] of [
      ['DEADLINE_EXCEEDED', 1, 'DELIVERY_TOO_SHORT'],
      ['DEADLINE_EXCEEDED', 0, 'DELIVERY_TOO_SHORT'],
      ['DEADLINE_EXCEEDED', -1, 'DEADLINE_EXCEEDED'],
      // The process was told to end: the next delivery has all its time.
      ['ABORTED', 1, 'ABORTED'],
    ] as const) {
      const rig = new CopierRig();
      const hold = rig.source.hold('source openBlob');
      const end = new AbortController();
      const deadline: Deadline = { ...NO_DEADLINE, lastStart: never, earlyUntilMs };
      const cut = rig.copy({ deadline }, end.signal);
      await hold.reached;
      end.abort(new MirrorError(reason, 'the test says so'));
      await rejection(cut, code);
      hold.release();
    }
  });
});

describe('a digest whose wish was aborted', () => {
  it('leaves nothing behind, and comes with the next wish', async () => {
    const rig = new CopierRig();
    await rejection(rig.copy({}, AbortSignal.abort()), 'ABORTED');
    assert.deepEqual(rig.blobs.openWork(), []);
    assert.equal((await rig.copy()).arrival, 'uploaded');
    assert.deepEqual(rig.blobs.openWork(), []);
  });

  it('hangs nobody where a manifest of more than 32 blobs cannot be copied', async () => {
    const blobs = Array.from({ length: 40 }, (_none, index) => blobOf(`blob ${index}`));
    const rig = new Rig({ v1: imageOf('many', blobs) });
    rig.source.blobs.delete(blobs[0]!.descriptor.digest);
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').fault?.code, 'SOURCE_INCOMPLETE');
    await until(() => rig.pool.openWork().length === 0);
    rig.source.tag('v2', imageOf('last', [blobs[39]!]));
    assert.equal(recordOf(await rig.mirror(), 'v2').outcome, 'copied');
  });
});

describe('a download that breaks while its host is closed by what others asked', () => {
  it('is begun again as often as a host may ask for a pause, and no more', async () => {
    const image = imageOf('image', [blobOf('layer', 600 * 1024)]);
    const rig = new Rig({ v1: image });
    const { bytes } = image.blobs[1]!;
    let opened = 0;
    rig.source.openBlob = async (blob, offset) => {
      if (blob.digest !== image.blobs[1]!.descriptor.digest) {
        return Readable.from([image.blobs[0]!.bytes.subarray(offset)]);
      }
      opened += 1;
      return Promise.resolve(
        Readable.from(
          (function* () {
            yield bytes.subarray(0, 512 * 1024);
            // No status: a resume that may not wait finds its host closed and asks nothing.
            throw new MirrorError('RATE_LIMITED', 'closed', { side: 'source', retryAfterMs: 1 });
          })(),
        ),
      );
    };
    const report = await rig.mirror();
    assert.equal(recordOf(report, 'v1').fault?.code, 'RATE_LIMITED');
    // Six pauses (restart.ts), and the first try.
    assert.equal(opened, 7);
  });
});

describe('a blob that other sources bring to the host', () => {
  for (const [where, moves, passMs] of [
    ['stands still for 10 s', false, 10_000],
    ['takes more than a minute', true, 60_000],
  ] as const) {
    it(`is brought by the second source itself where the first ${where}`, async () => {
      const rig = new CopierRig();
      const other = rig.otherSource();
      const trickling = Promise.withResolvers<undefined>();
      let chunks = 0;
      rig.one.onChunk = async () => {
        chunks += 1;
        if (chunks === 1) await trickling.promise;
      };
      const first = rig.copy();
      await until(() => chunks > 0);
      const second = rig.copy({ source: other, destination: rig.two });
      for (let passedMs = 0; passedMs <= passMs; passedMs += 5000) {
        await rig.timing.pass(5000);
        if (moves) rig.one.tellBytes(1);
      }
      assert.equal((await second).arrival, 'uploaded');
      trickling.resolve(undefined);
      assert.equal((await first).arrival, 'uploaded');
      assert.deepEqual(rig.blobs.openWork(), []);
    });
  }

  for (const [held, passMs] of [
    ['source openBlob', 9_999],
    ['destination uploadBlob', 55_000],
    ['destination take', 55_000],
    ['destination commit', 55_000],
  ] as const) {
    it(`is waited for while the first source waits for the ${held}, and mounted`, async () => {
      const rig = new CopierRig();
      const other = rig.otherSource();
      const hold = (held === 'source openBlob' ? rig.source : rig.one).hold(held);
      const first = rig.copy();
      await hold.reached;
      const second = rig.copy({ source: other, destination: rig.two });
      for (let left = passMs; left > 0; left -= 5000) await rig.timing.pass(Math.min(left, 5000));
      hold.release();
      assert.deepEqual(await endings([first, second]), ['uploaded', 'mounted']);
      assert.equal(other.count('source openBlob'), 0);
    });
  }

  it('is waited for where the first source has just answered, however long that took', async () => {
    const rig = new CopierRig();
    const other = rig.otherSource();
    const opening = rig.source.hold('source openBlob');
    const flowing = Promise.withResolvers<undefined>();
    const openBlob = rig.source.openBlob.bind(rig.source);
    rig.source.openBlob = async (...what) => {
      const body = await openBlob(...what);
      async function* late(): AsyncGenerator<Buffer> {
        await flowing.promise;
        yield* body as AsyncIterable<Buffer>;
      }
      return Readable.from(late());
    };
    const first = rig.copy();
    await opening.reached;
    await rig.timing.pass(20_000);
    opening.release();
    await settle();
    const second = rig.copy({ source: other, destination: rig.two });
    await settle();
    flowing.resolve(undefined);
    assert.deepEqual(await endings([first, second]), ['uploaded', 'mounted']);
    assert.equal(other.count('source openBlob'), 0);
  });

  it('tells nobody the fault of another source', async () => {
    const rig = new CopierRig();
    const lacking = ['a', 'b', 'c'].map((name) => new FakeSource(`${name}.io/org/app`));
    const copies = [...lacking.map(async (source) => rig.copy({ source })), rig.copy()];
    assert.deepEqual(await endings(copies), [
      ...Array<string>(3).fill('SOURCE_INCOMPLETE'),
      'uploaded',
    ]);
  });

  it('tells nobody the fault of another manifest of its source', async () => {
    const rig = new CopierRig();
    const { descriptor, bytes } = rig.blob;
    rig.source.blobs.delete(descriptor.digest);
    const data = bytes.toString('base64');
    const lacking = rig.copy();
    const embedding = rig.copy({ blob: { ...descriptor, data } });
    await rejection(lacking, 'SOURCE_INCOMPLETE');
    assert.equal((await embedding).arrival, 'uploaded');
  });

  it('tells nobody the fault of a manifest that says another size', async () => {
    const rig = new CopierRig();
    const { descriptor } = rig.blob;
    const openBlob = rig.source.openBlob.bind(rig.source);
    rig.source.openBlob = async (blob, ...how) => {
      if (blob.sizeBytes === descriptor.sizeBytes) return openBlob(blob, ...how);
      throw new MirrorError('SIZE_MISMATCH', 'other bytes than were announced', { side: 'source' });
    };
    const wrong = rig.copy({ blob: { ...descriptor, sizeBytes: 1 } });
    const right = rig.copy();
    await rejection(wrong, 'SIZE_MISMATCH');
    assert.equal((await right).arrival, 'uploaded');
  });
});

/** What a closed host says to whoever will not wait for it. */
function pausing(prefix: string, retryAfterMs: number, times: number): (call: string) => void {
  let left = times;
  return (call) => {
    if (!call.startsWith(prefix) || left <= 0) return;
    left -= 1;
    throw new MirrorError('RATE_LIMITED', 'not now', { side: 'source', status: 429, retryAfterMs });
  };
}

describe('a place for a body', () => {
  it('is given back while a source wants no request, so that others find one', async () => {
    const rig = new CopierRig();
    const blobs = Array.from({ length: 20 }, (_none, index) => blobOf(`blob ${index}`));
    const closed = ['a', 'b'].map((name) =>
      new FakeSource(`${name}.io/org/app`).add(imageOf('many', blobs)),
    );
    const pauseMs = 10 * 60_000;
    for (const one of closed)
      one.before.push(pausing('source openBlob', pauseMs, blobs.length / 2));
    const waiting = closed.flatMap((source, number) =>
      blobs
        .filter((_blob, index) => index % 2 === number)
        .map(async ({ descriptor }) => rig.copy({ source, blob: descriptor })),
    );
    await settle();
    assert.equal((await rig.copy()).arrival, 'uploaded');
    while (rig.blobs.openWork().some((work) => work.endsWith('streams of blobs'))) await settle();
    await rig.timing.pass(pauseMs);
    assert.deepEqual(new Set(await endings(waiting)), new Set(['uploaded']));
    assert.deepEqual(rig.blobs.openWork(), []);
  });

  it('is not waited for again where the pause is longer than there is time, or comes too often', async () => {
    for (const [endsAtMs, retryAfterMs, opens] of [
      [70_000, 60_001, 1],
      [Infinity, 10 * 60_000 + 1, 1],
      [Infinity, 1000, 7],
    ] as const) {
      const rig = new CopierRig();
      rig.nowMs = 10_000;
      rig.source.before.push(pausing('source openBlob', retryAfterMs, Infinity));
      const copied = rig.copy({ deadline: { ...NO_DEADLINE, endsAtMs } });
      const failed = rejection(copied, 'RATE_LIMITED');
      for (let second = 0; second < 20; second += 1) await rig.timing.pass(1000);
      await failed;
      assert.equal(rig.source.count('source openBlob'), opens);
      assert.equal(rig.one.count('destination uploadBlob'), 1);
    }
  });

  it('is taken again as often as it takes where the host was only found closed', async () => {
    const rig = new CopierRig();
    let left = 10;
    rig.source.before.push((call) => {
      if (!call.startsWith('source openBlob') || left === 0) return;
      left -= 1;
      // No status: nothing was asked.
      throw new MirrorError('RATE_LIMITED', 'closed', { side: 'source', retryAfterMs: 1000 });
    });
    const copied = rig.copy();
    for (let second = 0; second < 12; second += 1) await rig.timing.pass(1000);
    assert.equal((await copied).arrival, 'uploaded');
  });

  it('is taken anew by an upload whose download came to a pause', async () => {
    const rig = new CopierRig();
    let chunks = 0;
    rig.one.onChunk = () => {
      chunks += 1;
      const context = { side: 'source', status: 429, retryAfterMs: 60_000 } as const;
      if (chunks === 1) throw new MirrorError('RATE_LIMITED', 'not now', context);
    };
    const copied = rig.copy();
    while (chunks === 0) await settle();
    await settle();
    assert.ok(!rig.blobs.openWork().some((work) => work.endsWith('streams of blobs')));
    await rig.timing.pass(60_000);
    assert.equal((await copied).arrival, 'uploaded');
  });

  it('is given back with the last byte: a destination that does not answer holds none', async () => {
    const rig = new CopierRig();
    const flowing = (): boolean =>
      rig.blobs.openWork().some((work) => work.endsWith('streams of blobs'));
    const commit = rig.one.hold('destination commit');
    let isKept = false;
    rig.one.onChunk = () => {
      if (rig.one.bytesReceived > 0) return;
      rig.one.tellBytes(rig.blob.descriptor.sizeBytes - 1);
      isKept = flowing();
    };
    const first = rig.copy();
    await commit.reached;
    assert.ok(isKept);
    const blobs = Array.from({ length: 20 }, (_none, index) => blobOf(`blob ${index}`));
    rig.source.add(imageOf('many', blobs));
    const copied = blobs.map(async ({ descriptor }) => rig.copy({ blob: descriptor }));
    while (rig.one.bytesReceived <= blobs.length * 100) await settle();
    assert.ok(!flowing());
    commit.release();
    await Promise.all([first, ...copied]);
    assert.deepEqual(rig.blobs.openWork(), []);
  });

  it('is taken once more, not four times, where a destination took all bytes and stays silent', async () => {
    for (const [silentMs, uploads] of [
      [6 * 60_000, 2],
      [1000, 4],
    ] as const) {
      const rig = new CopierRig();
      rig.one.before.push((call) => {
        if (!call.startsWith('destination commit')) return;
        rig.nowMs += silentMs;
        throw new MirrorError('TIMEOUT', 'no answer', { side: 'destination' });
      });
      await rejection(rig.copy(), 'TIMEOUT');
      assert.equal(rig.one.count('destination uploadBlob'), uploads);
    }
  });
});

it('an upload that was given up does not end the one of the same key after it', async () => {
  const rig = new CopierRig();
  const first = rig.source.hold('source openBlob', 1);
  const missedAtVersion = rig.presence.version();
  const leaving = new AbortController();
  const left = rig.copy({ missedAtVersion }, leaving.signal);
  await first.reached;
  leaving.abort();
  await rejection(left, 'ABORTED');
  const second = rig.source.hold('source openBlob', 1);
  const lastStart = new AbortController();
  const deadline = { ...NO_DEADLINE, lastStart: lastStart.signal };
  const next = rig.copy({ missedAtVersion, deadline });
  await second.reached;
  first.release();
  await settle();
  lastStart.abort();
  second.release();
  assert.equal((await next).arrival, 'uploaded');
});
