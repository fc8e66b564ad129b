import { defined } from '../contract/fields.ts';
import { isTag } from '../oci/reference.ts';

/** What is known of a tag at the destination. */
export type DestinationFact =
  | { readonly state: 'absent' }
  /** There; the digest only where a map or a HEAD told it. */
  | { readonly state: 'present'; readonly digest?: string }
  /** The list was cut, so that its absence there proves nothing. */
  | { readonly state: 'unknown' };

/** What is known of a tag at the source. */
export type SourceFact =
  { readonly state: 'listed'; readonly digest?: string } | { readonly state: 'gone' };

/** What is known of a tag when it is planned. */
export interface TagFacts {
  readonly tag: string;
  readonly source: SourceFact;
  readonly destination: DestinationFact;
}

/** What decides beside the facts. */
export interface Policy {
  /** Whether an existing tag is asked at the source, where nothing tells its digest for free. */
  readonly verified: (tag: string) => boolean;
  /** `report` never moves a tag. */
  readonly onDrift: 'overwrite' | 'report';
  /** Whether a manifest is known to be at the destination under any name. */
  readonly hasManifest: (digest: string) => boolean;
}

/** Which side must be asked before a tag can be decided. */
export type Question = 'source' | 'destination' | 'both';

/** A decided or still open step for one tag, with the reason for it. */
export type Step =
  | { readonly tag: string; readonly action: 'copy'; readonly reason: 'Missing' }
  | {
      readonly tag: string;
      readonly action: 'retag';
      readonly reason: 'DigestPresent';
      readonly digest: string;
    }
  | {
      readonly tag: string;
      readonly action: 'overwrite';
      readonly reason: 'Moved';
      readonly digest: string;
      readonly previousDigest: string;
    }
  | {
      readonly tag: string;
      /** The tag is what it should be; its index lacks children of platforms that are wanted. */
      readonly action: 'complete';
      readonly reason: 'PlatformsMissing';
      readonly digest: string;
    }
  | {
      readonly tag: string;
      readonly action: 'drifted';
      readonly reason: 'DriftReported';
      readonly digest: string;
      readonly previousDigest: string;
    }
  | {
      readonly tag: string;
      readonly action: 'skip';
      readonly reason: 'Identical' | 'NotVerified';
      readonly digest?: string;
    }
  | {
      readonly tag: string;
      readonly action: 'ask';
      readonly reason: 'ListIncomplete' | 'DigestUnknown';
      readonly question: Question;
    }
  | { readonly tag: string; readonly action: 'hold'; readonly reason: 'BrakeEngaged' }
  | { readonly tag: string; readonly action: 'lost'; readonly reason: 'GoneFromSource' }
  | { readonly tag: string; readonly action: 'refuse'; readonly reason: 'TagInvalid' };

/**
 * Decides one tag from what is known, in this order: a tag that breaks the grammar is refused, one
 * that is gone is lost; a missing one is copied, or retagged where its digest is known to be there;
 * an existing one is compared where both digests are known for free or were asked for, otherwise
 * asked if it is to be verified and skipped if not. Does no I/O: an `ask` step says what to learn
 * before deciding again.
 */
export function planTag({ tag, source, destination }: TagFacts, policy: Policy): Step {
  if (!isTag(tag)) return { tag, action: 'refuse', reason: 'TagInvalid' };
  if (source.state === 'gone') return { tag, action: 'lost', reason: 'GoneFromSource' };
  const digest = source.digest;
  if (destination.state === 'unknown') {
    return { tag, action: 'ask', reason: 'ListIncomplete', question: 'destination' };
  }
  if (destination.state === 'absent') {
    return digest !== undefined && policy.hasManifest(digest)
      ? { tag, action: 'retag', reason: 'DigestPresent', digest }
      : { tag, action: 'copy', reason: 'Missing' };
  }
  const previousDigest = destination.digest;
  if (digest !== undefined && previousDigest !== undefined) {
    return compared(tag, digest, previousDigest, policy);
  }
  if (!policy.verified(tag)) {
    return {
      tag,
      action: 'skip',
      reason: 'NotVerified',
      ...defined({ digest: previousDigest }),
    };
  }
  return {
    tag,
    action: 'ask',
    reason: 'DigestUnknown',
    question:
      digest !== undefined ? 'destination' : previousDigest !== undefined ? 'source' : 'both',
  };
}

function compared(tag: string, digest: string, previousDigest: string, policy: Policy): Step {
  if (digest === previousDigest) return { tag, action: 'skip', reason: 'Identical', digest };
  return policy.onDrift === 'report'
    ? { tag, action: 'drifted', reason: 'DriftReported', digest, previousDigest }
    : { tag, action: 'overwrite', reason: 'Moved', digest, previousDigest };
}
