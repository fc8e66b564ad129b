import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { list, text } from '../../../functions/options/option.ts';
import { parseOptions } from '../../../functions/options/parser.ts';

describe('text', () => {
  it('has of its words what it was given', () => {
    const bare = text({ sentence: 'S.' });
    for (const name of ['flag', 'short', 'env']) assert.equal(name in bare, false, name);
    assert.deepEqual([bare.placeholder, bare.repeatable], ['TEXT', false]);
  });

  it('runs its check and reports what that says under the name given', () => {
    const table = {
      image: text({
        flag: '--image',
        sentence: 'S.',
        check: (value) => {
          if (value.includes(' ')) throw new Error('has a space');
        },
      }),
    };
    assert.equal(parseOptions(table, ['--image=a'], {}).image, 'a');
    assert.throws(
      () => parseOptions(table, ['--image=a b'], {}),
      (error: unknown) => error instanceof Error && error.message === '--image has a space',
    );
  });
});

describe('short', () => {
  const table = { output: text({ flag: '--output', short: '-o', sentence: 'S.' }) };

  it('is a second spelling of the flag', () => {
    assert.equal(parseOptions(table, ['-o', 'json'], {}).output, 'json');
    assert.equal(parseOptions(table, ['-o=json'], {}).output, 'json');
  });

  it('counts as the flag where that is given too', () => {
    assert.throws(() => parseOptions(table, ['-o', 'json', '--output', 'text'], {}), /--output/);
  });
});

describe('list', () => {
  it('reads each value by its own reader and takes a written default', () => {
    const ports = list({ flag: '--port', default: '1,2', item: Number, sentence: 'S.' });
    assert.deepEqual(parseOptions({ ports }, [], {}).ports, [1, 2]);
    assert.deepEqual(parseOptions({ ports }, ['--port=7'], {}).ports, [7]);
  });
});
