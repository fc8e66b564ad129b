import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SYSTEM_TIMING, type Timing } from '../../../functions/concurrency.ts';
import { decodeEvent, receivedEvent } from '../../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../../functions/contract/event.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { offloadOf, type OffloadTargets } from '../../../functions/subscriber/offload.ts';
import { keptLines, keptMessages, sampleEvent } from './samples.ts';
import { rejection } from '../../faults.ts';

const limits = { batchTags: 2, jobThresholdBytes: 100 };
const signal = new AbortController().signal;
const { logger, lines } = keptLines();

function offload(
  targets: OffloadTargets & { readonly timing?: Timing },
  within = signal,
): ReturnType<typeof offloadOf> {
  const parts = { timing: SYSTEM_TIMING, ...targets, limits };
  return offloadOf(sampleEvent(), parts, logger, within);
}

describe('offload', () => {
  it('gives nothing away where there is nobody to take it', async () => {
    const nobody = offload({});
    assert.equal(nobody.batchTags, 0);
    assert.equal(nobody.jobThresholdBytes, -1);
    assert.equal(await nobody.handOff('TooManyBytes', undefined), 'declined');
    assert.equal(await nobody.fanOut(['1.0']), 'declined');
  });

  it('publishes batches', async () => {
    const bulk = keptMessages();
    const given = offload({ bulk });
    assert.equal(given.batchTags, 2);
    assert.equal(await given.fanOut(['a', 'b', 'c']), 'taken');
    assert.deepEqual(
      bulk.messages.map((message) => decodeEvent(receivedEvent(message)).data.tags),
      [['a', 'b'], ['c']],
    );
    assert.deepEqual([lines.at(-1)?.['batches'], lines.at(-1)?.['delegatedTags']], [2, 3]);
  });

  it('fails with a batch that could not be published', async () => {
    const given = offload({
      bulk: { publish: async () => Promise.reject(new MirrorError('PUBLISH_FAILED', 'x')) },
    });
    await rejection(given.fanOut(['a']), 'PUBLISH_FAILED');
  });

  it('starts the job with the event, or with some of its tags', async () => {
    const started: MirrorEvent[] = [];
    const given = offload({
      handOff: {
        start: async (event, within) => {
          assert.equal(within, signal);
          started.push(event);
          return Promise.resolve('started');
        },
      },
    });
    assert.equal(await given.handOff('TooManyBytes', undefined), 'taken');
    assert.equal(await given.handOff('BlobTooSlow', ['big']), 'taken');
    assert.deepEqual(
      started.map(({ data }) => data.tags),
      [undefined, ['big']],
    );
    assert.deepEqual(
      lines.slice(-2).map(({ handOffReason, handOff }) => [handOffReason, handOff]),
      [
        ['TooManyBytes', 'started'],
        ['BlobTooSlow', 'started'],
      ],
    );
  });

  it('starts the job after the end of a delivery too', async () => {
    const aborted: boolean[] = [];
    const given = offload(
      {
        handOff: {
          start: async (_event, within) => {
            aborted.push(within.aborted);
            return Promise.resolve('started');
          },
        },
      },
      AbortSignal.abort(),
    );
    assert.equal(await given.handOff('BlobTooSlow', ['big']), 'taken');
    assert.deepEqual(aborted, [false]);
  });

  it('starts the job in one time after the end of a delivery, however many parts there are', async () => {
    const signals = new Set<AbortSignal>();
    const given = offload(
      {
        handOff: {
          start: async ({ data }, within) => {
            if ((data.tags ?? []).length > 1) return Promise.resolve('too-large');
            signals.add(within);
            return Promise.resolve('started');
          },
        },
      },
      AbortSignal.abort(),
    );
    assert.equal(await given.handOff('BlobTooSlow', ['a', 'b', 'c']), 'taken');
    assert.equal(signals.size, 1);
  });

  it('begins that time once, however often the job is started', async () => {
    const limitsMs: number[] = [];
    let [nowMs, released] = [0, 0];
    const timing: Timing = {
      ...SYSTEM_TIMING,
      now: () => nowMs,
      setTimer: (delayMs) => {
        limitsMs.push(delayMs);
        return () => (released += 1);
      },
    };
    const handOff = {
      start: async () => {
        nowMs += 15_000;
        return Promise.resolve('started' as const);
      },
    };
    const given = offload({ handOff, timing }, AbortSignal.abort());
    for (const tag of ['a', 'b', 'c']) await given.handOff('BlobTooSlow', [tag]);
    assert.deepEqual([limitsMs, released], [[20_000, 5000, 0], 3]);
  });

  it('gives the job more tags than its variable holds in halves', async () => {
    const started: (readonly string[] | undefined)[] = [];
    const given = offload({
      handOff: {
        start: async ({ data }) => {
          if ((data.tags ?? []).length > 2) return Promise.resolve('too-large');
          started.push(data.tags);
          return Promise.resolve('started');
        },
      },
    });
    const tags = ['a', 'b', 'c', 'd', 'e'];
    assert.equal(await given.handOff('BlobTooSlow', tags), 'taken');
    assert.deepEqual(started.flat().sort(), tags);
  });

  it('keeps an event that the job cannot take, and a tag that is too large alone', async () => {
    let asked = 0;
    const given = offload({
      handOff: {
        start: async () => {
          asked += 1;
          if (asked > 9) throw new Error('asked again and again');
          return Promise.resolve('too-large');
        },
      },
    });
    assert.equal(await given.handOff('EverythingHandedOff', undefined), 'declined');
    assert.equal(await given.handOff('BlobTooSlow', ['a', 'b']), 'declined');
    assert.equal(asked, 1 + 2);
  });
});
