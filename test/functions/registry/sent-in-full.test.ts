import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { markSentInFull, wasSentInFull } from '../../../functions/registry/sent-in-full.ts';

describe('sent in full', () => {
  it('is known of the marked fault only', () => {
    const fault = new Fault('NETWORK', 'lost');
    assert.equal(wasSentInFull(fault), false);
    markSentInFull(fault);
    assert.equal(wasSentInFull(fault), true);
    assert.equal(wasSentInFull(new Fault('NETWORK', 'lost')), false);
  });
});
