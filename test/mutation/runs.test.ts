import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { pathToFileURL } from 'node:url';

import { doesRun, runsIn } from './runs.ts';

it('tells what ran, of the product alone, by the smallest part', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'runs-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const functions = [
    { ranges: [{ startOffset: 0, endOffset: 100, count: 1 }] },
    {
      ranges: [
        { startOffset: 10, endOffset: 50, count: 2 },
        { startOffset: 20, endOffset: 30, count: 0 },
      ],
    },
  ];
  const urls = ['/copy/bridge/a.ts', '/copy/test/a.ts'].map((path) => pathToFileURL(path).href);
  const result = [...urls, 'node:fs'].map((url) => ({ url, functions }));
  writeFileSync(join(folder, 'one.json'), JSON.stringify({ result }));
  const runs = runsIn(folder, '/copy');
  assert.deepEqual([...runs.keys()], ['bridge/a.ts']);
  const offsets = [0, 19, 20, 29, 30, 99, 100];
  assert.deepEqual(
    offsets.filter((offset) => doesRun(runs, 'bridge/a.ts', offset)),
    [0, 19, 30, 99],
  );
  assert.equal(doesRun(runs, 'bridge/b.ts', 0), false);
});
