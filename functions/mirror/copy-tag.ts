import type { Semaphore } from '../concurrency.ts';
import { MirrorError, isMirrorError, toMirrorError } from '../errors.ts';
import type { CopyContext, ManifestCopy } from './copy-manifest.ts';
import { unseenIfForbidden } from './destination-manifests.ts';
import type { Outcome } from './outcome.ts';
import { mayLackChildren } from './platforms.ts';
import type { ManifestHead } from './ports.ts';
import type { ManifestNode } from './source-manifests.ts';
import { FRESH_MS } from './tag-turns.ts';
import type { TransferStats } from './transfer-stats.ts';
import { graphPathFrom, type ManifestLimit, type GraphPath } from './graph-limits.ts';

/** A tag that moves under the work is read anew so often in all. */
export const MAX_ATTEMPTS = 3;
/** Looks of one attempt: registries that are slower or throttle for longer are left to the next delivery. */
const MAX_LOOKS = 5;

/** A tag that is to be pushed. */
export interface TagWork {
  readonly tag: string;
  /** Digest that the destination has under it; undefined: it does not have the tag. */
  readonly previousDigest: string | undefined;
  readonly budget: ManifestLimit;
  readonly stats: TransferStats;
  /** The tag is what it should be, and its index lacks children of platforms that are wanted. */
  readonly completes?: boolean;
  /** Signatures and lists of referrers grow: what they were is not kept. Default: it is. */
  readonly keepsNoBackup?: boolean;
  /** One is taken until its parts are on their way; undefined: it waits for none. */
  readonly slots?: Semaphore;
}

/** What came of it. */
export interface TagEnding {
  readonly outcome: Extract<
    Outcome,
    'copied' | 'retagged' | 'overwritten' | 'skipped' | 'drifted' | 'lost'
  >;
  readonly reason:
    | 'Missing'
    | 'DigestPresent'
    | 'Moved'
    | 'PlatformsMissing'
    | 'Identical'
    | 'TagImmutable'
    | 'DriftReported'
    | 'GoneFromSource'
    | 'ReferrersRefused'
    | 'ReferrersTagRefused';
  readonly digest?: string;
  readonly previousDigest?: string | undefined;
  /** Tag that keeps the previous digest. */
  readonly backupTag?: string;
  /** Nothing keeps it, as was asked for: the destination lacks parts of it. */
  readonly noBackup?: true;
  readonly fault?: MirrorError;
  /** The manifest that is under the tag now; what follows it is this event's business. */
  readonly node?: ManifestNode;
}

/**
 * Copies one tag: reads its manifest, brings all that it names, looks once more at both sides and
 * pushes it last. What moved meanwhile is planned again, at most {@link MAX_ATTEMPTS} times in all.
 * @throws MirrorError `TAG_MOVING`, and whatever its parts throw
 */
export async function copyTag(
  work: TagWork,
  context: CopyContext,
  copy: ManifestCopy,
): Promise<TagEnding> {
  const { tag, budget } = work;
  let there: DestinationTag = { digest: work.previousDigest, learntAtMs: context.listedAtMs };
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const read = await context.read.takeTag(tag, context.signal);
    if (read === undefined) return LOST;
    const { node } = read;
    // Where the list may be old, the last look tells.
    const stale = context.tagTurns.isStale(context.destination, tag, there.learntAtMs);
    const walk = graphPathFrom(node.digest, budget);
    if (work.completes === true) {
      if (node.digest === there.digest) return completed(node, walk, work, context, copy);
      // It was identical when it was planned, and may not be moved.
      if (context.onDrift === 'report') return drift(node.digest, there.digest);
    }
    if (node.digest === there.digest && !stale) return identical(node);
    const known = context.there.isKnown(node.digest);
    const isWhole = known && !mayLackChildren(node.manifest.mediaType, context);
    const brought = isWhole ? 'shared' : await bringInTurn(node, walk, work, context, copy);
    const body = known ? 'shared' : brought;
    const pushed = await context.tagTurns.run(context.destination, tag, context.signal, async () =>
      lookAndPush(work, { node, walk, body }, { hereAtMs: read.readAtMs, there }, context, copy),
    );
    if ('outcome' in pushed) return pushed;
    there = pushed;
  }
  throw new MirrorError('TAG_MOVING', `the tag ${tag} moved ${MAX_ATTEMPTS} times`, {
    operation: 'copy tag',
    side: 'source',
  });
}

/** What the destination has under a tag, and when that was learnt (ms since 1970). */
interface DestinationTag {
  readonly digest: string | undefined;
  readonly learntAtMs: number;
}

/** What is known of a tag at both sides. */
interface Seen {
  /** When the source last said that the tag is what was read, ms since 1970. */
  readonly hereAtMs: number;
  readonly there: DestinationTag;
}

/** A manifest that is ready to be pushed. */
interface Ready {
  readonly node: ManifestNode;
  readonly walk: GraphPath;
  readonly body: 'brought' | 'shared';
}

/**
 * Looks at both sides and pushes. A push that could not be sent while what was seen is fresh (an
 * answer was slow, the registry throttled, parts had to be brought again) is preceded by another look.
 * @returns the destination's tag where either side has changed
 * @throws MirrorError `TIMEOUT` after {@link MAX_LOOKS}
 */
async function lookAndPush(
  work: TagWork,
  ready: Ready,
  known: Seen,
  context: CopyContext,
  copy: ManifestCopy,
): Promise<TagEnding | DestinationTag> {
  const { backupTag } = work.keepsNoBackup === true ? {} : context;
  let seen = known;
  let kept: Backup | undefined;
  for (let looks = 1; looks <= MAX_LOOKS; looks += 1) {
    const look = await lastLook(work.tag, ready.node, seen, context);
    if (look.ending !== undefined) return look.ending;
    ({ seen } = look);
    if (look.moved) return seen.there;
    const seenAtMs = Math.min(seen.hereAtMs, seen.there.learntAtMs);
    const isFresh = (): boolean => context.clock() - seenAtMs <= FRESH_MS;
    if (!isFresh()) continue;
    const previous = seen.there.digest;
    if (backupTag !== undefined && previous !== undefined && previous !== kept?.digest) {
      kept = await backUp(backupTag.nameOf(work.tag, previous), previous, context).catch(
        (error: unknown) => {
          throw faultOfBackup(error);
        },
      );
    }
    try {
      return await push(work, ready, { there: previous, backup: kept, isFresh }, context, copy);
    } catch (error) {
      if (!isMirrorError(error, 'ABORTED') || context.signal.aborted) throw error;
    }
  }
  throw new MirrorError('TIMEOUT', `no push within ${FRESH_MS} ms of a look, ${MAX_LOOKS} times`, {
    operation: 'copy tag',
    side: 'destination',
  });
}

/** What was kept of a tag before it moves. */
interface Backup {
  readonly digest: string;
  /** Undefined: nothing, since parts of it are missing. */
  readonly tag: string | undefined;
}

/**
 * Gives what a tag points at another tag before the tag moves: a GET and a PUT, no blob. An image that
 * lacks parts cannot be pulled, or not for every platform: it gets no tag, which is told, and the tag is to
 * be mended.
 * @throws MirrorError `TAG_MOVING` where the destination does not have it under its digest, and those of the ports
 */
async function backUp(
  tag: string,
  digest: string,
  { destination, signal }: CopyContext,
): Promise<Backup> {
  const manifest = await destination.getManifest(digest, signal);
  if (manifest === undefined) {
    throw new MirrorError('TAG_MOVING', `${digest} went while it was given the tag ${tag}`, {
      operation: 'back up tag',
      side: 'destination',
      digests: [digest],
    });
  }
  try {
    await destination.putManifest(tag, manifest, signal);
  } catch (error) {
    if (isMirrorError(error, 'DESTINATION_INCOMPLETE')) return { digest, tag: undefined };
    // It is there from an earlier time, in a repository whose tags do not move.
    if (!isMirrorError(error, 'TAG_IMMUTABLE')) throw error;
    const head = await lockedAt(destination.headManifest(tag, signal), error);
    if (head.digest !== digest) throw error;
  }
  return { digest, tag };
}

/** Says that it is the old image, and not the new one, that something went wrong with. */
function faultOfBackup(error: unknown): MirrorError {
  const fault = toMirrorError(error, 'back up tag');
  if (fault.code === 'ABORTED' || fault.code === 'DEADLINE_EXCEEDED') return fault;
  const { code, message, url, status, registryCodes, digests, retryAfterMs } = fault;
  return new MirrorError(code, `the old image could not be given its backup tag: ${message}`, {
    operation: 'back up tag',
    side: 'destination',
    registryCodes,
    digests,
    cause: fault,
    url,
    status,
    retryAfterMs,
  });
}

interface Look {
  /** Set where there is nothing to push. */
  readonly ending?: TagEnding;
  /** Either side has changed: the tag is read and planned again. */
  readonly moved: boolean;
  readonly seen: Seen;
}

/**
 * The last look before a push. The source is asked where it was asked more than 5 s ago; the
 * destination where the push overwrites, where nothing may be overwritten, where its list was cut,
 * and where the list is older than 5 s; of a tag that may move and was not there before, a 403 says
 * no more than a 404. OCI has no conditional PUT: what is left is the time since the first of these
 * answers.
 */
async function lastLook(
  tag: string,
  node: ManifestNode,
  known: Seen,
  context: CopyContext,
): Promise<Look> {
  const { source, destination, signal, tagTurns, clock } = context;
  const { there: planned } = known;
  const { digest } = node;
  const looksHere = tagTurns.isStale(destination, tag, known.hereAtMs);
  const looksThere =
    planned.digest !== undefined ||
    context.looksBeforeEveryPush ||
    context.pool.presence.isImmutable(destination.name) ||
    tagTurns.isStale(destination, tag, planned.learntAtMs);
  const believes403 = context.mayMoveUnseen && planned.digest === undefined;
  const learnt = (head: ManifestHead | undefined): DestinationTag => ({
    digest: head?.digest,
    learntAtMs: clock(),
  });
  const [here, there] = await Promise.all([
    looksHere ? source.headManifest(tag, signal).then(learnt) : undefined,
    looksThere
      ? destination
          .headManifest(tag, signal, context.looksBeforeEveryPush)
          .catch(believes403 ? unseenIfForbidden : undefined)
          .then(learnt)
      : planned,
  ]);
  const seen = { hereAtMs: here?.learntAtMs ?? known.hereAtMs, there };
  if (here !== undefined && here.digest === undefined) return { ending: LOST, moved: false, seen };
  const movedHere = here !== undefined && here.digest !== digest;
  if (!movedHere && there.digest === digest) {
    return { ending: identical(node), moved: false, seen };
  }
  const movedThere = there.digest !== undefined && there.digest !== planned.digest;
  // Whatever the source has become meanwhile: what somebody else pushed stays.
  if (movedThere && context.onDrift === 'report') {
    return { ending: drift(digest, there.digest), moved: false, seen };
  }
  return { moved: movedHere || movedThere, seen };
}

async function push(
  { tag, stats }: TagWork,
  { node, walk, body }: Ready,
  look: {
    readonly there: string | undefined;
    readonly backup: Backup | undefined;
    readonly isFresh: () => boolean;
  },
  context: CopyContext,
  copy: ManifestCopy,
): Promise<TagEnding> {
  try {
    await copy.push(tag, node, walk, stats, look.isFresh);
  } catch (error) {
    if (isMirrorError(error, 'TAG_IMMUTABLE')) {
      context.pool.presence.setImmutable(context.destination.name);
      const ending = await immutable(tag, node, error, context);
      return ending.outcome === 'drifted' ? { ...ending, ...backupFields(look.backup) } : ending;
    }
    throw error;
  } finally {
    // A push without an answer may have arrived all the same.
    context.tagTurns.pushed(context.destination, tag);
  }
  const done = { digest: node.digest, node };
  const previousDigest = look.there;
  if (previousDigest !== undefined) {
    const kept = backupFields(look.backup);
    return { outcome: 'overwritten', reason: 'Moved', previousDigest, ...kept, ...done };
  }
  return body === 'shared'
    ? { outcome: 'retagged', reason: 'DigestPresent', ...done }
    : { outcome: 'copied', reason: 'Missing', ...done };
}

function backupFields(backup: Backup | undefined): Pick<TagEnding, 'backupTag' | 'noBackup'> {
  if (backup === undefined) return {};
  return backup.tag === undefined ? { noBackup: true } : { backupTag: backup.tag };
}

async function bringInTurn(
  node: ManifestNode,
  walk: GraphPath,
  { slots, stats }: TagWork,
  { signal }: CopyContext,
  copy: ManifestCopy,
): Promise<'brought' | 'shared'> {
  const giveBack = await slots?.acquire(signal);
  try {
    return await copy.bringBody(node, walk, stats, giveBack);
  } finally {
    giveBack?.();
  }
}

/** Brings what the index lacks; the tag itself needs no push. */
async function completed(
  node: ManifestNode,
  walk: GraphPath,
  work: TagWork,
  context: CopyContext,
  copy: ManifestCopy,
): Promise<TagEnding> {
  await bringInTurn(node, walk, work, context, copy);
  return { outcome: 'copied', reason: 'PlatformsMissing', digest: node.digest, node };
}

function drift(digest: string, previousDigest: string | undefined): TagEnding {
  return { outcome: 'drifted', reason: 'DriftReported', digest, previousDigest };
}

const LOST: TagEnding = { outcome: 'lost', reason: 'GoneFromSource' };

/** Whoever pushed it, perhaps a push of ours without an answer, may not have brought what follows. */
function identical(node: ManifestNode): TagEnding {
  return { outcome: 'skipped', reason: 'Identical', digest: node.digest, node };
}

/**
 * What stands under a tag that the destination forbids to move.
 * @throws MirrorError the refusal where a 403 hides it; `REQUEST_REFUSED` where it is not there: ACR says the same
 *   of a full storage, Nexus of the digest's other tag, and either can be mended
 */
async function lockedAt(
  head: Promise<ManifestHead | undefined>,
  refusal: MirrorError,
): Promise<ManifestHead> {
  const found = await head.catch((denied: unknown) => {
    unseenIfForbidden(denied);
    throw refusal;
  });
  if (found === undefined) throw new MirrorError('REQUEST_REFUSED', refusal.message, refusal);
  return found;
}

/** The destination forbids moving the tag: is it what it should be all the same? */
async function immutable(
  tag: string,
  node: ManifestNode,
  fault: MirrorError,
  { destination, signal }: CopyContext,
): Promise<TagEnding> {
  // It is there, whatever a HEAD says.
  const head = await lockedAt(destination.headManifest(tag, signal, true), fault);
  if (head.digest === node.digest) return identical(node);
  return {
    outcome: 'drifted',
    reason: 'TagImmutable',
    digest: node.digest,
    previousDigest: head.digest,
    fault,
  };
}
