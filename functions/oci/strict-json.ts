import { MirrorError, printable } from '../errors.ts';

/**
 * Fields of manifests that decide what is pulled. Readers differ on doubled keys (first, last) and
 * some compare keys without their case, so a document with two spellings of one of these has two
 * meanings.
 */
const DECISIVE = [
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
];
const DECISIVE_KEYS = new Set(DECISIVE.map(folded));

/** Proper spelling of all fields that are read. */
const SPELLING = new Map(
  [...DECISIVE, 'data', 'urls', 'annotations'].map((name) => [folded(name), name]),
);

/** A key without its case, as Go compares keys (encoding/json folds `ſ` and `K` too). */
function folded(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** Objects and lists around a field that is read: document, list, descriptor, list of URLs. */
const READ_DEPTH = 4;
/** Deepest document that Go's readers read (encoding/json, "exceeded max depth"). */
const MAX_DEPTH = 10_000;

/**
 * The value with the fields of manifests spelt as in the specification. Go's readers, hence all who pull,
 * take `Layers` for `layers`: what it names is needed. What stands in annotations, and what is deeper than any
 * field that is read, is left alone.
 */
export function withProperKeys(value: unknown, depth = READ_DEPTH): unknown {
  if (typeof value !== 'object' || value === null || depth === 0) return value;
  if (Array.isArray(value)) return value.map((inner) => withProperKeys(inner, depth - 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]: [string, unknown]) => {
      const name = SPELLING.get(folded(key)) ?? key;
      return [name, name === ANNOTATIONS ? inner : withProperKeys(inner, depth - 1)];
    }),
  );
}

/** Maps of free text, whose keys decide nothing, whatever they are called. */
const ANNOTATIONS = 'annotations';

/**
 * Refuses a JSON text in which one object has a decisive key twice, or one that differs from its
 * proper spelling by case only, and one that is deeper than Go reads. What stands in annotations is left alone.
 * @param text JSON that parses
 * @throws MirrorError `MANIFEST_INVALID`
 */
export function refuseDoubledKeys(text: string): void {
  const found = doubledKey(text);
  // guard: manifest-doubled-key
  if (found !== undefined)
    throw new MirrorError('MANIFEST_INVALID', `manifest has the key '${printable(found)}' twice`, {
      operation: 'parse manifest',
    });
}

/** The first doubled decisive key; undefined where there is none. */
function doubledKey(text: string): string | undefined {
  const nesting = new Nesting();
  let expectsKey = false;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '{':
      case '[':
        expectsKey = text[at] === '{';
        nesting.open(expectsKey);
        // guard: manifest-depth
        if (nesting.depth > MAX_DEPTH)
          throw new MirrorError('MANIFEST_INVALID', `manifest is deeper than ${MAX_DEPTH} levels`, {
            operation: 'parse manifest',
          });
        break;
      case '}':
      case ']':
        nesting.close();
        break;
      case ',':
        expectsKey = nesting.comma();
        break;
      case '"': {
        const end = endOfString(text, at);
        if (expectsKey) {
          const key = folded(String(JSON.parse(text.slice(at, end + 1))));
          if (nesting.isDoubled(key)) return key;
        }
        expectsKey = false;
        at = end;
        break;
      }
      default:
    }
  }
  return undefined;
}

/** The objects and lists that are open, and the keys of each. */
class Nesting {
  readonly #open: { keys: Set<string> | undefined; readonly isObject: boolean }[] = [];
  /** Depth of the annotations that are being read; 0: none are. */
  #annotationsAt = 0;
  #lastKey = '';

  /** Whether a key comes after the comma that was just read. */
  comma(): boolean {
    this.#lastKey = '';
    return this.#open.at(-1)?.isObject === true;
  }

  get depth(): number {
    return this.#open.length;
  }

  open(isObject: boolean): void {
    this.#open.push({ keys: undefined, isObject });
    const begins = isObject && this.#lastKey === ANNOTATIONS && this.#annotationsAt === 0;
    if (begins) this.#annotationsAt = this.#open.length;
    this.#lastKey = '';
  }

  close(): void {
    if (this.#open.length === this.#annotationsAt) this.#annotationsAt = 0;
    this.#open.pop();
  }

  /** Notes a key of the innermost object. True: it is a decisive one, and was there before. */
  isDoubled(key: string): boolean {
    this.#lastKey = key;
    const innermost = this.#open.at(-1);
    if (innermost === undefined || this.#annotationsAt > 0 || !DECISIVE_KEYS.has(key)) return false;
    innermost.keys ??= new Set();
    if (innermost.keys.has(key)) return true;
    innermost.keys.add(key);
    return false;
  }
}

/** Index of the quote that closes the string that opens at `start`. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at;
}
