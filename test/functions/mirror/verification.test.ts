import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { REASONS, type Verify } from '../../../functions/contract/event.ts';
import { verificationOf, verifiedTags } from '../../../functions/mirror/verification.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';

describe('verificationOf', () => {
  const expected: Readonly<Record<string, Verify>> = {
    requested: 'all',
    resync: 'mutable',
    'follow-up': 'none',
    changed: 'none',
    configured: 'none',
    initial: 'none',
  };
  for (const reason of REASONS) {
    it(`verifies ${expected[reason] ?? ''} by default for the reason ${reason}`, () => {
      const wishes = {
        reason,
        eventVerify: undefined,
        verifyTags: 'none',
        resyncVerify: 'mutable',
      } as const;
      assert.equal(verificationOf(wishes), expected[reason]);
    });
    it(`lets the event decide for the reason ${reason}`, () => {
      const wishes = { reason, verifyTags: 'all', resyncVerify: 'all' } as const;
      assert.equal(verificationOf({ ...wishes, eventVerify: 'none' }), 'none');
    });
  }
});

describe('verifiedTags', () => {
  const mutable = [
    'latest',
    'stable',
    'edge',
    'main',
    'dev',
    'dev-feature',
    '1',
    'v1',
    '1.2',
    'v1.2',
  ];
  const fixed = ['v1.2.3', '1.2.3', 'latest-2024', '2024.01.01', 'sha-abc'];
  it('takes for mutable what looks so', () => {
    const verified = verifiedTags('mutable', MIRROR_OPTIONS.mutableTags);
    assert.deepEqual([...mutable, ...fixed].filter(verified), mutable);
  });
  it('takes all or none', () => {
    assert.deepEqual(fixed.filter(verifiedTags('all', '')), fixed);
    assert.deepEqual(mutable.filter(verifiedTags('none', MIRROR_OPTIONS.mutableTags)), []);
  });
  it('takes no tag for mutable where the pattern is empty', () => {
    assert.deepEqual(mutable.filter(verifiedTags('mutable', '')), []);
  });
  it('refuses a malformed pattern at the first tag', () => {
    const verified = verifiedTags('mutable', '(');
    assert.throws(
      () => verified('1.0'),
      (error) => error instanceof MirrorError && error.code === 'EVENT_INVALID',
    );
  });
});
