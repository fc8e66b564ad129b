import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MirrorError } from '../../../functions/errors.ts';
import {
  choice,
  duration,
  flag,
  integer,
  list,
  refuseOption,
  text,
} from '../../../functions/options/option.ts';
import { parseOptions } from '../../../functions/options/parser.ts';
import { thrown } from '../../faults.ts';

const table = {
  workers: integer({
    flag: '--workers',
    env: 'WORKERS',
    default: 4,
    min: 1,
    max: 64,
    sentence: 'S.',
  }),
  topic: text({ flag: '--topic', env: 'TOPIC', sentence: 'S.' }),
  resync: duration({ flag: '--resync-interval', env: 'RESYNC', default: '12h', sentence: 'S.' }),
  once: flag({ flag: '--once', env: 'ONCE', default: false, sentence: 'S.' }),
  replay: flag({ flag: '--replay', default: true, sentence: 'S.' }),
  level: choice({ flag: '--level', choices: ['info', 'debug'], default: 'info', sentence: 'S.' }),
  tags: list({ flag: '--tag', env: 'TAGS', sentence: 'S.' }),
};

function refused(argv: readonly string[], env: Record<string, string> = {}): MirrorError {
  return thrown(() => parseOptions(table, argv, env), 'OPTION_INVALID');
}

describe('parseOptions', () => {
  it('gives defaults where nothing is given', () => {
    assert.deepEqual(parseOptions(table, [], {}), {
      workers: 4,
      topic: undefined,
      resync: 12 * 3_600_000,
      once: false,
      replay: true,
      level: 'info',
      tags: [],
    });
  });

  it('takes the flag before the environment and the environment before the default', () => {
    assert.equal(parseOptions(table, ['--workers', '7'], { WORKERS: '5' }).workers, 7);
    assert.equal(parseOptions(table, [], { WORKERS: '5' }).workers, 5);
    assert.equal(parseOptions(table, [], { WORKERS: '' }).workers, 4);
  });

  it('reads --flag=value, --flag value and switches with and without a value', () => {
    const values = parseOptions(
      table,
      ['--topic=a=b', '--once', '--replay=false', '--level', 'debug'],
      {},
    );
    assert.equal(values.topic, 'a=b');
    assert.equal(values.once, true);
    assert.equal(values.replay, false);
    assert.equal(values.level, 'debug');
  });

  it('collects repeated flags, and lists of the environment by comma or line', () => {
    assert.deepEqual(parseOptions(table, ['--tag', 'a', '--tag=b,c'], {}).tags, ['a', 'b,c']);
    assert.deepEqual(parseOptions(table, [], { TAGS: 'a, b' }).tags, ['a', 'b']);
    assert.deepEqual(parseOptions(table, [], { TAGS: '^a{1,2}$\n^b$\n' }).tags, [
      '^a{1,2}$',
      '^b$',
    ]);
  });

  for (const [name, argv, field] of [
    ['an unknown flag', ['--wrokers=3'], '--wrokers'],
    ['a positional argument', ['mirror'], 'mirror'],
    ['a word for a number', ['--workers=four'], '--workers'],
    ['a number out of range', ['--workers=0'], '--workers'],
    ['a number with a fraction', ['--workers', '1.5'], '--workers'],
    ['a malformed duration', ['--resync-interval=12 hours'], '--resync-interval'],
    ['a word that is no choice', ['--level=loud'], '--level'],
    ['a switch that is neither', ['--once=maybe'], '--once'],
    ['a missing value', ['--topic'], '--topic'],
    ['an empty value', ['--topic='], '--topic'],
    ['an empty value of its own', ['--topic', ''], '--topic'],
    ['an empty value of a list', ['--tag', ' '], '--tag'],
    ['a flag in place of a value', ['--topic', '--once'], '--topic'],
    ['a flag with a value in place of a value', ['--topic', '--level=info'], '--topic'],
    ['a flag given twice', ['--topic=a', '--topic=b'], '--topic'],
  ] as const) {
    it(`refuses ${name} by its name`, () => {
      assert.equal(refused(argv).field, field);
    });
  }

  it('refuses a list of the environment that holds nothing', () => {
    for (const value of [',', ' ', '\n', ' , ,']) {
      assert.equal(refused([], { TAGS: value }).field, 'TAGS', JSON.stringify(value));
    }
    assert.equal(refused([], { TOPIC: ' ' }).field, 'TOPIC');
  });

  it('names the environment variable where that is the wrong one', () => {
    assert.equal(refused([], { WORKERS: 'x' }).field, 'WORKERS');
  });
});

describe('a duration', () => {
  const resyncMs = (written: string): number =>
    parseOptions(table, ['--resync-interval', written], {}).resync;

  for (const [written, ms] of [
    ['0', 0],
    ['750ms', 750],
    ['35s', 35_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['12h0m0s', 43_200_000],
  ] as const) {
    it(`reads ${written}`, () => {
      assert.equal(resyncMs(written), ms);
    });
  }

  for (const written of ['', '10', '-1s', '1d', 's', '1s ']) {
    it(`refuses '${written}'`, () => {
      assert.equal(thrown(() => resyncMs(written), 'OPTION_INVALID').field, '--resync-interval');
    });
  }
});

describe('refuseOption', () => {
  it('throws in the form of the parser', () => {
    const refuse = (): never => refuseOption('--workers', 'is too many');
    assert.equal(thrown(refuse, 'OPTION_INVALID').field, '--workers');
  });
});
