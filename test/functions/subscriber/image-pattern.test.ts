import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  isGranted,
  liesWithin,
  matchesImage,
  overlaps,
  parseDestinationGrant,
  parseImagePattern,
} from '../../../functions/subscriber/image-pattern.ts';

describe('image pattern', () => {
  const cases: readonly [pattern: string, image: string, expected: boolean][] = [
    ['ghcr.io/my-org/*', 'ghcr.io/my-org/app', true],
    ['ghcr.io/my-org/*', 'ghcr.io/my-org/team/app', true],
    ['ghcr.io/my-org/*', 'ghcr.io/my-org', false],
    ['ghcr.io/my-org/*', 'ghcr.io/my-org-evil/app', false],
    ['ghcr.io/my-org/*', 'ghcr.io.evil.example/my-org/app', false],
    ['ghcr.io', 'ghcr.io/anything/at/all', true],
    ['ghcr.io', 'ghcr.io.evil.example/x', false],
    ['ghcr.io/org/app', 'ghcr.io/org/app', true],
    ['ghcr.io/org/app', 'ghcr.io/org/apple', false],
    ['GHCR.io/org/*', 'ghcr.io/org/app', true],
    ['*.pkg.dev/acme/*', 'europe-docker.pkg.dev/acme/apps/x', true],
    ['*.pkg.dev/acme/*', 'evil.example/x.pkg.dev/acme/y', false],
    ['*/acme/*', 'quay.io/acme/app', true],
    ['*/acme/*', 'quay.io/evil/acme/app', false],
    ['docker.io/library/*', 'index.docker.io/library/alpine', true],
    ['localhost:5000/*', 'localhost:5000/app', true],
    ['localhost:5000/*', 'localhost:5001/app', false],
    ['[::1]:5000/*', '[0:0:0::1]:5000/app', true],
    ['[0::1]:5000/*', '[::1]:5000/app', true],
    ['[::1]:5000/*', '[::1]:5001/app', false],
    ['ghcr.io/a*b*c', 'ghcr.io/axxbyyc', true],
    ['ghcr.io/a*b*c', 'ghcr.io/axxbyyd', false],
  ];
  for (const [pattern, image, expected] of cases) {
    it(`${pattern} ${expected ? 'takes' : 'refuses'} ${image}`, () => {
      assert.equal(matchesImage(parseImagePattern(pattern), image), expected);
    });
  }

  for (const bad of ['', '/app', 'https://ghcr.io/org', 'ghcr.io/Org', 'ghcr.io/', 'ghcr.io/a b']) {
    it(`refuses to be '${bad}'`, () => {
      assert.throws(() => parseImagePattern(bad), Error);
    });
  }

  it('takes time in proportion, however many stars', () => {
    const pattern = parseImagePattern(`ghcr.io/${'a*'.repeat(100)}b`);
    assert.equal(matchesImage(pattern, `ghcr.io/${'a'.repeat(5000)}`), false);
  });
});

describe('overlap of sources and destination', () => {
  const registry = 'europe-docker.pkg.dev/acme/mirror';
  const cases: readonly [pattern: string, expected: boolean][] = [
    ['europe-docker.pkg.dev/acme/mirror/*', true],
    ['europe-docker.pkg.dev/acme/mirror/ghcr.io/org/app', true],
    ['europe-docker.pkg.dev/acme/*', true],
    ['europe-docker.pkg.dev', true],
    ['*.pkg.dev/acme/*', true],
    ['*', true],
    ['europe-docker.pkg.dev/acme/*/app', true],
    ['europe-docker.pkg.dev/acme/mirror', false],
    ['europe-docker.pkg.dev/acme/mirror-of-others/*', false],
    ['us-docker.pkg.dev/acme/mirror/*', false],
    ['ghcr.io/*', false],
  ];
  for (const [pattern, expected] of cases) {
    it(`${expected ? 'sees' : 'does not see'} one in ${pattern}`, () => {
      assert.equal(overlaps(parseImagePattern(pattern), registry), expected);
    });
  }

  it('tells what lies within the destination', () => {
    assert.equal(liesWithin('Europe-docker.pkg.dev/acme/mirror/app', registry), true);
    assert.equal(liesWithin('europe-docker.pkg.dev/acme/mirror2/app', registry), false);
  });
});

describe('destination grant', () => {
  it('is for one namespace and the paths of its pattern', () => {
    const grant = parseDestinationGrant('team-a=team-a/*');
    assert.equal(isGranted(grant, 'team-a', 'team-a/app'), true);
    assert.equal(isGranted(grant, 'team-b', 'team-a/app'), false);
    assert.equal(isGranted(grant, 'team-a', 'team-b/app'), false);
    assert.equal(isGranted(grant, 'team-a', 'team-a'), false);
  });

  it('may be for every namespace', () => {
    assert.equal(isGranted(parseDestinationGrant('*=shared/*'), 'any', 'shared/x/y'), true);
  });

  for (const bad of ['team-a', 'team-a=', '=x', 'team a=x', 'a=X']) {
    it(`refuses to be '${bad}'`, () => {
      assert.throws(() => parseDestinationGrant(bad), Error);
    });
  }
});
