import { createServer, type IncomingMessage } from 'node:http';

import { closed, listen } from '../http.ts';
import { TokenIssuer, type AccessToken } from './token-issuer.ts';

/** How a metadata server is started. */
export interface MetadataOptions {
  /** Default `local-project`. */
  readonly projectId?: string;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

/** A running metadata server. */
export interface LocalMetadata {
  /** `127.0.0.1:PORT`: the value of `GCE_METADATA_HOST`. */
  readonly host: string;
  /** The service account. */
  readonly email: string;
  /** Mints the tokens; give it to the registry that shall take them. */
  readonly issuer: TokenIssuer;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly contentType?: string;
  readonly text: string;
}

const ROOT = '/computeMetadata/v1';
/** The server hands out one token until this much of its life is left (Compute Engine, "Authenticate workloads"). */
const RENEWAL_MS = 5 * 60_000;

/**
 * Starts a stand-in of the metadata server of Compute Engine and Cloud Run, over HTTP on loopback:
 * the project, the service account and its access tokens (Compute Engine, "View and query VM metadata").
 */
export async function startMetadata(options: MetadataOptions = {}): Promise<LocalMetadata> {
  const { clock = Date.now, projectId = 'local-project' } = options;
  const issuer = new TokenIssuer({ clock });
  const email = `mirror@${projectId}.iam.gserviceaccount.com`;
  let token: AccessToken | undefined;

  function accessToken(): Answer {
    if (token === undefined || token.expiresMs - clock() < RENEWAL_MS) token = issuer.mint(email);
    const document = {
      access_token: token.token,
      expires_in: Math.floor((token.expiresMs - clock()) / 1000),
      token_type: 'Bearer',
    };
    return { status: 200, contentType: 'application/json', text: JSON.stringify(document) };
  }

  const entries = new Map<string, () => Answer>([
    [`${ROOT}/project/project-id`, () => ({ status: 200, text: projectId })],
    [`${ROOT}/universe/universe-domain`, () => ({ status: 200, text: 'googleapis.com' })],
    ...['default', email].flatMap((account) => {
      const path = `${ROOT}/instance/service-accounts/${account}`;
      return [
        [`${path}/email`, () => ({ status: 200, text: email })],
        [`${path}/token`, accessToken],
      ] as const;
    }),
  ]);

  const server = createServer((request, response) => {
    request.resume();
    const { status, contentType = 'application/text', text } = answer(request, entries);
    response
      .writeHead(status, {
        'metadata-flavor': 'Google',
        server: 'Metadata Server for VM',
        'content-type': contentType,
      })
      .end(text);
  });
  return {
    host: `127.0.0.1:${await listen(server)}`,
    email,
    issuer,
    close: () => closed(server),
  };
}

/** The refusals protect against requests forged through another service (Compute Engine, "Metadata server security"). */
function answer(request: IncomingMessage, entries: ReadonlyMap<string, () => Answer>): Answer {
  const [path = '/'] = (request.url ?? '/').split('?');
  if (request.headers['x-forwarded-for'] !== undefined) {
    return { status: 403, text: 'requests with X-Forwarded-For are refused\n' };
  }
  if (request.method !== 'GET') return { status: 405, text: 'only GET\n' };
  if (path === '/') return { status: 200, text: 'computeMetadata/\n' };
  if (request.headers['metadata-flavor'] !== 'Google') {
    return { status: 403, text: 'Missing Metadata-Flavor:Google header\n' };
  }
  return entries.get(decodeURIComponent(path))?.() ?? { status: 404, text: 'not found\n' };
}
