// Runs one of the project's TypeScript entries under Node 24, installing what is missing first.
// Plain JavaScript on purpose: it must start on any Node from 20, before anything is installed.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import module from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { bundled } from './bundled.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const wantedMajor = 24;

/** The declared packages that are absent, or present in another version than the pinned one. */
function missingPackages() {
  const { dependencies, devDependencies } = readJson(join(root, 'package.json'));
  return Object.entries({ ...dependencies, ...devDependencies })
    .filter(([name, version]) => {
      const manifest = join(root, 'node_modules', name, 'package.json');
      return !existsSync(manifest) || readJson(manifest).version !== version;
    })
    .map(([name]) => name);
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function install() {
  // The installation's own talk goes to stderr, so that `-o json` on stdout stays one document.
  const npm = process.env.npm_execpath;
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []];
  const { status } = spawnSync(command, [...first, 'ci', '--loglevel=error', '--no-progress'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) {
    process.stderr.write('Installing the packages failed: run `npm ci` to see why.\n');
    process.exit(1);
  }
}

/** This Node where it is new enough, else the one that the `node` package brought. */
function node24() {
  if (Number(process.versions.node.split('.')[0]) >= wantedMajor) return process.execPath;
  const brought = join(root, 'node_modules', 'node', 'bin', 'node');
  if (existsSync(brought)) return brought;
  process.stderr.write(
    `Node ${wantedMajor} is needed and could not be installed: run \`npm ci\`.\n`,
  );
  return process.exit(1);
}

if (missingPackages().length > 0) {
  process.stderr.write('Installing what is missing (once)…\n');
  install();
}

/** What a start leaves to the next one, outside the checkout. */
const cache = resolve(process.env.XDG_CACHE_HOME || join(home(), '.cache'), 'imagerepo-mirror');

/** A user of a container may have none. */
function home() {
  try {
    return homedir();
  } catch {
    return tmpdir();
  }
}

/**
 * Where V8 keeps what it made of the source, from one start to the next: a start costs half as much CPU.
 * Per user; Node tells users, versions and files apart itself. Measurements go without, so that what they
 * start is what it is elsewhere; a run of the tests keeps one of its own.
 */
function compileCache(entry) {
  const given = process.env.NODE_COMPILE_CACHE;
  return given !== undefined || entry.startsWith('test/') ? given : join(cache, 'compile');
}

const [entry, ...args] = process.argv.slice(2);
const node = node24();
const file = bundled({ root, entry, node, folder: join(cache, 'bundles') }) ?? join(root, entry);
// npm sets NODE to the running Node; whatever the entry starts must find Node 24 instead.
const env = { NODE: node };
const compiled = compileCache(entry);
if (compiled !== undefined) env.NODE_COMPILE_CACHE = compiled;

if (node === process.execPath) {
  Object.assign(process.env, env);
  if (compiled) module.enableCompileCache(compiled);
  process.argv = [node, file, ...args];
  await import(pathToFileURL(file).href);
} else {
  // With the flags of the script, for which npm brings the right Node once it is installed.
  const child = spawn(node, [...process.execArgv, file, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...env },
  });
  // A terminal sends Ctrl-C to the whole group, so the child has it already; elsewhere it is passed on.
  process.on('SIGINT', () => {
    if (!process.stdin.isTTY) child.kill('SIGINT');
  });
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.on('exit', (code, signal) => {
    process.exit(signal === null ? (code ?? 1) : 128 + (signal === 'SIGINT' ? 2 : 15));
  });
}
