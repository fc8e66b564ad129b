import { ANONYMOUS, type Credentials, type CredentialsOf } from '../auth/credentials.ts';
import type { GoogleHosts, GoogleTokens } from '../auth/google.ts';
import { SYSTEM_TIMING, TokenBucket, type PlaceObserver, type Timing } from '../concurrency.ts';
import type { RepositoryName } from '../contract/destination.ts';
import { requirePath } from '../contract/destination.ts';
import { MirrorError, type Side } from '../errors.ts';
import type { DestinationRepository, SourceRepository } from '../mirror/ports.ts';
import { RecentMap } from '../recent-map.ts';
import type { AddressRules } from './address-guard.ts';
import {
  ARTIFACT_REGISTRY_API,
  listTagDigests,
  locationOf,
  type ArtifactRegistryApi,
} from './artifact-registry-api.ts';
import { openAuthorizer, type AccessScope, type Authorizer } from './authorizer.ts';
import {
  bearerTokens,
  GET_TOKEN,
  TOKEN_BUDGET_MS,
  type AskRealm,
  type BearerTokens,
} from './bearer.ts';
import { openClient } from './client.ts';
import { destinationRepository } from './destination-repository.ts';
import type { OnExchange } from './exchange.ts';
import { newHostMemory, type HostCapabilities } from './host-capabilities.ts';
import { jsonCall, type JsonCall } from './json-call.ts';
import { AdaptiveLimiter, ARTIFACT_REGISTRY_RATE } from './limiter.ts';
import type { ClientParts, OnPause } from './request.ts';
import type { Target } from './repository.ts';
import { RETRY_POLICY, type RetryPolicy } from './retry-policy.ts';
import { sourceRepository } from './source-repository.ts';
import { openTransport, type Transport, type TransportOptions } from './transport.ts';

/** What the registries of a process are made of. */
export interface RegistriesOptions {
  /** Credentials by side. They never cross over: each side has its own clients. */
  readonly credentials: CredentialsOf;
  /** Google's registries, loopback additions included. */
  readonly isGoogle: GoogleHosts;
  /** Tokens for Artifact Registry's API; undefined: that API is not asked. */
  readonly googleTokens?: GoogleTokens | undefined;
  /** Artifact Registry's API elsewhere, for work on one machine: its base and the location to name. */
  readonly artifactRegistryApi?:
    { readonly baseUrl: string; readonly location: string } | undefined;
  /** Hosts (with port where they have one) that may be at private addresses, the destination among them. */
  readonly privateHosts: readonly string[];
  /** Local mode: any host may be at a loopback address. Default: false. */
  readonly loopback?: boolean | undefined;
  /** PEM certificates that sources are trusted by besides the system's (`SOURCE_CA_FILE`, its text). */
  readonly sourceCaCertificates?: string | undefined;
  readonly timing?: Timing | undefined;
  readonly retryPolicy?: RetryPolicy | undefined;
  /** 0 … 1, for jitter. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Is told every exchange. Default: nobody. */
  readonly onExchange?: OnExchange | undefined;
  /** Is told of every pause that a host asked for. Default: nobody. */
  readonly onPause?: OnPause | undefined;
  /** Longest wait for the other side to take a byte or to begin its answer. Default: 60 s. */
  readonly idleMs?: number | undefined;
  /** Longest wait within an answer's body. Default: 15 s, or `idleMs` where that is less. */
  readonly bodyIdleMs?: number | undefined;
  /** Longest wait for a connection. Default: 10 s. */
  readonly connectMs?: number | undefined;
  /** Opens what requests go through, one for each side and one for other APIs. Default: the network. */
  readonly openTransport?: ((options: TransportOptions) => Transport) | undefined;
  /** Is told of the places that requests wait for and hold. Default: nobody. */
  readonly placeObserver?: PlaceObserver | undefined;
}

/** What a repository is opened for. */
export interface WorkScope {
  /** When the work must have ended, in ms since 1970: longer waits are refused as `RATE_LIMITED`. Default: never. */
  readonly deadlineAtMs?: number | undefined;
  /** Speak http; the caller has checked that this host may be spoken to so. Default: false. */
  readonly insecure?: boolean | undefined;
}

/** The registries of a process: what they taught it is shared by all work. */
export interface Registries {
  /** Opens a source repository for one event. No request is made. */
  source(name: RepositoryName, scope?: WorkScope): SourceRepository;
  /** Opens a destination repository for one event. No request is made. */
  destination(name: RepositoryName, scope?: WorkScope): DestinationRepository;
  /** Small JSON calls to other APIs (Cloud Run), by the same transport and address rules. */
  readonly callJson: JsonCall;
  /** What is under way or waits, in words; empty where nothing is. */
  openWork(): readonly string[];
  /** Ends all connections. */
  close(): void;
}

/** Artifact Registry gives a whole list at once; Amazon's registry refuses more than 1,000. */
const GOOGLE_PAGE_SIZE = 10_000;
const PAGE_SIZE = 1_000;

/**
 * Origins that a side remembers: registries, realms and the stores behind them. More than a cluster
 * reads from; of more, the one that was used longest ago is learnt anew.
 */
const MAX_ORIGINS = 1_000;

/**
 * Builds the registry clients of a process.
 *
 * Checks that keep an attacker out are marked `// guard: NAME`, here and elsewhere. Each has tests
 * named `guard NAME: …`; `npm run guards` switches one off at a time and expects exactly its tests
 * to fail.
 */
export function createRegistries(options: RegistriesOptions): Registries {
  // Google's quota counts the project: all its registries, on either side, share one bucket.
  const googleBucket = new TokenBucket(ARTIFACT_REGISTRY_RATE);
  const source = new SideClients('source', options, googleBucket);
  const destination = new SideClients('destination', options, googleBucket);
  const timing = options.timing ?? SYSTEM_TIMING;
  const api = (options.openTransport ?? openTransport)({ addresses: addressRules(options) });
  const callJson = jsonCall(api);
  return {
    source(name, scope = {}) {
      const target = source.target(name, 'pull', scope);
      const google = options.isGoogle(name.host);
      return sourceRepository({
        target,
        memory: source.memoryOf(target.client.registry),
        timing,
        google,
        pageSize: google ? GOOGLE_PAGE_SIZE : PAGE_SIZE,
      });
    },
    destination(name, scope = {}) {
      const target = destination.target(name, 'pull,push', scope);
      const google = options.isGoogle(name.host);
      const memory = destination.memoryOf(target.client.registry);
      return destinationRepository({
        target,
        memory,
        timing,
        google,
        pageSize: google ? GOOGLE_PAGE_SIZE : PAGE_SIZE,
        listTagDigests: tagApi(options, name, memory, callJson),
      });
    },
    callJson,
    openWork: () => [...source.openWork(), ...destination.openWork()],
    close() {
      source.close();
      destination.close();
      api.close();
    },
  };
}

/** The question to Artifact Registry's API for one repository, where there is such an API. */
function tagApi(
  options: RegistriesOptions,
  name: RepositoryName,
  memory: HostCapabilities,
  call: JsonCall,
): ((signal: AbortSignal) => Promise<ReadonlyMap<string, string> | undefined>) | undefined {
  const { googleTokens, artifactRegistryApi } = options;
  const standIn = options.isGoogle(name.host) ? artifactRegistryApi?.location : undefined;
  const location = locationOf(name.host, standIn);
  if (googleTokens === undefined || location === undefined) return undefined;
  const api: ArtifactRegistryApi = {
    call,
    baseUrl: artifactRegistryApi?.baseUrl ?? ARTIFACT_REGISTRY_API,
    accessToken: () => googleTokens.accessToken(),
  };
  return (signal) => listTagDigests(api, name, location, memory, signal);
}

/** The clients of one side: its connections, limiters, tokens and what its hosts taught. */
class SideClients {
  readonly #side: Side;
  readonly #options: RegistriesOptions;
  readonly #transport: Transport;
  readonly #tokens: BearerTokens;
  readonly #timing: Timing;
  readonly #limiters = new RecentMap<string, AdaptiveLimiter>(MAX_ORIGINS, ({ isIdle }) => isIdle);
  readonly #memories = new RecentMap<string, HostCapabilities>(MAX_ORIGINS);
  /** There are two kinds of credentials of a side: its own, and none. */
  readonly #authorizers = new Map<Credentials, RecentMap<string, Authorizer>>();
  readonly #googleBucket: TokenBucket;

  constructor(side: Side, options: RegistriesOptions, googleBucket: TokenBucket) {
    this.#side = side;
    this.#googleBucket = googleBucket;
    this.#options = options;
    this.#timing = options.timing ?? SYSTEM_TIMING;
    this.#tokens = bearerTokens(this.#timing);
    this.#transport = (options.openTransport ?? openTransport)({
      addresses: addressRules(options),
      caCertificates: side === 'source' ? options.sourceCaCertificates : undefined,
      idleMs: options.idleMs,
      bodyIdleMs: options.bodyIdleMs,
      connectMs: options.connectMs,
    });
  }

  /** A client of one repository's registry. */
  target(
    { host, path }: RepositoryName,
    actions: AccessScope['actions'],
    scope: WorkScope,
  ): Target {
    const registry = new URL(`${scope.insecure === true ? 'http' : 'https'}://${host}`);
    // As its URL says it: that of http leaves the port 80 out, which names the same host.
    const google = this.#options.isGoogle(registry.host);
    // guard: google-tls
    if (registry.protocol === 'http:' && google && !isLoopback(registry))
      throw new MirrorError('INSECURE_REFUSED', 'Google’s registries are spoken to over TLS only', {
        operation: 'open registry',
        side: this.#side,
        url: registry.origin,
      });
    const parts: Omit<ClientParts, 'authorizer'> = {
      side: this.#side,
      registry,
      transport: this.#transport,
      limiterOf: (origin) => this.#limiterOf(origin),
      timing: this.#timing,
      retryPolicy: this.#options.retryPolicy ?? RETRY_POLICY,
      random: this.#options.random ?? Math.random,
      onExchange: this.#options.onExchange ?? (() => undefined),
      onPause: this.#options.onPause,
      deadlineAtMs: scope.deadlineAtMs,
      anonymousAt: ({ origin }) => this.#authorizerOf(new URL(origin), ANONYMOUS, parts),
    };
    const credentials = this.#options.credentials(this.#side, { host, path }); // guard: side-credentials, without: const credentials = this.#options.credentials('destination', { host, path });
    const authorizer = this.#authorizerOf(registry, credentials, parts);
    return {
      client: openClient({ ...parts, authorizer }),
      path: requirePath(path),
      scope: { path, actions },
      memory: this.memoryOf(registry),
    };
  }

  memoryOf(registry: URL): HostCapabilities {
    return this.#memories.remembered(registry.origin, newHostMemory);
  }

  openWork(): readonly string[] {
    return [...this.#limiters].flatMap(([origin, { load }]) =>
      load === 0 ? [] : [`${load} requests of the ${this.#side} ${origin}`],
    );
  }

  close(): void {
    this.#transport.close();
  }

  #limiterOf(origin: string): AdaptiveLimiter {
    return this.#limiters.remembered(origin, () => {
      const { host } = new URL(origin);
      const google = this.#options.isGoogle(host);
      return new AdaptiveLimiter({
        timing: this.#timing,
        bucket: google ? this.#googleBucket : undefined,
        observer: this.#options.placeObserver,
        onPause: (untilMs) => this.#options.onPause?.({ side: this.#side, host, untilMs }),
      });
    });
  }

  #authorizerOf(
    registry: URL,
    credentials: Credentials,
    parts: Omit<ClientParts, 'authorizer'>,
  ): Authorizer {
    const ofCredentials =
      this.#authorizers.get(credentials) ?? new RecentMap<string, Authorizer>(MAX_ORIGINS);
    this.#authorizers.set(credentials, ofCredentials);
    return ofCredentials.remembered(registry.origin, () =>
      openAuthorizer({
        registry,
        credentials,
        tokens: this.#tokens,
        askRealm: askRealm({ ...parts, deadlineAtMs: undefined }),
      }),
    );
  }
}

/** Asks a token realm: nothing but the question's own header is presented, and it stays at its origin. */
function askRealm(parts: Omit<ClientParts, 'authorizer'>): AskRealm {
  const client = openClient({ ...parts, authorizer: NO_AUTHORIZER });
  return ({ method, url, headers, body }, signal) =>
    client.ask(
      {
        kind: 'token',
        operation: GET_TOKEN,
        method,
        target: url,
        headers,
        body,
        scope: undefined,
        redirects: 'same-origin',
        patienceMs: TOKEN_BUDGET_MS,
      },
      signal,
    );
}

const NO_AUTHORIZER: Authorizer = {
  authorize: () => Promise.reject(new Error('a realm is asked without authorization')),
  accepted: () => undefined,
  refused: () => Promise.resolve(false),
  forbidden: () => Promise.resolve(false),
  hidden: () => Promise.resolve(false),
  preemptive: false,
  rootChallenge: () => Promise.resolve(undefined),
  keepPreemptive: () => undefined,
};

/** The only hosts that `GOOGLE_REGISTRY_HOSTS` may add, and that have no TLS. */
function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
}

function addressRules(options: RegistriesOptions): AddressRules {
  return { privateHosts: new Set(options.privateHosts), loopback: options.loopback ?? false };
}
