import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const text = readFileSync(join(root, 'docs/design.md'), 'utf8');

/** The rows of its tables that name a test: file and the beginning of the test's name. */
const rows = [...text.matchAll(/^\|.*\| `(test\/[^`]+\.test\.ts)`: (.+?) *\|$/gm)].map(
  ([, file = '', name = '']) => ({ file, name }),
);

describe('docs/design.md', () => {
  it('names a test for each of its rules', () => {
    const rules = text
      .split('\n')
      .filter((line) => line.startsWith('| ') && !/^\| (what follows|---)/.test(line));
    assert.ok(rules.length >= 30);
    assert.equal(rows.length, rules.length);
  });

  it('names tests that exist', () => {
    for (const { file, name } of rows) {
      assert.ok(existsSync(join(root, file)), file);
      assert.ok(
        readFileSync(join(root, file), 'utf8').includes(name),
        `${file} has no test '${name}'`,
      );
    }
  });

  it('links to files that exist', () => {
    for (const [, target = ''] of text.matchAll(/\]\((\.\.?\/[^)#]+)/g)) {
      assert.ok(existsSync(join(root, 'docs', target)), target);
    }
  });
});
