import type { Call } from '../call.ts';
import { jsonAnswer, type Answer } from '../exchange.ts';

const TAGS =
  /^\/v1\/projects\/([^/]+)\/locations\/([^/]+)\/repositories\/([^/]+)\/packages\/([^/]+)\/tags$/;
/** Artifact Registry API, `projects.locations.repositories.packages.tags.list`: "maximum 1,000". */
const MAX_PAGE = 1000;

/** `GET /v1/projects/P/locations/L/repositories/R/packages/PKG/tags` of the Artifact Registry API. */
export function restTags({ request, store }: Call): Answer {
  const [, project, location, repository, encoded] = TAGS.exec(request.path) ?? [];
  if (encoded === undefined || request.method !== 'GET') {
    return apiError(404, 'NOT_FOUND', 'Method not found.');
  }
  const image = `${project ?? ''}/${repository ?? ''}/${decodeURIComponent(encoded)}`;
  if (store.manifests(image).length === 0) {
    return apiError(404, 'NOT_FOUND', 'Requested entity was not found.');
  }
  const pageSize = Math.min(Number(request.query.get('pageSize') ?? 0) || MAX_PAGE, MAX_PAGE);
  const after = Buffer.from(request.query.get('pageToken') ?? '', 'base64url').toString('utf8');
  const tags = store.tags(image).filter((tag) => tag > after);
  const shown = tags.slice(0, pageSize);
  const parent = `projects/${project ?? ''}/locations/${location ?? ''}/repositories/${repository ?? ''}/packages/${encoded}`;
  return jsonAnswer(200, {
    tags: shown.map((tag) => ({
      name: `${parent}/tags/${tag}`,
      version: `${parent}/versions/${store.digestOfTag(image, tag) ?? ''}`,
    })),
    ...(tags.length > shown.length
      ? { nextPageToken: Buffer.from(shown.at(-1) ?? '').toString('base64url') }
      : {}),
  });
}

/** An error in the form of Google's APIs (AIP-193). */
export function apiError(code: number, status: string, message: string): Answer {
  return jsonAnswer(code, { error: { code, message, status } });
}
