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
const maps = [file, join(root, 'bridge/README.md'), join(root, 'functions/README.md')];

/** The options that `table` has beside those of `base`. */
function beside(table: OptionTable, base: OptionTable): OptionTable {
  return Object.fromEntries(Object.entries(table).filter(([name]) => !(name in base)));
}

/** By the name that a page gives them. */
const tables: Readonly<Record<string, OptionTable>> = {
  local: localOptions,
  mirror: mirrorOptions,
  subscriber: beside(subscriberOptions, mirrorOptions),
  job: beside(jobOptions, mirrorOptions),
  bridge: bridgeOptions,
};

/** A page with every table between its markers as the code has it now, and the tables that it has. */
async function withCurrentTables(
  text: string,
): Promise<{ readonly current: string; readonly names: readonly string[] }> {
  const names: string[] = [];
  let current = text;
  for (const [name, table] of Object.entries(tables)) {
    const between = new RegExp(`(<!-- options: ${name} -->\n)[\\s\\S]*?(<!-- /options -->)`);
    if (!between.test(current)) continue;
    names.push(name);
    const rows = await format(markdownTable(table), { parser: 'markdown' });
    current = current.replace(
      between,
      (_all, begin: string, end: string) => `${begin}\n${rows}\n${end}`,
    );
  }
  return { current, names };
}

describe('README.md', () => {
  it('and the maps have the option tables of the code', async () => {
    const found: string[] = [];
    for (const page of maps) {
      const text = readFileSync(page, 'utf8');
      const { current, names } = await withCurrentTables(text);
      found.push(...names);
      if (process.env['UPDATE_README'] === 'true') writeFileSync(page, current);
      else
        assert.equal(
          text,
          current,
          'UPDATE_README=true npm test -- test/readme.test.ts writes them',
        );
    }
    assert.deepEqual(found.sort(), Object.keys(tables).sort());
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
