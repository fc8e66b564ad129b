import { createHash, type Hash } from 'node:crypto';

import { MirrorError } from '../../functions/errors.ts';
import type { Logger } from '../../functions/telemetry/logger.ts';
import { answerError, type ApiAnswer, type ApiServer } from '../kubernetes/api-server.ts';
import {
  describeObject,
  readImageRepository,
  uidOf,
  type ImageRepository,
} from './image-repository.ts';

/** Objects a page of a list. */
const PAGE_SIZE = 500;

/** What is listed. */
export interface ListOptions {
  readonly apiServer: ApiServer;
  /** Undefined: all namespaces. */
  readonly namespace: string | undefined;
  /** Empty: all objects. */
  readonly labelSelector: string;
  readonly logger: Logger;
}

/** A complete list. */
export interface Listing {
  /** Of every object, the malformed ones too. */
  readonly uids: ReadonlySet<string>;
  /** `namespace/name` of the objects that were skipped, as far as they say. */
  readonly malformed: readonly string[];
  /** Another one where any object has been added, changed or deleted. */
  readonly digest: string;
  /** To watch from. */
  readonly resourceVersion: string;
}

/** The path of ImageRepositories, of one namespace or all. */
export function imageRepositoriesPath(namespace: string | undefined): string {
  const scope = namespace === undefined ? '' : `/namespaces/${namespace}`;
  return `/apis/image.toolkit.fluxcd.io/v1${scope}/imagerepositories`;
}

/**
 * Lists everything, page by page; each object is stripped before the next page is asked for.
 * Malformed objects are skipped with a log line that names them.
 * @throws MirrorError `ACCESS_DENIED`, `NOT_FOUND` where the kind is unknown, `NETWORK`, `WATCH_FAILED`,
 *   `ABORTED`
 */
export async function listImageRepositories(
  options: ListOptions,
  onObject: (object: ImageRepository) => void,
  signal: AbortSignal,
): Promise<Listing> {
  const read: Read = { uids: new Set(), malformed: [], hash: createHash('sha256') };
  let end = await readPage(options, read, onObject, undefined, signal);
  while (end.continue !== undefined) {
    end = await readPage(options, read, onObject, end.continue, signal);
  }
  signal.throwIfAborted();
  const { uids, malformed, hash } = read;
  return { uids, malformed, digest: hash.digest('hex'), resourceVersion: end.resourceVersion };
}

/** Where a list goes on, and what it is of. */
interface PageEnd {
  readonly continue: string | undefined;
  readonly resourceVersion: string;
}

/** What is kept of the pages. */
interface Read {
  readonly uids: Set<string>;
  readonly malformed: string[];
  readonly hash: Hash;
}

/** Reads one page and strips its objects, so that no more than one page is ever in memory. */
async function readPage(
  options: ListOptions,
  { uids, malformed, hash }: Read,
  onObject: (object: ImageRepository) => void,
  next: string | undefined,
  signal: AbortSignal,
): Promise<PageEnd> {
  const { items, ...end } = await listPage(options, next, signal);
  for (const item of items) {
    const uid = uidOf(item);
    if (uid !== undefined) uids.add(uid);
    hash.update(JSON.stringify([uid, versionOf(item)]));
    const object = narrowed(item, options.logger);
    if (object === undefined) malformed.push(describeObject(item));
    else onObject(object);
  }
  return end;
}

function versionOf(item: unknown): unknown {
  const { metadata } = (item ?? {}) as {
    readonly metadata?: { readonly resourceVersion?: unknown } | null;
  };
  return metadata?.resourceVersion;
}

async function listPage(
  options: ListOptions,
  next: string | undefined,
  signal: AbortSignal,
): Promise<Page> {
  const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
  if (options.labelSelector !== '') query.set('labelSelector', options.labelSelector);
  if (next !== undefined) query.set('continue', next);
  const path = `${imageRepositoriesPath(options.namespace)}?${query.toString()}`;
  const answer = await options.apiServer.send('GET', path, undefined, { signal });
  if (answer.status !== 200) throw refusalOf(answer, 'list ImageRepositories');
  return pageOf(answer.body);
}

function pageOf(body: unknown): Page {
  const { items, metadata } = (typeof body === 'object' && body !== null ? body : {}) as {
    readonly items?: unknown;
    readonly metadata?: { readonly continue?: unknown; readonly resourceVersion?: unknown };
  };
  const resourceVersion = metadata?.resourceVersion;
  if (!Array.isArray(items) || typeof resourceVersion !== 'string') {
    throw new MirrorError('RESPONSE_INVALID', 'the API server answered with no list', {
      operation: 'list ImageRepositories',
    });
  }
  const next = metadata?.continue;
  return {
    items,
    continue: typeof next === 'string' && next !== '' ? next : undefined,
    resourceVersion,
  };
}

/** What an answer other than success means; a 404 says that the whole kind is unknown. */
export function refusalOf(answer: ApiAnswer, operation: string): MirrorError {
  const fault = answerError(answer, operation);
  if (fault.code !== 'NOT_FOUND') return fault;
  return new MirrorError(
    'NOT_FOUND',
    'the API server does not know image.toolkit.fluxcd.io/v1 ImageRepository: install the image-reflector-controller of Flux 2.7 or later',
    { operation, side: 'api-server', status: 404 },
  );
}

/** One page of a list. */
interface Page extends PageEnd {
  readonly items: readonly unknown[];
}

/** The stripped object, or undefined with a log line where it is malformed. */
export function narrowed(value: unknown, logger: Logger): ImageRepository | undefined {
  try {
    return readImageRepository(value);
  } catch (error) {
    const [namespace = '?', name = '?'] = describeObject(value).split('/');
    logger.warning('skipping a malformed ImageRepository', {
      ImageRepository: { namespace, name },
      namespace,
      name,
      error,
    });
    return undefined;
  }
}
