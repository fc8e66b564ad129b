import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeEvent, receivedEvent } from '../../../functions/contract/codec.ts';
import { Fault } from '../../../functions/fault.ts';
import { remainsOf } from '../../../functions/job/remains.ts';
import { decideAfterFault, decideAfterWork } from '../../../functions/subscriber/decision.ts';
import { sampleEvent, sampleRecord, sampleReport } from '../subscriber/samples.ts';

const event = sampleEvent();

describe('what remains of an event', () => {
  it('is nothing after an acknowledgement, permanent failures included', () => {
    const report = sampleReport([
      sampleRecord({ outcome: 'failed', fault: new Fault('MANIFEST_INVALID', 'x') }),
    ]);
    const decision = decideAfterWork(event, report, false);
    assert.deepEqual(remainsOf(event, { decision, report, durationMs: 1 }), []);
  });

  it('is its unfinished tags, under the code of the first', () => {
    const report = sampleReport([
      sampleRecord({ tag: 'good' }),
      sampleRecord({ tag: 'a', outcome: 'failed', fault: new Fault('RATE_LIMITED', 'x') }),
      sampleRecord({ tag: 'b', outcome: 'failed', fault: new Fault('NETWORK', 'x') }),
    ]);
    const decision = decideAfterWork(event, report, false);
    const [message, ...more] = remainsOf(event, { decision, report, durationMs: 1 });
    assert.deepEqual(more, []);
    assert.equal(message?.attributes['error-code'], 'RATE_LIMITED');
    assert.deepEqual(decodeEvent(receivedEvent(message)).data.tags, ['a', 'b']);
  });

  it('has one code for what the end of the time cut, begun or not', () => {
    for (const code of ['ABORTED', 'DEADLINE_EXCEEDED'] as const) {
      const record = sampleRecord({ tag: 'a', outcome: 'failed', fault: new Fault(code, 'x') });
      const report = sampleReport([record]);
      const decision = decideAfterWork(event, report, false);
      const messages = remainsOf(event, { decision, report, durationMs: 1 });
      assert.deepEqual(
        messages.map(({ attributes }) => attributes['error-code']),
        ['DEADLINE_EXCEEDED'],
      );
    }
    const fault = new Fault('ABORTED', 'x');
    const [message] = remainsOf(event, { decision: decideAfterFault(fault), fault, durationMs: 1 });
    assert.equal(message?.attributes['error-code'], 'DEADLINE_EXCEEDED');
  });

  it('is all of it where nothing could be planned', () => {
    const fault = new Fault('SERVER_ERROR', 'x');
    const [message] = remainsOf(event, { decision: decideAfterFault(fault), fault, durationMs: 1 });
    assert.equal(message?.attributes['error-code'], 'SERVER_ERROR');
    assert.deepEqual(decodeEvent(receivedEvent(message)), event);
  });
});
