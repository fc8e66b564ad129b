import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import { requireDockerConfig } from '../../functions/option-files.ts';
import { keptLines } from './subscriber/samples.ts';
import { thrown } from '../faults.ts';

const folder = mkdtempSync(join(tmpdir(), 'option-files-'));
after(() => {
  rmSync(folder, { recursive: true });
});

function file(text: string): string {
  const path = join(folder, 'file');
  writeFileSync(path, text);
  return path;
}

describe('docker config at the start', () => {
  it('is refused without credentials, and told where its secret may be filled later', () => {
    const { logger, lines } = keptLines();
    assert.equal(
      thrown(() => {
        requireDockerConfig(file('{"auths": {}}'), { deployed: false }, logger);
      }, 'OPTION_INVALID').field,
      'DOCKER_CONFIG_FILE',
    );
    assert.equal(lines.length, 0);
    requireDockerConfig(file('{"auths": {}}'), { deployed: true }, logger);
    assert.deepEqual(
      lines.map(({ severity }) => severity),
      ['WARNING'],
    );
  });

  it('is refused where nobody can read it, deployed or not', () => {
    for (const deployed of [false, true]) {
      thrown(() => {
        requireDockerConfig(file('auths:'), { deployed }, keptLines().logger);
      }, 'OPTION_INVALID');
    }
  });

  it('is taken without a word where it holds credentials', () => {
    const { logger, lines } = keptLines();
    const auth = Buffer.from('user:word').toString('base64');
    const text = JSON.stringify({ auths: { 'ghcr.io': { auth } } });
    requireDockerConfig(file(text), { deployed: false }, logger);
    assert.equal(lines.length, 0);
  });
});
