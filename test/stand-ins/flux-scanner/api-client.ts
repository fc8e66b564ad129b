import { createInterface } from 'node:readline';

import { exchange, open, type HttpRequest } from './http.ts';
import type { Repository } from './repository.ts';

/** Where the Kubernetes API is and who asks. */
export interface ApiAccess {
  /** `http://HOST:PORT` or `https://…` */
  readonly apiServer: string;
  /** Bearer token. */
  readonly token: string;
  /** Certificates that the server's own is checked against, PEM; default the system's. */
  readonly certificateAuthority?: string;
}

/** The API server refused. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** A watch event with an ImageRepository. */
export interface RepositoryEvent {
  readonly type: string;
  readonly object: Repository;
}

/** Which part of an object a patch is for. */
export type PatchTarget = 'main' | 'status';

const GROUP = '/apis/image.toolkit.fluxcd.io/v1';
const MANAGER = 'image-reflector-controller';

/** The few requests that a scanner makes. */
export class ApiClient {
  private readonly access: ApiAccess;

  constructor(access: ApiAccess) {
    this.access = access;
  }

  /** All ImageRepositories, with the resourceVersion to watch from. */
  async list(
    namespace: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly items: readonly Repository[]; readonly resourceVersion: string }> {
    const text = await this.send('GET', collection(namespace), { signal });
    const { items, metadata } = JSON.parse(text) as {
      readonly items: readonly Repository[];
      readonly metadata: { readonly resourceVersion: string };
    };
    return { items, resourceVersion: metadata.resourceVersion };
  }

  /** Changes after a resourceVersion, until the server ends the watch. */
  async *watch(
    namespace: string | undefined,
    resourceVersion: string,
    signal: AbortSignal,
  ): AsyncGenerator<RepositoryEvent> {
    const query = new URLSearchParams({
      watch: 'true',
      resourceVersion,
      allowWatchBookmarks: 'true',
    });
    const response = await open(this.url(`${collection(namespace)}?${query.toString()}`), {
      headers: this.headers(),
      ...this.trust(),
      signal,
    });
    try {
      if (response.statusCode !== 200) {
        throw new ApiRefusal(response.statusCode ?? 0, 'the watch was refused');
      }
      for await (const line of createInterface({ input: response })) {
        yield JSON.parse(line) as RepositoryEvent;
      }
    } finally {
      response.destroy();
    }
  }

  /** One object; undefined where it is gone. */
  async get(namespace: string, name: string): Promise<Repository | undefined> {
    try {
      const text = await this.send('GET', `${collection(namespace)}/${name}`);
      return JSON.parse(text) as Repository;
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  /** The data of a Secret, base64 by key. */
  async secret(namespace: string, name: string): Promise<Readonly<Record<string, string>>> {
    const text = await this.send('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`);
    const { data = {} } = JSON.parse(text) as { readonly data?: Record<string, string> };
    return data;
  }

  /** Sends a merge patch as Flux's controller; gives the object afterwards. */
  async patch(repository: Repository, target: PatchTarget, patch: object): Promise<Repository> {
    const { namespace, name } = repository.metadata;
    const path = `${collection(namespace)}/${name}${target === 'status' ? '/status' : ''}`;
    const text = await this.send('PATCH', `${path}?fieldManager=${MANAGER}`, {
      headers: { 'content-type': 'application/merge-patch+json' },
      body: JSON.stringify(patch),
    });
    return JSON.parse(text) as Repository;
  }

  private async send(method: string, path: string, request: HttpRequest = {}): Promise<string> {
    const { status, text } = await exchange(this.url(path), {
      ...request,
      method,
      ...this.trust(),
      headers: { ...this.headers(), ...request.headers },
    });
    if (status >= 200 && status < 300) return text;
    throw new ApiRefusal(status, messageOf(text) ?? `the API server answered ${status}`);
  }

  private url(path: string): URL {
    return new URL(path, this.access.apiServer);
  }

  private headers(): Record<string, string> {
    return {
      authorization: `Bearer ${this.access.token}`,
      accept: 'application/json',
      'user-agent': MANAGER,
    };
  }

  private trust(): Pick<HttpRequest, 'certificateAuthority'> {
    const { certificateAuthority } = this.access;
    return certificateAuthority === undefined ? {} : { certificateAuthority };
  }
}

function collection(namespace: string | undefined): string {
  return namespace === undefined
    ? `${GROUP}/imagerepositories`
    : `${GROUP}/namespaces/${namespace}/imagerepositories`;
}

function messageOf(text: string): string | undefined {
  try {
    const { message } = JSON.parse(text) as { readonly message?: string };
    return message;
  } catch {
    return undefined;
  }
}
