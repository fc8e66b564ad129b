import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { SourceGraph } from './source-graph.ts';

const root = mkdtempSync(join(tmpdir(), 'source-graph-'));
after(() => {
  rmSync(root, { recursive: true, force: true });
});

/** A graph of files given as name → text. */
function graphOf(texts: Readonly<Record<string, string>>): SourceGraph {
  for (const [file, text] of Object.entries(texts)) writeFileSync(join(root, file), text);
  return new SourceGraph(root, Object.keys(texts));
}

describe('SourceGraph', () => {
  it('tells imports of every form, and which of them are types only', () => {
    const graph = graphOf({
      'a.ts': [
        "import { one } from './b.ts';",
        "import type { Two } from './c.ts';",
        "export { three } from './d.ts';",
        "import 'node:fs';",
        "// import { none } from './none.ts';",
        "export const later = async () => import('./e.ts');",
      ].join('\n'),
    });
    assert.deepEqual(graph.importsOf('a.ts'), [
      { specifier: './b.ts', typeOnly: false },
      { specifier: './c.ts', typeOnly: true },
      { specifier: './d.ts', typeOnly: false },
      { specifier: 'node:fs', typeOnly: false },
      { specifier: './e.ts', typeOnly: false },
    ]);
  });

  it('knows functions and classes that are exported', () => {
    const graph = graphOf({
      'a.ts':
        'export function one() {}\nexport const two = () => 1;\nexport class Three {}\n' +
        'function own() {}\nexport const value = 4;\nexport interface Five {}\n',
    });
    assert.deepEqual(graph.exportedCallables('a.ts'), ['one', 'two', 'Three']);
  });

  it('reaches what is used, through declarations, re-exports and dynamic imports', () => {
    const graph = graphOf({
      'start.ts':
        "import { used } from './a.ts';\nimport { handed } from './b.ts';\n" +
        "used();\nhanded();\nawait import('./d.ts');\n",
      'a.ts': 'export function used() { own(); }\nfunction own() {}\nexport function unused() {}\n',
      'b.ts': "export { inner as handed, other } from './c.ts';\n",
      'c.ts': 'export const inner = () => 1;\nexport const other = () => 2;\n',
      'd.ts': 'export function all() {}\n',
    });
    assert.deepEqual([...graph.reachedFrom(['start.ts'])].sort(), [
      'a.ts own',
      'a.ts used',
      'c.ts inner',
      'd.ts all',
    ]);
  });

  it('reaches nothing through a type, a name of a property, or a file that is not loaded', () => {
    const graph = graphOf({
      'start.ts':
        "import { type Shape, load } from './a.ts';\nimport type { B } from './b.ts';\n" +
        'const shape: Shape = { draw: 1 };\nload(shape.draw);\n',
      'a.ts':
        'export class Shape {}\nexport function load() { table.draw; }\nconst table = { draw: 1 };\n' +
        'export function draw() {}\n',
      'b.ts': 'export class B {}\nstarted();\nexport function started() {}\n',
    });
    assert.deepEqual([...graph.reachedFrom(['start.ts'])].sort(), [
      'a.ts load',
      'a.ts table',
      'start.ts shape',
    ]);
  });

  it('reaches what a file runs when it is loaded', () => {
    const graph = graphOf({
      'start.ts': "import './a.ts';\n",
      'a.ts': 'setUp();\nfunction setUp() {}\nexport function tearDown() {}\n',
    });
    assert.deepEqual([...graph.reachedFrom(['start.ts'])], ['a.ts setUp']);
  });
});
