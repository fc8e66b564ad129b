import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { localTarget, SourceGraph } from './source-graph.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const graph = new SourceGraph(
  root,
  globSync('{bridge,functions}/**/*.ts', { cwd: root }).map((path) => path.replaceAll('\\', '/')),
);

/** The answers of a map: the files of each numbered list, in their order. */
function listsOf(folder: string): readonly (readonly string[])[] {
  const text = readFileSync(posix.join(root, folder, 'README.md'), 'utf8');
  return text
    .split(/^#+ /m)
    .map((section) =>
      [...section.matchAll(/^\d+\. \[[^\]]+\]\(([^)]+)\)/gm)].map(([, path = '']) =>
        posix.join(folder, path),
      ),
    )
    .filter((files) => files.length > 0);
}

/** Whether one of two files imports the other, or a third of the list imports both. */
function areLinked(one: string, list: readonly string[]): boolean {
  const imports = (file: string): readonly (string | undefined)[] =>
    graph.importsOf(file).map(({ specifier }) => localTarget(file, specifier));
  return list.some(
    (other) => other !== one && (imports(one).includes(other) || imports(other).includes(one)),
  );
}

/** The most files that answer each question of a map: more than these nobody reads for one. */
const MOST_FILES = {
  // How one blob is copied, when an event is acknowledged, which credential goes where.
  functions: [9, 4, 3],
  // How a status change becomes an event.
  bridge: [9],
} as const;

for (const [folder, most] of Object.entries(MOST_FILES)) {
  describe(`the map of ${folder}/`, () => {
    const lists = listsOf(folder);

    it('answers its questions, each with few files', () => {
      assert.equal(lists.length, most.length);
      for (const [index, files] of lists.entries()) {
        assert.ok(files.length <= (most[index] ?? 0), `${files.length} files: ${files.join(' ')}`);
      }
    });

    it('names files that exist, each linked to another by an import', () => {
      for (const files of lists) {
        for (const file of files) {
          assert.ok(existsSync(posix.join(root, file)), file);
          assert.ok(areLinked(file, files), `${file} is linked to none of its list`);
        }
      }
    });
  });
}
