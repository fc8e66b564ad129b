import { selectTags, type Selection } from '../contract/selection.ts';
import { toFault } from '../fault.ts';
import { parseReferrerTag } from '../oci/referrer-tags.ts';
import {
  listSource,
  takeDestination,
  unlistedSource,
  type DestinationInventory,
  type SourceInventory,
} from './inventory.ts';
import type { DestinationRepository, SourceRepository } from './ports.ts';
import { partTags, type SignatureTags } from './signature-tags.ts';

/** What both sides have. */
export interface Lists {
  /** Undefined: the source repository is not there. */
  readonly source: SourceInventory | undefined;
  readonly destination: DestinationInventory;
}

/**
 * Lists both sides in parallel. Requested tags alone need no list of the source, unless signatures
 * are to follow them: only the list tells which there are.
 * @throws Fault of whichever list failed first; the other one is given up
 */
export async function takeLists(
  source: SourceRepository,
  destination: DestinationRepository,
  wish: { readonly requested: readonly string[] | undefined; readonly referrers: boolean },
  signal: AbortSignal,
): Promise<Lists> {
  const giveUp = new AbortController();
  const both = AbortSignal.any([signal, giveUp.signal]);
  const { requested } = wish;
  const lists = [
    requested === undefined || wish.referrers
      ? listSource(source, both)
      : Promise.resolve(unlistedSource(requested)),
    takeDestination(destination, requested, both),
  ] as const;
  try {
    const [here, there] = await Promise.all(lists);
    return { source: here, destination: there };
  } catch (error) {
    giveUp.abort();
    await Promise.allSettled(lists);
    throw toFault(error, 'list tags');
  }
}

/** The tags that an event is about, and those that follow them. */
export interface Candidates {
  readonly tags: readonly string[];
  readonly signatures: SignatureTags;
  /** Subjects whose list of referrers was requested by the name of its fallback tag. */
  readonly wishedSubjects: readonly string[];
}

/**
 * Selects the tags to mirror. Signature tags are never among them, and neither exclusion nor
 * selection applies to them; requested tags are final, a signature tag too.
 * @throws Fault `EVENT_INVALID` for a malformed pattern, `ABORTED`
 */
export async function candidatesOf(
  source: SourceInventory,
  wish: {
    readonly requested: readonly string[] | undefined;
    readonly exclusionList: readonly string[];
    readonly selection: Selection;
    readonly referrers: boolean;
  },
  signal?: AbortSignal,
): Promise<Candidates> {
  const { plain, signatures } = partTags(source.listed ? source.tags : []);
  if (wish.requested === undefined) {
    const tags = await selectTags(plain, wish.exclusionList, wish.selection, signal);
    return { tags, signatures, wishedSubjects: [] };
  }
  const wishedSubjects: string[] = [];
  const tags = wish.requested.filter((tag) => {
    const parsed = parseReferrerTag(tag);
    if (!wish.referrers || parsed?.kind !== 'referrers') return true;
    wishedSubjects.push(parsed.subject);
    return false;
  });
  return { tags, signatures, wishedSubjects };
}
