import { MirrorError } from '../errors.ts';
import type { ManifestMap, TagListing } from '../mirror/ports.ts';

/** Most tags of one list; with names of 20 characters they take 69 MiB. */
export const MAX_TAGS = 1_000_000;

/**
 * Most memory that one list may take, in bytes by the costs below: a third of a million tags with a
 * digest each. An event holds two lists; with what it plans they fit into a heap of 256 MiB.
 */
const MAX_KEPT_BYTES = 72 * 1024 * 1024;

/**
 * Most bytes that all pages of one list may have together. Artifact Registry's map needs about
 * 350 bytes a tag, 1,200 where images have several platforms.
 */
export const MAX_READ_BYTES = 512 * 1024 * 1024;

/** Heap that a tag takes beside its characters, in bytes: measured on V8 14, sets of 200,000 to 700,000. */
const TAG_BYTES = 52;
/** Heap that a manifest takes with its digest, in bytes: measured likewise. */
const MANIFEST_BYTES = 150;

/** Limits of one list; smaller in tests. */
export interface ListLimits {
  readonly tags: number;
  readonly keptBytes: number;
  readonly readBytes: number;
}

const LIMITS: ListLimits = {
  tags: MAX_TAGS,
  keptBytes: MAX_KEPT_BYTES,
  readBytes: MAX_READ_BYTES,
};

/** What one page of a list says. */
export interface TagPage {
  readonly tags: readonly string[];
  /** Names that break the grammar, as they can be shown. */
  readonly invalidTags: readonly string[];
  readonly map: ManifestMap | undefined;
  /** Size of the page as it came. */
  readonly sizeBytes: number;
}

/** One list while its pages come in. Of a page only the tags, digests and times are kept; of a part, only its tags. */
export class TagList {
  readonly #limits: ListLimits;
  readonly #isWanted: ((tag: string) => boolean) | undefined;
  /** Of a part: the first names of its pages, which tell whether the registry goes round. */
  readonly #firsts = new Set<string>();
  #seen = 0;
  /** With its digest, where a map tells it: one table for both, since a tag's text costs as much. */
  readonly #tags = new Map<string, string | undefined>();
  readonly #invalid = new Set<string>();
  readonly #manifests = new Map<string, number | undefined>();
  #maps = 0;
  #complete = false;
  #keptBytes = 0;
  #readBytes = 0;

  /** @param isWanted only these tags are kept, with their digests and no manifests; undefined: all */
  constructor(limits: Partial<ListLimits> = {}, isWanted?: (tag: string) => boolean) {
    this.#limits = { ...LIMITS, ...limits };
    this.#isWanted = isWanted;
  }

  /**
   * Takes what a page has.
   * @returns whether it told a name that is new
   * @throws MirrorError `LIST_TOO_LARGE`
   */
  add(page: TagPage): boolean {
    this.#readBytes += page.sizeBytes;
    // guard: list-read-bytes
    if (this.#readBytes > this.#limits.readBytes)
      throw tooLarge(`has pages of more than ${this.#limits.readBytes} bytes`);
    return this.#isWanted === undefined ? this.#addAll(page) : this.#addPart(page, this.#isWanted);
  }

  #addPart({ tags, invalidTags, map }: TagPage, isWanted: (tag: string) => boolean): boolean {
    this.#seen += tags.length + invalidTags.length;
    this.#requireFew(this.#seen);
    const wanted = tags.filter(isWanted);
    this.#keepTags(wanted);
    if (map !== undefined) {
      this.#maps += 1;
      for (const tag of wanted) {
        const digest = map.digestOfTag.get(tag);
        if (digest !== undefined) this.#tags.set(tag, digest);
      }
    }
    const first = tags[0] ?? invalidTags[0];
    if (first === undefined || this.#firsts.has(first)) return false;
    this.#firsts.add(first);
    return true;
  }

  #addAll({ tags, invalidTags, map }: TagPage): boolean {
    const before = this.#tags.size + this.#invalid.size;
    this.#keepTags(tags);
    for (const tag of invalidTags) {
      if (this.#invalid.has(tag)) continue;
      this.#invalid.add(tag);
      this.#keep(TAG_BYTES + tag.length);
    }
    const size = this.#tags.size + this.#invalid.size;
    this.#requireFew(size);
    if (map !== undefined) this.#addMap(map);
    return size > before;
  }

  #keepTags(tags: readonly string[]): void {
    for (const tag of tags) {
      if (this.#tags.has(tag)) continue;
      this.#tags.set(tag, undefined);
      this.#keep(TAG_BYTES + tag.length);
    }
  }

  #requireFew(tagCount: number): void {
    // guard: tag-count
    if (tagCount > this.#limits.tags) throw tooLarge(`has more than ${this.#limits.tags} tags`);
  }

  /** The whole list. Maps of several pages are never complete. */
  listing(): TagListing {
    const tags = [...this.#tags.keys()];
    const invalidTags = [...this.#invalid];
    const part = this.#isWanted === undefined ? {} : { listedCount: this.#seen };
    if (this.#maps === 0) return { tags, invalidTags, map: undefined, ...part };
    return {
      tags,
      invalidTags,
      ...part,
      map: {
        digestOfTag: withoutUnknown(this.#tags),
        manifests: this.#manifests,
        complete: this.#maps === 1 && this.#complete,
      },
    };
  }

  #addMap({ digestOfTag, manifests, complete }: ManifestMap): void {
    this.#maps += 1;
    this.#complete = complete;
    for (const [digest, uploadedAtMs] of manifests) {
      if (!this.#manifests.has(digest)) this.#keep(MANIFEST_BYTES);
      this.#manifests.set(digest, uploadedAtMs);
    }
    for (const [tag, digest] of digestOfTag) {
      if (!this.#tags.has(tag)) this.#keep(TAG_BYTES + tag.length);
      this.#tags.set(tag, digest);
    }
  }

  #keep(bytes: number): void {
    this.#keptBytes += bytes;
    // guard: list-kept-bytes
    if (this.#keptBytes > this.#limits.keptBytes)
      throw tooLarge(`takes more than ${this.#limits.keptBytes} bytes of memory`);
  }
}

/** The same table where every tag has a digest, as in a map that was not cut. */
function withoutUnknown(
  tags: ReadonlyMap<string, string | undefined>,
): ReadonlyMap<string, string> {
  const isKnown = (entry: readonly [string, string | undefined]): entry is [string, string] =>
    entry[1] !== undefined;
  for (const entry of tags) {
    if (!isKnown(entry)) return new Map([...tags].filter(isKnown));
  }
  return tags as ReadonlyMap<string, string>;
}

function tooLarge(why: string): MirrorError {
  return new MirrorError('LIST_TOO_LARGE', `the list of tags ${why}`);
}
