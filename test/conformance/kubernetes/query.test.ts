import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { listOptions, watchOptions } from '../../stand-ins/kubernetes/query.ts';
import { refusal } from './fixtures.ts';

function list(query: string): unknown {
  return listOptions(new URLSearchParams(query));
}

function watch(query: string): ReturnType<typeof watchOptions> {
  return watchOptions(new URLSearchParams(query));
}

describe('the parameters of a list', () => {
  it('are read, and empty ones are none', () => {
    assert.deepEqual(list(''), { limit: 0 });
    assert.deepEqual(list('limit=&continue=&resourceVersionMatch='), { limit: 0 });
    assert.deepEqual(list('limit=5&continue=x&resourceVersion=7&resourceVersionMatch=Exact'), {
      limit: 5,
      continueToken: 'x',
      resourceVersion: '7',
      resourceVersionMatch: 'Exact',
    });
    assert.throws(() => list('limit=x'), refusal(400));
  });
});

describe('the parameters of a watch', () => {
  for (const [query, since, initialEvents, initialEventsEnd] of [
    ['', undefined, true, false],
    ['allowWatchBookmarks=true', undefined, true, true],
    ['resourceVersion=0', undefined, true, false],
    ['resourceVersion=7', 7, false, false],
    ['sendInitialEvents=true&resourceVersionMatch=NotOlderThan', undefined, true, false],
    [
      'sendInitialEvents=true&resourceVersionMatch=NotOlderThan&resourceVersion=7&allowWatchBookmarks=1',
      undefined,
      true,
      true,
    ],
    ['sendInitialEvents=false&resourceVersionMatch=NotOlderThan', undefined, false, false],
    [
      'sendInitialEvents=false&resourceVersionMatch=NotOlderThan&resourceVersion=7',
      7,
      false,
      false,
    ],
  ] as const) {
    it(`say where it begins: ${query || '(none)'}`, () => {
      const options = watch(query);
      assert.deepEqual(
        [options.since, options.initialEvents, options.initialEventsEnd],
        [since, initialEvents, initialEventsEnd],
      );
    });
  }

  it('say when it ends', () => {
    assert.equal(watch('timeoutSeconds=5').timeoutMs, 5000);
    assert.equal(watch('').timeoutMs, 1_800_000);
  });

  it('must go together', () => {
    assert.throws(() => watch('sendInitialEvents=true'), refusal(422));
    assert.throws(() => watch('sendInitialEvents=true&resourceVersionMatch=Exact'), refusal(422));
    assert.throws(() => watch('resourceVersionMatch=NotOlderThan'), refusal(422));
    assert.throws(() => watch('resourceVersion=x'), refusal(500));
    assert.throws(() => watch('timeoutSeconds=x'), refusal(400));
  });
});
