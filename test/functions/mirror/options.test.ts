import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DEFAULT_MIRROR_OPTIONS } from '../../../functions/mirror/options.ts';
import { verifiedTags } from '../../../functions/mirror/verification.ts';

describe('DEFAULT_MIRROR_OPTIONS', () => {
  it('moves drifted tags, verifies mutable ones, brakes at 1,000, copies 4 at once', () => {
    const { onDrift, verifyTags, maxMissingTags, tagWorkers, dryRun, referrers } =
      DEFAULT_MIRROR_OPTIONS;
    assert.deepEqual(
      { onDrift, verifyTags, maxMissingTags, tagWorkers, dryRun, referrers },
      {
        onDrift: 'overwrite',
        verifyTags: 'mutable',
        maxMissingTags: 1000,
        tagWorkers: 4,
        dryRun: false,
        referrers: true,
      },
    );
  });

  it('has a pattern that compiles', () => {
    assert.equal(verifiedTags('mutable', DEFAULT_MIRROR_OPTIONS.mutableTags)('latest'), true);
  });
});
