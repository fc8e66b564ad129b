import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseImage } from '../../stand-ins/flux-scanner/image.ts';

describe('spec.image', () => {
  for (const [image, canonicalName] of [
    ['ghcr.io/stefanprodan/podinfo', 'ghcr.io/stefanprodan/podinfo'],
    ['alpine', 'index.docker.io/library/alpine'],
    ['docker.io/library/alpine', 'index.docker.io/library/alpine'],
    ['index.docker.io/alpine', 'index.docker.io/library/alpine'],
    ['stefanprodan/podinfo', 'index.docker.io/stefanprodan/podinfo'],
    ['registry:5000/app', 'registry:5000/app'],
    ['localhost/app', 'localhost/app'],
    ['127.0.0.1:15000/org/app', '127.0.0.1:15000/org/app'],
    [
      'europe-west1-docker.pkg.dev/my-project/apps/my-app',
      'europe-west1-docker.pkg.dev/my-project/apps/my-app',
    ],
  ] as const) {
    it(`${image} is ${canonicalName}`, () => {
      assert.equal(parseImage(image).canonicalName, canonicalName);
    });
  }

  it('knows registry and repository', () => {
    assert.deepEqual(parseImage('registry:5000/org/app'), {
      registry: 'registry:5000',
      repository: 'org/app',
      canonicalName: 'registry:5000/org/app',
    });
  });

  for (const [image, message] of [
    [
      'https://ghcr.io/org/app',
      "image 'https://ghcr.io/org/app' should not include URL scheme; remove 'https://'",
    ],
    [
      'ghcr.io/org/app:1.0.0',
      "image 'ghcr.io/org/app:1.0.0' should not include a tag; remove ':1.0.0'",
    ],
    ['alpine:3', "image 'alpine:3' should not include a tag; remove ':3'"],
  ] as const) {
    // The words end up in a condition that others read: here they are the behaviour.
    it(`refuses ${image} in Flux's words`, () => {
      assert.throws(() => parseImage(image), { message });
    });
  }

  for (const image of [
    '',
    'ghcr.io/',
    'ghcr.io/Upper',
    'ghcr.io/org/app@sha256:00',
    'a b/c',
    'x.y/a',
  ]) {
    it(`refuses '${image}'`, () => {
      assert.throws(() => parseImage(image), Error);
    });
  }
});
