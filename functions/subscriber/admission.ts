import {
  destinationPath,
  parseImageName,
  requirePath,
  type DestinationLayout,
  type RepositoryName,
} from '../contract/destination.ts';
import type { MirrorEvent } from '../contract/event.ts';
import { MirrorError } from '../errors.ts';
import {
  isGranted,
  liesWithin,
  matchesImage,
  type DestinationGrant,
  type ImagePattern,
} from './image-pattern.ts';

/** Who may mirror what to where: the subscriber's configuration, never the event's. */
export interface AdmissionRules {
  /** `HOST[/PATH]`. */
  readonly destinationRegistry: string;
  readonly destinationLayout: DestinationLayout;
  /** Empty: any public host. */
  readonly allowedSources: readonly ImagePattern[];
  readonly allowedDestinations: readonly DestinationGrant[];
  /** Sources that may be spoken to over http where the event says so. */
  readonly insecureSources: readonly ImagePattern[];
}

/** What an event may do. */
export interface Admission {
  readonly source: RepositoryName;
  /** Whether the source is spoken to over plain http. */
  readonly insecure: boolean;
  /** Path below the destination's host, that of the registry included. */
  readonly destinationPath: string;
}

/**
 * Decides what an event may do. Events come from a less trusted place: one can name a source
 * within the allowed ones and, where its namespace was granted that, a path.
 * @throws MirrorError `SOURCE_FORBIDDEN`, `DESTINATION_FORBIDDEN`, `REFERENCE_INVALID`, with the field
 */
export function admit({ data }: MirrorEvent, rules: AdmissionRules): Admission {
  const source = at('data.image', () => parseImageName(data.image));
  const allowed = rules.allowedSources.some((pattern) => matchesImage(pattern, data.image));
  // guard: allowed-sources
  if (rules.allowedSources.length > 0 && !allowed) {
    throw forbidden('SOURCE_FORBIDDEN', `${data.image} is in no allowed source`, 'data.image');
  }
  // guard: source-in-destination
  if (liesWithin(data.image, rules.destinationRegistry)) {
    throw forbidden('SOURCE_FORBIDDEN', `${data.image} lies within the destination`, 'data.image');
  }
  const [, ...base] = rules.destinationRegistry.split('/');
  const path = pathOf(data, rules);
  return {
    source,
    insecure: isInsecure(data, rules),
    destinationPath: at('data.image', () => requirePath([...base, path].join('/'))),
  };
}

/** Plain http is spoken only where the operator allows what the event asks for. */
function isInsecure({ image, insecure }: MirrorEvent['data'], rules: AdmissionRules): boolean {
  // guard: insecure-sources
  if (!rules.insecureSources.some((pattern) => matchesImage(pattern, image))) return false;
  return insecure === true;
}

function pathOf(data: MirrorEvent['data'], rules: AdmissionRules): string {
  const { destination, imageRepository } = data;
  if (destination === undefined) {
    return at('data.image', () => destinationPath(data.image, rules.destinationLayout));
  }
  const path = at('data.destination', () => requirePath(destination));
  const granted = rules.allowedDestinations.some((grant) =>
    isGranted(grant, imageRepository.namespace, path),
  );
  // guard: allowed-destinations
  if (!granted) {
    throw forbidden(
      'DESTINATION_FORBIDDEN',
      `namespace ${imageRepository.namespace} may not mirror into ${path}`,
      'data.destination',
    );
  }
  return path;
}

/** What `read` gives; its fault names the field. */
function at<T>(field: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof MirrorError)) throw error;
    throw new MirrorError(error.code, error.message, { operation: 'admit event', field });
  }
}

function forbidden(
  code: 'SOURCE_FORBIDDEN' | 'DESTINATION_FORBIDDEN',
  message: string,
  field: string,
): MirrorError {
  return new MirrorError(code, message, { operation: 'admit event', field });
}
