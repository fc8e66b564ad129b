// Plain JavaScript on purpose: it runs on any Node from 20.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  constants,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from 'node:fs';
import { join } from 'node:path';

/** Entries that are started often and run for short, by the name of their bundle. */
const SHORT_RUNS = new Map([['functions/job.ts', 'job']]);

/** Bundles that were not started for so long go when another is made. */
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
    const file = join(made, `${name}.js`);
    if (!isWhole(file)) make({ root, name, node, folder, made, file });
    noteUse(made);
    return file;
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
    // An editor's lock is a link to nowhere.
    const found = statSync(join(root, file), { throwIfNoEntry: false });
    if (found !== undefined) hash.update(`\n${file} ${found.size} ${found.mtimeMs}`);
  }
  return hash.digest('hex');
}

/** What is used stays; another user's may be read alone. */
function noteUse(made) {
  const now = new Date();
  try {
    utimesSync(made, now, now);
  } catch {
    // It is made again when it has gone.
  }
}

/** A disk that was full, or somebody's broom, may have left less. */
function isWhole(file) {
  try {
    accessSync(file, constants.R_OK);
    return statSync(file).size > 0;
  } catch {
    return false;
  }
}

function make({ root, name, node, folder, made, file }) {
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
    if (!isWhole(file)) rmSync(made, { recursive: true, force: true });
    renameSync(making, made);
  } catch (error) {
    rmSync(making, { recursive: true, force: true });
    // Two starts at once make it twice.
    if (!isWhole(file)) throw error;
  }
}

function removeOld(folder) {
  for (const one of readdirSync(folder)) {
    const path = join(folder, one);
    try {
      if (Date.now() - statSync(path).mtimeMs > MAX_AGE_MS)
        rmSync(path, { recursive: true, force: true });
    } catch {
      // Another start took it away first, or it is another user's.
    }
  }
}
