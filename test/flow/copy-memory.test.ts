import assert from 'node:assert/strict';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import {
  startRegistryProcess,
  type RegistryProcess,
} from '../stand-ins/registry/registry-process.ts';
import { imageInto, removeCompiled } from '../bench/bundle.ts';
import { ourselves, type Contender } from '../bench/contenders.ts';

const MIB = 1024 * 1024;
/** What four times the bytes may add, whatever the garbage collector was about. */
const MOST_GROWTH_BYTES = 24 * MIB;

describe('memory of the one-shot command', () => {
  let source: RegistryProcess;
  let destination: RegistryProcess;
  let folder: string;
  let us: Contender;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-memory-'));
    us = ourselves(imageInto(folder));
    source = await startRegistryProcess();
    destination = await startRegistryProcess({ dialect: 'artifact-registry', discardBlobs: true });
  });

  after(async () => {
    await Promise.all([source.close(), destination.close()]);
    removeCompiled(folder);
  });

  /** VmHWM of mirroring one blob, bytes. */
  async function peakOf(sizeBytes: number): Promise<number> {
    const repository = `app/of-${sizeBytes}`;
    const layers = [{ seed: 'large', sizeBytes }];
    await source.putSyntheticImage({ repository, tag: '1.0.0', layers });
    const route = {
      source: `${source.host}/${repository}`,
      sourceHost: source.host,
      destinationRegistry: `${destination.host}/project/repository`,
      destinationHost: destination.host,
    };
    const { peakBytes, uploadedBytes } = await us.run(route, [source, destination]);
    assert.ok(uploadedBytes > sizeBytes);
    return peakBytes;
  }

  it(
    'does not grow with the blob',
    { skip: process.platform === 'linux' ? false : 'VmHWM is read from /proc' },
    async () => {
      const small = await peakOf(256 * MIB);
      const large = await peakOf(1024 * MIB);
      assert.ok(small > 0);
      const grownMib = ((large - small) / MIB).toFixed(1);
      assert.ok(large - small <= MOST_GROWTH_BYTES, `VmHWM grew by ${grownMib} MiB`);
    },
  );
});
