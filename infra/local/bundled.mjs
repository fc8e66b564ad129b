// Plain JavaScript on purpose: it runs on any Node from 20.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';

/** Entries that are started often and run for short, by the name of their bundle. */
const SHORT_RUNS = new Map([['functions/job.ts', 'job']]);

/** Bundles that another state of the sources has left behind go after so long: nobody runs them any more. */
const MAX_AGE_MS = 7 * 24 * 60 * 60_000;

/**
 * An entry as one file, which starts in a third of the time of its sources: made once for each state of them,
 * in a second.
 * @param {object} wanted
 * @param {string} wanted.root of the checkout
 * @param {string} wanted.entry its path below it
 * @param {string} wanted.node to make it with
 * @param {string} wanted.folder for bundles; made where it is missing
 * @returns {string | undefined} its path; undefined: the sources are to be run, which a line on standard error
 *   explains where they should not be
 */
export function bundled({ root, entry, node, folder }) {
  const name = SHORT_RUNS.get(entry);
  if (name === undefined) return undefined;
  try {
    const made = join(folder, stateOf(root));
    if (!existsSync(made)) make({ root, name, node, folder, made });
    return join(made, `${name}.js`);
  } catch (error) {
    process.stderr.write(`${entry} runs from its sources, and starts later: ${error.message}\n`);
    return undefined;
  }
}

/** A name for what the bundle is made of, as the files' sizes and times tell it. */
function stateOf(root) {
  const sources = readdirSync(join(root, 'functions'), { recursive: true })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join('functions', file));
  const hash = createHash('sha256').update(root);
  for (const file of [...sources.sort(), 'infra/bundle.mjs', 'package-lock.json']) {
    const { size, mtimeMs } = statSync(join(root, file));
    hash.update(`\n${file} ${size} ${mtimeMs}`);
  }
  return hash.digest('hex');
}

function make({ root, name, node, folder, made }) {
  mkdirSync(folder, { recursive: true });
  removeOld(folder);
  const making = mkdtempSync(join(folder, 'making-'));
  try {
    const args = [join(root, 'infra/bundle.mjs'), name, `--out=${making}`];
    const { status, stderr, error } = spawnSync(node, args, { encoding: 'utf8' });
    if (error !== undefined) throw error;
    if (status !== 0) {
      const why = stderr.split('\n').find((line) => /^\w*Error|\[ERROR\]/.test(line)) ?? '';
      throw new Error(`bundling ended with ${status}: ${why.trim()}`);
    }
    renameSync(making, made);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // Two starts at once make it twice.
    if (!existsSync(made)) throw error;
  }
}

function removeOld(folder) {
  for (const one of readdirSync(folder)) {
    const path = join(folder, one);
    if (Date.now() - statSync(path).mtimeMs > MAX_AGE_MS)
      rmSync(path, { recursive: true, force: true });
  }
}
