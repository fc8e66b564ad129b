import type { Answer, RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import { requestKind } from '../request-kind.ts';
import { TokenSigner } from '../signed-token.ts';
import {
  accessOf,
  bearerChallenge,
  covers,
  readAuthorization,
  readScopes,
  tokenAnswer,
  type Access,
  type Action,
  type Guard,
} from './access.ts';

/** Who may do what at a plain registry. */
export interface DistributionAuth {
  /** `bearer`: tokens of the registry's own token endpoint; `basic`: credentials with every request. */
  readonly scheme: 'bearer' | 'basic';
  /** Passwords by user. Default: nobody has one. */
  readonly users?: Readonly<Record<string, string>>;
  /** Default: anybody pulls, users also push and delete. */
  readonly allows?: (user: string | undefined, repository: string, action: Action) => boolean;
}

/** Life of a token: Docker Hub's. */
const TOKEN_LIFETIME_SECONDS = 300;

interface TokenClaims {
  readonly user: string | undefined;
  readonly access: readonly Access[];
  readonly expiresMs: number;
  readonly issuedMs: number;
}

/**
 * Credentials of a plain registry (Docker Registry v2 authentication via central service: "Token
 * Authentication Specification", "Token Authentication Implementation").
 */
export class DistributionGuard implements Guard {
  readonly #auth: DistributionAuth;
  readonly #signer: TokenSigner<TokenClaims>;
  readonly #clock: () => number;
  #validAfterMs = -1;

  constructor(auth: DistributionAuth, clock: () => number) {
    this.#auth = auth;
    this.#clock = clock;
    this.#signer = new TokenSigner('local-', clock);
  }

  /** Makes all tokens issued until now invalid. */
  revokeTokens(): void {
    this.#validAfterMs = this.#clock();
  }

  check(request: RegistryRequest): void {
    if (requestKind(request.path) === 'download') return;
    if (this.#auth.scheme === 'basic') this.#checkBasic(request);
    else this.#checkBearer(request);
  }

  tokens(request: RegistryRequest): Answer {
    const given = readAuthorization(request.headers);
    if (given.scheme === 'basic' && !this.#knows(given.user, given.password)) {
      throw new RegistryRefusal(401, 'UNAUTHORIZED', 'incorrect username or password');
    }
    const user = given.scheme === 'basic' ? given.user : undefined;
    const access = readScopes(request.query.getAll('scope')).map(({ repository, actions }) => ({
      repository,
      actions: actions.filter((action) => this.#allows(user, repository, action)),
    }));
    const issuedMs = this.#clock();
    const expiresMs = issuedMs + TOKEN_LIFETIME_SECONDS * 1000;
    const token = this.#signer.sign({ user, access, expiresMs, issuedMs });
    return tokenAnswer(token, TOKEN_LIFETIME_SECONDS, issuedMs);
  }

  #checkBasic(request: RegistryRequest): void {
    const given = readAuthorization(request.headers);
    const user = given.scheme === 'basic' ? given.user : undefined;
    const known = given.scheme === 'basic' && this.#knows(given.user, given.password);
    if (given.scheme !== 'none' && !known) throw this.#unauthorized(request);
    for (const { repository, actions } of accessOf(request)) {
      for (const action of actions) {
        if (this.#allows(user, repository, action)) continue;
        throw known ? denied(repository) : this.#unauthorized(request);
      }
    }
  }

  #checkBearer(request: RegistryRequest): void {
    const given = readAuthorization(request.headers);
    const needed = accessOf(request);
    if (given.scheme !== 'bearer') throw this.#unauthorized(request);
    const claims = this.#signer.read(given.token);
    if (claims === undefined || claims.issuedMs <= this.#validAfterMs) {
      throw this.#unauthorized(request, 'invalid_token');
    }
    if (!covers(claims.access, needed)) throw this.#unauthorized(request, 'insufficient_scope');
  }

  #knows(user: string, password: string): boolean {
    return Object.hasOwn(this.#auth.users ?? {}, user) && this.#auth.users?.[user] === password;
  }

  #allows(user: string | undefined, repository: string, action: Action): boolean {
    const allows = this.#auth.allows;
    if (allows !== undefined) return allows(user, repository, action);
    return action === 'pull' || user !== undefined;
  }

  #unauthorized(request: RegistryRequest, error?: string): RegistryRefusal {
    return new RegistryRefusal(401, 'UNAUTHORIZED', 'authentication required', {
      headers: {
        'www-authenticate':
          this.#auth.scheme === 'basic'
            ? `Basic realm="${request.headers.host ?? ''}"`
            : bearerChallenge(request, '/token', error),
        'docker-distribution-api-version': 'registry/2.0',
      },
    });
  }
}

function denied(repository: string): RegistryRefusal {
  return new RegistryRefusal(403, 'DENIED', `requested access to ${repository} is denied`);
}
