/**
 * What is presented to a registry, or to the token realm it names. `basic` is a user and password;
 * `identity` a refresh token of the realm (docker config `identitytoken`); `registry` a bearer token for the
 * registry itself (`registrytoken`); `google` an OAuth access token of Google.
 */
export type Credential =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  | { readonly kind: 'identity'; readonly token: string }
  | { readonly kind: 'registry'; readonly token: string }
  | { readonly kind: 'google'; readonly token: string };

/** Finds what to present to a host. */
export interface Credentials {
  /**
   * Credential for exactly this host (with its port where it has one); undefined: go anonymously.
   * Asked per request, so that a credential is never older than its keeper allows.
   * @param path of the repository that is asked for; absent: of none in particular, as a token realm
   * @throws Fault `CREDENTIALS_UNAVAILABLE`, `DOCKER_CONFIG_INVALID`
   */
  credentialFor(host: string, path?: string): Promise<Credential | undefined>;
  /** The host answered 401: what is cached for it must be read again at the next question. */
  refused(host: string): void;
}

/** No credential for anybody. */
export const ANONYMOUS: Credentials = {
  credentialFor: () => Promise.resolve(undefined),
  refused: () => undefined,
};

/**
 * Asks each in turn; the first that has a credential for the host wins. Every one answers for the
 * hosts of its own only, so the order decides nothing but ties.
 */
export function chain(...links: readonly Credentials[]): Credentials {
  return {
    async credentialFor(host, path) {
      for (const link of links) {
        const credential = await link.credentialFor(host, path);
        if (credential !== undefined) return credential;
      }
      return undefined;
    },
    refused(host) {
      for (const link of links) link.refused(host);
    },
  };
}
