import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { DestinationClaims } from '../../bridge/destination-claims.ts';
import { readImageRepository, type ImageRepository } from '../../bridge/flux/image-repository.ts';
import { imageRepository, type Wanted } from './objects.ts';

function object(name: string, wanted: Wanted = {}): ImageRepository {
  return readImageRepository(imageRepository(name, { uid: name, revision: '1', ...wanted }));
}

/** An object of an image, created in a year; by the layout `name` it writes to `app`. */
function created(uid: string, image: string, year: number, wanted: Wanted = {}): ImageRepository {
  return object(uid, { image, createdAt: `${year}-01-01T00:00:00Z`, ...wanted });
}

/** Claims of the layout `name`, with these entered. */
function claimed(...objects: readonly ImageRepository[]): DestinationClaims {
  const claims = new DestinationClaims('name');
  for (const one of objects) claims.enter(one);
  return claims;
}

/** Whom an object is refused for, as the message names it; undefined: it is not. */
function refusedFor(claims: DestinationClaims, one: ImageRepository): string | undefined {
  const refusal = claims.refusalOf(one);
  if (refusal === undefined) return undefined;
  assert.equal(refusal.reason, 'DestinationCollision');
  return /is not published: flux-system\/(\S+) /.exec(refusal.message)?.[1];
}

describe('DestinationClaims', () => {
  it('lets objects with one image share a path', () => {
    const [a, b] = [created('a', 'ghcr.io/org/app', 2024), created('b', 'ghcr.io/org/app', 2025)];
    const claims = claimed(a, b);
    assert.equal(refusedFor(claims, a), undefined);
    assert.equal(refusedFor(claims, b), undefined);
  });

  it('guard destination-collision: refuses the newer of two, in whatever order they come, naming both', () => {
    const [older, newer] = [
      created('old', 'ghcr.io/a/app', 2024),
      created('new', 'quay.io/app', 2025),
    ];
    for (const claims of [claimed(older, newer), claimed(newer, older)]) {
      assert.equal(claims.refusalOf(older), undefined);
      assert.deepEqual(claims.refusalOf(newer), {
        reason: 'DestinationCollision',
        message:
          'flux-system/new (quay.io/app) is not published: flux-system/old (ghcr.io/a/app) is older and writes to the same destination app',
      });
    }
  });

  it('lets no annotation take the path that is an image its own, however old it is', () => {
    const named = { annotations: { destination: 'app' } };
    const [own, old] = [
      created('own', 'ghcr.io/a/app', 2025),
      created('old', 'quay.io/b/x', 2024, named),
    ];
    for (const claims of [claimed(own, old), claimed(old, own)]) {
      assert.equal(claims.refusalOf(own), undefined);
      assert.equal(
        claims.refusalOf(old)?.message,
        'flux-system/old (quay.io/b/x) is not published: flux-system/own (ghcr.io/a/app) writes there without an annotation, to its own destination app',
      );
    }
    const claims = claimed(own, old);
    assert.deepEqual(claims.enter(created('own', 'ghcr.io/a/app', 2025, named)), ['old']);
    assert.equal(refusedFor(claims, own), 'old');
  });

  it('lets none that is named for once take the path of one that is written all the time', () => {
    const off = created('off', 'quay.io/app', 2023, { annotations: { enabled: 'false' } });
    const claims = claimed(created('on', 'ghcr.io/a/app', 2024));
    claims.enter(off, true);
    assert.equal(
      claims.refusalOf(off)?.message,
      'flux-system/off (quay.io/app) is not published: flux-system/on (ghcr.io/a/app) is enabled and writes to the same destination app',
    );
  });

  it('decides between objects of one second by their uid', () => {
    const [a, b] = [created('a', 'ghcr.io/a/app', 2024), created('b', 'ghcr.io/b/app', 2024)];
    const claims = claimed(b, a);
    assert.equal(refusedFor(claims, a), undefined);
    assert.equal(refusedFor(claims, b), 'a');
  });

  it('lets a third object with the image of the oldest through', () => {
    const [a, b] = [created('a', 'ghcr.io/a/app', 2023), created('b', 'ghcr.io/b/app', 2024)];
    const c = created('c', 'ghcr.io/a/app', 2025);
    const claims = claimed(a, b, c);
    assert.equal(refusedFor(claims, c), undefined);
    assert.equal(refusedFor(claims, b), 'a');
  });

  it('names those whose standing may have changed', () => {
    const [a, b] = [created('a', 'ghcr.io/a/app', 2023), created('b', 'ghcr.io/b/app', 2024)];
    const elsewhere = created('a', 'ghcr.io/a/app', 2023, { annotations: { destination: 'x' } });
    const claims = claimed();
    assert.deepEqual(claims.enter(b), []);
    assert.deepEqual(claims.enter(a), ['b']);
    assert.deepEqual(claims.enter(a), []);
    assert.deepEqual(claims.enter(b), []);
    assert.deepEqual(claims.enter(elsewhere), ['b']);
    assert.equal(refusedFor(claims, b), undefined);
    assert.deepEqual(claims.enter(a), ['b']);
    assert.deepEqual(claims.withdraw('a'), ['b']);
    assert.equal(refusedFor(claims, b), undefined);
    assert.deepEqual(claims.withdraw('a'), []);
  });

  it('concerns nobody while the holder’s image stays', () => {
    const claims = claimed();
    for (let index = 0; index < 5; index += 1) {
      assert.deepEqual(claims.enter(created(`a${index}`, 'ghcr.io/a/app', 2020 + index)), []);
    }
    const b = created('b', 'ghcr.io/b/app', 2030);
    assert.deepEqual(claims.enter(b), []);
    assert.deepEqual(claims.withdraw('a0'), []);
    assert.equal(refusedFor(claims, b), 'a1');
  });

  it('moves a claim whose image changes on its path', () => {
    const b = created('b', 'ghcr.io/b/app', 2024);
    const claims = claimed(
      created('a', 'ghcr.io/a/app', 2023),
      created('b', 'ghcr.io/a/app', 2024),
      b,
    );
    assert.equal(refusedFor(claims, b), 'a');
  });

  it('goes by the path of the annotation, and that of the layout', () => {
    const team = { annotations: { destination: 'team/app' } };
    const [a, b] = [
      created('a', 'ghcr.io/a/app', 2023, team),
      created('b', 'ghcr.io/b/x', 2024, team),
    ];
    assert.equal(refusedFor(claimed(a, b), b), 'a');
    const [c, d] = [created('c', 'ghcr.io/org/app', 2023), created('d', 'quay.io/org/app', 2024)];
    for (const [layout, expected] of [
      ['path', 'c'],
      ['host-path', undefined],
    ] as const) {
      const claims = new DestinationClaims(layout);
      claims.enter(c);
      claims.enter(d);
      assert.equal(refusedFor(claims, d), expected);
    }
  });

  const nonClaims: readonly (readonly [string, Wanted])[] = [
    ['disabled', { annotations: { enabled: 'false' } }],
    ['being deleted', { deleting: true }],
    ['not scanned', { revision: '' }],
    ['refused for its annotations', { annotations: { include: '(' } }],
    ['elsewhere by annotation', { annotations: { destination: 'team/app' } }],
  ];
  for (const [what, wanted] of nonClaims) {
    it(`claims nothing for what is ${what}, and tells the others when it becomes so`, () => {
      const newer = created('two', 'ghcr.io/b/app', 2025);
      const claims = claimed(created('one', 'ghcr.io/a/app', 2024), newer);
      assert.equal(refusedFor(claims, newer), 'one');
      assert.deepEqual(claims.enter(created('one', 'ghcr.io/a/app', 2024, wanted)), ['two']);
      assert.equal(refusedFor(claims, newer), undefined);
    });
  }

  it('keeps the claim of a suspended object: its images are there', () => {
    const newer = created('two', 'ghcr.io/b/app', 2025);
    const claims = claimed(created('one', 'ghcr.io/a/app', 2024, { suspend: true }), newer);
    assert.equal(refusedFor(claims, newer), 'one');
  });
});

describe('DestinationClaims.refusalOf', () => {
  it('refuses an invalid annotation, scanned or not', () => {
    for (const wanted of [{}, { revision: '' }]) {
      const one = object('app', { ...wanted, annotations: { include: '(' } });
      assert.equal(claimed(one).refusalOf(one)?.reason, 'AnnotationInvalid');
    }
  });

  it('refuses an image that is none, with a destination too, and where it is disabled', () => {
    for (const annotations of [{}, { destination: 'team/app' }, { enabled: 'false' }]) {
      const one = object('app', { image: 'ghcr.io/Org/App', annotations });
      assert.equal(claimed(one).refusalOf(one)?.reason, 'ImageNameInvalid');
    }
  });
});
