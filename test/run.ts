// Runs the tests: all of them, or the files and folders named as arguments (node's own options pass).
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { reportRealServers } from './real/report.ts';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What node's runner takes: a folder becomes the pattern of the test files below it. */
function patternsOf(args: readonly string[]): readonly string[] {
  const named = args.filter((argument) => !argument.startsWith('-'));
  if (named.length === 0) return ['test/**/*.test.ts'];
  return named.map((name) => {
    const path = join(root, name);
    const folder = existsSync(path) && statSync(path).isDirectory();
    return relative(root, folder ? join(path, '**/*.test.ts') : path);
  });
}

const args = process.argv.slice(2);
/** The usual output, and at its end what was skipped and why. */
const reporters = ['spec', './test/real/skipped.ts'].flatMap((reporter) => [
  `--test-reporter=${reporter}`,
  '--test-reporter-destination=stdout',
]);
// The hundreds of processes of a run load the same modules: each is compiled once, for this run alone.
const compiled = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-tests-'));
const child = spawn(
  process.execPath,
  [
    '--test',
    // Most tests wait for loopback servers: six at once keep two processors busy.
    '--test-concurrency=6',
    // A test that hangs names itself instead of stopping the whole run.
    '--test-timeout=180000',
    ...(args.some((argument) => argument.startsWith('--test-reporter')) ? [] : reporters),
    ...args.filter((argument) => argument.startsWith('-')),
    ...patternsOf(args),
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // Nothing of Google Cloud is looked for, unless a test starts a stand-in of it.
      METADATA_SERVER_DETECTION: 'none',
      NODE_COMPILE_CACHE: compiled,
    },
  },
);
process.on('SIGTERM', () => child.kill('SIGTERM'));
child.on('exit', (code) => {
  rmSync(compiled, { recursive: true, force: true });
  // Which real servers the whole run was against, and which it did not find.
  if (args.length === 0) process.stdout.write(`\n${reportRealServers().join('\n')}\n`);
  process.exitCode = code ?? 1;
});
