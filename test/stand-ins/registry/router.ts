import { readUploadPath } from './artifact-registry/upload-path.ts';
import { requireImageName } from './artifact-registry/image-name.ts';
import { restTags } from './artifact-registry/rest-tags.ts';
import { listTagsWithMap } from './artifact-registry/tags-map.ts';
import type { RegistryContext } from './context.ts';
import { blobs } from './endpoints/blobs.ts';
import { downloads } from './endpoints/downloads.ts';
import { manifests } from './endpoints/manifests.ts';
import { referrers } from './endpoints/referrers.ts';
import { listRepositories, listTags } from './endpoints/tags.ts';
import { beginUpload, continueUpload } from './endpoints/uploads.ts';
import { jsonAnswer, type Answer, type Handler, type RegistryRequest } from './exchange.ts';
import { isRepositoryName } from './names.ts';
import { RegistryRefusal } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** `/v2/<name>/<family>/<rest>`; the name may hold the families' words, so the last ones count. */
const ENDPOINT =
  /^\/v2\/(.+)\/(tags\/list|manifests|blobs\/uploads|blobs|referrers)(?:\/([^/]*))?$/;

/** The handler of all endpoints, without credentials, faults or latency. */
export function createRouter(context: RegistryContext): Handler {
  return async (request) => {
    switch (requestKind(request.path)) {
      case 'ping':
        return jsonAnswer(200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
      case 'catalog':
        return listRepositories(context, request);
      case 'download':
        return downloads(context, request);
      case 'api':
        return restTags(context, request);
      case 'upload': {
        const place = readUploadPath(request.path);
        if (place !== undefined) return continueUpload(context, request, place);
        break;
      }
      default:
    }
    return repositoryEndpoint(context, request);
  };
}

async function repositoryEndpoint(
  context: RegistryContext,
  request: RegistryRequest,
): Promise<Answer> {
  const [, name = '', family, rest = ''] = ENDPOINT.exec(request.path) ?? [];
  if (family === undefined) throw new RegistryRefusal(404, 'UNSUPPORTED', 'no such endpoint');
  if (!isRepositoryName(name)) {
    throw new RegistryRefusal(400, 'NAME_INVALID', 'invalid repository name', { detail: name });
  }
  const google = context.personality === 'artifact-registry';
  if (google) requireImageName(context, name);
  switch (family) {
    case 'tags/list':
      requireReading(request);
      return google ? listTagsWithMap(context, request, name) : listTags(context, request, name);
    case 'manifests':
      return manifests(context, request, name, decodeURIComponent(rest));
    case 'blobs':
      return blobs(context, request, name, decodeURIComponent(rest));
    case 'referrers':
      requireReading(request);
      return referrers(context, request, name, decodeURIComponent(rest));
    default:
      return rest === ''
        ? beginUpload(context, request, name)
        : continueUpload(context, request, { id: rest, pool: context.store.poolOf(name) });
  }
}

function requireReading(request: RegistryRequest): void {
  if (request.method === 'GET' || request.method === 'HEAD') return;
  throw new RegistryRefusal(405, 'UNSUPPORTED', `${request.method} of a list`);
}
