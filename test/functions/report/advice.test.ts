import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ERRORS, type ErrorCode, type Side } from '../../../functions/errors.ts';
import { AdviceTally } from '../../../functions/report/advice.ts';

/** What is advised about one fault. */
function adviceOf(fault: Parameters<AdviceTally['fault']>[0]): string {
  const stats = new AdviceTally();
  stats.fault(fault);
  return (stats.lines[0] ?? '').replace(/^.*? \(1\): /, '');
}

const AT = { side: 'source', url: 'https://r.example/v2/' } as const;

describe('advice at a terminal', () => {
  for (const code of Object.keys(ERRORS) as ErrorCode[]) {
    it(`for ${code} is not that of a service`, () => {
      for (const side of ['source', 'destination', undefined] satisfies (Side | undefined)[]) {
        const advice = adviceOf({ code, side, url: undefined });
        assert.match(advice, /^[A-Z].*\.$/);
        // A command has no deliveries.
        if (code === 'DELIVERY_TOO_SHORT') continue;
        assert.doesNotMatch(advice, /tried again|delivery|sent again|service account/);
      }
    });
  }

  it('names the option of its side', () => {
    assert.match(adviceOf({ ...AT, code: 'NETWORK' }), /--image/);
    assert.match(
      adviceOf({ ...AT, code: 'NETWORK', side: 'destination' }),
      /--destination-registry/,
    );
    assert.match(adviceOf({ ...AT, code: 'TLS_REFUSED' }), /--insecure-source/);
    assert.match(
      adviceOf({ ...AT, code: 'TLS_REFUSED', side: 'destination' }),
      /--insecure-destination/,
    );
  });

  it('tells that http was spoken where that may be why', () => {
    const url = 'http://localhost:5000/v2/';
    assert.match(adviceOf({ ...AT, code: 'NETWORK', url }), /plain http/);
    assert.doesNotMatch(adviceOf({ ...AT, code: 'UNAUTHORIZED', url }), /plain http/);
  });

  it('is one line a kind, with its count', () => {
    const stats = new AdviceTally();
    stats.fault({ ...AT, code: 'NETWORK' });
    stats.fault({ ...AT, code: 'NETWORK', url: 'https://r.example/other' });
    stats.fault({ ...AT, code: 'NETWORK', side: 'destination' });
    stats.tagLost();
    stats.repositoryLost();
    stats.fault({ code: 'ABORTED', side: undefined, url: undefined });
    assert.deepEqual(
      stats.lines.map((line) => line.slice(0, line.indexOf(':'))),
      [
        'NETWORK at the source (2)',
        'NETWORK at the destination (1)',
        'no such tag (1)',
        'no such repository (1)',
        'ABORTED (1)',
      ],
    );
  });
});
