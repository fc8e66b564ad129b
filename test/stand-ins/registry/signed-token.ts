import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** Signs small JSON claims into opaque texts and reads them back until they expire, by a secret that lives as it does. */
export class TokenSigner<Claims extends { readonly expiresMs: number }> {
  readonly #secret = randomBytes(32);
  readonly #prefix: string;
  readonly #clock: () => number;

  constructor(prefix: string, clock: () => number) {
    this.#prefix = prefix;
    this.#clock = clock;
  }

  /** The token of these claims: prefix, claims, signature; URL-safe. */
  sign(claims: Claims): string {
    const payload = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return `${this.#prefix}${payload}.${this.signature(payload)}`;
  }

  /** The claims of a token that is genuine and not expired. */
  read(token: string): Claims | undefined {
    if (!token.startsWith(this.#prefix)) return undefined;
    const [payload = '', signature = ''] = token.slice(this.#prefix.length).split('.');
    const wanted = Buffer.from(this.signature(payload));
    const given = Buffer.from(signature);
    if (wanted.length !== given.length || !timingSafeEqual(wanted, given)) return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as Claims;
    return claims.expiresMs > this.#clock() ? claims : undefined;
  }

  /** Signature of any text under this signer's secret. */
  signature(text: string): string {
    return createHmac('sha256', this.#secret).update(this.#prefix).update(text).digest('base64url');
  }
}
