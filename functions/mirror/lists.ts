import { selectTags, type Selection } from '../contract/selection.ts';
import { toMirrorError } from '../errors.ts';
import { parseReferrerTag } from '../oci/referrer-tags.ts';
import {
  listForNamed,
  listSource,
  takeDestination,
  unlistedSource,
  type DestinationInventory,
  type SourceInventory,
} from './inventory.ts';
import type { DestinationRepository, SourceRepository } from './ports.ts';
import type { BackupTag } from './backup-tag.ts';
import { isOwnTag, withoutOwnTags } from './own-tags.ts';
import { NamedSignatures, partTags, type SignatureTags } from './signature-tags.ts';

/** What both sides have. */
export interface Lists {
  /** Undefined: the source repository is not there, and no tags of it were named. */
  readonly source: SourceInventory | undefined;
  readonly destination: DestinationInventory;
}

/**
 * Lists both sides in parallel. Requested tags alone need no list of the source, unless signatures
 * are to follow them: only the list tells which there are.
 * @throws MirrorError of whichever list failed first; the other one is given up
 */
export async function takeLists(
  source: SourceRepository,
  destination: DestinationRepository,
  wish: {
    readonly requested: readonly string[] | undefined;
    readonly referrers: boolean;
    readonly backupTag?: BackupTag | undefined;
  },
  signal: AbortSignal,
): Promise<Lists> {
  const giveUp = new AbortController();
  const both = AbortSignal.any([signal, giveUp.signal]);
  const { requested, backupTag } = wish;
  // A list of referrers is brought by its own rules, and asked about when it is.
  const planned = wish.referrers
    ? requested?.filter((tag) => parseReferrerTag(tag)?.kind !== 'referrers')
    : requested;
  const lists = [
    requested === undefined
      ? listSource(source, both)
      : wish.referrers
        ? listForNamed(source, requested, backupTag, both)
        : Promise.resolve(unlistedSource(requested)),
    takeDestination(destination, planned, both),
  ] as const;
  try {
    const [here, there] = await Promise.all(lists);
    return { source: here, destination: there };
  } catch (error) {
    giveUp.abort();
    await Promise.allSettled(lists);
    throw toMirrorError(error, 'list tags');
  }
}

/** The tags that an event is about, and those that follow them. */
export interface Candidates {
  readonly tags: readonly string[];
  /** Backups of the source itself (`BACKUP_TAG`), which are left aside. */
  readonly backups: readonly string[];
  readonly signatures: SignatureTags;
  /** Subjects whose list of referrers was requested by the name of its fallback tag. */
  readonly wishedSubjects: readonly string[];
  /** Whether every tag of the list that stands for itself is among {@link tags}. */
  readonly isWhole: boolean;
  /** What exclusion and selection leave where signature tags are tags like any; nothing of a final list. */
  readonly selectAmongAll: () => Promise<ReadonlySet<string>>;
}

/**
 * Selects the tags to mirror. Signature tags whose subject a tag may reach are never among them, and
 * neither exclusion nor selection applies to them; requested tags are final, a signature tag too.
 * @throws MirrorError `EVENT_INVALID` for a malformed pattern, `ABORTED`
 */
export async function candidatesOf(
  source: SourceInventory,
  wish: {
    readonly requested: readonly string[] | undefined;
    readonly exclusionList: readonly string[];
    readonly selection: Selection;
    readonly referrers: boolean;
    readonly backupTag?: BackupTag | undefined;
  },
  signal?: AbortSignal,
): Promise<Candidates> {
  const { backupTag, requested } = wish;
  if (requested !== undefined) return namedCandidates(source, requested, wish.referrers, backupTag);
  const all = source.listed ? source.tags : [];
  const backups = backupTag === undefined ? [] : all.filter(backupTag.isBackup);
  const listed = backupTag === undefined ? all : all.filter((tag) => !backupTag.isBackup(tag));
  const { plain, ...parted } = partTags(listed);
  const { own, signatures } = withoutOwnTags(source, plain, parted.signatures);
  const standing = own.length === 0 ? plain : [...plain, ...own];
  const select = async (list: readonly string[]): Promise<readonly string[]> =>
    selectTags(list, wish.exclusionList, wish.selection, signal);
  const tags = await select(standing);
  return {
    tags,
    backups,
    signatures,
    wishedSubjects: [],
    // What a backup reaches, no other tag may.
    isWhole: tags.length === standing.length && backups.length === 0,
    // With all others, since the newest are counted among all.
    selectAmongAll: async () => new Set(await select(listed)),
  };
}

/**
 * Of tags that are asked for by name, lists of referrers are known by their names, whether the source lists
 * them or not; what the list shows to be an image of its own is a tag like any.
 */
function namedCandidates(
  source: SourceInventory,
  requested: readonly string[],
  followsReferrers: boolean,
  backupTag: BackupTag | undefined,
): Candidates {
  const names = new Set<string>();
  const own = new Set<string>();
  let hasImages = true;
  if (followsReferrers && source.listed) {
    const isImage = (tag: string): boolean =>
      parseReferrerTag(tag) === undefined && backupTag?.isBackup(tag) !== true;
    hasImages = source.tags.some(isImage) || requested.some(isImage);
    for (const tag of source.tags) {
      const parsed = parseReferrerTag(tag);
      if (parsed === undefined) continue;
      const isOwn = isOwnTag({ tag, ...parsed }, source, true);
      (isOwn ? own : names).add(tag);
    }
  }
  const wishedSubjects: string[] = [];
  const tags = requested.filter((tag) => {
    const parsed = followsReferrers ? parseReferrerTag(tag) : undefined;
    if (parsed === undefined || own.has(tag)) return true;
    names.add(tag);
    if (parsed.kind === 'referrers') wishedSubjects.push(parsed.subject);
    return parsed.kind !== 'referrers';
  });
  return {
    tags,
    backups: [],
    signatures: new NamedSignatures(names),
    wishedSubjects,
    isWhole: !hasImages,
    selectAmongAll: () => Promise.resolve(new Set()),
  };
}
