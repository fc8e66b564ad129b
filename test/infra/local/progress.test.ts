import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeEvent } from '../../../functions/contract/codec.ts';
import { Progress } from '../../../infra/local/progress.ts';
import { sampleEvent } from '../../functions/subscriber/samples.ts';

const image = 'ghcr.io/org/app';

function message(revision: string, at: string): ReturnType<typeof encodeEvent> {
  return encodeEvent(sampleEvent({ image, revision, tagCount: 4 }, at));
}

const delivered = {
  entry: 'event',
  image,
  decision: 'acknowledge',
  decisionReason: 'Finished',
  destination: 'localhost:5000/mirror/ghcr.io/org/app',
  sourceTags: 4,
  destinationTags: 4,
  copied: 1,
  skipped: 3,
  bytesUploaded: 100,
  lagSeconds: 0.5,
};

describe('Progress', () => {
  it('shows an image from its first event on, with what Flux counted', () => {
    const progress = new Progress();
    assert.equal(progress.published(message('1', '2026-08-10T09:00:00Z')), image);
    assert.deepEqual(progress.row(image), {
      image,
      revision: '1',
      sourceTags: 4,
      destinationTags: undefined,
      lastOutcome: 'waiting',
      movedBytes: 0,
      lagSeconds: undefined,
    });
  });

  it('takes figures and outcome from the line of a delivery and adds up the bytes', () => {
    const progress = new Progress();
    progress.published(message('1', '2026-08-10T09:00:00Z'));
    progress.logged(delivered);
    progress.logged(delivered);
    const row = progress.row(image);
    assert.equal(row?.lastOutcome, '1 copied, 3 skipped');
    assert.equal(row.movedBytes, 200);
    assert.equal(row.destinationTags, 4);
    assert.equal(row.lagSeconds, 0.5);
  });

  it('keeps the newest event where messages come in any order', () => {
    const progress = new Progress();
    progress.published(message('2', '2026-08-10T09:01:00Z'));
    assert.equal(progress.published(message('1', '2026-08-10T09:00:00Z')), undefined);
    assert.equal(progress.row(image)?.revision, '2');
  });

  it('says what becomes of a delivery that is not acknowledged, and remembers failures', () => {
    const progress = new Progress();
    progress.published(message('1', '2026-08-10T09:00:00Z'));
    progress.logged({
      ...delivered,
      decision: 'retry',
      decisionReason: 'TransientFailures',
      failed: 2,
    });
    assert.equal(
      progress.row(image)?.lastOutcome,
      '1 copied, 3 skipped, 2 failed, retry: TransientFailures',
    );
    assert.equal(progress.images.get(image)?.failures.length, 1);
    progress.logged(delivered);
    assert.equal(progress.images.get(image)?.failures.length, 0);
  });

  it('ignores lines about other things and messages that nobody can read', () => {
    const progress = new Progress();
    assert.equal(progress.logged({ message: 'listening' }), undefined);
    assert.equal(progress.logged(delivered), undefined);
    assert.equal(progress.published({ attributes: {}, data: Buffer.from('x') }), undefined);
    assert.equal(progress.images.size, 0);
  });

  it('counts dead letters', () => {
    const progress = new Progress();
    progress.deadLettered();
    assert.equal(progress.deadLetters, 1);
  });
});
