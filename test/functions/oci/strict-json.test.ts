import { describe, it } from 'node:test';

import fc from 'fast-check';

import { refuseDoubledKeys } from '../../../functions/oci/strict-json.ts';
import { thrown } from '../../faults.ts';

describe('strict JSON', () => {
  it('takes every document that a writer of JSON writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 2), (value, indent) => {
        // A generated object may have two spellings of one key by chance only.
        refuseDoubledKeys(JSON.stringify(value, null, indent));
      }),
    );
  });

  it('guard manifest-doubled-key: refuses a decisive key twice, in any spelling and depth', () => {
    const doubled = [
      '{"layers":[],"layers":[]}',
      '{"layers":[],"Layers":[]}',
      '{"layers":[],"layer\u017f":[]}',
      '{"a":{"digest":"x","digest":"y"}}',
      '{"config":{},"a":"\\"}{","config":{}}',
      '{"c\\u006fnfig":{},"config":{}}',
      '[{"manifests":1},{"manifests":1,"size":2,"manifests":3}]',
      '{"layers":[{"annotations":{"size":"1"},"size":1,"Size":2}]}',
      '{"annotations":{"a":"b"},"layers":[],"layers":[]}',
      '{"annotations":"{","size":1,"x":{"size":1,"size":2}}',
      '{"annotations":[],"x":{"size":1,"size":2}}',
    ];
    for (const text of doubled) {
      JSON.parse(text);
      thrown(() => {
        refuseDoubledKeys(text);
      }, 'MANIFEST_INVALID');
    }
  });

  it('guard manifest-depth: refuses what is deeper than Go reads, however it nests', () => {
    for (const [open, inner, close] of [
      ['[', '', ']'],
      ['{"a":', '1', '}'],
    ] as const) {
      const text = (depth: number): string => open.repeat(depth) + inner + close.repeat(depth);
      refuseDoubledKeys(text(10_000));
      thrown(() => {
        refuseDoubledKeys(text(10_001));
      }, 'MANIFEST_INVALID');
    }
  });

  it('leaves keys alone that decide nothing, and the same key in different objects', () => {
    refuseDoubledKeys('{"annotations":{"a":1,"a":2}}');
    refuseDoubledKeys('{"annotations":{"x":{},"size":1,"size":2}}');
    refuseDoubledKeys(
      '{"layers":[{"annotations":{"Size":"1","size":"2","x":{"digest":1,"digest":2}}}]}',
    );
    refuseDoubledKeys('{"annotations":{"config":"1","Config":"2"},"config":{"size":1}}');
    refuseDoubledKeys('{"layers":[{"digest":"x","size":1},{"digest":"x","size":1}]}');
    refuseDoubledKeys('{"a":"layers","b":"layers"}');
  });
});
