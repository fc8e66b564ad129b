import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  fluxLevel,
  isWritten,
  LOG_LEVELS,
  type Severity,
} from '../../../functions/telemetry/severity.ts';

const SEVERITIES: readonly Severity[] = [
  'DEBUG',
  'INFO',
  'NOTICE',
  'WARNING',
  'ERROR',
  'CRITICAL',
  'ALERT',
  'EMERGENCY',
];

describe('severity', () => {
  it('is written from its level on', () => {
    for (const level of LOG_LEVELS) {
      const written = SEVERITIES.filter((severity) => isWritten(severity, level));
      assert.equal(written[0], level.toUpperCase());
      assert.equal(written.at(-1), 'EMERGENCY');
    }
  });

  it("has one of Flux's three levels", () => {
    assert.deepEqual(SEVERITIES.map(fluxLevel), [
      'debug',
      'info',
      'info',
      'info',
      'error',
      'error',
      'error',
      'error',
    ]);
  });
});
