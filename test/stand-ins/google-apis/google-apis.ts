// A stand-in of Google's REST APIs, as far as Terraform's google provider speaks them for this module: it
// stores what is sent, refuses what the products refuse at creation (an API that is not enabled, a member, a
// key or an image that is not there, a stale etag), and answers as proto3 JSON does.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { text } from 'node:stream/consumers';

import { closed, listen } from '../http.ts';
import { Cloud, partsOf } from './cloud.ts';
import { apiOf, collectionOf, type Collection } from './collections.ts';
import { applyMask, isObject, objectAt, proto3, textAt, type Json } from './json.ts';
import { disabled, invalid, notFound, Refusal } from './refusal.ts';

/** Endpoint variables of the google provider, by the prefix of our paths. */
const ENDPOINTS: Readonly<Record<string, string>> = {
  GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT: 'artifactregistry/v1/',
  GOOGLE_CLOUD_BILLING_CUSTOM_ENDPOINT: 'cloudbilling/v1/',
  GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT: 'run/v2/',
  GOOGLE_COMPUTE_CUSTOM_ENDPOINT: 'compute/v1/',
  GOOGLE_CONTAINER_CUSTOM_ENDPOINT: 'container/v1/',
  GOOGLE_IAM_BETA_CUSTOM_ENDPOINT: 'iam/v1/',
  GOOGLE_KMS_CUSTOM_ENDPOINT: 'kms/v1/',
  GOOGLE_LOGGING_CUSTOM_ENDPOINT: 'logging/v2/',
  GOOGLE_MONITORING_CUSTOM_ENDPOINT: 'monitoring/',
  GOOGLE_PUBSUB_CUSTOM_ENDPOINT: 'pubsub/v1/',
  GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT: 'resourcemanager/v1/',
  GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT: 'secretmanager/v1/',
  GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT: 'serviceusage/v1/',
  GOOGLE_STORAGE_CUSTOM_ENDPOINT: 'storage/v1/',
};

/** A running stand-in. */
export interface GoogleApis {
  readonly cloud: Cloud;
  /** Environment with which Terraform's google provider speaks to it. */
  readonly env: Readonly<Record<string, string>>;
  /** Requests that change something, as `METHOD PATH`, in the order of their arrival. */
  readonly changes: readonly string[];
  close(): Promise<void>;
}

/** Starts one on a free loopback port. */
export async function startGoogleApis(): Promise<GoogleApis> {
  const cloud = new Cloud();
  const changes: string[] = [];
  const server = createServer((request, response) => {
    void answer(cloud, changes, request, response);
  });
  const url = `http://127.0.0.1:${await listen(server)}/`;
  return {
    cloud,
    changes,
    env: {
      GOOGLE_OAUTH_ACCESS_TOKEN: 'stand-in',
      ...Object.fromEntries(Object.entries(ENDPOINTS).map(([name, path]) => [name, url + path])),
    },
    close: () => closed(server),
  };
}

/** One request, taken apart. */
interface Call {
  readonly cloud: Cloud;
  readonly method: string;
  /** `pubsub`, `run` … */
  readonly product: string;
  /** Below the version, decoded, without a custom method: `projects/p/topics/t`. */
  readonly path: string;
  /** The custom method: `setIamPolicy`, or empty. */
  readonly verb: string;
  readonly query: URLSearchParams;
  readonly body: Json;
}

async function answer(
  cloud: Cloud,
  changes: string[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let status = 200;
  let body: unknown;
  try {
    const call = await readCall(cloud, request);
    if (call.method !== 'GET' && call.verb !== 'getIamPolicy' && call.verb !== 'access') {
      changes.push(`${call.method} ${call.product}/${call.path}${call.verb && `:${call.verb}`}`);
    }
    body = call.product === 'storage' ? respond(call) : proto3(respond(call));
  } catch (error) {
    const refusal = error instanceof Refusal ? error : new Refusal('INTERNAL', String(error));
    status = refusal.code;
    body = refusal.body;
  }
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function readCall(cloud: Cloud, request: IncomingMessage): Promise<Call> {
  const sent = await text(request);
  const parsed: unknown = sent === '' ? {} : JSON.parse(sent);
  const url = new URL(request.url ?? '/', 'http://stand-in');
  const [, product = '', , ...rest] = url.pathname.split('/');
  const encoded = rest.join('/');
  const [, path = '', verb = ''] = /^(.*?)(?::([A-Za-z]+))?$/.exec(encoded) ?? [];
  return {
    cloud,
    method: request.method ?? 'GET',
    product,
    // An id may hold an encoded slash: it is one segment of the name, and no more than that.
    path: path.replace(
      /^projects\/([0-9]+)/,
      (_, number: string) => `projects/${cloud.idOf(number)}`,
    ),
    verb,
    query: url.searchParams,
    body: isObject(parsed) ? parsed : {},
  };
}

function respond(call: Call): unknown {
  const { product, path } = call;
  if (product === 'cloudbilling') throw disabled(apiOf(product));
  if (product === 'serviceusage') return serviceUsage(call);
  if (path.includes('/operations/') || path.startsWith('operations/'))
    return call.cloud.get(`${product}/${path}`);
  if (product === 'resourcemanager') return project(call);
  if (call.verb === 'addVersion' || /\/secrets\/[^/]+\/versions(\/|$)/.test(path)) {
    return secretVersion(call);
  }
  if (product === 'artifactregistry' && path.endsWith('/tags')) {
    return { tags: call.cloud.resources.get(`${product}/${path}`)?.['tags'] ?? [] };
  }
  return resource(call);
}

function project({ cloud, path, verb, body }: Call): unknown {
  const { projects = '' } = partsOf(path);
  cloud.requireEnabled(projects, 'cloudresourcemanager.googleapis.com');
  if (verb !== '') return policyOf(cloud, `resourcemanager/${path}`, verb, body);
  return {
    projectNumber: cloud.numberOf(projects),
    projectId: projects,
    lifecycleState: 'ACTIVE',
    name: projects,
    parent: { type: 'organization', id: '1' },
  };
}

function serviceUsage({ cloud, method, path, verb, body }: Call): unknown {
  const { projects = '', services = '' } = partsOf(path);
  const entry = (api: string): Json => ({
    name: `projects/${cloud.numberOf(projects)}/services/${api}`,
    parent: `projects/${cloud.numberOf(projects)}`,
    config: { name: api },
    state: cloud.enabled(projects).has(api) ? 'ENABLED' : 'DISABLED',
  });
  if (verb === 'batchEnable' || verb === 'enable') {
    const wanted = verb === 'enable' ? [services] : (body['serviceIds'] as readonly string[]);
    for (const api of wanted) cloud.enable(projects, api);
    return { name: 'operations/noop.DONE_OPERATION', done: true, response: {} };
  }
  if (verb === 'generateServiceIdentity') {
    cloud.makeAgent(projects, services);
    return { name: 'operations/noop.DONE_OPERATION', done: true, response: {} };
  }
  if (verb === 'disable') throw invalid('Nothing here disables an API.');
  if (method === 'GET' && services !== '') return entry(services);
  return { services: [...cloud.enabled(projects)].map(entry) };
}

function policyOf(cloud: Cloud, name: string, verb: string, body: Json): unknown {
  if (verb === 'getIamPolicy') return { version: 1, ...cloud.policy(name) };
  if (verb === 'setIamPolicy')
    return { version: 1, ...cloud.setPolicy(name, objectAt(body, 'policy')) };
  throw notFound(`${name}:${verb}`);
}

function secretVersion({ cloud, method, path, verb, body }: Call): unknown {
  const { projects = '', secrets = '', versions = '' } = partsOf(path);
  const secret = `secretmanager/projects/${projects}/secrets/${secrets}`;
  cloud.get(secret);
  if (verb === 'addVersion') {
    const number =
      [...cloud.resources.keys()].filter((name) => name.startsWith(`${secret}/versions/`)).length +
      1;
    const version: Json = {
      name: `projects/${cloud.numberOf(projects)}/secrets/${secrets}/versions/${number}`,
      state: 'ENABLED',
      createTime: '2026-11-01T12:00:00Z',
      payload: objectAt(body, 'payload'),
    };
    cloud.resources.set(`${secret}/versions/${number}`, version);
    return withoutPayload(version);
  }
  const version = cloud.get(`${secret}/versions/${versions}`);
  if (verb === 'access') return { name: version['name'], payload: version['payload'] };
  if (method === 'GET') return withoutPayload(version);
  const state = { destroy: 'DESTROYED', disable: 'DISABLED', enable: 'ENABLED' }[verb];
  if (state === undefined) throw invalid(`${method} ${path}:${verb}`);
  version['state'] = state;
  return withoutPayload(version);
}

function withoutPayload(version: Json): Json {
  return Object.fromEntries(Object.entries(version).filter(([key]) => key !== 'payload'));
}

/** Creates, reads, lists, changes and deletes whatever is in COLLECTIONS. */
function resource(call: Call): unknown {
  const { cloud, method, product, verb, body } = call;
  let path = call.path;
  if (product === 'storage' && path.endsWith('/iam')) {
    const name = `storage/${path.slice(0, -'/iam'.length)}`;
    cloud.get(name);
    if (method === 'GET') return { kind: 'storage#policy', version: 1, ...cloud.policy(name) };
    return { kind: 'storage#policy', version: 1, ...cloud.setPolicy(name, body) };
  }
  if (product === 'compute' && path.endsWith('/setLabels'))
    path = path.slice(0, -'/setLabels'.length);
  const collection = collectionOf(product, path);
  if (collection !== undefined) return one(call, collection, path);
  const parent = collectionOf(product, `${path}/x`);
  if (parent === undefined) throw notFound(`${product}/${path}${verb && `:${verb}`}`);
  requireApi(call);
  if (method === 'POST') return create(call, parent, `${path}/${idOf(call, parent)}`);
  const key = path.split('/').at(-1) ?? '';
  const prefix = `${product}/${path}/`;
  const found = [...cloud.resources].filter(
    ([name]) => name.startsWith(prefix) && !name.slice(prefix.length).includes('/'),
  );
  return { [key]: found.map(([, value]) => value), items: found.map(([, value]) => value) };
}

function requireApi({ cloud, path, query, product }: Call): void {
  const named = partsOf(path)['projects'] ?? query.get('project') ?? '';
  // A bucket's name says no project.
  if (product === 'storage' && named === '') return;
  cloud.requireEnabled(named, apiOf(product));
}

function idOf({ cloud, query, body }: Call, { id }: Collection): string {
  if (id === 'given' || id === 'put') return cloud.nextNumber();
  const said =
    'query' in id
      ? (query.get(id.query) ?? query.get(camel(id.query)) ?? '')
      : textAt(body, id.field);
  if (said === '') throw invalid('The request says no id.');
  return encodeURIComponent(said);
}

function camel(name: string): string {
  return name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function one(call: Call, collection: Collection, path: string): unknown {
  const { cloud, method, product, verb, body, query } = call;
  requireApi(call);
  const name = `${product}/${path}`;
  if (verb === 'getIamPolicy' || verb === 'setIamPolicy') {
    cloud.get(name);
    return policyOf(cloud, name, verb, body);
  }
  if (method === 'GET') return cloud.get(name);
  if (method === 'PUT' && !cloud.resources.has(name)) return create(call, collection, path);
  if (method === 'DELETE') {
    cloud.delete(name);
    if (product === 'pubsub') orphan(cloud, path);
    return done(call, collection, name, {});
  }
  const stored = structuredClone(cloud.get(name));
  const update = unwrapped(body, collection);
  const mask = query.get('updateMask') ?? textAt(body, 'updateMask');
  if (call.path.endsWith('/setLabels')) stored['labels'] = body['labels'];
  else if (mask !== '') applyMask(stored, update, mask.split(','));
  else if (product === 'storage' || product === 'compute') Object.assign(stored, update);
  else replace(stored, update);
  collection.fill(stored, decodeURIComponent(path), cloud);
  cloud.resources.set(name, stored);
  return done(call, collection, name, stored);
}

function unwrapped(body: Json, { wrapped }: Collection): Json {
  return wrapped !== undefined && isObject(body[wrapped]) ? body[wrapped] : body;
}

function replace(stored: Json, update: Json): void {
  for (const key of Object.keys(stored)) if (!OUTPUTS.has(key)) Reflect.deleteProperty(stored, key);
  Object.assign(stored, update);
}

/** What a product keeps about a resource that is replaced as a whole. */
const OUTPUTS = new Set(['name', 'uid', 'createTime', 'creationRecord', 'uniqueId']);

function create(call: Call, collection: Collection, path: string): unknown {
  const { cloud, product, body } = call;
  const account = product === 'iam';
  const project = partsOf(path)['projects'] ?? '';
  const full = account ? `${path}@${project}.iam.gserviceaccount.com` : path;
  const name = `${product}/${full}`;
  if (cloud.resources.has(name)) {
    throw new Refusal('ALREADY_EXISTS', `${name} already exists.`);
  }
  const made = structuredClone(unwrapped(body, collection));
  collection.fill(made, decodeURIComponent(full), cloud);
  cloud.resources.set(name, made);
  return done(call, collection, name, made);
}

/** The answer to a change: the resource, or an operation that has ended. */
function done(
  { cloud, product, path }: Call,
  collection: Collection,
  name: string,
  response: Json,
): unknown {
  const { projects = '', locations = '', regions = '' } = partsOf(path);
  if (collection.operations === undefined) return response;
  if (collection.operations === 'compute') {
    const operation = {
      kind: 'compute#operation',
      name: `operation-${cloud.nextNumber()}`,
      status: 'DONE',
      progress: 100,
      targetLink: `https://www.googleapis.com/compute/v1/${name.slice(name.indexOf('/') + 1)}`,
      region: `https://www.googleapis.com/compute/v1/projects/${projects}/regions/${regions}`,
    };
    cloud.resources.set(
      `compute/projects/${projects}/regions/${regions}/operations/${operation.name}`,
      operation,
    );
    return operation;
  }
  const operation = {
    name: `projects/${projects}/locations/${locations}/operations/${cloud.nextNumber()}`,
    done: true,
    response: { '@type': `type.googleapis.com/${collection.type ?? ''}`, ...response },
  };
  cloud.resources.set(`${product}/${operation.name}`, operation);
  // The first answer says no more than that it has begun.
  return { name: operation.name, metadata: {} };
}

/** A topic that is deleted leaves its subscriptions, without a topic. */
function orphan(cloud: Cloud, topic: string): void {
  for (const subscription of cloud.resources.values()) {
    if (subscription['topic'] === topic) subscription['topic'] = '_deleted-topic_';
  }
}
