import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { markSentInFull, wasSentInFull } from '../../../functions/registry/sent-in-full.ts';

describe('sent in full', () => {
  it('is known of the marked fault only', () => {
    const fault = new MirrorError('NETWORK', 'lost');
    assert.equal(wasSentInFull(fault), false);
    markSentInFull(fault);
    assert.equal(wasSentInFull(fault), true);
    assert.equal(wasSentInFull(new MirrorError('NETWORK', 'lost')), false);
  });
});
