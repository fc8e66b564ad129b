import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isMirrorError } from '../../../functions/errors.ts';
import { admit, type AdmissionRules } from '../../../functions/subscriber/admission.ts';
import {
  parseDestinationGrant,
  parseImagePattern,
} from '../../../functions/subscriber/image-pattern.ts';
import { SAMPLE_RULES, sampleEvent } from './samples.ts';
import { thrown } from '../../faults.ts';

const rules = { ...SAMPLE_RULES, destinationRegistry: 'europe-docker.pkg.dev/acme/mirror' };

describe('admission', () => {
  it('admits any host where no source is named', () => {
    assert.deepEqual(admit(sampleEvent(), rules), {
      source: { host: 'ghcr.io', path: 'stefanprodan/podinfo' },
      insecure: false,
      destinationPath: 'acme/mirror/ghcr.io/stefanprodan/podinfo',
    });
  });

  it('admits what an allowed pattern matches, and that alone', () => {
    const allowedSources = [
      parseImagePattern('quay.io/*'),
      parseImagePattern('ghcr.io/stefanprodan/*'),
    ];
    assert.equal(admit(sampleEvent(), { ...rules, allowedSources }).source.host, 'ghcr.io');
  });

  it('follows the layout, and a granted wish for a path', () => {
    assert.equal(
      admit(sampleEvent(), { ...rules, destinationLayout: 'name' }).destinationPath,
      'acme/mirror/podinfo',
    );
    assert.equal(
      admit(sampleEvent({ destination: 'flux/x' }), {
        ...rules,
        allowedDestinations: [parseDestinationGrant('flux-system=flux/*')],
      }).destinationPath,
      'acme/mirror/flux/x',
    );
    assert.equal(
      admit(sampleEvent(), { ...rules, destinationRegistry: 'r.example' }).destinationPath,
      'ghcr.io/stefanprodan/podinfo',
    );
  });

  it('guard insecure-sources: speaks http only where the event and the operator both say so', () => {
    const insecureSources = [parseImagePattern('ghcr.io/*')];
    assert.equal(admit(sampleEvent({ insecure: true }), rules).insecure, false);
    assert.equal(admit(sampleEvent(), { ...rules, insecureSources }).insecure, false);
    assert.equal(
      admit(sampleEvent({ insecure: true }), { ...rules, insecureSources }).insecure,
      true,
    );
  });

  it('refuses a malformed image', () => {
    assert.equal(
      thrown(() => admit(sampleEvent({ image: 'UPPER' }), rules), 'REFERENCE_INVALID').field,
      'data.image',
    );
  });

  const refused: readonly [
    guard: string,
    name: string,
    data: Parameters<typeof sampleEvent>[0],
    change: Partial<AdmissionRules>,
    expected: string,
  ][] = [
    [
      'allowed-sources',
      'a source that is not allowed',
      {},
      { allowedSources: [parseImagePattern('quay.io/*')] },
      'SOURCE_FORBIDDEN data.image',
    ],
    [
      'source-in-destination',
      'a source within the destination',
      { image: 'europe-docker.pkg.dev/acme/mirror/ghcr.io/x' },
      {},
      'SOURCE_FORBIDDEN data.image',
    ],
    [
      'allowed-destinations',
      'a path without a grant',
      { destination: 'x' },
      {},
      'DESTINATION_FORBIDDEN data.destination',
    ],
    [
      'allowed-destinations',
      'a path granted to another namespace',
      { destination: 'x/y' },
      { allowedDestinations: [parseDestinationGrant('team-a=x/*')] },
      'DESTINATION_FORBIDDEN data.destination',
    ],
    [
      'repository-path',
      'a path that climbs',
      { destination: '../other' },
      { allowedDestinations: [parseDestinationGrant('*=*')] },
      'REFERENCE_INVALID data.destination',
    ],
  ];
  for (const [guard, name, data, change, expected] of refused) {
    it(`guard ${guard}: refuses ${name}`, () => {
      assert.throws(
        () => admit(sampleEvent(data), { ...rules, ...change }),
        (error) => isMirrorError(error) && `${error.code} ${error.field ?? ''}` === expected,
      );
    });
  }
});
