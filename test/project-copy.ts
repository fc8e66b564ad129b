import { cpSync, mkdtempSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** What the product and its tests are made of and read. */
const PARTS = [
  'bridge',
  'functions',
  'infra',
  'test',
  'package.json',
  'tsconfig.json',
  'README.md',
  'cloudbuild.yaml',
];

/** Copies the project to a folder in which it can be changed and tested; the caller removes it. */
export function copyProject(): string {
  const copy = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-copy-'));
  for (const part of PARTS) cpSync(join(root, part), join(copy, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  return copy;
}
