import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, readdirSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { IMAGE_FLAGS } from '../bench/bundle.ts';
import { MODULE } from './terraform/configuration.ts';
import { namesIn } from './names.ts';
import { ROOT, scratchFolder } from './scratch.ts';

interface Instruction {
  readonly name: string;
  readonly words: string;
}

/** The stages of the Dockerfile, in their order. */
function stages(): readonly (readonly Instruction[])[] {
  const text = readFileSync(join(ROOT, 'infra/Dockerfile'), 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '');
  const instructions = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [name = '', ...words] = line.split(' ');
      return { name, words: words.join(' ') };
    });
  const starts = instructions.flatMap(({ name }, index) => (name === 'FROM' ? [index] : []));
  return starts.map((start, stage) => instructions.slice(start, starts[stage + 1]));
}

const [build = [], compiled = [], final = []] = stages();

function of(stage: readonly Instruction[], name: string): readonly string[] {
  return stage.filter((instruction) => instruction.name === name).map(({ words }) => words);
}

/** Sources and target of a stage's `COPY a b ./` from the context. */
function copies(
  stage: readonly Instruction[],
): readonly { readonly sources: readonly string[]; readonly target: string }[] {
  const fromContext = of(stage, 'COPY').filter((words) => !words.startsWith('--from='));
  return fromContext.map((words) => {
    const paths = words.split(' ');
    return { sources: paths.slice(0, -1), target: paths.at(-1) ?? '' };
  });
}

describe('the Dockerfile', () => {
  it('builds on Node 24 and runs on distroless Node 24, as nobody', () => {
    const text = readFileSync(join(ROOT, 'infra/Dockerfile'), 'utf8');
    assert.match(text, /^ARG BUILD_IMAGE=node:24$/m);
    assert.match(text, /^ARG RUN_IMAGE=gcr\.io\/distroless\/nodejs24-debian13:nonroot$/m);
    assert.deepEqual(of(final, 'USER'), ['65532:65532']);
  });

  it('takes nothing into the image but the bundles and what V8 made of them', () => {
    assert.deepEqual(of(final, 'COPY'), [
      '--from=build /src/dist/ ./',
      '--from=compiled /tmp/compile-cache/ compile-cache/',
    ]);
    assert.deepEqual(of(final, 'RUN'), []);
    assert.deepEqual(of(final, 'ADD'), []);
  });

  it('starts Node itself, so that SIGTERM reaches it', () => {
    assert.deepEqual(of(final, 'ENTRYPOINT'), ['["/nodejs/bin/node"]']);
    const command = [...IMAGE_FLAGS, '/app/serve.js'].map((word) => JSON.stringify(word));
    assert.deepEqual(of(final, 'CMD'), [`[${command.join(', ')}]`]);
  });

  it('lets its context hold what it copies, and nothing else', () => {
    const ignore = readFileSync(join(ROOT, 'infra/Dockerfile.dockerignore'), 'utf8');
    const allowed = ignore
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    assert.deepEqual(
      [...allowed].sort(),
      [build, compiled]
        .flatMap(copies)
        .flatMap(({ sources }) => sources)
        .sort(),
    );
    for (const path of allowed) assert.ok(existsSync(join(ROOT, path)), path);
  });

  it('builds its entries from what it copies alone', (t) => {
    const folder = scratchFolder(t);
    for (const { sources, target } of copies(build)) {
      for (const source of sources) {
        const to = target === './' ? source : target;
        cpSync(join(ROOT, source), join(folder, to), { recursive: true });
      }
    }
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const command = of(build, 'RUN').find((words) => words.startsWith('node '));
    const [, ...args] = command?.split(' ') ?? [];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
    const shared = /^library-[A-Z0-9]{8}\.mjs$/;
    const first = readdirSync(join(folder, 'dist')).filter((file) => !shared.test(file));
    assert.deepEqual(first.sort(), [
      'auth.mjs',
      'bridge.js',
      'job.js',
      'package.json',
      'pubsub.mjs',
      'serve.js',
    ]);
  });

  it('compiles with the Node, flags, user and paths that the image has', () => {
    const settings = (stage: readonly Instruction[]): readonly string[] => {
      const env = of(stage, 'ENV').flatMap((words) => words.split(/\s+/));
      return env.filter((setting) => !setting.startsWith('NODE_COMPILE_CACHE='));
    };
    for (const name of ['FROM', 'USER', 'WORKDIR']) {
      const [ours, theirs] = [compiled, final].map((stage) =>
        of(stage, name).map((words) => words.replace(/ AS .*/, '')),
      );
      assert.deepEqual(ours, theirs, name);
    }
    assert.deepEqual(settings(compiled), settings(final));
    assert.deepEqual(of(compiled, 'RUN'), [
      '["/nodejs/bin/node", "/tmp/compile-cache.mjs", "/app", "/tmp/compile-cache"]',
    ]);
  });

  it('starts its entries with what was compiled, from a folder that nobody may write', (t) => {
    const app = join(scratchFolder(t), 'app');
    const cache = join(scratchFolder(t), 'compile-cache');
    const node = (args: readonly string[], more = {}): string => {
      const options = { env: { ...process.env, ...more }, encoding: 'utf8', cwd: ROOT } as const;
      const { status, stdout, stderr } = spawnSync(process.execPath, args, options);
      assert.equal(status, 0, stdout + stderr);
      return stdout + stderr;
    };
    node(['infra/bundle.mjs', `--out=${app}`, 'serve', 'job']);
    node(['infra/compile-cache.mjs', app, cache]);
    const kept = readdirSync(cache, { recursive: true, withFileTypes: true });
    for (const entry of kept) {
      const { mode } = statSync(join(entry.parentPath, entry.name));
      assert.equal(mode & 0o777, entry.isDirectory() ? 0o555 : 0o444, entry.name);
    }
    for (const entry of ['serve', 'job']) {
      const file = join(app, `${entry}.js`);
      const said = node([file, '--help'], {
        NODE_COMPILE_CACHE: cache,
        NODE_DEBUG_NATIVE: 'COMPILE_CACHE',
      });
      assert.match(said, new RegExp(`V8 code cache for CommonJS \\S*/${entry}\\.js was accepted`));
    }
  });

  it('has the entries that Terraform starts', () => {
    const text = readFileSync(join(MODULE, 'mirror.tf'), 'utf8');
    const started = namesIn(text, /\/app\/(\w+\.js)/g);
    assert.deepEqual([...started].sort(), ['job.js', 'serve.js']);
    const node = ['/nodejs/bin/node', ...IMAGE_FLAGS].map((word) => JSON.stringify(word));
    assert.ok(text.includes(`node = [${node.join(', ')}]`));
  });
});
