import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { format } from 'prettier';

import { bridgeOptions } from '../bridge/options.ts';
import { jobOptions } from '../functions/job-options.ts';
import { mirrorOptions, subscriberOptions } from '../functions/option-tables.ts';
import { markdownTable } from '../functions/options/help.ts';
import type { OptionTable } from '../functions/options/option.ts';
import { localOptions } from '../infra/local/options.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const file = join(root, 'README.md');

/** The options that `table` has beside those of `base`. */
function beside(table: OptionTable, base: OptionTable): OptionTable {
  return Object.fromEntries(Object.entries(table).filter(([name]) => !(name in base)));
}

const tables: Readonly<Record<string, OptionTable>> = {
  local: localOptions,
  mirror: mirrorOptions,
  subscriber: beside(subscriberOptions, mirrorOptions),
  job: beside(jobOptions, mirrorOptions),
  bridge: bridgeOptions,
};

/** README.md with every table between its markers as the code has it now. */
async function withCurrentTables(text: string): Promise<string> {
  let current = text;
  for (const [name, table] of Object.entries(tables)) {
    const between = new RegExp(`(<!-- options: ${name} -->\n)[\\s\\S]*?(<!-- /options -->)`);
    assert.match(current, between, `README.md has no place for the table ${name}`);
    const rows = await format(markdownTable(table), { parser: 'markdown' });
    current = current.replace(
      between,
      (_all, begin: string, end: string) => `${begin}\n${rows}\n${end}`,
    );
  }
  return current;
}

describe('README.md', () => {
  it('has the option tables of the code', async () => {
    const text = readFileSync(file, 'utf8');
    const current = await withCurrentTables(text);
    if (process.env['UPDATE_README'] === 'true') writeFileSync(file, current);
    else
      assert.equal(text, current, 'UPDATE_README=true npm test -- test/readme.test.ts writes them');
  });

  it('begins with the two commands', () => {
    const head = readFileSync(file, 'utf8').split('\n').slice(0, 8).join('\n');
    assert.match(head, /^npm start\b/m);
    assert.match(head, /^npm test\b/m);
  });

  it('names only scripts that exist', () => {
    const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
      readonly scripts: Record<string, string>;
    };
    for (const [, name = ''] of readFileSync(file, 'utf8').matchAll(
      /npm run (?:-s )?([a-z:-]+)/g,
    )) {
      assert.ok(name in scripts, name);
    }
  });
});
