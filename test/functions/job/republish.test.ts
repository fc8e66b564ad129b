import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeEvent, type EncodedEvent } from '../../../functions/contract/codec.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { parseRepublishFilter, Republishing } from '../../../functions/job/republish.ts';
import { deadLetter } from '../../../functions/subscriber/dead-letter.ts';
import { keptLines, keptMessages, sampleEvent } from '../subscriber/samples.ts';
import { messageOf, PUBLISHED_AT_MS, settled } from './messages.ts';

const event = encodeEvent(sampleEvent());
const letter = (code: 'EVENT_INVALID' | 'SOURCE_FORBIDDEN'): ReturnType<typeof messageOf> =>
  messageOf(deadLetter(event, { code, field: 'data.image' }));

interface Rig {
  readonly republishing: Republishing;
  readonly published: EncodedEvent[];
  readonly loops: MirrorError[];
  readonly lines: readonly Record<string, unknown>[];
}

function rig(
  codes: readonly string[],
  { fails = false, dryRun = false }: { fails?: boolean; dryRun?: boolean } = {},
): Rig {
  const kept = keptMessages();
  const loops: MirrorError[] = [];
  const { logger, lines } = keptLines();
  const republishing = new Republishing({
    publisher: fails
      ? { publish: async () => Promise.reject(new MirrorError('PUBLISH_FAILED', 'x')) }
      : kept,
    codes,
    dryRun,
    startedAtMs: PUBLISHED_AT_MS,
    onLoop: (fault) => loops.push(fault),
    logger,
  });
  return { republishing, published: kept.messages, loops, lines };
}

/** Severity, sentence and code of each line. */
function told({ lines }: Rig): readonly string[] {
  return lines.map(({ severity, message, code }) => [severity, message, code].join(' '));
}

describe('republishing', () => {
  it('publishes a dead letter as it was before', async () => {
    const one = rig([]);
    const { republishing, published, loops } = one;
    const message = letter('EVENT_INVALID');
    republishing.receive(message);
    assert.equal(republishing.idle, false);
    await settled();
    assert.deepEqual(told(one), [`INFO republished message ${message.id} EVENT_INVALID`]);
    assert.deepEqual(published, [event]);
    assert.equal(message.settled, 'acked');
    assert.equal(republishing.idle, true);
    assert.deepEqual(loops, []);
  });

  /** A dead letter of another event, put aside so long after the run began. */
  const other = (id: string, afterStartMs: number): ReturnType<typeof messageOf> => ({
    ...messageOf(
      deadLetter(encodeEvent(sampleEvent({ revision: id })), {
        code: 'SOURCE_FORBIDDEN',
        field: undefined,
      }),
      id,
    ),
    publishedAtMs: PUBLISHED_AT_MS + afterStartMs,
  });
  const MARGIN_MS = 5 * 60_000;

  it('leaves what is put aside while it runs: it would come back for ever', async () => {
    const one = rig(['SOURCE_FORBIDDEN']);
    const { republishing, published } = one;
    republishing.receive(other('old', -MARGIN_MS - 1));
    republishing.receive({ ...other('old', -MARGIN_MS), id: 'again-by-a-late-clock' });
    republishing.receive({ ...other('old', MARGIN_MS), id: 'again-by-an-early-clock' });
    republishing.receive(other('new', MARGIN_MS + 1));
    republishing.receive({ ...letter('EVENT_INVALID'), publishedAtMs: PUBLISHED_AT_MS + 1 });
    await settled();
    await republishing.stop();
    assert.equal(published.length, 1);
    const { received, handedBack, later, failed } = republishing.counts;
    assert.deepEqual([received, handedBack, later, failed], [5, 4, 3, 0]);
    assert.match(
      told(one)[0] ?? '',
      /^WARNING .* is left: put aside since this run began, or a copy/,
    );
  });

  it('publishes whatever may have been put aside before it began by either clock', async () => {
    const { republishing, published } = rig([]);
    const fresh = [other('a', -1), other('b', 0), other('c', MARGIN_MS)];
    // Each is an event of its own; an old one may stand there twice, and any may be delivered twice.
    const old = [other('d', -MARGIN_MS - 1), { ...other('d', -MARGIN_MS - 1), id: 'twin' }];
    for (const message of [...fresh, ...old, other('a', -1)]) republishing.receive(message);
    await settled();
    await republishing.stop();
    assert.equal(published.length, 6);
    assert.equal(republishing.counts.later, 0);
  });

  it('publishes nothing in a dry run, and hands everything back', async () => {
    const one = rig(['EVENT_INVALID'], { dryRun: true });
    const { republishing, published } = one;
    const messages = [letter('EVENT_INVALID'), letter('SOURCE_FORBIDDEN')];
    for (const message of messages) republishing.receive(message);
    await republishing.stop();
    assert.deepEqual(published, []);
    assert.deepEqual(
      messages.map(({ settled }) => settled),
      ['nacked', 'nacked'],
    );
    const { republished, handedBack } = republishing.counts;
    assert.deepEqual([republished, handedBack], [1, 2]);
    const [{ id }] = messages as [(typeof messages)[0]];
    assert.deepEqual(told(one), [`INFO would republish message ${id} EVENT_INVALID`]);
  });

  it('stops where what it published comes back, and loses nothing', async () => {
    const { republishing, published, loops } = rig([]);
    const [first, back, next] = [
      letter('EVENT_INVALID'),
      messageOf(event, 'new-1'),
      messageOf(event, 'new-0'),
    ];
    republishing.receive(first);
    await settled();
    for (const message of [back, next]) republishing.receive(message);
    republishing.receive({ ...back, nack: () => undefined });
    await republishing.stop();
    assert.deepEqual(
      loops.map(({ code, field }) => [code, field]),
      [['OPTION_INVALID', '--republish']],
    );
    assert.equal(published.length, 1);
    assert.deepEqual([first.settled, back.settled, next.settled], ['acked', 'nacked', 'nacked']);
  });

  it('stops where what it publishes comes back before the answer to it', async () => {
    const { republishing, loops } = rig([]);
    republishing.receive(messageOf(event, 'new-1'));
    await republishing.stop();
    assert.equal(loops.length, 1);
  });

  it('keeps what does not match, and hands it back at the end', async () => {
    const { republishing, published } = rig(['SOURCE_FORBIDDEN']);
    const [other, matching, bare] = [
      letter('EVENT_INVALID'),
      letter('SOURCE_FORBIDDEN'),
      messageOf(event),
    ];
    for (const message of [other, matching, bare]) republishing.receive(message);
    await settled();
    assert.deepEqual(
      [other.settled, matching.settled, bare.settled],
      ['leased', 'acked', 'leased'],
    );
    await republishing.stop();
    assert.deepEqual([other.settled, bare.settled], ['nacked', 'nacked']);
    assert.equal(published.length, 1);
    assert.deepEqual(republishing.counts, {
      received: 3,
      republished: 1,
      handedBack: 2,
      failed: 0,
      later: 0,
    });
  });

  it('hands back what could not be published', async () => {
    const one = rig([], { fails: true });
    const { republishing } = one;
    const message = letter('EVENT_INVALID');
    republishing.receive(message);
    await settled();
    assert.match(told(one).join(), /^WARNING message \S+ could not be republished EVENT_INVALID$/);
    // A copy of what was not published is none.
    republishing.receive({ ...message, id: 'twin' });
    await republishing.stop();
    assert.equal(message.settled, 'nacked');
    assert.deepEqual([republishing.counts.failed, republishing.counts.later], [2, 0]);
  });
});

describe('filter', () => {
  it('names a fault code', () => {
    assert.equal(parseRepublishFilter('code=SOURCE_FORBIDDEN'), 'SOURCE_FORBIDDEN');
  });

  for (const bad of ['', 'SOURCE_FORBIDDEN', 'code=', 'field=x', 'code=lower', 'code=NO_CODE']) {
    it(`refuses '${bad}'`, () => {
      assert.throws(() => parseRepublishFilter(bad), /wants code=FAULT_CODE/);
    });
  }
});
