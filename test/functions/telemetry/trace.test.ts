import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { traceFields, traceparentOf } from '../../../functions/telemetry/trace.ts';

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

describe('traceparent of an X-Cloud-Trace-Context', () => {
  for (const [name, value, expected] of [
    ['sampled', `${TRACE}/67667974448284343;o=1`, `00-${TRACE}-${SPAN}-01`],
    ['unsampled', `${TRACE}/67667974448284343;o=0`, `00-${TRACE}-${SPAN}-00`],
    ['without options', `${TRACE}/1`, `00-${TRACE}-0000000000000001-00`],
    [
      'of the largest span',
      `${TRACE}/18446744073709551615;o=1`,
      `00-${TRACE}-${'f'.repeat(16)}-01`,
    ],
    ['in capitals', `${TRACE.toUpperCase()}/1;o=1`, `00-${TRACE}-0000000000000001-01`],
  ] as const) {
    it(`is that of one ${name}`, () => {
      assert.equal(traceparentOf(value), expected);
      assert.ok(traceFields(traceparentOf(value), 'acme'));
    });
  }

  for (const value of [
    undefined,
    '',
    TRACE,
    `${TRACE}/`,
    `${TRACE}/x;o=1`,
    `${TRACE}/18446744073709551616;o=1`,
    `${TRACE}0/1;o=1`,
    `${TRACE}/1;o=1, more`,
  ]) {
    it(`is absent for ${value ?? 'none'}`, () => {
      assert.equal(traceparentOf(value), undefined);
    });
  }
});
