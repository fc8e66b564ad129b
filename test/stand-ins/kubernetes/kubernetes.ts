import { writeFile } from 'node:fs/promises';

import { everything, Users, type User } from './access.ts';
import { serve, type ApiParts, type ServedRequest } from './api.ts';
import { RequestFaults, type RequestFault } from './faults.ts';
import { openListener, type Listener } from './listener.ts';
import type { JsonObject, KubeObject } from './object.ts';
import { Objects } from './objects.ts';
import { expired } from './refusal.ts';
import { imageRepositories, namespaces, type Resource } from './resource.ts';
import { objectKey, ObjectStore } from './store.ts';
import type { Watch } from './watch.ts';

/** How the stand-in is started. */
export interface KubernetesOptions {
  /** Namespaces besides Kubernetes' own; default `flux-system`. */
  readonly namespaces?: readonly string[];
  /** Time between two bookmarks of a watch, in milliseconds; default 60,000, as at an API server. */
  readonly bookmarkIntervalMs?: number;
}

/** What can go wrong at an API server. */
export interface KubernetesFaults {
  /** Arms a fault that meets requests; the returned function lifts it. */
  request(fault: RequestFault): () => void;
  /** Ends all open watches: `end` as at their timeout, `cut` in the middle of the connection. */
  dropWatches(how: 'end' | 'cut'): void;
  /** All open watches stay open and tell nothing any more, ever. */
  silenceWatches(): void;
  /** Writes text as it is into all open watches, such as a broken line. Mind its line end. */
  writeToWatches(text: string): void;
  /** Tells all open watches that their version is too old, as after a compaction, and ends them. */
  expireWatches(): void;
  /** Removes or brings the CustomResourceDefinition; removing it removes its objects. */
  setCrd(present: boolean): void;
  /** Closes the listener and all connections. */
  halt(): Promise<void>;
  /**
   * Listens again on the same port, with all objects; `forget` also forgets the history: watches and
   * lists from before are told 410.
   */
  resume(history?: 'keep' | 'forget'): Promise<void>;
}

/** A running stand-in of a Kubernetes API server. */
export interface LocalKubernetes {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Token of the user `admin`, who may do everything. */
  readonly adminToken: string;
  readonly faults: KubernetesFaults;
  /** The newest resourceVersion. */
  readonly resourceVersion: number;
  /** Requests so far, oldest first; only the newest 10,000 are kept. */
  readonly requests: readonly ServedRequest[];
  /** How many watches are open. */
  readonly openWatches: number;
  /** Adds a user and returns its token; the same token again replaces the user. Default rules: none. */
  addUser(user: Partial<User> & Pick<User, 'name'>, token?: string): string;
  /** From now on the token is told 401. */
  revokeToken(token: string): void;
  /** Makes an ImageRepository as a client would, without HTTP. Throws a Refusal. */
  create(object: JsonObject): KubeObject;
  /** Writes an object of a resource as it is, status and all; only its resourceVersion is new. */
  put(object: KubeObject, resource?: Resource): KubeObject;
  /** Removes an object at once, whatever its finalizers. */
  remove(namespace: string, name: string, resource?: Resource): void;
  /** An object of a resource, if there is one. */
  get(namespace: string, name: string, resource?: Resource): KubeObject | undefined;
  /** Writes a kubeconfig file for a token, for its owner alone; default the admin's. */
  kubeconfig(path: string, token?: string): Promise<void>;
  /** Ends it and all its connections. */
  close(): Promise<void>;
}

/** Requests that are kept for counting. */
const MAX_REQUESTS = 10_000;

/** Starts the stand-in on a free port of 127.0.0.1. */
export async function startKubernetes(options: KubernetesOptions = {}): Promise<LocalKubernetes> {
  const store = new ObjectStore();
  const objects = new Objects(store);
  const users = new Users();
  const adminToken = users.add({ name: 'admin', rules: everything });
  const requests: ServedRequest[] = [];
  const crd = { present: true };
  const parts: ApiParts = {
    store,
    objects,
    users,
    faults: new RequestFaults(),
    watches: new Set(),
    bookmarkIntervalMs: options.bookmarkIntervalMs ?? 60_000,
    hasCrd: () => crd.present,
    onRequest: (request) => {
      requests.push(request);
      if (requests.length > 2 * MAX_REQUESTS) requests.splice(0, MAX_REQUESTS);
    },
  };
  makeNamespaces(objects, options.namespaces ?? ['flux-system']);
  const listener = await openListener((request, response) => void serve(parts, request, response));
  const url = `http://127.0.0.1:${listener.port}`;
  return {
    url,
    adminToken,
    faults: faultsOf(parts, listener, (present) => {
      crd.present = present;
    }),
    get resourceVersion() {
      return store.revision;
    },
    requests,
    get openWatches() {
      return parts.watches.size;
    },
    addUser: ({ name, rules = [] }, token) => users.add({ name, rules }, token),
    revokeToken: (token) => {
      users.revoke(token);
    },
    ...directAccess(store, objects),
    kubeconfig: (path, token = adminToken) => writeKubeconfig(path, url, token),
    close: () => listener.halt(),
  };
}

/** A kubeconfig in JSON, which is YAML. */
async function writeKubeconfig(path: string, server: string, token: string): Promise<void> {
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    // The client library refuses http unless the file says that it is meant.
    clusters: [{ name: 'local', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'local', user: { token } }],
    contexts: [{ name: 'local', context: { cluster: 'local', user: 'local' } }],
    'current-context': 'local',
  };
  await writeFile(path, `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 });
}

function makeNamespaces(objects: Objects, more: readonly string[]): void {
  for (const name of ['default', 'kube-node-lease', 'kube-public', 'kube-system', ...more]) {
    const labels = { 'kubernetes.io/metadata.name': name };
    const target = { resource: namespaces, fieldManager: 'kube-apiserver' };
    objects.create(target, { metadata: { name, labels } });
  }
}

function directAccess(
  store: ObjectStore,
  objects: Objects,
): Pick<LocalKubernetes, 'create' | 'put' | 'remove' | 'get'> {
  const resource = imageRepositories;
  return {
    create: (object) => {
      const { namespace } = object['metadata'] as { readonly namespace?: string };
      return objects.create(
        { resource, fieldManager: 'kubectl-create', namespace: namespace ?? 'default' },
        object,
      );
    },
    put: (object, { collection } = resource) => {
      const { namespace, name } = object.metadata;
      return store.put(collection, objectKey(namespace, name), object);
    },
    remove: (namespace, name, { collection } = resource) => {
      store.remove(collection, objectKey(namespace, name));
    },
    get: (namespace, name, { collection } = resource) =>
      store.get(collection, objectKey(namespace, name)),
  };
}

function faultsOf(
  parts: ApiParts,
  listener: Listener,
  setCrd: (present: boolean) => void,
): KubernetesFaults {
  const { store, watches, faults } = parts;
  const each = (act: (watch: Watch) => void): void => {
    for (const watch of watches) act(watch);
  };
  return {
    request: (fault) => faults.add(fault),
    dropWatches: (how) => {
      each((watch) => {
        if (how === 'end') watch.end();
        else watch.drop();
      });
    },
    silenceWatches: () => {
      each((watch) => {
        watch.silence();
      });
    },
    writeToWatches: (text) => {
      each((watch) => {
        watch.writeRaw(text);
      });
    },
    expireWatches: () => {
      each((watch) => {
        watch.fail(expired(store.compactedRevision, store.revision));
      });
    },
    setCrd: (present) => {
      setCrd(present);
      if (present) return;
      for (const key of store.keys(imageRepositories.collection)) {
        store.remove(imageRepositories.collection, key);
      }
      each((watch) => {
        if (watch.resource === imageRepositories) watch.end();
      });
    },
    halt: () => listener.halt(),
    resume: (history = 'keep') => {
      if (history === 'forget') store.compact();
      return listener.resume();
    },
  };
}
