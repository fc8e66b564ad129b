import { canonicalImageName } from '../contract/destination.ts';
import { eventOf, type MirrorEvent, type MirrorRequest } from '../contract/event.ts';
import {
  integerAt,
  literalAt,
  objectAt,
  optional,
  stringAt,
  timeAt,
  wrong,
  type Fields,
} from '../contract/fields.ts';
import { DEFAULT_EXCLUSION_LIST } from '../contract/patterns.ts';
import { MirrorError } from '../errors.ts';

/** What image-reflector-controller says of a successful scan; no promise of its API. */
const SCANNED = /^successful scan[:,] found (\d+) tags(?: with checksum (\S+))?$/;
/** What it says of an ImagePolicy; the image is `spec.image` as its author wrote it. */
const RESOLVED = /^Latest image tag for '?([^\s']+)'? resolved to (\S+?)(?: |$)/;

/**
 * Reads an event of Flux's notification controller (provider `googlepubsub`, Event API
 * `event.toolkit.fluxcd.io/v1beta1`): an ImageRepository whose image is in its metadata asks for the
 * repository, an ImagePolicy for one tag. Undefined: it asks for nothing (another kind or
 * controller, a failure, another reason).
 *
 * It knows no exclusion list, so Flux's default applies, and no image name but the one that the
 * annotation `event.toolkit.fluxcd.io/image` gives.
 * @throws MirrorError `EVENT_UNDECODABLE` when it is no JSON object, `EVENT_INVALID` with the field
 */
export function readFluxEvent(data: Buffer): MirrorEvent | undefined {
  const event = objectAt(parsed(data), 'data');
  const object = objectAt(event['involvedObject'], 'involvedObject');
  const kind = object['kind'];
  if (event['reportingController'] !== 'image-reflector-controller') return undefined;
  if (kind !== 'ImageRepository' && kind !== 'ImagePolicy') return undefined;
  if (event['severity'] !== 'info' || event['reason'] !== 'Succeeded') return undefined;
  const request = kind === 'ImageRepository' ? scanned(event, object) : resolved(event, object);
  if (request === undefined) return undefined;
  const cluster = optional(metadataOf(event), 'cluster', () =>
    stringAt(metadataOf(event), 'cluster', 'metadata', 1, 253),
  );
  return eventOf(request, {
    clusterName: cluster ?? 'flux',
    time: new Date(request.scanTime),
  });
}

function scanned(event: Fields, object: Fields): MirrorRequest | undefined {
  const [, count, checksum] = SCANNED.exec(messageOf(event)) ?? [];
  if (count === undefined) return undefined;
  const image = stringAt(metadataOf(event), 'image', 'metadata', 1, 512);
  return {
    ...identityOf(event, object),
    image: canonical(image, 'metadata.image'),
    revision: checksum ?? '',
    tagCount: integerAt({ count: Number(count) }, 'count', 'message', 0, Number.MAX_SAFE_INTEGER),
  };
}

function resolved(event: Fields, object: Fields): MirrorRequest | undefined {
  const [, image, tag] = RESOLVED.exec(messageOf(event)) ?? [];
  if (image === undefined || tag === undefined) return undefined;
  return {
    ...identityOf(event, object),
    image: canonical(image, 'message'),
    revision: '',
    tagCount: 1,
    tags: [tag],
  };
}

function identityOf(
  event: Fields,
  object: Fields,
): Pick<MirrorRequest, 'imageRepository' | 'scanTime' | 'exclusionList' | 'reason'> {
  const namespace = stringAt(object, 'namespace', 'involvedObject', 1, 253);
  const name = stringAt(object, 'name', 'involvedObject', 1, 253);
  const kind = literalAt(object, 'kind', 'involvedObject', ['ImageRepository', 'ImagePolicy']);
  const uid = optional(object, 'uid', () => stringAt(object, 'uid', 'involvedObject', 1, 128));
  return {
    imageRepository: { namespace, name, uid: uid ?? `${kind}/${namespace}/${name}`.slice(0, 128) },
    scanTime: timeAt(event, 'timestamp', ''),
    exclusionList: DEFAULT_EXCLUSION_LIST,
    reason: 'changed',
  };
}

function canonical(image: string, field: string): string {
  try {
    return canonicalImageName(image);
  } catch {
    throw wrong(field, 'an image name', image);
  }
}

function messageOf(event: Fields): string {
  return stringAt(event, 'message', '', 0, 39_000);
}

function metadataOf(event: Fields): Fields {
  return event['metadata'] === undefined ? {} : objectAt(event['metadata'], 'metadata');
}

function parsed(data: Buffer): unknown {
  try {
    return JSON.parse(data.toString('utf8'));
  } catch {
    throw new MirrorError('EVENT_UNDECODABLE', 'the data is no JSON', {
      operation: 'decode event',
      field: 'data',
    });
  }
}
