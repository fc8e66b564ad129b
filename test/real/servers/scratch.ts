import { rmSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder that one server writes in. */
export interface Scratch {
  readonly path: string;
  /** Removes it with all that is in it. Harmless when it is gone. */
  remove(): Promise<void>;
}

/** A server that was killed a moment ago may still be adding files: remove again. */
const removal = { recursive: true, force: true, maxRetries: 5 } as const;

const folders = new Set<string>();
let guarded = false;

/** Makes an empty folder; what its owner has not removed is removed when this process ends. */
export async function makeScratch(name: string): Promise<Scratch> {
  if (!guarded) process.once('exit', removeAll);
  guarded = true;
  const path = await mkdtemp(join(tmpdir(), `${name}-`));
  folders.add(path);
  return {
    path,
    remove: async () => {
      await rm(path, removal);
      folders.delete(path);
    },
  };
}

function removeAll(): void {
  for (const path of folders) rmSync(path, removal);
}
