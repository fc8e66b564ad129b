import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { UNKNOWN_SIZE } from '../../../functions/oci/descriptor.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { manifestDigest, mayHaveDigest, parseManifest } from '../../../functions/oci/manifest.ts';
import { DOCKER_SCHEMA1_SIGNED } from '../../../functions/oci/media-types.ts';
import { schema1Payload } from '../../../functions/oci/schema1.ts';
import { thrown } from '../../faults.ts';

/** A signed document as Docker's libtrust writes it: the payload's tail moves behind the signatures. */
export function signed(payload: string, signatures = 1): Buffer {
  const cut = payload.lastIndexOf('\n}');
  const header = Buffer.from(
    JSON.stringify({
      formatLength: cut,
      formatTail: Buffer.from(payload.slice(cut)).toString('base64url'),
      time: '2026-01-01T00:00:00Z',
    }),
  ).toString('base64url');
  const one = { header: { alg: 'ES256' }, signature: 'c2ln', protected: header };
  const list = JSON.stringify(Array.from({ length: signatures }, () => one));
  return Buffer.from(`${payload.slice(0, cut)},\n   "signatures": ${list}${payload.slice(cut)}`);
}

const LAYER = `sha256:${'a'.repeat(64)}`;
const PAYLOAD = JSON.stringify(
  {
    schemaVersion: 1,
    name: 'org/app',
    tag: 'v1',
    architecture: 'amd64',
    fsLayers: [{ blobSum: LAYER }, { blobSum: LAYER }],
    history: [{ v1Compatibility: '{}' }, { v1Compatibility: '{}' }],
  },
  null,
  3,
);

describe('schema 1', () => {
  it('digests the payload, not the document', () => {
    const bytes = signed(PAYLOAD);
    assert.equal(schema1Payload(bytes, JSON.parse(bytes.toString())).toString(), PAYLOAD);
    assert.equal(manifestDigest(bytes, DOCKER_SCHEMA1_SIGNED), digestOf(Buffer.from(PAYLOAD)));
    assert.notEqual(manifestDigest(bytes, DOCKER_SCHEMA1_SIGNED), digestOf(bytes));
    const other = PAYLOAD.replace('"schemaVersion": 1', '"schemaVersion": 2');
    for (const [payload, may] of [
      [PAYLOAD, true],
      [other, false],
    ] as const)
      assert.equal(mayHaveDigest(signed(payload), digestOf(Buffer.from(payload))), may);
  });

  it('gives each layer once and without a size', () => {
    const { kind, layers, config } = parseManifest(signed(PAYLOAD, 2), DOCKER_SCHEMA1_SIGNED);
    assert.equal(kind, 'schema1');
    assert.equal(config, undefined);
    assert.deepEqual(
      layers.map(({ digest, sizeBytes }) => [digest, sizeBytes]),
      [[LAYER, UNKNOWN_SIZE]],
    );
  });

  it('takes an unsigned document as its own payload', () => {
    const bytes = Buffer.from(PAYLOAD);
    assert.equal(schema1Payload(bytes, JSON.parse(PAYLOAD)), bytes);
  });

  it('gives the same payload whatever stands in it', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), (fields) => {
        const payload = JSON.stringify(
          { schemaVersion: 1, ...fields, signatures: undefined },
          null,
          3,
        );
        const bytes = signed(payload);
        assert.equal(schema1Payload(bytes, JSON.parse(bytes.toString())).toString(), payload);
      }),
    );
  });

  it('takes any length within the document', () => {
    const bytes = Buffer.from('{}');
    for (const formatLength of [0, 2]) {
      const signatures = [signature(formatLength, 'AAAA')];
      assert.equal(schema1Payload(bytes, { signatures }).length, formatLength + 3);
    }
  });

  const broken: readonly (readonly [string, unknown])[] = [
    ['no signature', []],
    ['no list', {}],
    ['no protected header', [{}]],
    ['a header that is no JSON', [{ protected: 'AAAA' }]],
    ['a header that is null', [{ protected: Buffer.from('null').toString('base64url') }]],
    ['a length beyond the document', [signature(1e9, '')]],
    ['a negative length', [signature(-1, '')]],
    ['a length that is no whole number', [signature(1.5, '')]],
    ['a signature that is null', [null]],
    ['no tail', [signature(1)]],
    ['signatures over different bytes', [signature(1, 'AAAA'), signature(2, 'AAAA')]],
  ];
  for (const [name, signatures] of broken) {
    it(`refuses a document with ${name}`, () => {
      thrown(
        () => schema1Payload(Buffer.from('{"schemaVersion": 1}'), { signatures }),
        'MANIFEST_INVALID',
      );
    });
  }
});

function signature(formatLength: number, formatTail?: string): object {
  const header = JSON.stringify({ formatLength, formatTail });
  return { protected: Buffer.from(header).toString('base64url') };
}
