import { parseManifest } from '../oci/manifest.ts';
import type { DestinationManifests } from './destination-manifests.ts';
import type { DecidedStep } from './resolve-plan.ts';
import { chooseChildren, mayLackChildren, type PlatformContext } from './platforms.ts';
import type { DestinationRepository } from './ports.ts';
import { askEach } from './questions.ts';
import {
  enterIndex,
  ManifestLimit,
  descend,
  graphPathFrom,
  type GraphPath,
} from './graph-limits.ts';

/** What tells the indexes that lack children of platforms that are wanted now. */
export interface IndexSearch extends PlatformContext {
  /** Whether an existing tag is compared with the source by this event. */
  readonly verified: (tag: string) => boolean;
  readonly destination: DestinationRepository;
  readonly there: DestinationManifests;
  readonly signal: AbortSignal;
}

/**
 * Finds identical tags whose index came with fewer platforms than are wanted now: of the tags that the
 * event verifies, where platforms are chosen or all are asked for expressly. One GET at the destination
 * for each digest, and a HEAD for each wanted child that neither a map nor the process knows to be there.
 * A question that fails fails its tag only.
 */
export async function withIncompleteIndexes(
  steps: readonly DecidedStep[],
  search: IndexSearch,
): Promise<readonly DecidedStep[]> {
  const { platforms, destination, pool, verified } = search;
  const mayBeSparse = platforms !== undefined && !pool.presence.wantsWholeIndexes(destination.host);
  if (!mayBeSparse) return steps;
  const answers = new Map<string, Promise<IndexState>>();
  const changed = new Map<string, DecidedStep>();
  const identical = steps.flatMap((step) =>
    step.action === 'skip' && step.reason === 'Identical' && step.digest !== undefined
      ? [{ tag: step.tag, digest: step.digest }]
      : [],
  );
  await askEach(
    identical.filter(({ tag }) => verified(tag)),
    search.signal,
    'look at index',
    async ({ tag, digest }) => {
      const answer = answers.get(digest) ?? stateOf(digest, search);
      answers.set(digest, answer);
      const state = await answer;
      if (state === 'incomplete') {
        changed.set(tag, { tag, action: 'complete', reason: 'PlatformsMissing', digest });
      }
      // It went since it was listed.
      if (state === 'gone') changed.set(tag, { tag, action: 'copy', reason: 'Missing' });
    },
    ({ tag }, fault) => changed.set(tag, { tag, action: 'fail', fault }),
  );
  return steps.map((step) => changed.get(step.tag) ?? step);
}

/** What an index at the destination has of the children that are wanted. */
type IndexState = 'complete' | 'incomplete' | 'gone';

async function stateOf(digest: string, search: IndexSearch): Promise<IndexState> {
  return stateBelow(digest, graphPathFrom(digest, new ManifestLimit()), search);
}

async function stateBelow(
  digest: string,
  walk: GraphPath,
  search: IndexSearch,
): Promise<IndexState> {
  const { destination, there, signal } = search;
  const bytes = await destination.getManifest(digest, signal);
  if (bytes === undefined) return 'gone';
  const manifest = parseManifest(bytes.bytes, bytes.mediaType);
  if (manifest.kind !== 'index') return 'complete';
  const { chosen } = chooseChildren(manifest, search);
  enterIndex(walk, chosen);
  for (const child of chosen) {
    if (!(await there.isSeen(child.digest, signal))) return 'incomplete';
    if (!mayLackChildren(child.mediaType, search)) continue;
    const below = await stateBelow(child.digest, descend(walk, child.digest), search);
    if (below !== 'complete') return 'incomplete';
  }
  return 'complete';
}
