import { createHash } from 'node:crypto';

/** Bytes that depend on the seed alone and do not compress. */
export function randomBytesOf(seed: string, length: number): Buffer {
  return createHash('shake256', { outputLength: length }).update(seed).digest();
}

/** A text of words that depends on the seed alone and compresses as texts do. */
export function randomText(seed: string, length: number): string {
  const bytes = randomBytesOf(seed, Math.ceil(length / 4) + 8);
  let text = '';
  for (const byte of bytes) {
    text += `${WORDS[byte % WORDS.length] ?? ''}${byte > 230 ? '\n' : ' '}`;
    if (text.length >= length) break;
  }
  return `${text.slice(0, Math.max(length - 1, 0))}\n`;
}

const WORDS = (
  'listen serve route cache queue render parse store watch retry ' +
  'merge index layer image build deploy scale trace probe drain'
).split(' ');
