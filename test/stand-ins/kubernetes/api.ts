import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { readBody } from '../http.ts';
import { forbidden, isAllowed, type User, type Users } from './access.ts';
import { faultRefusal, type RequestFault, type RequestFaults } from './faults.ts';
import { listJson, type Selection } from './list.ts';
import { isJsonObject, toJson, type JsonObject, type KubeObject } from './object.ts';
import type { Objects, Target } from './objects.ts';
import { badRequest, Refusal, unsupportedMediaType } from './refusal.ts';
import { requestInfo, type RequestInfo } from './request-info.ts';
import { imageRepositories, resources } from './resource.ts';
import { parseLabelSelector } from './selectors.ts';
import type { ObjectStore } from './store.ts';
import { Watch } from './watch.ts';

/** What the API serves from. */
export interface ApiParts {
  readonly store: ObjectStore;
  readonly objects: Objects;
  readonly users: Users;
  readonly faults: RequestFaults;
  readonly watches: Set<Watch>;
  readonly bookmarkIntervalMs: number;
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

/** Largest request body that the API server takes (its `--max-request-bytes`): 3 MiB. */
const MAX_BODY_BYTES = 3 * 1024 * 1024;
const MERGE_PATCH = 'application/merge-patch+json';

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
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const refusal = error instanceof Refusal ? error : new Refusal(500, 'InternalError', why);
    const retryAfter = refusal.details?.retryAfterSeconds;
    if (retryAfter !== undefined) response.setHeader('retry-after', String(retryAfter));
    sendJson(response, refusal.code, refusal.status);
  }
}

async function dispatch(
  parts: ApiParts,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { method = 'GET', url = '/' } = request;
  const user = parts.users.authenticate(request.headers.authorization);
  const served = parts.hasCrd() ? resources : resources.filter((it) => it !== imageRepositories);
  const info = requestInfo(method, new URL(url, 'http://localhost'), served);
  const met = {
    verb: info?.verb ?? method.toLowerCase(),
    resource: info?.resource.plural ?? '',
    user: user.name,
  };
  parts.onRequest({ method, url, ...met });
  const fault = parts.faults.take(met);
  if (fault !== undefined && !(await passes(fault, response))) return;
  if (info !== undefined) {
    await serveObjects(parts, user, info, request, response);
    return;
  }
  response.writeHead(404, { 'content-type': 'text/plain; charset=utf-8' });
  response.end('404 page not found\n');
}

/** Whether a request that meets a fault is served all the same, after the fault's delay. */
async function passes(
  { delayMs = 0, answer }: RequestFault,
  response: ServerResponse,
): Promise<boolean> {
  await sleep(delayMs);
  if (answer === 'reset') response.destroy();
  if (typeof answer === 'number') throw faultRefusal(answer);
  return answer === undefined;
}

async function serveObjects(
  parts: ApiParts,
  user: User,
  info: RequestInfo,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const { resource, query, namespace } = info;
  if (!isAllowed(user, info)) throw forbidden(user, info);
  if (query.has('fieldSelector')) throw badRequest('the stand-in selects by labels alone');
  const labels = parseLabelSelector(query.get('labelSelector') ?? '');
  const selection: Selection = {
    resource,
    namespace,
    matches: (object) => labels(object.metadata.labels),
    selective: query.has('labelSelector'),
  };
  const show = (status: number, object: KubeObject): void => {
    sendText(response, status, toJson(object));
  };
  const { objects, store } = parts;
  switch (info.verb) {
    case 'list':
      sendText(response, 200, listJson(store, selection, query));
      return;
    case 'watch':
      openWatch(parts, selection, query, response);
      return;
    case 'get':
      show(200, objects.get(info));
      return;
    case 'create':
      show(201, objects.create(targetOf(info, request), await readObject(request)));
      return;
    case 'update': {
      const { object, created } = objects.update(
        targetOf(info, request),
        await readObject(request),
      );
      show(created ? 201 : 200, object);
      return;
    }
    case 'patch':
      if (request.headers['content-type']?.split(';')[0] !== MERGE_PATCH) {
        throw unsupportedMediaType([MERGE_PATCH]);
      }
      show(200, objects.patch(targetOf(info, request), await readObject(request)));
      return;
    default: {
      const { object, gone } = objects.delete(targetOf(info, request));
      if (gone) sendJson(response, 200, deletedStatus(info, object));
      else show(200, object);
    }
  }
}

function openWatch(
  { store, watches, bookmarkIntervalMs }: ApiParts,
  selection: Selection,
  query: URLSearchParams,
  response: ServerResponse,
): void {
  try {
    const watch = new Watch(store, response, selection, query, bookmarkIntervalMs);
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
function targetOf(info: RequestInfo, { headers }: IncomingMessage): Target {
  const fieldManager =
    [info.query.get('fieldManager'), headers['user-agent']?.split('/')[0]].find(
      (name) => name !== null && name !== undefined && name !== '',
    ) ?? 'unknown';
  return { ...info, fieldManager };
}

/** @throws Refusal 400, 413 */
async function readObject(request: IncomingMessage): Promise<JsonObject> {
  const bytes = await readBody(request, MAX_BODY_BYTES, () => {
    const message = `Request entity too large: limit is ${MAX_BODY_BYTES}`;
    return new Refusal(413, 'RequestEntityTooLarge', message);
  });
  try {
    const body: unknown = JSON.parse(bytes.toString());
    if (isJsonObject(body)) return body;
  } catch {
    // Refused below: no JSON and no object are alike.
  }
  throw badRequest('the object provided is unrecognized: it is no JSON object');
}

function deletedStatus({ resource }: RequestInfo, { metadata }: KubeObject): JsonObject {
  const { group, plural: kind } = resource;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: metadata.name, group, kind, uid: metadata.uid },
  };
}

function sendJson(response: ServerResponse, status: number, body: JsonObject): void {
  sendText(response, status, `${JSON.stringify(body)}\n`);
}

/** Answers with the text of a JSON document. */
function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'cache-control': 'no-cache, private',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}
