import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Tags of one page: what Artifact Registry gives at most (`n=10000`). */
const PAGE_TAGS = 10_000;

/** What a repository's list looks like. */
export interface ManyTags {
  readonly tagCount: number;
  /** Whether it tells digests, as Artifact Registry does. */
  readonly map: boolean;
}

/** A registry on loopback that has nothing but lists of very many tags. */
export interface ManyTagsRegistry {
  readonly host: string;
  /** What is at a repository's path; others are not there. */
  readonly repositories: Map<string, ManyTags>;
  readonly close: () => Promise<void>;
}

/** Starts it on a free port. */
export async function startManyTags(): Promise<ManyTagsRegistry> {
  const repositories = new Map<string, ManyTags>();
  const server = createServer((request, response) => {
    answer(request, response, repositories);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    repositories,
    close: async () => closed(server),
  };
}

async function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  repositories: ReadonlyMap<string, ManyTags>,
): void {
  request.resume();
  const url = new URL(request.url ?? '', 'http://registry');
  const path = /^\/v2\/(.+)\/tags\/list$/.exec(url.pathname)?.[1];
  const repository = path === undefined ? undefined : repositories.get(path);
  response.setHeader('content-type', 'application/json');
  if (path === undefined || repository === undefined) {
    const code = path === undefined ? 'MANIFEST_UNKNOWN' : 'NAME_UNKNOWN';
    response.writeHead(404).end(JSON.stringify({ errors: [{ code, message: 'not here' }] }));
    return;
  }
  const first = Number(url.searchParams.get('from') ?? 0);
  const next = first + PAGE_TAGS;
  if (next < repository.tagCount) {
    response.setHeader('link', `</v2/${path}/tags/list?n=${PAGE_TAGS}&from=${next}>; rel="next"`);
  }
  response.end(page(path, first, Math.min(next, repository.tagCount), repository.map));
}

/** Tags of up to 20 characters, such as pipelines give them. */
function page(name: string, first: number, end: number, map: boolean): string {
  const tags = Array.from({ length: end - first }, (_, index) => tagOf(first + index));
  if (!map) return JSON.stringify({ name, tags });
  // Written out: an object of so many keys is slow to build.
  const entries = tags.map((tag, index) => {
    const digest = (first + index).toString(16).padStart(64, '0');
    return (
      `"sha256:${digest}":{"imageSizeBytes":"1000","layerId":"","tag":["${tag}"],` +
      `"mediaType":"application/vnd.oci.image.manifest.v1+json",` +
      `"timeCreatedMs":"1700000000000","timeUploadedMs":"1700000000000"}`
    );
  });
  return `{"name":"${name}","child":[],"tags":${JSON.stringify(tags)},"manifest":{${entries.join(',')}}}`;
}

/** Name of a tag by its number. */
export function tagOf(index: number): string {
  return `v1.${Math.floor(index / 1000)}.${index % 1000}-b${index.toString().padStart(7, '0')}`;
}
