import { Fault, isFault } from '../fault.ts';
import type { CopyContext, ManifestCopy } from './copy-manifest.ts';
import type { Outcome } from './outcome.ts';
import type { Clock } from './ports.ts';
import type { Slots } from './slots.ts';
import type { ManifestNode, ReadTag } from './source-manifests.ts';
import type { Tally } from './tally.ts';
import { walkFrom, type ManifestBudget, type Walk } from './walk.ts';

/** A manifest that was read so long ago is asked for again before its tag is pushed, milliseconds. */
export const FRESH_MS = 5000;
/** A tag that moves under the work is read anew so often in all. */
export const MAX_ATTEMPTS = 3;

/** A tag that is to be pushed. */
export interface TagWork {
  readonly tag: string;
  /** Digest that the destination has under it; undefined: it does not have the tag. */
  readonly previousDigest: string | undefined;
  readonly budget: ManifestBudget;
  readonly tally: Tally;
  /** One is taken until its parts are on their way; undefined: it waits for none. */
  readonly slots?: Slots;
}

/** What came of it. */
export interface TagEnding {
  readonly outcome: Extract<
    Outcome,
    'copied' | 'retagged' | 'overwritten' | 'skipped' | 'drifted' | 'lost'
  >;
  readonly reason:
    'Missing' | 'DigestPresent' | 'Moved' | 'Identical' | 'TagImmutable' | 'GoneFromSource';
  readonly digest?: string;
  readonly previousDigest?: string;
  readonly fault?: Fault;
  /** The manifest that was pushed. */
  readonly node?: ManifestNode;
}

type Guard =
  | { readonly ok: true; readonly previousDigest: string | undefined }
  | { readonly ok: false; readonly why: 'moved' | 'gone' | 'identical' };

/**
 * Copies one tag: reads its manifest, brings all that it names, looks whether the tag still is what
 * was read, and pushes it last. What moved meanwhile is done again, at most {@link MAX_ATTEMPTS}
 * times in all.
 * @throws Fault `TAG_MOVING`, and whatever its parts throw
 */
export async function copyTag(
  work: TagWork,
  context: CopyContext,
  copy: ManifestCopy,
  clock: Clock,
): Promise<TagEnding> {
  const { tag, tally, budget } = work;
  let { previousDigest } = work;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const read = await context.read.takeTag(tag, context.signal);
    if (read === undefined) return LOST;
    const { node } = read;
    if (node.digest === previousDigest) return identical(node.digest);
    const walk = walkFrom(node.digest, budget);
    const known = context.there.isKnown(node.digest);
    const body = known ? 'shared' : await bringInTurn(node, walk, work, copy);
    const guard = await beforePush(tag, read, previousDigest, context, clock);
    if (!guard.ok) {
      if (guard.why === 'gone') return LOST;
      if (guard.why === 'identical') return identical(node.digest);
      continue;
    }
    ({ previousDigest } = guard);
    try {
      await copy.push(tag, node, walk, tally);
    } catch (error) {
      if (isFault(error, 'TAG_IMMUTABLE')) return immutable(tag, node, error, context);
      throw error;
    }
    const done = { digest: node.digest, node };
    if (previousDigest !== undefined) {
      return { outcome: 'overwritten', reason: 'Moved', previousDigest, ...done };
    }
    return body === 'shared'
      ? { outcome: 'retagged', reason: 'DigestPresent', ...done }
      : { outcome: 'copied', reason: 'Missing', ...done };
  }
  throw new Fault('TAG_MOVING', `the tag ${tag} moved ${MAX_ATTEMPTS} times`, {
    operation: 'copy tag',
    side: 'source',
  });
}

async function bringInTurn(
  node: ManifestNode,
  walk: Walk,
  { slots, tally }: TagWork,
  copy: ManifestCopy,
): Promise<'brought' | 'shared'> {
  const giveBack = await slots?.take();
  try {
    return await copy.bringBody(node, walk, tally, giveBack);
  } finally {
    giveBack?.();
  }
}

const LOST: TagEnding = { outcome: 'lost', reason: 'GoneFromSource' };

function identical(digest: string): TagEnding {
  return { outcome: 'skipped', reason: 'Identical', digest };
}

/**
 * The last look before a push: at the destination where the push overwrites, at the source where
 * its manifest was read a while ago. OCI has no conditional PUT; what is left is the time of one
 * request.
 */
async function beforePush(
  tag: string,
  read: ReadTag,
  previousDigest: string | undefined,
  context: CopyContext,
  clock: Clock,
): Promise<Guard> {
  const { source, destination, signal } = context;
  const stale = clock() - read.readAtMs > FRESH_MS;
  const [there, here] = await Promise.all([
    previousDigest === undefined ? undefined : destination.headManifest(tag, signal),
    stale ? source.headManifest(tag, signal) : undefined,
  ]);
  if (stale && here === undefined) return { ok: false, why: 'gone' };
  if (stale && here?.digest !== read.node.digest) return { ok: false, why: 'moved' };
  if (there?.digest === read.node.digest) return { ok: false, why: 'identical' };
  return { ok: true, previousDigest: there?.digest };
}

/** The destination forbids moving the tag: is it what it should be all the same? */
async function immutable(
  tag: string,
  node: ManifestNode,
  fault: Fault,
  { destination, signal }: CopyContext,
): Promise<TagEnding> {
  const head = await destination.headManifest(tag, signal);
  if (head === undefined) throw fault;
  if (head.digest === node.digest) return identical(node.digest);
  return {
    outcome: 'drifted',
    reason: 'TagImmutable',
    digest: node.digest,
    previousDigest: head.digest,
    fault,
  };
}
