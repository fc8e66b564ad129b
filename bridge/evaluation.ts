import type { DestinationLayout } from '../functions/contract/destination.ts';
import { isFault } from '../functions/fault.ts';
import { readAnnotations, type ObjectSettings } from './annotations.ts';
import { claimedPath, type DestinationClaims } from './destination-claims.ts';
import type { ImageRepository } from './flux/image-repository.ts';
import { requestOf, stateOf, type PublishedState, type ScannedRepository } from './request.ts';

/** Why an object is not published until it is mended; the reasons of Kubernetes Events. */
export type RefusalReason =
  'AnnotationInvalid' | 'ImageNameInvalid' | 'DestinationCollision' | 'EventTooLarge';

/** What is wrong with an object. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly message: string;
}

/** What an object is judged by besides itself. */
export interface EvaluationContext {
  readonly claims: DestinationClaims;
  readonly layout: DestinationLayout;
}

/** What an object comes to: refused, or what it asks for and would publish. */
export type Evaluation =
  | { readonly refusal: Refusal }
  | {
      readonly refusal?: undefined;
      readonly settings: ObjectSettings;
      /** Undefined where it has not been scanned. */
      readonly state: PublishedState | undefined;
    };

/**
 * Enters an object's claim to its destination, or withdraws it where it has none: not scanned,
 * disabled, being deleted or invalid.
 * @returns the uids of the others whose standing may have changed
 */
export function enterClaim(object: ImageRepository, context: EvaluationContext): readonly string[] {
  const { uid, namespace, name, createdAt, scan } = object;
  const claim = { uid, image: scan?.image ?? '', createdAt, namespace, name };
  return context.claims.claim(claim, pathOf(object, context.layout));
}

/** Judges an object; its claim and those of the others must have been entered. */
export function evaluate(object: ImageRepository, context: EvaluationContext): Evaluation {
  let settings: ObjectSettings;
  try {
    settings = readAnnotations(object.annotations);
    if (object.scan !== undefined) {
      claimedPath(object.scan.image, settings.destination, context.layout);
    }
  } catch (error) {
    if (!isFault(error)) throw error;
    const reason = error.code === 'ANNOTATION_INVALID' ? 'AnnotationInvalid' : 'ImageNameInvalid';
    return { refusal: { reason, message: error.message } };
  }
  const collision = context.claims.holderAgainst(object.uid);
  // guard: destination-collision
  if (collision !== undefined) {
    const { holder, path } = collision;
    const own = `${object.namespace}/${object.name} (${object.scan?.image ?? ''})`;
    const message = `${own} is not published: ${holder.namespace}/${holder.name} (${holder.image}) is older and writes to the same destination ${path}`;
    return { refusal: { reason: 'DestinationCollision', message } };
  }
  return {
    settings,
    state: isScanned(object)
      ? stateOf(requestOf(object, settings, { reason: 'changed' }))
      : undefined,
  };
}

/** Whether Flux has scanned it and written a revision. */
export function isScanned(object: ImageRepository): object is ScannedRepository {
  return object.scan !== undefined;
}

function pathOf(object: ImageRepository, layout: DestinationLayout): string | undefined {
  if (object.scan === undefined || object.deleting) return undefined;
  try {
    const { enabled, destination } = readAnnotations(object.annotations);
    return enabled ? claimedPath(object.scan.image, destination, layout) : undefined;
  } catch (error) {
    if (!isFault(error)) throw error;
    // What is refused for its own sake claims nothing.
    return undefined;
  }
}
