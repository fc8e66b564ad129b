import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../functions/fault.ts';
import { unreadyReasons, type ReadinessInput } from '../../bridge/readiness.ts';

const ready: ReadinessInput = {
  watch: { phase: 'watching' },
  synced: true,
  leading: true,
  unpublishedAgeMs: 0,
  missingPermissions: [],
};

const cases: readonly (readonly [string, Partial<ReadinessInput>, readonly RegExp[]])[] = [
  ['is ready when it watches and publishes', {}, []],
  ['is ready as a standby, whatever waits', { leading: false, unpublishedAgeMs: 1e9 }, []],
  ['is ready while it lists again', { watch: { phase: 'listing' } }, []],
  ['is not before the first list is complete', { synced: false }, [/^watch: /]],
  [
    'is not while the watch waits, and says for what',
    { watch: { phase: 'waiting', fault: new Fault('ACCESS_DENIED', 'cannot list') } },
    [/^watch: cannot list$/],
  ],
  ['is ready with what waits for two minutes', { unpublishedAgeMs: 120_000 }, []],
  ['is not with what waits for longer', { unpublishedAgeMs: 121_000 }, [/^publish: .*121 s/]],
  ['is not without permission', { missingPermissions: ['x lacks y'] }, [/^permission: x lacks y$/]],
];

describe('unreadyReasons', () => {
  for (const [name, wanted, patterns] of cases) {
    it(name, () => {
      const reasons = unreadyReasons({ ...ready, ...wanted });
      assert.equal(reasons.length, patterns.length, reasons.join());
      patterns.forEach((pattern, index) => {
        assert.match(reasons[index] ?? '', pattern);
      });
    });
  }
});
