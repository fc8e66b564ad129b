import { readUploadPath, requireImageName } from './artifact-registry/images.ts';
import { restTags } from './artifact-registry/rest-tags.ts';
import { listTagsWithMap } from './artifact-registry/tags-map.ts';
import type { Call } from './call.ts';
import { blobs, downloads } from './endpoints/blobs.ts';
import { manifests } from './endpoints/manifests.ts';
import { referrers } from './endpoints/referrers.ts';
import { listTags } from './endpoints/tags.ts';
import { beginUpload, continueUpload } from './endpoints/uploads.ts';
import { jsonAnswer, noSuchPage, type Answer } from './exchange.ts';
import { requireReading } from './refusal.ts';
import { requestKind } from './request-kind.ts';

/** `/v2/<name>/<family>/<rest>`; the name may hold the families' words, so the last ones count. */
const ENDPOINT =
  /^\/v2\/(.+)\/(tags\/list|manifests|blobs\/uploads|blobs|referrers)(?:\/([^/]*))?$/;

/** OCI Distribution 1.1, "Pulling manifests": grammar of `<name>`, at most 255 characters here. */
const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/** The answer of all endpoints, without credentials, faults or latency. */
export async function route(call: Call): Promise<Answer> {
  const { path } = call.request;
  switch (requestKind(path)) {
    case 'ping':
      return jsonAnswer(200, {}, { 'docker-distribution-api-version': 'registry/2.0' });
    case 'download':
      return downloads(call);
    case 'api':
      return restTags(call);
    case 'upload': {
      const place = readUploadPath(path);
      if (place !== undefined) return continueUpload(call, place);
      break;
    }
    default:
  }
  return repositoryEndpoint(call);
}

async function repositoryEndpoint(call: Call): Promise<Answer> {
  const { request, dialect, repositories, store } = call;
  const [, name = '', family, rest = ''] = ENDPOINT.exec(request.path) ?? [];
  if (family === undefined || name.length > 255 || !REPOSITORY.test(name)) return noSuchPage();
  const google = dialect === 'artifact-registry';
  if (google) requireImageName(name, repositories);
  switch (family) {
    case 'tags/list':
      requireReading(request, 'list');
      return google ? listTagsWithMap(call, name) : listTags(call, name);
    case 'manifests':
      return manifests(call, name, decodeURIComponent(rest));
    case 'blobs':
      return blobs(call, name, decodeURIComponent(rest));
    case 'referrers':
      requireReading(request, 'list');
      return referrers(call, name, decodeURIComponent(rest));
    default:
      return rest === ''
        ? beginUpload(call, name)
        : continueUpload(call, { id: rest, pool: store.poolOf(name) });
  }
}
