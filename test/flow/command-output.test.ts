import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { imageWith } from '../functions/mirror/images.ts';
import { registry } from '../functions/registry/setting.ts';
import { ROOT } from '../infra/scratch.ts';

const TAGS = 500;

describe('what the command prints', () => {
  it('is there in whole for a reader that begins seconds later', async (t) => {
    const source = await registry(t);
    const { manifest, blobs } = imageWith('image', 1);
    for (const { bytes } of blobs) source.store.putBlob('org/app', bytes);
    for (let tag = 0; tag < TAGS; tag += 1)
      source.store.putManifest('org/app', manifest, `1.${tag}`);
    const args = [
      `--image=${source.host}/org/app`,
      `--destination-registry=${source.host}/m`,
      '--dry-run',
      '--output=json',
    ];
    // The shell's pipe, which holds 64 KiB; longer than handles that are left open are waited for.
    const line = '"$0" "$@" | (sleep 4; cat)';
    const command = [process.execPath, join(ROOT, 'functions/job.ts'), ...args];
    const child = spawn('sh', ['-c', line, ...command]);
    const [printed] = await Promise.all([text(child.stdout), once(child, 'close')]);
    const { repositories } = JSON.parse(printed) as { repositories: { tags: unknown[] }[] };
    assert.equal(repositories[0]?.tags.length, TAGS);
  });
});
