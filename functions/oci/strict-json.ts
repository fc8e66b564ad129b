import { Fault, printable } from '../fault.ts';

/**
 * Fields of manifests that decide what is pulled. Readers differ on doubled keys (first, last) and
 * some compare keys without their case, so a document with two spellings of one of these has two
 * meanings.
 */
const DECISIVE = new Set(
  [
    'schemaVersion',
    'mediaType',
    'artifactType',
    'config',
    'layers',
    'manifests',
    'fsLayers',
    'blobs',
    'subject',
    'signatures',
    'digest',
    'size',
    'blobSum',
  ].map((name) => name.toLowerCase()),
);

/**
 * Refuses a JSON text in which one object has a decisive key twice, or one that differs from its
 * proper spelling by case only.
 * @param text JSON that parses
 * @throws Fault `MANIFEST_INVALID`
 */
export function refuseDoubledKeys(text: string): void {
  const found = doubledKey(text);
  // guard: manifest-doubled-key
  if (found !== undefined)
    throw new Fault('MANIFEST_INVALID', `manifest has the key '${printable(found)}' twice`, {
      operation: 'parse manifest',
    });
}

/** The first doubled decisive key; undefined where there is none. */
function doubledKey(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let expectsKey = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
        open.push(new Set());
        expectsKey = true;
        break;
      case '[':
        open.push(undefined);
        expectsKey = false;
        break;
      case '}':
      case ']':
        open.pop();
        expectsKey = false;
        break;
      case ',':
        expectsKey = open.at(-1) !== undefined;
        break;
      case '"': {
        const end = endOfString(text, at);
        if (expectsKey) {
          const key = String(JSON.parse(text.slice(at, end + 1))).toLowerCase();
          const keys = open.at(-1);
          if (keys?.has(key) === true && DECISIVE.has(key)) return key;
          keys?.add(key);
          expectsKey = false;
        }
        at = end;
        break;
      }
      default:
    }
  }
  return undefined;
}

/** Index of the quote that closes the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
