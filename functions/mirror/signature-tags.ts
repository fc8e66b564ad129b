import { parseReferrerTag, type ReferrerTag } from '../oci/referrer-tags.ts';

/** A tag that belongs to the manifest whose digest it spells. */
export interface SignatureTag extends ReferrerTag {
  readonly tag: string;
}

/** Signature tags by the digest of their subject. */
export type SignatureTags = ReadonlyMap<string, readonly SignatureTag[]>;

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
