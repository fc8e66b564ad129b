import { destinationPath, type DestinationLayout } from '../functions/contract/destination.ts';
import { isMirrorError, type MirrorError } from '../functions/errors.ts';
import type { ImageRepository } from './flux/image-repository.ts';

/** Why an object is not published until it is mended; the reasons of Kubernetes Events. */
export type RefusalReason =
  'AnnotationInvalid' | 'ImageNameInvalid' | 'DestinationCollision' | 'EventTooLarge';

/** How many objects are refused, where none is. */
export const NO_REFUSALS: Readonly<Record<RefusalReason, number>> = {
  AnnotationInvalid: 0,
  ImageNameInvalid: 0,
  DestinationCollision: 0,
  EventTooLarge: 0,
};

/** What is wrong with an object. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
}

/** An object's claim to a path at the destination. */
interface Claim {
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
  readonly #paths = new Map<string, string>();
  readonly #layout: DestinationLayout;

  constructor(layout: DestinationLayout) {
    this.#layout = layout;
  }

  /**
   * Enters or renews an object's claim, or withdraws it where it has none: not scanned, disabled,
   * being deleted or refused for its own sake.
   * @returns the uids of the others whose standing may have changed
   */
  enter(object: ImageRepository): readonly string[] {
    const { uid, namespace, name, createdAt, scan } = object;
    const path = this.#pathOf(object);
    const claimed = typeof path === 'string' && !object.deleting ? path : undefined;
    return this.#claim({ uid, image: scan?.image ?? '', createdAt, namespace, name }, claimed);
  }

  /** Why an object is not published; its claim and those of the others must have been entered. */
  refusalOf(object: ImageRepository): Refusal | undefined {
    const path = this.#pathOf(object);
    if (isMirrorError(path)) {
      const reason = path.code === 'ANNOTATION_INVALID' ? 'AnnotationInvalid' : 'ImageNameInvalid';
      return { reason, message: path.message };
    }
    const holder = this.#holderAgainst(object.uid);
    // guard: destination-collision
    if (holder !== undefined) {
      const own = `${object.namespace}/${object.name} (${object.scan?.image ?? ''})`;
      const message = `${own} is not published: ${holder.namespace}/${holder.name} (${holder.image}) is older and writes to the same destination ${path ?? ''}`;
      return { reason: 'DestinationCollision', message };
    }
    return undefined;
  }

  /** Forgets an object. @returns the uids of those whose standing may have changed */
  withdraw(uid: string): readonly string[] {
    const path = this.#paths.get(uid);
    if (path === undefined) return [];
    this.#paths.delete(uid);
    const left = (this.#claims.get(path) ?? []).filter((claim) => claim.uid !== uid);
    return this.#replace(path, left);
  }

  #claim(claim: Claim, path: string | undefined): readonly string[] {
    const before = this.#paths.get(claim.uid);
    if (before === path && this.#claimOf(claim.uid)?.image === claim.image) return [];
    const left = this.withdraw(claim.uid);
    if (path === undefined) return left;
    this.#paths.set(claim.uid, path);
    const joined = this.#replace(path, [...(this.#claims.get(path) ?? []), claim].sort(byAge));
    return [...new Set([...left, ...joined])].filter((uid) => uid !== claim.uid);
  }

  /**
   * Where an object's image is written to, below the destination registry; undefined where nothing is.
   * A fault where its annotations or its image name are wrong.
   */
  #pathOf({ settings, scan }: ImageRepository): string | undefined | MirrorError {
    if (isMirrorError(settings)) return settings;
    if (scan === undefined) return undefined;
    try {
      const path = destinationPath(scan.image, this.#layout);
      return settings.enabled ? (settings.destination ?? path) : undefined;
    } catch (error) {
      if (isMirrorError(error)) return error;
      throw error;
    }
  }

  /** The claim that keeps an object from its path. */
  #holderAgainst(uid: string): Claim | undefined {
    const own = this.#claimOf(uid);
    const holder = this.#claims.get(this.#paths.get(uid) ?? '')?.[0];
    return own === undefined || holder?.image === own.image ? undefined : holder;
  }

  #claimOf(uid: string): Claim | undefined {
    const claims = this.#claims.get(this.#paths.get(uid) ?? '');
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

function byAge(left: Claim, right: Claim): number {
  if (left.createdAt !== right.createdAt) return left.createdAt < right.createdAt ? -1 : 1;
  return left.uid < right.uid ? -1 : 1;
}
