import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { setTimeout as sleep } from 'node:timers/promises';
import { closed, listen } from '../http.ts';
import type { Guard } from './auth/access.ts';
import { DistributionGuard, type DistributionAuth } from './auth/distribution-guard.ts';
import { GoogleGuard, type GoogleAuth } from './auth/google-guard.ts';
import { repositoryOf } from './artifact-registry/images.ts';
import type { Call, DownloadTicket } from './call.ts';
import { RequestCounter } from './counter.ts';
import { DEFAULT_SWITCHES, type Dialect, type RegistrySwitches } from './dialect.ts';
import type { Answer, Handler, RegistryRequest } from './exchange.ts';
import { withFaults } from './fault-injection.ts';
import { FaultRules } from './fault-rule.ts';
import { createListener } from './listener.ts';
import { withPullLimit } from './quota.ts';
import { requestKind } from './request-kind.ts';
import { route } from './router.ts';
import { TokenSigner } from './signed-token.ts';
import { RegistryStore } from './store.ts';

/** How a registry is started. */
export interface RegistryOptions {
  /** Default `distribution`. */
  readonly dialect?: Dialect;
  /** PEM texts; with them the registry speaks https only. */
  readonly tls?: { readonly key: string; readonly cert: string };
  /** Credentials of dialect `distribution`. Default: none are asked for. */
  readonly auth?: DistributionAuth;
  /** Credentials of dialect `artifact-registry`. Default: none are asked for. */
  readonly google?: GoogleAuth;
  /** `PROJECT/REPOSITORY` that exist at an Artifact Registry. Default: any. */
  readonly repositories?: readonly string[];
  /** What differs from the dialect's defaults. */
  readonly switches?: Partial<RegistrySwitches>;
  /** Keep only digest and size of uploaded blobs; their GET is a 500. Default false. */
  readonly discardBlobs?: boolean;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

/** A running registry. */
export interface LocalRegistry {
  /** `127.0.0.1:PORT`, the first part of its image names. */
  readonly host: string;
  /** Its origin. */
  readonly url: string;
  /** Origin of the other host that redirects may lead to. */
  readonly downloadUrl: string;
  readonly store: RegistryStore;
  readonly counter: RequestCounter;
  readonly faults: FaultRules;
  /** The switches as they are now. */
  readonly switches: RegistrySwitches;
  /** Changes switches, from the next request on. */
  set(changes: Partial<RegistrySwitches>): void;
  /** Uploads that were begun and neither finished nor abandoned. */
  readonly openUploads: number;
  /** Makes the tokens of the registry's own token endpoint invalid (dialect `distribution`). */
  revokeTokens(): void;
  /** Ends it with all its connections. */
  close(): Promise<void>;
}

/** An idle connection is kept this long, nginx's default; Node's 5 s would hide clients that hang. */
const KEEP_ALIVE_MS = 75_000;

/** Starts an in-memory registry (OCI Distribution 1.1) on loopback. */
export async function startRegistry(options: RegistryOptions = {}): Promise<LocalRegistry> {
  const { dialect = 'distribution', clock = Date.now } = options;
  let switches = { ...DEFAULT_SWITCHES[dialect], ...options.switches };
  const now = (): RegistrySwitches => switches;
  const uploads: Call['uploads'] = new Map();
  const tickets = new TokenSigner<DownloadTicket>('', clock);
  const store = new RegistryStore(
    dialect === 'artifact-registry' ? repositoryOf : (repository) => repository,
    clock,
  );
  const counter = new RequestCounter();
  const faults = new FaultRules();
  const callOf = (request: RegistryRequest): Call => ({
    request,
    dialect,
    switches,
    store,
    uploads,
    keepsBlobs: options.discardBlobs !== true,
    tickets,
    repositories: options.repositories,
    downloadOrigin: downloadUrl,
    clock,
  });
  const guard = createGuard(options, now, clock);
  const handler = decorate((request) => route(callOf(request)), guard, faults, now);
  const scheme = options.tls === undefined ? 'http' : 'https';
  const server = createHttpServer(options.tls);
  const downloads = createHttpServer(options.tls);
  server.on('request', createListener({ scheme, host: 'registry', handler, counter }));
  downloads.on('request', createListener({ scheme, host: 'downloads', handler, counter }));
  const host = `127.0.0.1:${await listen(server)}`;
  const downloadUrl = `${scheme}://127.0.0.1:${await listen(downloads)}`;
  return {
    host,
    url: `${scheme}://${host}`,
    downloadUrl,
    store,
    counter,
    faults,
    get switches() {
      return switches;
    },
    set: (changes) => {
      switches = { ...switches, ...changes };
    },
    get openUploads() {
      return uploads.size;
    },
    revokeTokens: () => {
      if (guard instanceof DistributionGuard) guard.revokeTokens();
    },
    close: async () => {
      await Promise.all([closed(server), closed(downloads)]);
    },
  };
}

function createGuard(
  options: RegistryOptions,
  switches: () => RegistrySwitches,
  clock: () => number,
): Guard | undefined {
  const { dialect, google, auth } = options;
  if (dialect === 'artifact-registry') return google && new GoogleGuard(google, switches, clock);
  return auth && new DistributionGuard(auth, clock);
}

/** Latency first, so that faults take their time too; then faults, limits, credentials. */
function decorate(
  router: Handler,
  guard: Guard | undefined,
  faults: FaultRules,
  switches: () => RegistrySwitches,
): Handler {
  async function guarded(request: RegistryRequest): Promise<Answer> {
    const kind = requestKind(request.path);
    if (guard !== undefined && kind === 'token') return guard.tokens(request);
    if (guard instanceof GoogleGuard && kind === 'api') {
      return guard.apiRefusal(request) ?? router(request);
    }
    guard?.check(request);
    return router(request);
  }
  const limited = withPullLimit(guarded, switches);
  return withLatency(withFaults(limited, faults), () => switches().rttMs);
}

/** Adds a round trip to each request: half before it is seen, half before its answer is. */
function withLatency(handler: Handler, rttMs: () => number): Handler {
  return async (request) => {
    const halfMs = rttMs() / 2;
    if (halfMs > 0) await sleep(halfMs);
    const answer = await handler(request);
    if (halfMs > 0) await sleep(halfMs);
    return answer;
  };
}

function createHttpServer(tls: RegistryOptions['tls']): Server {
  const server = tls === undefined ? createServer() : createTlsServer(tls);
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  // An upload may take longer than Node's 300 s for a whole request.
  server.requestTimeout = 0;
  return server;
}
