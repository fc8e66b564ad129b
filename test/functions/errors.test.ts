import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  ERRORS,
  MirrorError,
  isMirrorError,
  oneLine,
  printable,
  shownJson,
  toMirrorError,
  type ErrorEntry,
} from '../../functions/errors.ts';

describe('fault', () => {
  it('takes its disposition and advice from the one table', () => {
    const fault = new MirrorError('RATE_LIMITED', 'slow down', {
      side: 'source',
      retryAfterMs: 1000,
    });
    assert.equal(fault.disposition, 'transient');
    assert.equal(fault.advice, ERRORS.RATE_LIMITED.advice);
    assert.equal(fault.retryAfterMs, 1000);
    assert.equal(new MirrorError('TAG_INVALID', 'x').disposition, 'permanent');
  });

  it('is permanent for bytes and grammar alone: what nobody can mend', () => {
    const permanent = Object.entries(ERRORS)
      .filter(([, { disposition }]) => disposition === 'permanent')
      .map(([code]) => code);
    assert.deepEqual(permanent.sort(), [
      'DIGEST_INVALID',
      'EVENT_INVALID',
      'EVENT_TOO_LARGE',
      'EVENT_UNDECODABLE',
      'FOREIGN_LAYER_REFUSED',
      'GRAPH_TOO_LARGE',
      'INDEX_CHILD_REFUSED',
      'INDEX_TOO_DEEP',
      'LIST_TOO_LARGE',
      'MANIFEST_INVALID',
      'MANIFEST_REFUSED',
      'MANIFEST_TOO_LARGE',
      'MANIFEST_UNSUPPORTED',
      'NOT_FOUND',
      'REFERENCE_INVALID',
      'SOURCE_INCOMPLETE',
      'TAG_IMMUTABLE',
      'TAG_INVALID',
    ]);
    for (const { disposition, mendedBy } of Object.values(ERRORS)) {
      assert.equal(disposition === 'permanent', mendedBy === 'nobody');
    }
  });

  it('promises no other try: a command that has given up says the same', () => {
    for (const [code, entry] of Object.entries<ErrorEntry>(ERRORS)) {
      const { advice, atDestination, atApiServer } = entry;
      for (const text of [advice, atDestination?.advice ?? '', atApiServer?.advice ?? '']) {
        assert.doesNotMatch(
          text,
          /tried again|sent again|opened again|next (delivery|one)|goes on/,
          code,
        );
      }
    }
  });

  it('lets an operator create the destination repository that is not there', () => {
    const [source, destination] = (['source', 'destination'] as const).map(
      (side) => new MirrorError('NOT_FOUND', 'x', { side }),
    );
    assert.deepEqual([source?.disposition, source?.mendedBy], ['permanent', 'nobody']);
    assert.deepEqual([destination?.disposition, destination?.mendedBy], ['transient', 'operator']);
    assert.match(destination?.advice ?? '', /DESTINATION_REGISTRY/);
  });

  it('has an advice for every code, one sentence long', () => {
    for (const [code, { advice }] of Object.entries(ERRORS)) {
      assert.match(advice, /^[A-Z].*\.$/, code);
    }
  });

  it('is told from other errors by class and code', () => {
    const fault = new MirrorError('NETWORK', 'x');
    assert.ok(isMirrorError(fault));
    assert.ok(isMirrorError(fault, 'TIMEOUT', 'NETWORK'));
    assert.ok(!isMirrorError(fault, 'TIMEOUT'));
    assert.ok(!isMirrorError(new Error('x')));
  });

  it('wraps a foreign error as INTERNAL and leaves a fault alone', () => {
    const fault = new MirrorError('NETWORK', 'x');
    assert.equal(toMirrorError(fault, 'copy'), fault);
    const wrapped = toMirrorError(new TypeError('boom'), 'copy');
    assert.equal(wrapped.code, 'INTERNAL');
    assert.equal(wrapped.operation, 'copy');
    assert.ok(wrapped.cause instanceof TypeError);
    assert.equal(wrapped.message, 'boom');
    assert.equal(toMirrorError('text', 'copy').message, 'text');
    for (const [thrown, text] of [
      [Object.create(null), 'a thrown object'],
      [{ toString: 'no text' }, 'a thrown object'],
      ['a text', 'a text'],
      [undefined, 'undefined'],
      [null, 'null'],
    ] as const) {
      assert.equal(toMirrorError(thrown, 'push').message, text);
    }
  });
});

describe('printable', () => {
  it('guard control-characters: removes control characters, line ends and direction marks', () => {
    assert.equal(printable('a\u001b[31mb\r\nc\u202ed\u2028e'), 'a [31mb c d e');
    assert.equal(printable('a\u2066b\u2069c\u200fd\u061ce\u009b31mf'), 'a b c d e 31mf');
    assert.equal(oneLine(`${'x'.repeat(600)}\u001b]0;title\u0007`), `${'x'.repeat(600)} ]0;title `);
  });

  it('guard control-characters: escapes them in JSON, whose values stay', () => {
    const value = { 'a\u009bkey': ['x\u202ey', 'line\u2028end', '\u001b[2J', 'plain ü\n'] };
    for (const indent of [undefined, 2]) {
      const shown = shownJson(value, indent);
      // eslint-disable-next-line no-control-regex -- these are looked for
      assert.doesNotMatch(shown, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u202e]/);
      assert.deepEqual(JSON.parse(shown), value);
    }
  });

  it('guard text-length: cuts at 512 characters', () => {
    const cut = printable('x'.repeat(513));
    assert.equal(cut.length, 512);
    assert.ok(cut.endsWith('…'));
    assert.equal(printable('y'.repeat(512)).length, 512);
  });
});
