import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { after, describe, it } from 'node:test';

import { readCertificates, requireDockerConfig } from '../../functions/option-files.ts';
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

describe('certificates of a file', () => {
  const [good = ''] = rootCertificates;

  it('are its text', () => {
    assert.equal(readCertificates(file(`${good}\n${good}\n`)), `${good}\n${good}\n`);
  });

  it('are refused by the place of the one that cannot be read', () => {
    const broken = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
    const path = file(`${good}\n${broken}`);
    assert.equal(
      thrown(() => readCertificates(path), 'OPTION_INVALID').message,
      `SOURCE_CA_FILE (--source-ca-file): ${path} holds no readable certificate at place 2`,
    );
  });
});
