import { destinationPath, type DestinationLayout } from '../functions/contract/destination.ts';

/** An object's claim to a path at the destination. */
export interface Claim {
  readonly uid: string;
  readonly image: string;
  /** RFC 3339: of two objects the older one keeps the path. */
  readonly createdAt: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Who writes where. Two objects with one image may share a path; of those with different images
 * only the oldest object's is written, since each event would overwrite what the other wrote.
 */
export class DestinationClaims {
  /** Path → the claims to it, the oldest first; nearly always there is one alone. */
  readonly #claims = new Map<string, readonly Claim[]>();
  readonly #pathOf = new Map<string, string>();

  /**
   * Enters or renews a claim; an undefined path withdraws it.
   * @returns the uids of the others whose standing may have changed
   */
  claim(claim: Claim, path: string | undefined): readonly string[] {
    const before = this.#pathOf.get(claim.uid);
    if (before === path && this.#claimOf(claim.uid)?.image === claim.image) return [];
    const left = this.withdraw(claim.uid);
    if (path === undefined) return left;
    this.#pathOf.set(claim.uid, path);
    const joined = this.#replace(path, [...(this.#claims.get(path) ?? []), claim].sort(byAge));
    return [...new Set([...left, ...joined])].filter((uid) => uid !== claim.uid);
  }

  /** Forgets an object. @returns the uids of those whose standing may have changed */
  withdraw(uid: string): readonly string[] {
    const path = this.#pathOf.get(uid);
    if (path === undefined) return [];
    this.#pathOf.delete(uid);
    const left = (this.#claims.get(path) ?? []).filter((claim) => claim.uid !== uid);
    return this.#replace(path, left);
  }

  /** The claim that keeps this object from its path, and the path. */
  holderAgainst(uid: string): { readonly holder: Claim; readonly path: string } | undefined {
    const path = this.#pathOf.get(uid);
    const own = this.#claimOf(uid);
    if (path === undefined || own === undefined) return undefined;
    const holder = this.#claims.get(path)?.[0];
    return holder === undefined || holder.image === own.image ? undefined : { holder, path };
  }

  #claimOf(uid: string): Claim | undefined {
    const claims = this.#claims.get(this.#pathOf.get(uid) ?? '');
    return claims?.find((claim) => claim.uid === uid);
  }

  /** Sets the claims to a path; the others are concerned only where its holder's image is another. */
  #replace(path: string, claims: readonly Claim[]): readonly string[] {
    const before = this.#claims.get(path)?.[0]?.image;
    if (claims.length === 0) this.#claims.delete(path);
    else this.#claims.set(path, claims);
    return before === undefined || before === claims[0]?.image ? [] : claims.map(({ uid }) => uid);
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
