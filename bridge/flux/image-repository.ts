import { DEFAULT_EXCLUSION_LIST } from '../../functions/contract/patterns.ts';
import { PROVIDERS, type Provider } from '../../functions/contract/event.ts';
import { asFields, isFields, type Fields } from '../../functions/contract/fields.ts';
import { MirrorError } from '../../functions/errors.ts';
import type { LogFields } from '../../functions/telemetry/logger.ts';
import { readAnnotations, type ObjectSettings } from './annotations.ts';

/** What a scan of Flux found (`status`, written together in its last patch). */
export interface Scan {
  /** `status.canonicalImageName`. */
  readonly image: string;
  /** `status.lastScanResult.revision`: opaque. */
  readonly revision: string;
  readonly tagCount: number;
  /** RFC 3339, whole seconds. */
  readonly scanTime: string;
  /** `status.observedExclusionList`. */
  readonly exclusionList: readonly string[];
}

/** What the bridge keeps of an ImageRepository (image.toolkit.fluxcd.io/v1); all else is dropped. */
export interface ImageRepository {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  /** `metadata.deletionTimestamp` is set. */
  readonly deleting: boolean;
  readonly suspended: boolean;
  /** The controller has seen the spec: `status.observedGeneration` equals `metadata.generation`. */
  readonly settled: boolean;
  readonly provider: Provider | undefined;
  readonly insecure: boolean;
  /** What its annotations ask for, or why they are refused. */
  readonly settings: ObjectSettings | MirrorError;
  /** The annotation of that name, in force or not. */
  readonly requestedAt: string | undefined;
  /** Undefined where there is none yet, or one of a Flux before 2.7, which wrote no revision. */
  readonly scan: Scan | undefined;
  /**
   * Since when the condition Ready says what it says, ms since 1970: about when the tags last changed,
   * since its message has their checksum, or later. Undefined where there is none that can be read.
   */
  readonly readySinceMs: number | undefined;
}

/** RFC 3339 as Kubernetes writes times (`metav1.Time`, `metav1.MicroTime`). */
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/;

/**
 * Narrows an object of the API server and strips it to what the bridge uses.
 * @throws MirrorError `RESPONSE_INVALID` with the path of the field that has the wrong type
 */
export function readImageRepository(value: unknown): ImageRepository {
  const object = fieldsAt({ object: value }, 'object', '');
  const metadata = fieldsAt(object, 'metadata', '');
  const spec = optionalFields(object, 'spec', '');
  const status = optionalFields(object, 'status', '');
  const provider = optional(spec, 'provider', 'string', 'spec');
  return {
    uid: requiredText(metadata, 'uid', 'metadata'),
    namespace: requiredText(metadata, 'namespace', 'metadata'),
    name: requiredText(metadata, 'name', 'metadata'),
    createdAt: optional(metadata, 'creationTimestamp', 'string', 'metadata') ?? '',
    deleting: isSet(metadata['deletionTimestamp']),
    suspended: optional(spec, 'suspend', 'boolean', 'spec') ?? false,
    settled: isSettled(metadata, status),
    provider: PROVIDERS.find((known) => known === provider),
    insecure: optional(spec, 'insecure', 'boolean', 'spec') ?? false,
    ...readAnnotations(optionalFields(metadata, 'annotations', 'metadata')),
    scan: readScan(spec, status),
    readySinceMs: readySince(status),
  };
}

/** `namespace/name` of whatever part of an object can be read, for a log line about a malformed one. */
export function describeObject(value: unknown): string {
  const metadata = asFields(asFields(value)['metadata']);
  const part = (name: string): string => {
    const text = metadata[name];
    return typeof text === 'string' && text !== '' ? text : '?';
  };
  return `${part('namespace')}/${part('name')}`;
}

/** The keys by which Flux's tools find the lines of an object (`flux logs --kind --name`). */
export function objectFields(object: {
  readonly namespace: string;
  readonly name: string;
}): LogFields {
  const { namespace, name } = object;
  return {
    controller: 'imagerepository',
    controllerGroup: 'image.toolkit.fluxcd.io',
    controllerKind: 'ImageRepository',
    ImageRepository: { name, namespace },
    namespace,
    name,
  };
}

/** The uid of an object, however malformed the rest of it is. */
export function uidOf(value: unknown): string | undefined {
  const uid = asFields(asFields(value)['metadata'])['uid'];
  return typeof uid === 'string' ? uid : undefined;
}

/**
 * The object as it is now, seen after what was known of it. What the spec says of access counts once
 * the controller has seen it: until then the values of the scan before stand, which belong to the
 * image that status still names. What is equal is taken over from before, so that ten thousand
 * objects that are scanned every few minutes do not fill the memory with equal texts.
 */
export function succeeding(
  before: ImageRepository | undefined,
  after: ImageRepository,
): ImageRepository {
  if (before === undefined) return after;
  const { uid, namespace, name, createdAt } = before;
  const access = after.settled || before.scan === undefined ? after : before;
  return {
    ...after,
    ...{ uid, namespace, name, createdAt },
    provider: access.provider,
    insecure: access.insecure,
    scan: succeedingScan(before.scan, after.scan),
  };
}

function succeedingScan(before: Scan | undefined, after: Scan | undefined): Scan | undefined {
  if (before === undefined || after === undefined) return after;
  const sameList =
    before.exclusionList.length === after.exclusionList.length &&
    before.exclusionList.every((pattern, index) => pattern === after.exclusionList[index]);
  return {
    image: before.image === after.image ? before.image : after.image,
    revision: before.revision === after.revision ? before.revision : after.revision,
    tagCount: after.tagCount,
    scanTime: after.scanTime,
    exclusionList: sameList ? before.exclusionList : after.exclusionList,
  };
}

function readScan(spec: Fields, status: Fields): Scan | undefined {
  const result = optionalFields(status, 'lastScanResult', 'status');
  const at = 'status.lastScanResult';
  const image = optional(status, 'canonicalImageName', 'string', 'status') ?? '';
  const revision = optional(result, 'revision', 'string', at) ?? '';
  if (image === '' || revision === '') return undefined;
  const scanTime = requiredText(result, 'scanTime', at);
  if (!TIME.test(scanTime)) throw malformed(`${at}.scanTime`);
  const tagCount = optional(result, 'tagCount', 'number', at) ?? 0;
  if (!Number.isSafeInteger(tagCount) || tagCount < 0) throw malformed(`${at}.tagCount`);
  return { image, revision, tagCount, scanTime, exclusionList: exclusionListOf(spec, status) };
}

/** Nothing is refused for its sake: it only tells whether a follow-up may be due. */
function readySince({ conditions }: Fields): number | undefined {
  if (!Array.isArray(conditions)) return undefined;
  const ready = conditions.map(asFields).find(({ type }) => type === 'Ready');
  const sinceMs = Date.parse(String(ready?.['lastTransitionTime']));
  return Number.isNaN(sinceMs) ? undefined : sinceMs;
}

/** The list in force at the scan; Flux applies its default to an absent or empty list of the spec. */
function exclusionListOf(spec: Fields, status: Fields): readonly string[] {
  const list =
    texts(status, 'observedExclusionList', 'status') ?? texts(spec, 'exclusionList', 'spec');
  if (list === undefined || list.length === 0) return DEFAULT_EXCLUSION_LIST;
  // Ten thousand objects with the default list share one array.
  return list.length === 1 && list[0] === DEFAULT_EXCLUSION_LIST[0] ? DEFAULT_EXCLUSION_LIST : list;
}

function isSettled(metadata: Fields, status: Fields): boolean {
  const generation = optional(metadata, 'generation', 'number', 'metadata');
  const observed = optional(status, 'observedGeneration', 'number', 'status');
  return generation === undefined || observed === undefined || observed >= generation;
}

function texts(fields: Fields, name: string, at: string): readonly string[] | undefined {
  const value = fields[name];
  if (!isSet(value)) return undefined;
  if (!Array.isArray(value) || !value.every((text) => typeof text === 'string')) {
    throw malformed(`${at}.${name}`);
  }
  return value;
}

interface Types {
  readonly string: string;
  readonly number: number;
  readonly boolean: boolean;
}

function optional<T extends keyof Types>(
  fields: Fields,
  name: string,
  type: T,
  at: string,
): Types[T] | undefined {
  const value = fields[name];
  if (!isSet(value)) return undefined;
  if (typeof value !== type) throw malformed(`${at}.${name}`);
  return value as Types[T];
}

function requiredText(fields: Fields, name: string, at: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value === '') throw malformed(`${at}.${name}`);
  return value;
}

function optionalFields(fields: Fields, name: string, at: string): Fields {
  return isSet(fields[name]) ? fieldsAt(fields, name, at) : {};
}

function fieldsAt(fields: Fields, name: string, at: string): Fields {
  const value = fields[name];
  if (!isFields(value)) throw malformed(at === '' ? name : `${at}.${name}`);
  return value;
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function malformed(field: string): MirrorError {
  return new MirrorError('RESPONSE_INVALID', `${field} is absent or has the wrong type`, {
    operation: 'read ImageRepository',
    field,
  });
}
