import { destinationPath, type DestinationLayout } from '../functions/contract/destination.ts';

/** An object's claim to a path at the destination. */
export interface Claim {
  readonly uid: string;
  readonly image: string;
  /** RFC 3339: of two objects the older one keeps the path. */
  readonly createdAt: string;
  /** `namespace/name`, for messages. */
  readonly label: string;
}

/**
 * Who writes where. Two objects with one image may share a path; of those with different images
 * only the oldest object's is written, since each event would overwrite what the other wrote.
 */
export class DestinationClaims {
  readonly #byPath = new Map<string, readonly Claim[]>();
  readonly #pathOf = new Map<string, string>();

  /**
   * Enters or renews a claim; an undefined path withdraws it.
   * @returns the uids of the others whose standing may have changed
   */
  claim(claim: Claim, path: string | undefined): readonly string[] {
    const before = this.#pathOf.get(claim.uid);
    const known = before === undefined ? undefined : this.#claimAt(before, claim.uid);
    if (before === path && known?.image === claim.image) return [];
    const affected = before === undefined ? [] : this.#leave(before, claim.uid);
    if (path === undefined) return affected;
    const others = this.#byPath.get(path) ?? [];
    this.#byPath.set(path, [...others, claim].sort(byAge));
    this.#pathOf.set(claim.uid, path);
    return [...affected, ...others.map(({ uid }) => uid)];
  }

  /** Forgets an object. @returns the uids of those whose standing may have changed */
  withdraw(uid: string): readonly string[] {
    const path = this.#pathOf.get(uid);
    return path === undefined ? [] : this.#leave(path, uid);
  }

  /** The claim that keeps this object from its path, and the path. */
  holderAgainst(uid: string): { readonly holder: Claim; readonly path: string } | undefined {
    const path = this.#pathOf.get(uid);
    if (path === undefined) return undefined;
    const [holder] = this.#byPath.get(path) ?? [];
    const own = this.#claimAt(path, uid);
    return holder === undefined || own === undefined || holder.image === own.image
      ? undefined
      : { holder, path };
  }

  #claimAt(path: string, uid: string): Claim | undefined {
    return this.#byPath.get(path)?.find((claim) => claim.uid === uid);
  }

  #leave(path: string, uid: string): readonly string[] {
    const left = (this.#byPath.get(path) ?? []).filter((claim) => claim.uid !== uid);
    if (left.length === 0) this.#byPath.delete(path);
    else this.#byPath.set(path, left);
    this.#pathOf.delete(uid);
    return left.map((claim) => claim.uid);
  }
}

/**
 * The path an image is written to, below the destination registry.
 * @throws Fault `REFERENCE_INVALID` for what is no image name
 */
export function claimedPath(
  image: string,
  destination: string | undefined,
  layout: DestinationLayout,
): string {
  const path = destinationPath(image, layout);
  return destination ?? path;
}

function byAge(left: Claim, right: Claim): number {
  if (left.createdAt !== right.createdAt) return left.createdAt < right.createdAt ? -1 : 1;
  return left.uid < right.uid ? -1 : 1;
}
