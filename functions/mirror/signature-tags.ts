import { parseReferrerTag, referrerTagsOf, type ReferrerTag } from '../oci/referrer-tags.ts';

/** A tag that belongs to the manifest whose digest it spells. */
export interface SignatureTag extends ReferrerTag {
  readonly tag: string;
}

/** Signature tags by the digest of their subject. */
export type SignatureTags = Pick<
  ReadonlyMap<string, readonly SignatureTag[]>,
  'size' | 'get' | 'keys' | typeof Symbol.iterator
>;

/**
 * Parts a list of tags into those that stand for themselves and those that follow a subject:
 * `sha256-<hex>`, alone or with `.sig`, `.att`, `.sbom`.
 */
export function partTags(tags: readonly string[]): {
  readonly plain: readonly string[];
  readonly signatures: SignatureTags;
} {
  const signatures = new Map<string, SignatureTag[]>();
  const plain = tags.filter((tag) => {
    const parsed = parseReferrerTag(tag);
    if (parsed === undefined) return true;
    const siblings = signatures.get(parsed.subject);
    if (siblings === undefined) signatures.set(parsed.subject, [{ tag, ...parsed }]);
    else siblings.push({ tag, ...parsed });
    return false;
  });
  return { plain, signatures };
}

/**
 * Signature tags of which the names alone are kept: an event that names its tags needs those of a few of
 * perhaps hundreds of thousands. A subject may come more than once when they are gone through.
 */
export class NamedSignatures implements SignatureTags {
  readonly #names: ReadonlySet<string>;

  /** @param names each such as {@link parseReferrerTag} reads */
  constructor(names: ReadonlySet<string>) {
    this.#names = names;
  }

  get size(): number {
    return this.#names.size;
  }

  get(subject: string): readonly SignatureTag[] | undefined {
    const tags = referrerTagsOf(subject).filter(({ tag }) => this.#names.has(tag));
    return tags.length === 0 ? undefined : tags;
  }

  *keys(): MapIterator<string> {
    for (const [subject] of this) yield subject;
  }

  *[Symbol.iterator](): MapIterator<[string, readonly SignatureTag[]]> {
    for (const tag of this.#names) {
      const parsed = parseReferrerTag(tag);
      if (parsed !== undefined) yield [parsed.subject, [{ tag, ...parsed }]];
    }
  }
}
