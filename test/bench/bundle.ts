import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Bundles an entry into a folder as it is in the image; the file to run. @throws Error where it cannot */
export function bundleInto(folder: string, entry: 'bridge' | 'job' | 'serve'): string {
  execFileSync(process.execPath, [join(root, 'infra/bundle.mjs'), `--out=${folder}`, entry]);
  return join(folder, `${entry}.js`);
}
