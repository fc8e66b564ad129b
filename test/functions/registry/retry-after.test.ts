import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseRetryAfter } from '../../../functions/registry/retry-after.ts';

const A_YEAR_MS = 365 * 24 * 60 * 60_000;
const NOW = Date.parse('2026-05-04T10:00:00Z');

describe('Retry-After', () => {
  const cases: readonly (readonly [string | undefined, number | undefined])[] = [
    ['0', 0],
    ['120', 120_000],
    [' 5 ', 5_000],
    ['2592000', 30 * 24 * 60 * 60_000],
    ['999999999999999', A_YEAR_MS],
    ['Mon, 04 May 2026 10:00:30 GMT', 30_000],
    ['Monday, 04-May-26 10:00:30 GMT', 30_000],
    ['Mon, 04 May 2026 09:59:00 GMT', 0],
    ['Fri, 04 May 2046 10:00:30 GMT', A_YEAR_MS],
    ['-1', undefined],
    ['1.5', undefined],
    ['1e3', undefined],
    ['soon', undefined],
    ['2026', 2_026_000],
    ['2026-05-04T10:00:30Z', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [header, expected] of cases) {
    it(`takes '${header ?? 'nothing'}' as ${expected ?? 'nothing'}`, () => {
      assert.equal(parseRetryAfter(header, NOW), expected);
    });
  }

  it('gives a wait within its bounds or none, for any text', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.nat().map(String),
      fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const wait = parseRetryAfter(text, NOW);
        assert.ok(wait === undefined || (wait >= 0 && wait <= A_YEAR_MS), `${text}: ${wait ?? ''}`);
      }),
    );
  });

  it('gives back any date within its bounds', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: A_YEAR_MS / 1000 }), (seconds) => {
        const date = new Date(NOW + seconds * 1000).toUTCString();
        assert.equal(parseRetryAfter(date, NOW), seconds * 1000);
      }),
    );
  });
});
