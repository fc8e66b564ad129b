import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { brake } from '../../../functions/mirror/brake.ts';
import type { DecidedStep } from '../../../functions/mirror/resolve-plan.ts';

function missing(...tags: readonly string[]): readonly DecidedStep[] {
  return tags.map((tag) => ({ tag, action: 'copy', reason: 'Missing' }));
}

function present(...tags: readonly string[]): readonly DecidedStep[] {
  return tags.map((tag) => ({ tag, action: 'skip', reason: 'NotVerified' }));
}

function held(steps: readonly DecidedStep[]): readonly string[] {
  return steps.filter(({ action }) => action === 'hold').map(({ tag }) => tag);
}

describe('brake', () => {
  it('holds nothing up to the limit', () => {
    const { steps, report } = brake([...present('v9.0.0'), ...missing('v1.0.0', 'v2.0.0')], 2);
    assert.deepEqual(held(steps), []);
    assert.deepEqual(report, { engaged: false, missing: 2, maxMissingTags: 2, held: 0 });
  });

  it('holds all but the newest, versions before other names', () => {
    const { steps, report } = brake(missing('v9.1.0', 'v10.0.0', 'nightly', 'v1.0.0', 'v2.0'), 2);
    assert.deepEqual(held(steps), ['nightly', 'v1.0.0', 'v2.0']);
    assert.deepEqual(report, { engaged: true, missing: 5, maxMissingTags: 2, held: 3 });
  });

  it('holds the same tags once the newest are there', () => {
    const { steps } = brake(
      [...present('v10.0.0', 'v9.0.0'), ...missing('v1.0.0', 'v2.0.0', 'v3.0.0')],
      2,
    );
    assert.deepEqual(held(steps), ['v1.0.0', 'v2.0.0', 'v3.0.0']);
  });

  it('lets a missing tag pass that is among the newest of the whole list', () => {
    const { steps } = brake([...present('v9.0.0'), ...missing('v10.0.0', 'v2.0.0', 'v1.0.0')], 2);
    assert.deepEqual(held(steps), ['v2.0.0', 'v1.0.0']);
  });

  it('counts tags that would only be retagged', () => {
    const retag: DecidedStep = {
      tag: 'v0.1.0',
      action: 'retag',
      reason: 'DigestPresent',
      digest: `sha256:${'a'.repeat(64)}`,
    };
    assert.deepEqual(held(brake([retag, ...missing('v1.0.0')], 1).steps), ['v0.1.0']);
  });

  it('never holds what exists', () => {
    const overwrite: DecidedStep = {
      tag: 'latest',
      action: 'overwrite',
      reason: 'Moved',
      digest: `sha256:${'a'.repeat(64)}`,
      previousDigest: `sha256:${'b'.repeat(64)}`,
    };
    const { steps } = brake([overwrite, ...missing('v1.0.0', 'v2.0.0')], 1);
    assert.deepEqual(held(steps), ['v1.0.0']);
  });

  it('is off with a limit of 0', () => {
    assert.equal(brake(missing('a', 'b', 'c'), 0).report.engaged, false);
  });
});
