import { Agent, type IncomingMessage } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Authorization } from './authorization.ts';
import { exchange } from '../http.ts';

/** Where a registry is and how it is asked. */
export interface RegistryClientOptions {
  /** Origin, `http://127.0.0.1:5000`. */
  readonly url: string;
  /** Default: none is sent. */
  readonly authorization?: Authorization;
}

/** One request to a repository. */
export interface RepositoryRequest {
  readonly method: string;
  readonly repository: string;
  /** Path below `/v2/<repository>/`, or a whole address that the registry gave. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Hops a redirect may take (RFC 9110, section 15.4 asks for a limit). */
const MAX_HOPS = 5;

/** Speaks to one registry over Node's own HTTP client and nothing else. */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #agent: Agent | TlsAgent;

  constructor(options: RegistryClientOptions) {
    this.#options = options;
    const settings = { keepAlive: true, maxSockets: 16 };
    this.#agent = options.url.startsWith('https:') ? new TlsAgent(settings) : new Agent(settings);
  }

  /** Sends a request, with credentials as they are asked for; GETs follow redirects without them. */
  async send(request: RepositoryRequest): Promise<IncomingMessage> {
    const base = `${this.#options.url}/v2/${request.repository}/`;
    const url = new URL(request.path, base);
    const first = await this.#once(url, request, undefined);
    const challenge = first.headers['www-authenticate'];
    if (first.statusCode !== 401 || this.#options.authorization === undefined) {
      return this.#follow(url, request, first);
    }
    first.resume();
    return this.#follow(url, request, await this.#once(url, request, challenge ?? ''));
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  async #once(
    url: URL,
    request: RepositoryRequest,
    challenge: string | undefined,
  ): Promise<IncomingMessage> {
    const { repository, method } = request;
    const own = url.origin === new URL(this.#options.url).origin;
    const authorization = own
      ? await this.#options.authorization?.(repository, challenge)
      : undefined;
    return this.#exchange(url, method, request.body, {
      ...request.headers,
      ...(authorization === undefined ? {} : { authorization }),
    });
  }

  async #follow(
    from: URL,
    request: RepositoryRequest,
    response: IncomingMessage,
  ): Promise<IncomingMessage> {
    let current = response;
    let url = from;
    for (let hop = 0; request.method === 'GET' && isRedirect(current); hop++) {
      if (hop === MAX_HOPS) throw new Error(`more than ${MAX_HOPS} redirects`);
      url = new URL(current.headers.location ?? '', url);
      current.resume();
      current = await this.#exchange(url, 'GET', undefined, request.headers ?? {});
    }
    return current;
  }

  #exchange(
    url: URL,
    method: string,
    body: Buffer | undefined,
    headers: Readonly<Record<string, string>>,
  ): Promise<IncomingMessage> {
    const own = url.protocol === new URL(this.#options.url).protocol;
    return exchange(url, { method, headers, agent: own ? this.#agent : undefined }, body);
  }
}

function isRedirect(message: IncomingMessage): boolean {
  return [301, 302, 303, 307, 308].includes(message.statusCode ?? 0);
}
