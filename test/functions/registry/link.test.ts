import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { isBrokenLink, parseNextLink } from '../../../functions/registry/link.ts';

describe('Link', () => {
  const cases: readonly (readonly [string | undefined, string | undefined])[] = [
    ['</v2/a/tags/list?last=b&n=2>; rel="next"', '/v2/a/tags/list?last=b&n=2'],
    ['</v2/a/tags/list?last=b>;rel=next', '/v2/a/tags/list?last=b'],
    ['<https://r/x>; title="a, b"; REL="prev NEXT"', 'https://r/x'],
    ['</one>; rel="prev", </two>; rel="next"', '/two'],
    ['</one>; title="</evil>; rel=next"; rel="last"', undefined],
    ['</a,b;c>; rel="next"', '/a,b;c'],
    ['</one>; rel="prev"; rel="next"', undefined],
    ['</one>', '/one'],
    ['</one>; title="x"', '/one'],
    ['</one>, </two>; rel="next"', '/two'],
    ['</one>; rel=""', undefined],
    ['/one; rel="next"', undefined],
    ['', undefined],
    [undefined, undefined],
  ];
  for (const [header, expected] of cases) {
    it(`finds ${expected ?? 'nothing'} in '${header ?? ''}'`, () => {
      assert.equal(parseNextLink(header), expected);
    });
  }

  it('knows what cannot be read from what says nothing', () => {
    for (const broken of ['/one; rel="next"', 'x', '<one', '</one>; rel="prev", /two; rel="next"'])
      assert.equal(isBrokenLink(broken), true, broken);
    for (const sound of [undefined, '', ' , ', '</one>', '</one>; rel="prev", </two>; rel=next, '])
      assert.equal(isBrokenLink(sound), false, sound);
  });

  it('gives back any target among others', () => {
    const targets = fc.webPath().filter((path) => !path.includes('>'));
    fc.assert(
      fc.property(targets, fc.array(targets), (next, others) => {
        const links = [
          ...others.map((path) => `<${path}>; rel="item"`),
          `<${next}>; x=1; rel="next"`,
        ];
        assert.equal(parseNextLink(links.join(', ')), next);
      }),
    );
  });

  it('never throws, and takes nothing from outside the angle brackets', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom('<', '>', ';', ',', ' ', '"', '\\', 'rel=next', 'a'),
        maxLength: 300,
      }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const target = parseNextLink(text);
        if (target !== undefined) assert.ok(text.includes(`<${target}>`));
      }),
    );
    parseNextLink(`<a>${'; b'.repeat(5000)}`);
    parseNextLink(`<a>; b="${'\\'.repeat(15_000)}`);
  });
});
