import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { tarHeader, tarOf } from '../../stand-ins/images/tar.ts';

const FILES = [
  { path: 'app/' },
  { path: 'app/serve', bytes: Buffer.from('#!/bin/sh\n'), mode: 0o755 },
  { path: 'app/config.txt', bytes: Buffer.alloc(1000, 'x') },
  { path: 'app/link', linkTo: 'serve' },
];

describe('tar', () => {
  it('is read by tar', (t) => {
    const { status, stdout, error } = spawnSync('tar', ['-tvf', '-'], {
      input: tarOf(FILES, 1_700_000_000),
      encoding: 'utf8',
      env: { ...process.env, TZ: 'UTC', LC_ALL: 'C' },
    });
    if (error !== undefined) {
      t.skip('no tar on this machine');
      return;
    }
    assert.equal(status, 0);
    const lines = stdout.trim().split('\n');
    assert.equal(lines.length, 4);
    assert.match(lines[0] ?? '', /^drwxr-xr-x .* app\/$/);
    assert.match(lines[1] ?? '', /^-rwxr-xr-x root\/root +10 .* app\/serve$/);
    assert.match(lines[2] ?? '', /^-rw-r--r-- root\/root +1000 .* app\/config\.txt$/);
    assert.match(lines[3] ?? '', /^l.* app\/link -> serve$/);
  });

  it('has blocks of 512 bytes and a checksum in each header', () => {
    const archive = tarOf(FILES, 0);
    assert.equal(archive.length, 512 * (1 + 2 + 3 + 1 + 2));
    const header = tarHeader({ path: 'a' }, 0, 0);
    const told = parseInt(header.toString('latin1', 148, 154), 8);
    const blank = Buffer.from(header).fill(' ', 148, 156);
    assert.equal(
      told,
      blank.reduce((sum, byte) => sum + byte, 0),
    );
    assert.throws(() => tarHeader({ path: 'x'.repeat(101) }, 0, 0));
  });
});
