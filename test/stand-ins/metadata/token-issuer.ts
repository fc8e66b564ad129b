import { TokenSigner } from '../registry/signed-token.ts';

/** An OAuth access token. */
export interface AccessToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

interface TokenClaims {
  readonly email: string;
  readonly issuedMs: number;
  readonly expiresMs: number;
  /** Makes two tokens of one millisecond different. */
  readonly serial: number;
}

/** How tokens are issued. */
export interface TokenIssuerOptions {
  /** Issuers with the same secret, also in other processes, accept each other's tokens. Default: random. */
  readonly secret?: string;
  /** Default 3,600, Google's. */
  readonly lifetimeSeconds?: number;
  /** Milliseconds since 1970. Default `Date.now`. */
  readonly clock?: () => number;
}

/** Mints the access tokens of the metadata server and tells the registry whose they are. */
export class TokenIssuer {
  readonly #signer: TokenSigner<TokenClaims>;
  readonly #lifetimeMs: number;
  readonly #clock: () => number;
  #revokedBeforeSerial = 0;
  #serial = 0;

  constructor(options: TokenIssuerOptions = {}) {
    const { secret, lifetimeSeconds = 3600, clock = Date.now } = options;
    // Google's access tokens begin so, and scanners of logs know them by it.
    this.#signer = new TokenSigner<TokenClaims>({ prefix: 'ya29.', clock, secret });
    this.#lifetimeMs = lifetimeSeconds * 1000;
    this.#clock = clock;
  }

  /** A new token of a service account. */
  mint(email: string): AccessToken {
    const issuedMs = this.#clock();
    const expiresMs = issuedMs + this.#lifetimeMs;
    return {
      token: this.#signer.sign({ email, issuedMs, expiresMs, serial: this.#serial++ }),
      expiresMs,
    };
  }

  /** Whose token this is, while it is genuine, not expired and not revoked. */
  verify(token: string): { readonly email: string } | undefined {
    const claims = this.#signer.read(token);
    if (claims === undefined || claims.serial < this.#revokedBeforeSerial) return undefined;
    return { email: claims.email };
  }

  /** Makes all tokens minted here until now invalid. */
  revokeAll(): void {
    this.#revokedBeforeSerial = this.#serial;
  }
}
