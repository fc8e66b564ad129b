import { parseDigest } from './digest.ts';

/** How a tag that is named after a digest relates to that digest. */
export type ReferrerTagKind = 'referrers' | 'signature' | 'attestation' | 'sbom';

/** A tag that is named after its subject. */
export interface ReferrerTag {
  /** Digest of the manifest that it is about. */
  readonly subject: string;
  readonly kind: ReferrerTagKind;
}

const SUFFIXES: readonly (readonly [ReferrerTagKind, string])[] = [
  ['referrers', ''],
  ['signature', '.sig'],
  ['attestation', '.att'],
  ['sbom', '.sbom'],
];

/**
 * `sha256-<64 hex>` alone: the referrers tag schema (OCI Distribution 1.1); with `.sig`, `.att` or
 * `.sbom`: cosign's tags (its SIGNATURE_SPEC). A sha512 referrers tag is cut to 64 hex digits by
 * the schema (at most 128 characters for the whole), so only sha256 names its subject in full.
 */
const REFERRER_TAG = /^sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?$/;

/** What a tag says of a subject; undefined for every ordinary tag. */
export function parseReferrerTag(tag: string): ReferrerTag | undefined {
  const match = REFERRER_TAG.exec(tag);
  if (match === null) return undefined;
  const suffix = match[2] ?? '';
  const kind = SUFFIXES.find(([, candidate]) => candidate === suffix)?.[0] ?? 'referrers';
  return { subject: `sha256:${match[1] ?? ''}`, kind };
}

/**
 * Tag of the fallback referrers index (OCI Distribution 1.1, "Referrers Tag Schema"): algorithm
 * cut to 32 and digest cut to 64 characters.
 * @throws MirrorError `DIGEST_INVALID`
 */
export function referrersTag(digest: string): string {
  const { algorithm, hex } = parseDigest(digest);
  return `${algorithm}-${hex.slice(0, 64)}`;
}

/** The tags that may be named after a subject, whether there are any or not; none but of sha256. */
export function referrerTagsOf(
  subject: string,
): readonly (ReferrerTag & { readonly tag: string })[] {
  const name = subject.replace(':', '-');
  return REFERRER_TAG.test(name)
    ? SUFFIXES.map(([kind, suffix]) => ({ tag: `${name}${suffix}`, subject, kind }))
    : [];
}
