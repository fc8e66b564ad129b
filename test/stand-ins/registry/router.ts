import { readUploadPath, requireImageName } from './artifact-registry/images.ts';
import { restTags } from './artifact-registry/rest-tags.ts';
import { listTagsWithMap } from './artifact-registry/tags-map.ts';
import type { RegistryContext } from './context.ts';
import { blobs, downloads } from './endpoints/blobs.ts';
import { manifests } from './endpoints/manifests.ts';
import { referrers } from './endpoints/referrers.ts';
import { listTags } from './endpoints/tags.ts';
import { beginUpload, continueUpload } from './endpoints/uploads.ts';
import {
  jsonAnswer,
  noSuchPage,
  type Answer,
  type Handler,
  type RegistryRequest,
} from './exchange.ts';
import { RegistryRefusal } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** `/v2/<name>/<family>/<rest>`; the name may hold the families' words, so the last ones count. */
const ENDPOINT =
  /^\/v2\/(.+)\/(tags\/list|manifests|blobs\/uploads|blobs|referrers)(?:\/([^/]*))?$/;

/** OCI Distribution 1.1, "Pulling manifests": grammar of `<name>`, at most 255 characters here. */
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/** The handler of all endpoints, without credentials, faults or latency. */
export function createRouter(context: RegistryContext): Handler {
  return async (request) => {
    switch (requestKind(request.path)) {
      case 'ping':
        return jsonAnswer(200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
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
  if (family === undefined || name.length > 255 || !REPOSITORY.test(name)) return noSuchPage();
  const google = context.dialect === 'artifact-registry';
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
