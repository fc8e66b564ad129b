import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { IdentitySigner } from './identity.ts';
import { TokenIssuer, type AccessToken } from './token-issuer.ts';
import { findEntry, json, plain, type Directory, type Entry } from './tree.ts';

/** How a metadata server is started. */
export interface MetadataOptions {
  /** Default 0: any free port of 127.0.0.1. */
  readonly port?: number;
  /** Mints the tokens; give the same one to the registry. Default: a new one. */
  readonly issuer?: TokenIssuer;
  /** Default `mirror@local-project.iam.gserviceaccount.com`. */
  readonly email?: string;
  /** Default `local-project`. */
  readonly projectId?: string;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

/** A running metadata server. */
export interface LocalMetadata {
  /** `127.0.0.1:PORT`: the value of `GCE_METADATA_HOST`. */
  readonly host: string;
  readonly url: string;
  readonly email: string;
  readonly projectId: string;
  readonly issuer: TokenIssuer;
  /** Paths asked for since the start, in order, refused ones too. */
  readonly requests: readonly string[];
  /** Public key of the identity tokens. */
  readonly identity: IdentitySigner;
  /** Answers the next requests for tokens with this status. */
  failTokens(status: number, times: number): void;
  close(): Promise<void>;
}

const ROOT = '/computeMetadata/v1';
/** The server hands out one token until this much of its life is left (Compute Engine, "Authenticate workloads"). */
const RENEWAL_MS = 5 * 60_000;
const SCOPES = 'https://www.googleapis.com/auth/cloud-platform\n';

/** Starts a stand-in of the metadata server of Compute Engine and Cloud Run, over HTTP on loopback. */
export async function startMetadata(options: MetadataOptions = {}): Promise<LocalMetadata> {
  const {
    clock = Date.now,
    issuer = new TokenIssuer({ clock }),
    projectId = 'local-project',
    email = `mirror@${projectId}.iam.gserviceaccount.com`,
  } = options;
  const identity = new IdentitySigner(clock);
  const requests: string[] = [];
  let failure = { status: 0, times: 0 };
  let token: AccessToken | undefined;

  function accessToken(): Entry {
    if (failure.times > 0) {
      failure = { ...failure, times: failure.times - 1 };
      return plain('the token service is unavailable\n', failure.status);
    }
    if (token === undefined || token.expiresMs - clock() < RENEWAL_MS) token = issuer.mint(email);
    return json({
      access_token: token.token,
      expires_in: Math.floor((token.expiresMs - clock()) / 1000),
      token_type: 'Bearer',
    });
  }

  function identityToken(query: URLSearchParams): Entry {
    const audience = query.get('audience');
    if (audience === null || audience === '') {
      return plain('non-empty audience parameter required\n', 400);
    }
    return plain(identity.sign(email, audience, query.get('format') === 'full'));
  }

  const account: Directory = {
    aliases: 'default\n',
    email,
    identity: identityToken,
    scopes: SCOPES,
    token: accessToken,
  };
  const tree: Directory = {
    instance: {
      id: '1234567890123456789',
      region: 'projects/123456789012/regions/local',
      'service-accounts': { default: account, [email]: account },
      zone: 'projects/123456789012/zones/local-1',
    },
    project: { 'numeric-project-id': '123456789012', 'project-id': projectId },
    universe: { 'universe-domain': 'googleapis.com', universe_domain: 'googleapis.com' },
  };

  const server = createServer((request, response) => {
    requests.push(request.url ?? '/');
    request.resume();
    answer(request, response, tree);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port ?? 0, '127.0.0.1', resolve);
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    host,
    url: `http://${host}`,
    email,
    projectId,
    issuer,
    requests,
    identity,
    failTokens: (status, times) => {
      failure = { status, times };
    },
    close: async () => {
      await new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      });
    },
  };
}

function answer(request: IncomingMessage, response: ServerResponse, tree: Directory): void {
  const [path = '/', query] = (request.url ?? '/').split('?');
  const entry = route(request, tree, path, new URLSearchParams(query));
  const headers = { 'metadata-flavor': 'Google', server: 'Metadata Server for VM' };
  if (entry === 'slash') {
    const location = `http://${request.headers.host ?? ''}${path}/${query === undefined ? '' : `?${query}`}`;
    response.writeHead(301, { ...headers, location }).end();
    return;
  }
  response
    .writeHead(entry.status, { ...headers, 'content-type': entry.contentType })
    .end(request.method === 'HEAD' ? undefined : entry.text);
}

/** The refusals protect against requests forged through another service (Compute Engine, "Metadata server security"). */
function route(
  request: IncomingMessage,
  tree: Directory,
  path: string,
  query: URLSearchParams,
): Entry | 'slash' {
  if (request.headers['x-forwarded-for'] !== undefined) {
    return plain('requests with X-Forwarded-For are refused\n', 403);
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return plain('only GET\n', 405);
  if (path === '/') return plain('computeMetadata/\n');
  if (request.headers['metadata-flavor'] !== 'Google') {
    return plain('Missing Metadata-Flavor:Google header\n', 403);
  }
  if (path === ROOT) return 'slash';
  const below = path.startsWith(`${ROOT}/`) ? path.slice(ROOT.length) : undefined;
  const found = below === undefined ? undefined : findEntry(tree, decodeURIComponent(below), query);
  return found ?? plain('not found\n', 404);
}
