import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { reviewAccess } from './access-review.ts';
import { forbidden, isAllowed, type Attempt, type User, type Users } from './access.ts';
import { readBody, requireObject } from './body.ts';
import { discovery } from './discovery.ts';
import { faultRefusal, type RequestFaults } from './faults.ts';
import { parseFieldSelector } from './field-selector.ts';
import { imageRepositoryCrd } from './image-repository-crd.ts';
import { parseLabelSelector } from './label-selector.ts';
import { listJson, type Selection } from './list.ts';
import { sendJson, sendRefusal, sendText } from './answer.ts';
import { openApi } from './openapi.ts';
import { listOptions, watchOptions } from './query.ts';
import { isJsonObject, toJson, type KubeObject } from './object.ts';
import type { Objects, Target } from './objects.ts';
import { Refusal, unknownResource } from './refusal.ts';
import { requestInfo, type RequestInfo } from './request-info.ts';
import { groupVersion, imageRepositories, resources, type Resource } from './resource.ts';
import type { ObjectStore } from './store.ts';
import { Watch } from './watch.ts';

/** What the API stands on. */
export interface ApiParts {
  readonly store: ObjectStore;
  readonly objects: Objects;
  readonly users: Users;
  readonly faults: RequestFaults;
  readonly watches: Set<Watch>;
  readonly bookmarkIntervalMs: number;
  nowMs(): number;
  /** Whether the CustomResourceDefinition of ImageRepositories is there. */
  hasCrd(): boolean;
  /** Told of every request once it is known who sends it. */
  onRequest(request: ServedRequest): void;
}

/** A request as tests count them. */
export interface ServedRequest {
  readonly method: string;
  /** Path with query. */
  readonly url: string;
  /** Kubernetes' verb; that of HTTP in lower case where no object is meant. */
  readonly verb: string;
  /** Plural of the resource; empty where none is meant. */
  readonly resource: string;
  readonly user: string;
}

/** Paths that everybody may read, as the role `system:public-info-viewer` allows. */
const health = ['/readyz', '/livez', '/healthz'];

/** Serves one request; every failure becomes an answer. */
export async function serve(
  parts: ApiParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await dispatch(parts, request, response);
  } catch (error) {
    if (response.destroyed) return;
    sendRefusal(response, error instanceof Refusal ? error : internal(error));
  }
}

function internal(error: unknown): Refusal {
  const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new Refusal(500, 'InternalError', `Internal error occurred: ${why}`);
}

async function dispatch(
  parts: ApiParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const method = request.method ?? 'GET';
  const url = new URL(request.url ?? '/', 'http://localhost');
  const user = parts.users.authenticate(request.headers.authorization, parts.nowMs());
  const served = servedResources(parts);
  const info = requestInfo(method, url, served);
  const met = {
    verb: info?.verb ?? method.toLowerCase(),
    resource: info?.resource.plural ?? '',
    user: user.name,
  };
  parts.onRequest({ method, url: request.url ?? '/', ...met });
  if (!(await survivesFault(parts, met, response))) return;
  if (info !== undefined) {
    await serveObjects(parts, user, info, request, response);
    return;
  }
  await serveOther(parts, user, url.pathname, request, response);
}

function servedResources(parts: ApiParts): readonly Resource[] {
  return parts.hasCrd() ? resources : resources.filter((each) => each !== imageRepositories);
}

/** Lets an armed fault do its work; false where the request is done with. */
async function survivesFault(
  { faults }: ApiParts,
  met: { readonly verb: string; readonly resource: string; readonly user: string },
  response: ServerResponse,
): Promise<boolean> {
  const fault = faults.take(met);
  if (fault === undefined) return true;
  if (fault.delayMs !== undefined) await sleep(fault.delayMs);
  if (fault.answer === undefined) return true;
  if (fault.answer === 'reset') response.destroy();
  else if (fault.answer !== 'hang') throw faultRefusal(fault);
  return false;
}

async function serveOther(
  parts: ApiParts,
  user: User,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (health.includes(path)) {
    response.writeHead(200, { 'content-type': 'text/plain; charset=utf-8' });
    response.end('ok');
    return;
  }
  if (path === '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews') {
    if (request.method !== 'POST') throw unknownResource();
    sendJson(response, 201, reviewAccess(user, requireObject(await readBody(request))));
    return;
  }
  const served = servedResources(parts);
  const crd = parts.hasCrd() ? imageRepositoryCrd : undefined;
  const plain = path.replace(/\/+$/, '');
  const document =
    openApi(plain, served) ?? discovery(plain, served, crd, request.headers.host ?? '');
  if (document !== undefined) {
    sendJson(response, 200, document);
    return;
  }
  response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
  response.end('404 page not found\n');
}

async function serveObjects(
  parts: ApiParts,
  user: User,
  info: RequestInfo,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const fields = parseFieldSelector(
    info.query.get('fieldSelector') ?? '',
    info.resource.selectable,
  );
  const name = info.name ?? fields.name;
  authorize(user, { ...info, ...(name === undefined ? {} : { name }) });
  const labels = parseLabelSelector(info.query.get('labelSelector') ?? '');
  const selection: Selection = {
    resource: info.resource,
    ...(info.namespace === undefined ? {} : { namespace: info.namespace }),
    matches: (object) => labels(object.metadata.labels) && fields.matches(object),
    selective: ['labelSelector', 'fieldSelector'].some((each) => info.query.get(each) !== null),
  };
  switch (info.verb) {
    case 'list':
      sendText(response, 200, listJson(parts.store, selection, listOptions(info.query)));
      return;
    case 'watch':
      openWatch(parts, selection, info.query, response);
      return;
    case 'get':
      sendText(response, 200, toJson(info.resource.present(parts.objects.get(info))));
      return;
    case 'deletecollection':
      deleteCollection(parts, selection, targetOf(info, request), response);
      return;
    default:
      await write(parts, info, request, response);
  }
}

function authorize(user: User, attempt: Attempt): void {
  if (!isAllowed(user, attempt)) throw forbidden(user, attempt);
}

function openWatch(
  { store, watches, bookmarkIntervalMs }: ApiParts,
  selection: Selection,
  query: URLSearchParams,
  response: ServerResponse,
): void {
  const options = { ...selection, ...watchOptions(query), bookmarkIntervalMs };
  try {
    const watch = new Watch(store, response, options);
    watches.add(watch);
    watch.onceClosed(() => watches.delete(watch));
  } catch (error) {
    if (!(error instanceof Refusal && [410, 504].includes(error.code))) throw error;
    // A watch that cannot begin where it was told to is still a watch: its one event says why.
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`{"type":"ERROR","object":${JSON.stringify(error.status)}}\n`);
  }
}

/** Who writes: the query says, or else the first word of the User-Agent, as at an API server. */
function targetOf(info: RequestInfo, request: IncomingMessage): Target {
  const agent = request.headers['user-agent']?.split('/')[0] ?? '';
  const manager = info.query.get('fieldManager') ?? '';
  const { resource, namespace, name, subresource } = info;
  return {
    resource,
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
    fieldManager: manager === '' ? (agent === '' ? 'unknown' : agent) : manager,
    dryRun: info.query.get('dryRun') === 'All',
    strict: info.query.get('fieldValidation') === 'Strict',
  };
}

async function write(
  { objects }: ApiParts,
  info: RequestInfo,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const target = targetOf(info, request);
  const body = await readBody(request);
  const { resource } = info;
  switch (info.verb) {
    case 'create': {
      const created = objects.create(target, requireObject(body));
      sendText(response, 201, toJson(resource.present(created)));
      return;
    }
    case 'update': {
      const { object, created } = objects.update(target, requireObject(body));
      sendText(response, created ? 201 : 200, toJson(resource.present(object)));
      return;
    }
    case 'patch': {
      const mediaType = request.headers['content-type']?.split(';')[0]?.trim() ?? '';
      const patched = objects.patch(target, mediaType, body);
      sendText(response, 200, toJson(resource.present(patched)));
      return;
    }
    default:
      deleteOne(objects, target, body, response);
  }
}

function deleteOne(
  objects: Objects,
  target: Target,
  body: unknown,
  response: ServerResponse,
): void {
  const options = isJsonObject(body) ? body : {};
  const preconditions = isJsonObject(options['preconditions']) ? options['preconditions'] : {};
  const { uid, resourceVersion } = preconditions;
  const { object, gone } = objects.delete(target, {
    ...(typeof uid === 'string' ? { uid } : {}),
    ...(typeof resourceVersion === 'string' ? { resourceVersion } : {}),
  });
  if (!gone) {
    sendText(response, 200, toJson(target.resource.present(object)));
    return;
  }
  const { group, plural: kind } = target.resource;
  const details = { name: object.metadata.name, group, kind, uid: object.metadata.uid };
  sendJson(response, 200, {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details,
  });
}

function deleteCollection(
  { store, objects }: ApiParts,
  { resource, namespace, matches }: Selection,
  target: Target,
  response: ServerResponse,
): void {
  const deleted: KubeObject[] = [];
  for (const key of store.keys(resource.collection)) {
    const object = store.get(resource.collection, key);
    if (object === undefined || !matches(object)) continue;
    const { name, namespace: home } = object.metadata;
    if (namespace !== undefined && home !== namespace) continue;
    objects.delete({ ...target, name, ...(home === undefined ? {} : { namespace: home }) });
    deleted.push(resource.present(object));
  }
  sendJson(response, 200, {
    apiVersion: groupVersion(resource),
    kind: `${resource.kind}List`,
    metadata: { resourceVersion: String(store.revision) },
    items: deleted,
  });
}
