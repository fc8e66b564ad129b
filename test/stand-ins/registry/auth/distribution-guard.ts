import { jsonAnswer, readBody, type Answer, type RegistryRequest } from '../exchange.ts';
import { RegistryRefusal } from '../refusal.ts';
import { requestKind } from '../request-kind.ts';
import { TokenSigner } from '../signed-token.ts';
import { accessOf, covers, readScopes, scopeText, type Access, type Action } from './access.ts';
import { readAuthorization } from './authorization.ts';
import type { Guard } from './guard.ts';

/** Who may do what at a plain registry. */
export interface DistributionAuth {
  /** `bearer`: tokens of the registry's own token endpoint; `basic`: credentials with every request. */
  readonly scheme: 'bearer' | 'basic';
  /** Passwords by user. Default: nobody has one. */
  readonly users?: Readonly<Record<string, string>>;
  /** Default: anybody pulls, users also push and delete. */
  readonly allows?: (user: string | undefined, repository: string, action: Action) => boolean;
  /** Life of a token. Default 300 s, Docker Hub's. */
  readonly tokenLifetimeSeconds?: number;
  /** Whether `expires_in` is told; a token without it lives 60 s (Docker Registry v2 token spec). Default true. */
  readonly announceExpiry?: boolean;
  /** Field of the answer that holds the token. Default `token`. */
  readonly tokenField?: 'token' | 'access_token';
  /** Address of the token endpoint in challenges. Default: `/token` of the registry itself. */
  readonly realm?: string;
  /** Default: the registry's host. */
  readonly service?: string;
}

interface TokenClaims {
  readonly user: string | undefined;
  readonly access: readonly Access[];
  readonly expiresMs: number;
  readonly issuedMs: number;
}

/** Largest token request body: the form of an OAuth2 password grant. */
const MAX_FORM_BYTES = 64 * 1024;

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
    this.#signer = new TokenSigner<TokenClaims>({ prefix: 'local-', clock });
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

  readonly tokens = async (request: RegistryRequest): Promise<Answer> => {
    const { user, scopes } = await this.#tokenRequest(request);
    const access = readScopes(scopes).map(({ repository, actions }) => ({
      repository,
      actions: actions.filter((action) => this.#allows(user, repository, action)),
    }));
    const { tokenLifetimeSeconds = 300, announceExpiry = true, tokenField } = this.#auth;
    const issuedMs = this.#clock();
    const lifetimeSeconds = announceExpiry ? tokenLifetimeSeconds : 60;
    const expiresMs = issuedMs + lifetimeSeconds * 1000;
    return jsonAnswer(200, {
      [tokenField ?? 'token']: this.#signer.sign({ user, access, expiresMs, issuedMs }),
      ...(announceExpiry
        ? { expires_in: tokenLifetimeSeconds, issued_at: new Date(issuedMs).toISOString() }
        : {}),
    });
  };

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

  /** The user who asks for a token and the scopes, from a GET or an OAuth2 form. */
  async #tokenRequest(
    request: RegistryRequest,
  ): Promise<{ readonly user: string | undefined; readonly scopes: readonly string[] }> {
    const form = request.method === 'POST' ? await readForm(request) : undefined;
    const given = readAuthorization(request.headers);
    const pair =
      form === undefined
        ? given.scheme === 'basic'
          ? [given.user, given.password]
          : undefined
        : [form.get('username') ?? '', form.get('password') ?? ''];
    const [user, password = ''] = pair ?? [];
    if (user !== undefined && !this.#knows(user, password)) {
      throw new RegistryRefusal(401, 'UNAUTHORIZED', 'incorrect username or password');
    }
    return { user, scopes: (form ?? request.query).getAll('scope') };
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
    const { scheme, realm, service = request.headers.host ?? 'registry' } = this.#auth;
    const scope = scopeText(accessOf(request));
    const parameters = [
      `realm="${realm ?? `${request.origin}/token`}"`,
      `service="${service}"`,
      ...(scope === '' ? [] : [`scope="${scope}"`]),
      ...(error === undefined ? [] : [`error="${error}"`]),
    ];
    return new RegistryRefusal(401, 'UNAUTHORIZED', 'authentication required', {
      headers: {
        'www-authenticate':
          scheme === 'basic' ? `Basic realm="${service}"` : `Bearer ${parameters.join(',')}`,
        'docker-distribution-api-version': 'registry/2.0',
      },
    });
  }
}

async function readForm(request: RegistryRequest): Promise<URLSearchParams> {
  const form = new URLSearchParams((await readBody(request, MAX_FORM_BYTES)).toString('utf8'));
  if (form.get('grant_type') === 'password') return form;
  throw new RegistryRefusal(400, 'UNSUPPORTED', 'unsupported grant type');
}

function denied(repository: string): RegistryRefusal {
  return new RegistryRefusal(403, 'DENIED', `requested access to ${repository} is denied`);
}
