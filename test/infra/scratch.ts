import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** The project's root. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** What is made anew everywhere, and is neither uploaded nor copied. */
const MADE = new Set(['.git', 'node_modules', 'build', 'dist', 'coverage', '.terraform']);

/** An empty folder that goes with the test. */
export function scratchFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-'));
  t.after(() => {
    rmSync(folder, { recursive: true, force: true });
  });
  return folder;
}

/** A copy of the project's sources, which goes with the test. */
export function copyOfSources(t: TestContext): string {
  const folder = scratchFolder(t);
  cpSync(ROOT, folder, { recursive: true, filter: (path) => !MADE.has(basename(path)) });
  return folder;
}
