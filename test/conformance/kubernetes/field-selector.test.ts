import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseFieldSelector } from '../../stand-ins/kubernetes/field-selector.ts';
import { refusal, stored } from './fixtures.ts';

const object = { ...stored('one'), involvedObject: { name: 'app' } };
const selectable = new Map([['regarding.name', 'involvedObject.name']]);

describe('a field selector', () => {
  for (const [selector, expected] of [
    ['', true],
    ['metadata.name=one', true],
    ['metadata.name==two', false],
    ['metadata.name!=two', true],
    ['metadata.namespace=flux-system,metadata.name=one', true],
    ['regarding.name=app', true],
    ['regarding.name=', false],
  ] as const) {
    it(`${selector || '(empty)'} selects: ${expected}`, () => {
      assert.equal(parseFieldSelector(selector, selectable).matches(object), expected);
    });
  }

  it('tells the one name that it allows', () => {
    assert.equal(parseFieldSelector('metadata.name=one', selectable).name, 'one');
    assert.equal(parseFieldSelector('metadata.name!=one', selectable).name, undefined);
  });

  it('refuses other fields and what is no selector', () => {
    for (const wrong of ['spec.image=x', 'involvedObject.name=x', 'metadata.name']) {
      assert.throws(() => parseFieldSelector(wrong, selectable), refusal(400));
    }
  });
});
