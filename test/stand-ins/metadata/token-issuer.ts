import { TokenSigner } from '../registry/signed-token.ts';

/** An OAuth access token. */
export interface AccessToken {
  readonly token: string;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

interface TokenClaims {
  readonly email: string;
  readonly expiresMs: number;
  /** Makes two tokens of one millisecond different. */
  readonly serial: number;
}

/** Google's lifetime of an access token. */
const LIFETIME_MS = 3_600_000;

/** Mints the access tokens of the metadata server and tells the registry whose they are. */
export class TokenIssuer {
  readonly #signer: TokenSigner<TokenClaims>;
  readonly #clock: () => number;
  #serial = 0;

  /** @param options `clock`: milliseconds since 1970, default `Date.now` */
  constructor({ clock = Date.now }: { readonly clock?: () => number } = {}) {
    // Google's access tokens begin so, and scanners of logs know them by it.
    this.#signer = new TokenSigner('ya29.', clock);
    this.#clock = clock;
  }

  /** A new token of a service account, valid for an hour. */
  mint(email: string): AccessToken {
    const expiresMs = this.#clock() + LIFETIME_MS;
    return { token: this.#signer.sign({ email, expiresMs, serial: this.#serial++ }), expiresMs };
  }

  /** Whose token this is, while it is genuine and not expired. */
  verify(token: string): { readonly email: string } | undefined {
    const claims = this.#signer.read(token);
    return claims === undefined ? undefined : { email: claims.email };
  }
}
