import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { EncodedEvent } from '../../../functions/contract/codec.ts';
import { encodeHeartbeat } from '../../../functions/contract/heartbeat.ts';
import type { MirrorEvent } from '../../../functions/contract/event.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { Drain, type WorkEnding } from '../../../functions/job/drain.ts';
import { keptLines, keptMessages, sampleEvent } from '../subscriber/samples.ts';
import { messageOf, settled } from './messages.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

interface Rig {
  readonly drain: Drain;
  readonly started: MirrorEvent[];
  readonly letters: EncodedEvent[];
  readonly lines: readonly Record<string, unknown>[];
  readonly end: (ending: WorkEnding) => Promise<void>;
}

function rig(workers = 2, deadLetters: 'kept' | 'refused' | 'none' = 'kept', dryRun = false): Rig {
  const started: MirrorEvent[] = [];
  const kept = keptMessages();
  const refused = async (): Promise<string> => {
    await new Promise(setImmediate);
    throw new MirrorError('PUBLISH_FAILED', 'x');
  };
  const { logger, lines } = keptLines();
  const ends: ((ending: WorkEnding) => void)[] = [];
  const drain = new Drain({
    verification: MIRROR_OPTIONS,
    workers,
    acceptFluxEvents: false,
    dryRun,
    execute: async (event) => {
      started.push(event);
      return new Promise((resolve) => ends.push(resolve));
    },
    deadLetters: { kept, refused: { publish: refused }, none: undefined }[deadLetters],
    logger,
  });
  return {
    drain,
    started,
    letters: kept.messages,
    lines,
    end: async (ending) => {
      ends.shift()?.(ending);
      await settled();
    },
  };
}

function of(uid: string, image: string, time?: string): MirrorEvent {
  return sampleEvent({ imageRepository: { namespace: 'n', name: uid, uid }, image }, time);
}

describe('drain', () => {
  it('executes what came in structured mode, as the service does', async () => {
    const { drain, started, end } = rig();
    const event = sampleEvent();
    const message = messageOf({
      attributes: { 'content-type': 'application/cloudevents+json; charset=utf-8' },
      data: Buffer.from(JSON.stringify({ specversion: '1.0', ...event })),
    });
    drain.receive(message);
    await settled();
    assert.deepEqual(started, [event]);
    await end('done');
    assert.equal(message.settled, 'acked');
  });

  it('acknowledges a sign of life of a bridge, of which there is nothing to do', async () => {
    const { drain, started } = rig();
    const alive = messageOf(encodeHeartbeat({ cluster: 'a', watched: 1, refused: 0 }, new Date()));
    drain.receive(alive);
    await drain.stop();
    assert.deepEqual([alive.settled, started], ['acked', []]);
  });

  it('executes as many events at once as there are workers, and acknowledges them', async () => {
    const { drain, started, end } = rig(2);
    const messages = ['a', 'b', 'c'].map((uid) => messageOf(of(uid, `ghcr.io/x/${uid}`)));
    for (const message of messages) drain.receive(message);
    assert.equal(started.length, 2);
    await end('done');
    assert.equal(started.length, 3);
    assert.equal(messages[0]?.settled, 'acked');
    await end('done');
    await end('done');
    assert.equal(drain.idle, true);
    assert.deepEqual(drain.counts, {
      received: 3,
      executed: 3,
      replaced: 0,
      deadLettered: 0,
      undone: 0,
      handedBack: 0,
    });
  });

  it('acknowledges older events of an object together with the newest', async () => {
    const { drain, started, end } = rig(1);
    const first = messageOf(of('a', 'ghcr.io/x/a'));
    const [older, newest] = [
      messageOf(of('a', 'ghcr.io/x/a', '2026-08-10T10:00:00Z')),
      messageOf(of('a', 'ghcr.io/x/a', '2026-08-10T11:00:00Z')),
    ];
    for (const message of [first, newest, older]) drain.receive(message);
    assert.equal(drain.idle, false);
    await end('done');
    assert.deepEqual([first.settled, older.settled], ['acked', 'leased']);
    await end('done');
    assert.deepEqual([older.settled, newest.settled], ['acked', 'acked']);
    assert.equal(started.length, 2);
    assert.equal(started[1]?.time, '2026-08-10T11:00:00.000Z');
    assert.equal(drain.counts.replaced, 1);
  });

  it('keeps whole-repository events of one image apart, and batches together', async () => {
    const { drain, started, end } = rig(4);
    drain.receive(messageOf(of('a', 'ghcr.io/x/same')));
    drain.receive(messageOf(of('b', 'ghcr.io/x/same')));
    drain.receive(messageOf(sampleEvent({ tags: ['1'], image: 'ghcr.io/x/same' })));
    drain.receive(messageOf(sampleEvent({ tags: ['2'], image: 'ghcr.io/x/same' })));
    assert.equal(started.length, 3);
    await end('done');
    assert.equal(started.length, 4);
    for (let n = 0; n < 3; n++) await end('done');
    assert.equal(drain.idle, true);
  });

  it('keeps what fails transiently leased, and hands it back at the end', async () => {
    const { drain, end } = rig();
    const message = messageOf(sampleEvent());
    drain.receive(message);
    await end('transient');
    assert.equal(drain.idle, true);
    assert.equal(message.settled, 'leased');
    await drain.stop();
    assert.equal(message.settled, 'nacked');
    assert.equal(drain.counts.handedBack, 1);
    assert.equal(drain.counts.undone, 1);
  });

  it('hands everything back in a dry run, publishes nothing, and counts what would be', async () => {
    const { drain, letters, end } = rig(4, 'kept', true);
    const messages = [
      messageOf(of('a', 'ghcr.io/x/a')),
      messageOf(of('b', 'ghcr.io/x/b')),
      messageOf(of('c', 'ghcr.io/x/c')),
      messageOf({ attributes: {}, data: Buffer.from('{') }),
    ];
    for (const message of messages) drain.receive(message);
    await end('done');
    await end('transient');
    await end({ never: new MirrorError('SOURCE_FORBIDDEN', 'x') });
    await drain.stop();
    assert.deepEqual(
      messages.map(({ settled }) => settled),
      ['nacked', 'nacked', 'nacked', 'nacked'],
    );
    assert.deepEqual(letters, []);
    assert.deepEqual(drain.counts, {
      received: 4,
      executed: 1,
      replaced: 0,
      deadLettered: 2,
      undone: 1,
      handedBack: 4,
    });
  });

  it('puts aside what can never succeed', async () => {
    const { drain, letters, lines, end } = rig();
    const [garbage, forbidden] = [
      messageOf({ attributes: { team: 'a' }, data: Buffer.from('{') }),
      messageOf(sampleEvent()),
    ];
    drain.receive(garbage);
    drain.receive(forbidden);
    assert.equal(drain.idle, false);
    await end({ never: new MirrorError('SOURCE_FORBIDDEN', 'x', { field: 'data.image' }) });
    assert.deepEqual([garbage.settled, forbidden.settled], ['acked', 'acked']);
    assert.deepEqual(
      letters.map(({ attributes }) => attributes['error-code']),
      ['EVENT_INVALID', 'SOURCE_FORBIDDEN'],
    );
    assert.equal(letters[0]?.attributes['team'], 'a');
    assert.deepEqual(
      lines.map(({ message, code }) => [String(message).split(':', 1)[0], code]),
      ['EVENT_INVALID', 'SOURCE_FORBIDDEN'].map((code) => ['message m cannot succeed', code]),
    );
    assert.equal(drain.counts.deadLettered, 2);
  });

  for (const [name, deadLetters, attributes] of [
    ['it came from the dead-letter topic', 'kept', { 'error-code': 'EVENT_INVALID' }],
    ['there is no dead-letter topic', 'none', {}],
    ['the dead-letter topic refuses it', 'refused', {}],
  ] as const) {
    it(`hands back what can never succeed where ${name}`, async () => {
      const { drain, letters, lines } = rig(1, deadLetters);
      const message = messageOf({ attributes, data: Buffer.from('{') });
      drain.receive(message);
      await drain.stop();
      assert.equal(message.settled, 'nacked');
      assert.deepEqual(letters, []);
      const isSaid = lines.some(({ message: text }) => text === 'message m could not be put aside');
      assert.equal(isSaid, deadLetters === 'refused');
    });
  }

  it('starts nothing after it was stopped, and waits for what runs', async () => {
    const { drain, started, end } = rig(1);
    const [running, waiting, late] = ['a', 'b', 'c'].map((uid) => messageOf(of(uid, uid)));
    drain.receive(running!);
    drain.receive(waiting!);
    let hasStopped = false;
    const stopped = drain.stop().then(() => (hasStopped = true));
    drain.receive(late!);
    await settled();
    assert.equal(hasStopped, false);
    await end('done');
    await stopped;
    assert.equal(started.length, 1);
    assert.deepEqual(
      [running, waiting, late].map((message) => message?.settled),
      ['acked', 'nacked', 'nacked'],
    );
  });
});
