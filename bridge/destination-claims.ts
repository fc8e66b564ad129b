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
  readonly path: string;
  readonly uid: string;
  readonly image: string;
  /** Not: it is named for once, and whatever is written all the time goes before it. */
  readonly enabled: boolean;
  /** By the annotation, which the mirror may not grant; else it is the image's own path. */
  readonly annotated: boolean;
  /** RFC 3339: of two objects with equal right the older one keeps the path. */
  readonly createdAt: string;
  readonly namespace: string;
  readonly name: string;
}

/** Of an object, what says where it writes to. */
type Writer = Pick<ImageRepository, 'uid' | 'settings' | 'scan'>;

/** What stands for the image of a path that several images may have been written to: equal to none. */
const SEVERAL = '';
/** Paths whose image is kept, longer than the claims to them: some 20 MB, and more than a registry has. */
const MAX_PATHS = 100_000;

/**
 * Who writes where. Two objects with one image may share a path; of those with different images
 * only one is written, since each event would overwrite what the other wrote: that whose own path it is
 * goes before one that names it by an annotation, which nobody may have granted, and then the oldest. Which
 * image was written to a path outlives the claims to it: its tags stay there.
 */
export class DestinationClaims {
  /** Path → the claims to it, the holder's first; nearly always there is one alone. */
  readonly #byPath = new Map<string, readonly Claim[]>();
  readonly #byUid = new Map<string, Claim>();
  /** Path → the image whose tags are there, as far as this replica has seen it, or {@link SEVERAL}. */
  readonly #written = new Map<string, string>();
  /** Paths that more than one image may have been written to; few. */
  readonly #shared = new Set<string>();
  readonly #layout: DestinationLayout;

  constructor(layout: DestinationLayout) {
    this.#layout = layout;
  }

  /**
   * Enters or renews an object's claim, or withdraws it where it has none: not scanned, disabled,
   * being deleted or refused for its own sake.
   * @param isNamed it is published although it is disabled
   * @returns the uids of the others whose standing may have changed
   */
  enter(object: ImageRepository, isNamed = false): readonly string[] {
    const claim = this.#claimOf(object, isNamed);
    const before = this.#byUid.get(object.uid);
    if (
      before?.path === claim?.path &&
      before?.image === claim?.image &&
      before?.annotated === claim?.annotated
    )
      return [];
    const left = this.withdraw(object.uid);
    if (claim === undefined) return left;
    this.#byUid.set(claim.uid, claim);
    const others = this.#byPath.get(claim.path) ?? [];
    const joined = this.#replace(claim.path, [
      ...others.filter((one) => rankOf(one) < rankOf(claim)),
      claim,
      ...others.filter((one) => rankOf(one) > rankOf(claim)),
    ]);
    return [...new Set([...left, ...joined])].filter((uid) => uid !== claim.uid);
  }

  /** Why an object is not published; its claim and those of the others must have been entered. */
  refusalOf(object: ImageRepository): Refusal | undefined {
    const path = this.#pathOf(object);
    if (isMirrorError(path)) {
      const reason = path.code === 'ANNOTATION_INVALID' ? 'AnnotationInvalid' : 'ImageNameInvalid';
      return { reason, message: path.message };
    }
    const collision = this.#collisionOf(object.uid);
    // guard: destination-collision
    if (collision !== undefined) {
      const { own, holder } = collision;
      const why =
        own.enabled !== holder.enabled
          ? 'is enabled and writes to the same destination'
          : own.annotated === holder.annotated
            ? 'is older and writes to the same destination'
            : 'writes there without an annotation, to its own destination';
      const message = `${own.namespace}/${own.name} (${own.image}) is not published: ${holder.namespace}/${holder.name} (${holder.image}) ${why} ${own.path}`;
      return { reason: 'DestinationCollision', message };
    }
    return undefined;
  }

  /** Notes that an object's events may be written to its path. */
  mayWrite(writer: Writer): void {
    if (this.isForeign(writer)) {
      this.#note(writer, SEVERAL);
      this.#shared.add(this.#writtenBy(writer));
    } else if (!this.#written.has(this.#writtenBy(writer))) this.hasCompared(writer);
  }

  /** Notes that an object's event has every tag at its path compared with the image's. */
  hasCompared(writer: Writer): void {
    const { image } = writer.scan ?? {};
    if (image !== undefined) this.#note(writer, image);
  }

  /** Whether there may be tags of another image at an object's path. */
  isForeign(writer: Writer): boolean {
    const written = this.#written.get(this.#writtenBy(writer));
    return written !== undefined && written !== writer.scan?.image;
  }

  /**
   * Whether an object's path has been another image's too: nothing says which of the tags there are whose,
   * nor which of them the object's image will have one day.
   */
  isShared(writer: Writer): boolean {
    return this.isForeign(writer) || this.#shared.has(this.#writtenBy(writer));
  }

  /** The uids of those that claim the path of an object for another image. */
  rivalsOf(writer: Writer): readonly string[] {
    const claims = this.#byPath.get(this.#writtenBy(writer)) ?? [];
    return claims.filter(({ image }) => image !== writer.scan?.image).map(({ uid }) => uid);
  }

  /** Forgets an object. @returns the uids of those whose standing may have changed */
  withdraw(uid: string): readonly string[] {
    const own = this.#byUid.get(uid);
    if (own === undefined) return [];
    this.#byUid.delete(uid);
    const claims = this.#byPath.get(own.path) ?? [];
    return this.#replace(
      own.path,
      claims.filter((claim) => claim.uid !== uid),
    );
  }

  /**
   * Where an object's image is written to, below the destination registry; undefined where nothing is.
   * A fault where its annotations or its image name are wrong.
   */
  #pathOf({ uid, settings, scan }: Writer, isNamed = false): string | undefined | MirrorError {
    if (isMirrorError(settings)) return settings;
    if (scan === undefined) return undefined;
    try {
      const path = this.#ownPathOf(uid, scan.image);
      return settings.enabled || isNamed ? (settings.destination ?? path) : undefined;
    } catch (error) {
      if (isMirrorError(error)) return error;
      throw error;
    }
  }

  /** An image's own path: worked out once, since it is asked for some ten times a change. */
  #ownPathOf(uid: string, image: string): string {
    const claim = this.#byUid.get(uid);
    const isKnown = claim?.image === image && !claim.annotated;
    return isKnown ? claim.path : destinationPath(image, this.#layout);
  }

  /** An object's claim, and the one that keeps it from its path. */
  #collisionOf(uid: string): { readonly own: Claim; readonly holder: Claim } | undefined {
    const own = this.#byUid.get(uid);
    if (own === undefined) return undefined;
    const holder = this.#byPath.get(own.path)?.[0];
    return holder === undefined || holder.image === own.image ? undefined : { own, holder };
  }

  #claimOf(object: ImageRepository, isNamed: boolean): Claim | undefined {
    const { uid, namespace, name, createdAt, settings, scan, deleting } = object;
    const path = this.#pathOf(object, isNamed);
    if (typeof path !== 'string' || isMirrorError(settings) || scan === undefined || deleting)
      return undefined;
    const { enabled } = settings;
    const annotated = settings.destination !== undefined;
    return { path, uid, image: scan.image, enabled, annotated, createdAt, namespace, name };
  }

  /** The path that an object writes to; empty: none. */
  #writtenBy(writer: Writer): string {
    const path = this.#pathOf(writer);
    return typeof path === 'string' ? path : '';
  }

  #note(writer: Writer, image: string): void {
    const path = this.#writtenBy(writer);
    if (path === '') return;
    this.#written.delete(path);
    this.#written.set(path, image);
    const [oldest] = this.#written.keys();
    if (this.#written.size <= MAX_PATHS || oldest === undefined) return;
    this.#written.delete(oldest);
    this.#shared.delete(oldest);
  }

  /** Sets the claims to a path; the others are concerned only where its holder's image is another. */
  #replace(path: string, claims: readonly Claim[]): readonly string[] {
    const before = this.#byPath.get(path)?.[0]?.image;
    if (claims.length === 0) this.#byPath.delete(path);
    else this.#byPath.set(path, claims);
    return before === undefined || before === claims[0]?.image ? [] : claims.map(({ uid }) => uid);
  }
}

/** What orders claims, the first holds: Kubernetes' times are all of one form; of one second the uid decides. */
function rankOf({ enabled, annotated, createdAt, uid }: Claim): string {
  return `${enabled ? 0 : 1} ${annotated ? 1 : 0} ${createdAt} ${uid}`;
}
