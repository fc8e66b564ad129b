import type { RepositoryName } from '../contract/destination.ts';
import { isMirrorError, MirrorError, toMirrorError } from '../errors.ts';
import { isDigest } from '../oci/digest.ts';
import { isTag } from '../oci/reference.ts';
import { located } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import type { JsonCall } from './json-call.ts';
import { redactUrl } from './redact.ts';

/** How Artifact Registry's own API is asked. */
export interface ArtifactRegistryApi {
  readonly call: JsonCall;
  /** Base of the API. Default: `https://artifactregistry.googleapis.com`. */
  readonly baseUrl: string;
  /** An access token of the process's identity. */
  readonly accessToken: () => Promise<string>;
}

/** The public endpoint of the API. */
export const ARTIFACT_REGISTRY_API = 'https://artifactregistry.googleapis.com';
/** Largest page of the method `tags.list`. */
const PAGE_SIZE = 1000;
/** Most pages: 400,000 tags of 20 characters take 61 MiB with their digests. */
const MAX_PAGES = 400;

const LIST_TAGS = { operation: 'list tags', side: 'destination' } as const;

const LOCATION_HOST = /^(?:([a-z0-9-]+)-docker\.pkg\.dev|docker\.([a-z0-9-]+)\.rep\.pkg\.dev)$/;

/**
 * Location of a host of Artifact Registry; undefined for every other host. A loopback stand-in is
 * given its location by `standIn`.
 */
export function locationOf(host: string, standIn: string | undefined): string | undefined {
  const match = LOCATION_HOST.exec(host);
  return match === null ? standIn : (match[1] ?? match[2]);
}

/**
 * Tag → digest of a whole package, from the method `projects.locations.repositories.packages.tags.list`, which
 * knows no limit of 10,000.
 * @returns undefined where the API is closed to us (404, 403, disabled), which is remembered for the repository, and where there is no
 *   identity of Google's to ask as, such as beside an account of a docker config
 * @throws MirrorError `LIST_TOO_LARGE` over {@link MAX_PAGES}, and those of the call
 */
export async function listTagDigests(
  api: ArtifactRegistryApi,
  repository: RepositoryName,
  location: string,
  memory: HostCapabilities,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string> | undefined> {
  if (memory.tagApiRefused.has(repository.path)) return undefined;
  const [project = '', name = '', ...image] = repository.path.split('/');
  const packageName = encodeURIComponent(image.join('/'));
  const base = `${api.baseUrl}/v1/projects/${project}/locations/${location}/repositories/${name}/packages/${packageName}/tags?pageSize=${PAGE_SIZE}`;
  const found = new Map<string, string>();
  let pageToken = '';
  for (let page = 1; ; page++) {
    const token = await tokenOf(api);
    if (token === undefined) return undefined;
    const authorization = `Bearer ${token}`;
    const url = pageToken === '' ? base : `${base}&pageToken=${encodeURIComponent(pageToken)}`;
    const call = { method: 'GET', url, headers: { authorization } } as const;
    const answer = await api.call(call, signal).catch((error: unknown) => {
      throw located(toMirrorError(error, 'list tags'), LIST_TAGS, new URL(url));
    });
    if (answer.status !== 200) {
      if ([403, 404].includes(answer.status)) memory.tagApiRefused.set(repository.path, true);
      return undefined;
    }
    const fields = answer.body as Readonly<Record<string, unknown>> | null | undefined;
    const tags = readTags(fields);
    // No list, or one with entries that say nothing: absences would be believed for nothing.
    if (tags === undefined) return undefined;
    for (const [tag, digest] of tags) found.set(tag, digest);
    const next = fields?.['nextPageToken'];
    if (typeof next !== 'string' || next === '' || next === pageToken) return found;
    // guard: tag-api-pages
    if (page >= MAX_PAGES)
      throw new MirrorError(
        'LIST_TOO_LARGE',
        `the package has more than ${MAX_PAGES * PAGE_SIZE} tags`,
        { ...LIST_TAGS, url: redactUrl(url) },
      );
    pageToken = next;
  }
}

async function tokenOf(api: ArtifactRegistryApi): Promise<string | undefined> {
  try {
    return await api.accessToken();
  } catch (error) {
    if (isMirrorError(error, 'CREDENTIALS_UNAVAILABLE')) return undefined;
    throw error;
  }
}

/**
 * `name` ends in `/tags/TAG`, `version` in `/versions/DIGEST`. An object without `tags` is an empty page, as
 * Google's APIs leave out what is empty; undefined: it is none of theirs.
 */
function readTags(page: unknown): readonly (readonly [string, string])[] | undefined {
  if (typeof page !== 'object' || page === null || Array.isArray(page) || 'error' in page) {
    return undefined;
  }
  const { tags = [] } = page as { readonly tags?: unknown };
  if (!Array.isArray(tags)) return undefined;
  const read = tags.map((entry: unknown) => {
    const { name, version } = (entry ?? {}) as { name?: unknown; version?: unknown };
    return [lastSegment(name), lastSegment(version)] as const;
  });
  return read.every(([tag, digest]) => isTag(tag) && isDigest(digest)) ? read : undefined;
}

function lastSegment(name: unknown): string {
  return typeof name === 'string'
    ? decodeURIComponentSafely(name.slice(name.lastIndexOf('/') + 1))
    : '';
}

function decodeURIComponentSafely(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
