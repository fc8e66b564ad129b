import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseChallenges, scopesOf, scopeTexts } from '../../../functions/registry/challenge.ts';

function read(header: string): readonly (readonly [string, Readonly<Record<string, string>>])[] {
  return parseChallenges(header).map(({ scheme, parameters }) => [
    scheme,
    Object.fromEntries(parameters),
  ]);
}

describe('WWW-Authenticate', () => {
  it('reads the challenges of registries', () => {
    const hub =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"';
    assert.deepEqual(read(hub), [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:library/alpine:pull',
        },
      ],
    ]);
    assert.deepEqual(read('Basic realm="Sonatype Nexus Repository Manager"'), [
      ['basic', { realm: 'Sonatype Nexus Repository Manager' }],
    ]);
    assert.deepEqual(read('bearer realm=https://r.example.com/token?a=b,service=r'), [
      ['bearer', { realm: 'https://r.example.com/token?a=b', service: 'r' }],
    ]);
  });

  it('takes semicolons for commas, as Go’s clients read them', () => {
    const expected = [['bearer', { realm: 'https://r/t;a', service: 's' }]];
    assert.deepEqual(read('Bearer realm="https://r/t;a"; service="s"'), expected);
    assert.deepEqual(read('Bearer realm="https://r/t;a";service=s; '), expected);
  });

  it('keeps commas and quotes within values, and divides challenges', () => {
    const header =
      'Basic realm="a, \\"b\\"", Bearer realm="https://r/t", scope="repository:a:pull,push" , Negotiate YWJj==, Custom';
    assert.deepEqual(read(header), [
      ['basic', { realm: 'a, "b"' }],
      ['bearer', { realm: 'https://r/t', scope: 'repository:a:pull,push' }],
      ['negotiate', {}],
      ['custom', {}],
    ]);
  });

  it('leaves out what follows something unreadable', () => {
    assert.deepEqual(read('Basic realm="a" Bearer realm="https://r/t"'), [['basic', {}]]);
  });

  it('reads no more than 16 KiB', () => {
    const long = `Basic realm="${'x'.repeat(16 * 1024 - 15)}",`;
    assert.deepEqual(
      read(`${long}Bearer realm="https://r/t"`).map(([scheme]) => scheme),
      ['basic'],
    );
  });

  it('takes the first of a doubled parameter', () => {
    assert.deepEqual(read('Bearer realm="https://good/",realm="https://evil/"'), [
      ['bearer', { realm: 'https://good/' }],
    ]);
  });

  it('gives back whatever was quoted', () => {
    const tokens = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,10}$/);
    const values = fc.string().filter((text) => !/[\r\n]/.test(text));
    const challenges = fc.array(
      fc.tuple(
        tokens,
        fc.dictionary(
          tokens.map((name) => name.toLowerCase()),
          values,
          { minKeys: 1, noNullPrototype: true },
        ),
      ),
      { minLength: 1, maxLength: 4 },
    );
    fc.assert(
      fc.property(challenges, fc.constantFrom(', ', ',', ' , '), (given, comma) => {
        const header = given
          .map(([scheme, parameters]) => {
            const list = Object.entries(parameters).map(
              ([name, value]) => `${name}="${value.replace(/["\\]/g, '\\$&')}"`,
            );
            return `${scheme} ${list.join(comma)}`;
          })
          .join(comma);
        assert.deepEqual(
          read(header),
          given.map(([scheme, parameters]) => [scheme.toLowerCase(), parameters]),
        );
      }),
    );
  });

  it('never throws and ends soon, whatever it is given', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.string({
        unit: fc.constantFrom('a', '=', '"', ',', ' ', '\\', 'Bearer ', 'realm='),
        maxLength: 400,
      }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        for (const { scheme } of parseChallenges(text)) assert.ok(scheme !== '');
      }),
    );
    parseChallenges(`Bearer ${'a='.repeat(8000)}`);
    parseChallenges(`Bearer a="${'\\'.repeat(16_000)}`);
    parseChallenges(' '.repeat(16_000) + ','.repeat(16_000));
    assert.deepEqual(parseChallenges(undefined), []);
  });
});

function scopes(text: string): readonly string[] {
  const [challenge] = parseChallenges(`Bearer realm="https://r/token",scope="${text}"`);
  return scopeTexts(scopesOf(challenge));
}

describe('the scope of a challenge', () => {
  it('reads the grammar of distribution, and Azure’s actions', () => {
    for (const scope of [
      'repository:org/app:pull',
      'repository:org/app:pull,push',
      'repository:org/app:*',
      'repository:org/app:metadata_read',
      'repository:registry.example.com:5000/org/app:pull',
      'repository(plugin):org/app:pull',
      'registry:catalog:*',
    ]) {
      assert.deepEqual(scopes(scope), [scope]);
    }
    assert.deepEqual(scopes('repository:a:pull  repository:b:pull'), [
      'repository:a:pull',
      'repository:b:pull',
    ]);
  });

  it('leaves out what breaks the grammar', () => {
    for (const scope of ['', 'pull', 'repository:a', 'repository::pull', 'Repo sitory:a:pull,']) {
      assert.deepEqual(scopes(scope), [], scope);
    }
    assert.deepEqual(scopesOf(undefined), []);
    const many = Array.from({ length: 100 }, (_, n) => `repository:r${n}:pull`).join(' ');
    assert.equal(scopes(many).length, 8);
  });

  it('asks for each resource once', () => {
    assert.deepEqual(
      scopeTexts([
        { type: 'repository', name: 'b', actions: ['pull'] },
        { type: 'repository', name: 'a', actions: ['pull', 'push'] },
        { type: 'repository', name: 'b', actions: ['pull', 'metadata_read'] },
      ]),
      ['repository:a:pull,push', 'repository:b:pull,metadata_read'],
    );
  });
});
