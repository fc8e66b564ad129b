import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DestinationClaims } from '../../bridge/destination-claims.ts';
import {
  enterClaim,
  evaluate,
  isScanned,
  type EvaluationContext,
} from '../../bridge/evaluation.ts';
import { readImageRepository, type ImageRepository } from '../../bridge/flux/image-repository.ts';
import { imageRepository, type Wanted } from './objects.ts';

function object(name: string, wanted: Wanted = {}): ImageRepository {
  return readImageRepository(imageRepository(name, { revision: '1', ...wanted }));
}

function context(layout: EvaluationContext['layout'] = 'host-path'): EvaluationContext {
  return { claims: new DestinationClaims(), layout };
}

describe('evaluate', () => {
  it('gives settings and state of a sound object', () => {
    const sound = evaluate(object('app', { annotations: { latest: '3' } }), context());
    assert.equal(sound.refusal, undefined);
    assert.deepEqual(sound.settings.selection, { latest: 3 });
    assert.equal(sound.state?.image, 'ghcr.io/org/app');
  });

  it('gives no state of one that was not scanned', () => {
    const { scan: _none, ...rest } = object('app');
    const unscanned = { ...rest, scan: undefined };
    assert.equal(isScanned(unscanned), false);
    const evaluation = evaluate(unscanned, context());
    assert.ok(evaluation.refusal === undefined);
    assert.equal(evaluation.state, undefined);
  });

  it('refuses an invalid annotation, scanned or not', () => {
    for (const wanted of [{}, { revision: '' }]) {
      const evaluation = evaluate(
        object('app', { ...wanted, annotations: { include: '(' } }),
        context(),
      );
      assert.equal(evaluation.refusal?.reason, 'AnnotationInvalid');
    }
  });

  it('refuses an image that is none', () => {
    const evaluation = evaluate(object('app', { image: 'ghcr.io/Org/App' }), context());
    assert.equal(evaluation.refusal?.reason, 'ImageNameInvalid');
  });

  it('guard destination-collision: refuses the newer of two with one destination, naming both', () => {
    const shared = context('name');
    const older = object('one', { image: 'ghcr.io/a/app', createdAt: '2024-01-01T00:00:00Z' });
    const newer = object('two', { image: 'ghcr.io/b/app', createdAt: '2025-01-01T00:00:00Z' });
    enterClaim(newer, shared);
    enterClaim(older, shared);
    assert.equal(evaluate(older, shared).refusal, undefined);
    const { refusal } = evaluate(newer, shared);
    assert.equal(refusal?.reason, 'DestinationCollision');
    assert.ok(refusal.message.includes('flux-system/one'));
    assert.ok(refusal.message.includes('flux-system/two'));
  });
});

describe('enterClaim', () => {
  const older: Wanted = { image: 'ghcr.io/a/app', createdAt: '2024-01-01T00:00:00Z' };
  const newer = object('two', { image: 'ghcr.io/b/app', createdAt: '2025-01-01T00:00:00Z' });
  const nonClaims: readonly (readonly [string, Wanted])[] = [
    ['disabled', { annotations: { enabled: 'false' } }],
    ['being deleted', { deleting: true }],
    ['not scanned', { revision: '' }],
    ['invalid', { annotations: { include: '(' } }],
    ['elsewhere by annotation', { annotations: { destination: 'team/app' } }],
  ];
  for (const [what, wanted] of nonClaims) {
    it(`claims nothing for what is ${what}`, () => {
      const shared = context('name');
      enterClaim(object('one', { ...older, ...wanted }), shared);
      enterClaim(newer, shared);
      assert.equal(evaluate(newer, shared).refusal, undefined);
    });
  }

  it('keeps the claim of a suspended object: its images are there', () => {
    const shared = context('name');
    enterClaim(object('one', { ...older, suspend: true }), shared);
    enterClaim(newer, shared);
    assert.equal(evaluate(newer, shared).refusal?.reason, 'DestinationCollision');
  });

  it('names the others when a claim ends', () => {
    const shared = context('name');
    enterClaim(object('one', older), shared);
    enterClaim(newer, shared);
    const ended = object('one', { ...older, deleting: true });
    assert.deepEqual(enterClaim(ended, shared), [newer.uid]);
  });
});
