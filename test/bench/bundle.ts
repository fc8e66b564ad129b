import { execFileSync } from 'node:child_process';
import { chmodSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bundles entries into a folder as they are in the image. @throws Error where it cannot */
export function bundleInto(folder: string, ...entries: readonly Entry[]): string {
  execFileSync(process.execPath, [join(root, 'infra/bundle.mjs'), `--out=${folder}`, ...entries]);
  return join(folder, `${entries[0]}.js`);
}

/** What Node is given in the image besides the service's or the job's entry. */
export const IMAGE_FLAGS = ['--max-semi-space-size=8', '--min-semi-space-size=8'] as const;

/** What the image has: the entries, and the environment that it starts them with. */
export interface BundledImage {
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The service and the job as they are in the image, with their compile cache; `removeCompiled` takes it away. */
export function imageInto(folder: string): BundledImage {
  bundleInto(folder, 'serve', 'job');
  const cache = join(folder, 'compile-cache');
  // V8 takes a cache of the same flags only, sizes left out.
  const options = { NODE_ENV: 'production', NODE_OPTIONS: '--max-semi-space-size=1' };
  compileInto(cache, folder, options);
  return { folder, env: { ...options, NODE_COMPILE_CACHE: cache } };
}

type Entry = 'bridge' | 'job' | 'serve';

/** Fills V8's compile cache for the service and the job of a folder, as the image's build does. */
export function compileInto(
  cache: string,
  folder: string,
  env: Readonly<Record<string, string>> = {},
): void {
  execFileSync(process.execPath, [join(root, 'infra/compile-cache.mjs'), folder, cache], {
    env: { ...process.env, ...env },
  });
}

/** Removes what `compileInto` left, which is writable for nobody. */
export function removeCompiled(cache: string): void {
  for (const path of ['.', ...globSync('**', { cwd: cache })]) chmodSync(join(cache, path), 0o755);
  rmSync(cache, { recursive: true, force: true });
}

/** Bundles the function that does nothing, with the framework; its file. */
export async function bundleBare(folder: string): Promise<string> {
  const outfile = join(folder, 'bare.cjs');
  await build({
    entryPoints: [join(root, 'test/bench/bare-function.mjs')],
    outfile,
    bundle: true,
    minify: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
  });
  return outfile;
}
