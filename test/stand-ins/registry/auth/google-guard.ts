import { apiError } from '../artifact-registry/rest-tags.ts';
import type { Answer, RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import { requestKind } from '../request-kind.ts';
import { TokenSigner } from '../signed-token.ts';
import type { RegistrySwitches } from '../dialect.ts';
import {
  accessOf,
  bearerChallenge,
  covers,
  readAuthorization,
  readScopes,
  tokenAnswer,
  type Access,
  type Guard,
} from './access.ts';

/** Who is behind an OAuth access token. */
export interface AccessTokens {
  /** E-mail address of the service account whose token this is, while it is valid. */
  verify(token: string): { readonly email: string } | undefined;
}

/** Whose tokens an Artifact-Registry-like registry takes: whoever has a valid one may do everything. */
export interface GoogleAuth {
  readonly accessTokens: AccessTokens;
}

interface RegistryTokenClaims {
  readonly access: readonly Access[];
  readonly expiresMs: number;
}

/** User names that say the password is an access token (Artifact Registry, "Authentication"; ggcr; docker-credential-gcr). */
const TOKEN_USER = /^(?:oauth2accesstoken|_token|_dcgcr_.*_token)$/;
/** Life of a token of `/v2/token`. */
const TOKEN_LIFETIME_SECONDS = 3600;

/** Google's credentials: an access token as Bearer or Basic, or a token of `/v2/token`. */
export class GoogleGuard implements Guard {
  readonly #auth: GoogleAuth;
  readonly #switches: () => RegistrySwitches;
  readonly #signer: TokenSigner<RegistryTokenClaims>;
  readonly #clock: () => number;

  constructor(auth: GoogleAuth, switches: () => RegistrySwitches, clock: () => number) {
    this.#auth = auth;
    this.#switches = switches;
    this.#clock = clock;
    this.#signer = new TokenSigner('AJAD', clock);
  }

  check(request: RegistryRequest): void {
    const { scheme } = readAuthorization(request.headers);
    if (requestKind(request.path) === 'download') return;
    if (request.path.startsWith('/artifacts-uploads/')) {
      // The address is a capability; a Bearer beside it is refused by some and ignored by others.
      if (scheme !== 'bearer' || this.#switches().uploadBearer === 'taken') return;
      throw this.#unauthorized(request);
    }
    // A mount from where the caller may not read is no refusal: it is answered like any upload.
    const needed = accessOf(request).slice(0, 1);
    const granted = this.#granted(request, needed);
    if (granted === undefined) throw this.#unauthorized(request);
    if (!covers(granted, needed)) throw denied(needed);
  }

  tokens(request: RegistryRequest): Answer {
    const given = readAuthorization(request.headers);
    const scopes = readScopes(request.query.getAll('scope'));
    if (given.scheme !== 'basic' || !this.#knows(given)) throw denied(scopes);
    const issuedMs = this.#clock();
    const expiresMs = issuedMs + TOKEN_LIFETIME_SECONDS * 1000;
    const token = this.#signer.sign({ access: scopes, expiresMs });
    return tokenAnswer(token, TOKEN_LIFETIME_SECONDS, issuedMs);
  }

  /** Credentials of the Artifact Registry API: an access token as Bearer, nothing else. */
  apiRefusal(request: RegistryRequest): Answer | undefined {
    const given = readAuthorization(request.headers);
    const valid =
      given.scheme === 'bearer' && this.#auth.accessTokens.verify(given.token) !== undefined;
    return valid
      ? undefined
      : apiError(401, 'UNAUTHENTICATED', 'Request had invalid authentication credentials.');
  }

  #granted(request: RegistryRequest, needed: readonly Access[]): readonly Access[] | undefined {
    const given = readAuthorization(request.headers);
    if (given.scheme === 'basic') return this.#knows(given) ? needed : undefined;
    if (given.scheme !== 'bearer') return undefined;
    const claims = this.#signer.read(given.token);
    if (claims !== undefined) return claims.access;
    if (this.#switches().accessTokens === 'refused') return undefined;
    return this.#auth.accessTokens.verify(given.token) === undefined ? undefined : needed;
  }

  #knows(given: { readonly user: string; readonly password: string }): boolean {
    const holder = this.#auth.accessTokens.verify(given.password);
    return TOKEN_USER.test(given.user) && holder !== undefined;
  }

  #unauthorized(request: RegistryRequest): RegistryRefusal {
    return new RegistryRefusal(
      401,
      'UNAUTHORIZED',
      'authentication failed: the request needs a valid access token',
      { headers: { 'www-authenticate': bearerChallenge(request, '/v2/token') } },
    );
  }
}

/** Google's wording: the permission and the resource. */
function denied(access: readonly Access[]): RegistryRefusal {
  const { repository = '', actions = [] } = access[0] ?? {};
  const [project = '', name = ''] = repository.split('/');
  const permission = actions.includes('push') ? 'uploadArtifacts' : 'downloadArtifacts';
  return new RegistryRefusal(
    403,
    'DENIED',
    `Permission "artifactregistry.repositories.${permission}" denied on resource "projects/${project}/locations/local/repositories/${name}" (or it may not exist)`,
  );
}
