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

/** All claims to one path. */
interface Path {
  readonly claims: Map<string, Claim>;
  /** The oldest of them. */
  holder: Claim;
}

/**
 * Who writes where. Two objects with one image may share a path; of those with different images
 * only the oldest object's is written, since each event would overwrite what the other wrote.
 */
export class DestinationClaims {
  readonly #paths = new Map<string, Path>();
  readonly #pathOf = new Map<string, string>();

  /**
   * Enters or renews a claim; an undefined path withdraws it.
   * @returns the uids of the others whose standing may have changed
   */
  claim(claim: Claim, path: string | undefined): readonly string[] {
    const before = this.#pathOf.get(claim.uid);
    if (before === path && this.#claimOf(claim.uid)?.image === claim.image) return [];
    const left = this.withdraw(claim.uid);
    const joined = path === undefined ? [] : this.#join(claim, path);
    return [...new Set([...left, ...joined])];
  }

  /** Forgets an object. @returns the uids of those whose standing may have changed */
  withdraw(uid: string): readonly string[] {
    const name = this.#pathOf.get(uid);
    const path = name === undefined ? undefined : this.#paths.get(name);
    if (name === undefined || path === undefined) return [];
    this.#pathOf.delete(uid);
    path.claims.delete(uid);
    const [next] = [...path.claims.values()].sort(byAge);
    if (next === undefined) {
      this.#paths.delete(name);
      return [];
    }
    return this.#hold(path, path.holder.uid === uid ? next : path.holder);
  }

  /** The claim that keeps this object from its path, and the path. */
  holderAgainst(uid: string): { readonly holder: Claim; readonly path: string } | undefined {
    const path = this.#pathOf.get(uid);
    const own = this.#claimOf(uid);
    if (path === undefined || own === undefined) return undefined;
    const holder = this.#paths.get(path)?.holder;
    return holder === undefined || holder.image === own.image ? undefined : { holder, path };
  }

  #claimOf(uid: string): Claim | undefined {
    return this.#paths.get(this.#pathOf.get(uid) ?? '')?.claims.get(uid);
  }

  #join(claim: Claim, name: string): readonly string[] {
    this.#pathOf.set(claim.uid, name);
    const path = this.#paths.get(name);
    if (path === undefined) {
      this.#paths.set(name, { claims: new Map([[claim.uid, claim]]), holder: claim });
      return [];
    }
    path.claims.set(claim.uid, claim);
    return this.#hold(path, byAge(claim, path.holder) < 0 ? claim : path.holder).filter(
      (uid) => uid !== claim.uid,
    );
  }

  /** Names the holder of a path; the others are concerned only where its image is another. */
  #hold(path: Path, holder: Claim): readonly string[] {
    const before = path.holder.image;
    path.holder = holder;
    return before === holder.image ? [] : [...path.claims.keys()];
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
