import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { duration, integer, list, text } from '../../../functions/options/option.ts';
import { parseOptions } from '../../../functions/options/parser.ts';
import { thrown } from '../../faults.ts';

describe('text', () => {
  it('has of its words what it was given', () => {
    const bare = text({ sentence: 'S.' });
    assert.deepEqual([bare.flag, bare.short, bare.env], [undefined, undefined, undefined]);
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

describe('a check', () => {
  it('is not run for the default, which is right', () => {
    const checked: string[] = [];
    const check = (value: string): void => {
      checked.push(value);
    };
    const table = { tags: text({ flag: '--tags', default: 'a', check, sentence: 'S.' }) };
    assert.equal(parseOptions(table, [], {}).tags, 'a');
    assert.equal(parseOptions(table, ['--tags=b'], {}).tags, 'b');
    assert.deepEqual(checked, ['b']);
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

describe('numbers and times', () => {
  const table = {
    count: integer({ flag: '--count', default: 1, min: 1, max: 64, sentence: 'S.' }),
    time: duration({ flag: '--time', default: '1m', min: '1s', max: '1h', sentence: 'S.' }),
  };
  const read = (flag: string): unknown => Object.values(parseOptions(table, [flag], {}));

  it('are taken from the least to the most', () => {
    assert.deepEqual(read('--count=64'), [64, 60_000]);
    assert.deepEqual(read('--time=1s'), [1, 1000]);
    assert.deepEqual(read('--time=1h'), [1, 3_600_000]);
  });

  it('are whole milliseconds, rounded up: what is short is not none', () => {
    assert.deepEqual(read('--time=2s3ms4us5\u00b5s6ns'), [1, 2004]);
    assert.deepEqual(read('--time=2s3ms990us5\u03bcs6ns'), [1, 2004]);
    assert.deepEqual(read('--time=0.01h'), [1, 36_000]);
    const free = { time: duration({ flag: '--time', default: '0', sentence: 'S.' }) };
    for (const [written, ms] of [
      ['1.1h', 3_960_000],
      ['16.1s', 16_100],
      ['1ns', 1],
      ['0', 0],
      ['0s', 0],
    ]) {
      assert.deepEqual(parseOptions(free, [`--time=${written}`], {}), { time: ms });
    }
  });

  for (const [flag, sentence] of [
    ['--count=65', "--count wants a whole number from 1 to 64, not '65'"],
    ['--time=999ms', "--time wants at least 1s, not '999ms'"],
    ['--time=1h1ns', "--time wants at most 1h, not '1h1ns'"],
    ['--coun=1', '--coun is no option: did you mean --count?'],
    ['--count-all=1', '--count-all is no option: did you mean --count?'],
    ['--other=1=2', '--other is no option: --help lists the options'],
  ] as const) {
    it(`are refused: ${sentence}`, () => {
      assert.equal(thrown(() => read(flag), 'OPTION_INVALID').message, sentence);
    });
  }
});

describe('list', () => {
  it('reads each value by its own reader and takes a written default', () => {
    const ports = list({ flag: '--port', default: '1,2', item: Number, sentence: 'S.' });
    assert.deepEqual(parseOptions({ ports }, [], {}).ports, [1, 2]);
    assert.deepEqual(parseOptions({ ports }, ['--port=7'], {}).ports, [7]);
  });
});
