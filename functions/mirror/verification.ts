import type { Reason, Verify } from '../contract/event.ts';
import type { Compares } from '../contract/newest.ts';
import { compilePatterns, type TagTest } from '../contract/patterns.ts';

/** Who says which existing tags are compared with the source. */
export interface VerificationWishes {
  readonly reason: Reason;
  /** The event's own wish, which beats all others. */
  readonly eventVerify: Verify | undefined;
  /** `VERIFY_TAGS`. */
  readonly verifyTags: Verify;
  /** `RESYNC_VERIFY`, in its place for `resync`. */
  readonly resyncVerify: Verify;
}

/** Which existing tags this event compares: the event's wish, else by its reason. */
export function verificationOf(wishes: VerificationWishes): Verify {
  if (wishes.eventVerify !== undefined) return wishes.eventVerify;
  if (wishes.reason === 'requested') return 'all';
  return wishes.reason === 'resync' ? wishes.resyncVerify : wishes.verifyTags;
}

/** What a service says by its options. */
export type VerificationSettings = Pick<VerificationWishes, 'verifyTags' | 'resyncVerify'>;

/** What an event compares, by a service's options. */
export function comparesBy(settings: VerificationSettings): Compares {
  return ({ reason, verify }) =>
    verificationOf({
      reason,
      eventVerify: verify,
      verifyTags: settings.verifyTags,
      resyncVerify: settings.resyncVerify,
    });
}

/**
 * The test for tags that are asked at the source although the destination has them. The pattern is
 * compiled for the first of them: where the destination has none, nobody needs it.
 * @param mutableTags RE2 pattern; empty: no tag is mutable. The test throws MirrorError `EVENT_INVALID` naming
 *   `mutableTags` where that is no RE2 pattern
 */
export function verifiedTags(verify: Verify, mutableTags: string): TagTest {
  if (verify === 'all') return () => true;
  // An empty pattern would match every tag.
  if (verify === 'none' || mutableTags === '') return () => false;
  let isMutable: TagTest | undefined;
  return (tag) => {
    isMutable ??= compilePatterns([mutableTags], 'mutableTags').test;
    return isMutable(tag);
  };
}
