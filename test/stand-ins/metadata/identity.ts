import { createSign, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto';

/** Signs identity tokens as Google's metadata server does: RS256, one hour. */
export class IdentitySigner {
  readonly #clock: () => number;
  #keys: { readonly publicKey: KeyObject; readonly privateKey: KeyObject } | undefined;

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** An OpenID Connect token of a service account for an audience; `full` adds the e-mail address. */
  sign(email: string, audience: string, full: boolean): string {
    const nowSeconds = Math.floor(this.#clock() / 1000);
    const claims = {
      iss: 'https://accounts.google.com',
      aud: audience,
      azp: '100000000000000000001',
      sub: '100000000000000000001',
      iat: nowSeconds,
      exp: nowSeconds + 3600,
      ...(full ? { email, email_verified: true } : {}),
    };
    const head = encode({ alg: 'RS256', kid: 'local', typ: 'JWT' });
    const text = `${head}.${encode(claims)}`;
    const signature = createSign('RSA-SHA256').update(text).sign(this.#pair().privateKey);
    return `${text}.${signature.toString('base64url')}`;
  }

  /** The public key, as Google publishes its own at `oauth2/v3/certs`. */
  jwks(): { readonly keys: readonly JsonWebKey[] } {
    const key = this.#pair().publicKey.export({ format: 'jwk' });
    return { keys: [{ ...key, alg: 'RS256', kid: 'local', use: 'sig' }] };
  }

  /** The public key as PEM text, in the form in which Google's library takes certificates. */
  pem(): string {
    return this.#pair().publicKey.export({ format: 'pem', type: 'spki' }).toString();
  }

  /** Made when first needed: an RSA key takes a tenth of a second. */
  #pair(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
    this.#keys ??= generateKeyPairSync('rsa', { modulusLength: 2048 });
    return this.#keys;
  }
}

function encode(document: unknown): string {
  return Buffer.from(JSON.stringify(document)).toString('base64url');
}
