import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { traceFields } from '../../../functions/telemetry/trace.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';

describe('trace fields', () => {
  it('links a traceparent to the project', () => {
    assert.deepEqual(traceFields(`00-${TRACE}-${SPAN}-01`, 'acme'), {
      'logging.googleapis.com/trace': `projects/acme/traces/${TRACE}`,
      'logging.googleapis.com/spanId': SPAN,
      'logging.googleapis.com/trace_sampled': true,
    });
  });

  it('tells an unsampled trace, and names it alone without a project', () => {
    const fields = traceFields(`00-${TRACE}-${SPAN}-00`, undefined);
    assert.equal(fields?.['logging.googleapis.com/trace'], TRACE);
    assert.equal(fields['logging.googleapis.com/trace_sampled'], false);
  });

  for (const value of [undefined, 7, '', 'x', `00-${TRACE}`]) {
    it(`is absent for ${String(value) || 'an empty text'}`, () => {
      assert.equal(traceFields(value, 'acme'), undefined);
    });
  }
});
