import { defined } from '../contract/fields.ts';
import {
  ALL_PLATFORMS,
  normalPlatform,
  parsePlatform,
  type Platform,
} from '../contract/platform.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Manifest } from '../oci/manifest.ts';
import { manifestKind } from '../oci/media-types.ts';
import type { PresenceCache } from './presence-cache.ts';
import type { DestinationRepository } from './ports.ts';

/** The platforms that an event brings: `all` said expressly, or these. */
export type Platforms = typeof ALL_PLATFORMS | readonly Platform[];

/** What decides which children of an index are brought. */
export interface PlatformContext {
  /** Undefined: nobody said any, all are brought, and an index that is there is believed to be whole. */
  readonly platforms?: Platforms | undefined;
  readonly destination: Pick<DestinationRepository, 'host'>;
  readonly pool: { readonly presence: PresenceCache };
}

/** The children of an index. */
export interface ChosenChildren {
  readonly chosen: readonly Descriptor[];
  /** Those for other platforms, with what describes them. */
  readonly leftOut: readonly Descriptor[];
  /** The index names platforms, and none of those that are wanted: it is brought whole. */
  readonly isNoneMatched: boolean;
}

/** What a choice has left out of a tag's index, as its record says it. */
export interface PlatformFields {
  /** Children of its index that were left out, being for other platforms (`PLATFORMS`); absent: none. */
  readonly platformsLeftOut?: number;
  /** Its index names platforms and none of those that are wanted, so it is brought whole. */
  readonly noPlatformMatched?: true;
}

/** Reads a list in its normal form; empty: nobody said any. */
export function platformsOf(texts: readonly string[]): Platforms | undefined {
  if (texts.length === 0) return undefined;
  return texts.includes(ALL_PLATFORMS) ? ALL_PLATFORMS : texts.map((text) => parsePlatform(text));
}

/**
 * Which children of an index are brought: for each wanted platform what one of its machines would pull,
 * which is the manifest for it, or for the nearest lower variant that runs there too. What names no
 * platform is brought; what describes a child follows that child. An index of none of the wanted
 * platforms is whole, and so is every index for a host that takes no other.
 */
export function chooseChildren(
  { children }: Pick<Manifest, 'children'>,
  { platforms, destination, pool }: PlatformContext,
): ChosenChildren {
  const choice = childrenForPlatforms(children, platforms);
  return pool.presence.wantsWholeIndexes(destination.host)
    ? { ...choice, chosen: children, leftOut: [] }
    : choice;
}

/** Which children of an index the platforms choose, whatever its host takes. */
export function childrenForPlatforms(
  children: readonly Descriptor[],
  platforms: Platforms | undefined,
): ChosenChildren {
  const whole = { chosen: children, leftOut: [], isNoneMatched: false };
  if (platforms === undefined || platforms === ALL_PLATFORMS) return whole;
  const named = children.filter((child) => child.platforms !== undefined);
  if (named.length === 0) return whole;
  const matching = new Set(platforms.flatMap((wanted) => pulledBy(wanted, named)));
  if (matching.size === 0) return { ...whole, isNoneMatched: true };
  const isLeftOut = (child: Descriptor | undefined): boolean =>
    child?.platforms !== undefined && !matching.has(child.digest);
  const byDigest = new Map(children.map((child) => [child.digest, child]));
  const stays = (child: Descriptor): boolean =>
    child.platforms === undefined && child.describes !== undefined
      ? isLeftOut(byDigest.get(child.describes))
      : isLeftOut(child);
  return {
    chosen: children.filter((child) => !stays(child)),
    leftOut: children.filter(stays),
    isNoneMatched: false,
  };
}

/** Digests of the children that a machine of a platform would pull: several differ by the system's version. */
function pulledBy(wanted: Platform, children: readonly Descriptor[]): readonly string[] {
  let best = Number.NEGATIVE_INFINITY;
  let digests: string[] = [];
  for (const { digest, platforms = [] } of children) {
    for (const theirs of platforms) {
      const fit = fitOf(normalPlatform(theirs), wanted);
      if (fit === undefined || fit < best) continue;
      if (fit > best) digests = [];
      best = fit;
      digests.push(digest);
    }
  }
  return digests;
}

/** How near a platform is to the wanted one, the exact one the nearest; undefined: it does not run there. */
function fitOf(theirs: Platform, wanted: Platform): number | undefined {
  if (theirs.os !== wanted.os || theirs.architecture !== wanted.architecture) return undefined;
  if (theirs.variant === wanted.variant) return Number.POSITIVE_INFINITY;
  const [level, most] = [variantLevel(theirs), variantLevel(wanted)];
  return level === undefined || most === undefined || level > most ? undefined : level;
}

/** Levels of what names no variant. */
const USUAL_LEVELS: ReadonlyMap<string, number> = new Map([
  ['amd64', 1],
  ['arm64', 8],
]);

/** Variants of x86-64 and Arm are levels, each with all that the lower ones have. */
function variantLevel({ architecture, variant }: Platform): number | undefined {
  if (variant === '') return USUAL_LEVELS.get(architecture);
  const level = /^v(\d+(?:\.\d+)?)$/.exec(variant)?.[1];
  return level === undefined ? undefined : Number(level);
}

/** How many children were left out for a platform of their own; those that describe them are not counted. */
export function platformCount(leftOut: readonly Descriptor[]): number {
  return leftOut.filter(({ platforms }) => platforms !== undefined).length;
}

/**
 * What the record of a tag says of a choice.
 * @param below children left out of indexes below the tag's own
 */
export function platformFields(
  { leftOut, isNoneMatched }: Pick<ChosenChildren, 'leftOut' | 'isNoneMatched'>,
  below = 0,
): PlatformFields {
  return defined({
    platformsLeftOut: platformCount(leftOut) + below || undefined,
    noPlatformMatched: isNoneMatched || undefined,
  });
}

/**
 * Whether a manifest that is at the destination may lack children there: an index, where platforms are
 * chosen or all of them are asked for after a choice, at a host that takes such indexes.
 */
export function mayLackChildren(
  mediaType: string,
  { platforms, destination, pool }: PlatformContext,
): boolean {
  return (
    platforms !== undefined &&
    manifestKind(mediaType) === 'index' &&
    !pool.presence.wantsWholeIndexes(destination.host)
  );
}
