import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { helpText, markdownTable } from '../../../functions/options/help.ts';
import { flag, integer, list, text } from '../../../functions/options/option.ts';

const table = {
  workers: integer({
    flag: '--workers',
    env: 'WORKERS',
    default: 4,
    min: 1,
    max: 64,
    sentence: 'Repositories mirrored at once.',
  }),
  image: list({ flag: '--image', placeholder: 'NAME', sentence: 'What to mirror.' }),
  output: text({ flag: '--output', short: '-o', sentence: 'Form.' }),
  once: flag({ flag: '--once', default: false, sentence: 'End by itself.' }),
  topic: text({ env: 'TOPIC', placeholder: 'NAME', sentence: 'a|b.' }),
};

describe('helpText', () => {
  it('shows every option with placeholder, sentence, default and environment', () => {
    const shown = helpText(
      { title: 'x - does', usage: ['x [options]'], after: ['Exit codes'] },
      table,
    );
    for (const part of [
      'x - does',
      '  x [options]',
      '  --workers N',
      'Repositories mirrored at once. (default 4; environment WORKERS)',
      '  --image NAME …',
      '  -o, --output TEXT',
      '  --once\n',
      '  TOPIC=NAME',
      '  --help',
      'Exit codes',
    ]) {
      assert.ok(shown.includes(part), part);
    }
    // Nothing follows the sentence of an option without default and environment.
    assert.match(shown, /What to mirror\.$/m);
  });

  it('wraps sentences at 72 columns', () => {
    const words = ['a'.repeat(35), 'b'.repeat(36), 'c'.repeat(35), 'd'.repeat(37), 'e'.repeat(80)];
    const sentence = words.join(' ');
    const shown = helpText({ title: '', usage: [] }, { long: text({ flag: '--long', sentence }) });
    const [a, b, ...alone] = words;
    const lines = shown.split('\n').filter((line) => /^ {8}[a-e]/.test(line));
    assert.deepEqual(
      lines,
      [`${a} ${b}`, ...alone].map((line) => `        ${line}`),
    );
  });
});

describe('markdownTable', () => {
  it('has one row an option with the bar escaped', () => {
    const rows = markdownTable(table).split('\n');
    assert.equal(rows.length, 2 + Object.keys(table).length);
    assert.equal(rows[2], '| `--workers` | `WORKERS` | `4` | Repositories mirrored at once. |');
    assert.equal(rows[6], String.raw`|  | ${'`TOPIC`'} |  | a\|b. |`);
  });
});
