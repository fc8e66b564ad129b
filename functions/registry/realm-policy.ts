import { Fault, printable } from '../fault.ts';
import { redactUrl } from './redact.ts';

/**
 * Registries whose tokens are given by another host of the same owner, as their 401 answers say.
 * Credentials of the left go to the right.
 */
const REALM_HOSTS: readonly (readonly [RegExp, string])[] = [
  [/^(?:index\.|registry-1\.)?docker\.io$/, 'auth.docker.io'],
  [/^registry\.gitlab\.com$/, 'gitlab.com'],
  [/^docker\.elastic\.co$/, 'docker-auth.elastic.co'],
  [/^nvcr\.io$/, 'authn.nvidia.com'],
  [/^lscr\.io$/, 'ghcr.io'],
];

/** Whether credentials may go to a realm. */
export interface RealmDecision {
  readonly url: URL;
  /** False: a token may be asked for anonymously only. */
  readonly trusted: boolean;
}

/**
 * Decides about a token realm: https (http only where the registry itself is spoken to so, and then
 * on its own host only), no user in it. It is trusted with the registry's credentials where it is
 * on the registry's host name, at a known partner of it, or at a host of the same credentials.
 * @param sharesCredential whether the operator has configured the same credential for the realm's host
 * @throws Fault `REALM_REFUSED`
 */
export function judgeRealm(
  realm: string | undefined,
  registry: URL,
  sharesCredential: (realmHost: string) => boolean,
): RealmDecision {
  if (realm === undefined || !URL.canParse(realm))
    throw refused('names no usable token realm', registry);
  const url = new URL(realm);
  const sameHost = url.hostname === registry.hostname;
  const plain = url.protocol === 'http:' && registry.protocol === 'http:' && sameHost;
  // guard: token-realm-https
  if (url.protocol !== 'https:' && !plain)
    throw refused(`names a token realm without TLS at ${printable(url.host)}`, registry);
  // guard: token-realm-userinfo
  if (url.username !== '' || url.password !== '')
    throw refused('names a token realm with a user', registry);
  const partner = REALM_HOSTS.some(
    ([pattern, host]) => pattern.test(registry.host) && url.host === host,
  );
  return { url, trusted: sameHost || partner || sharesCredential(url.host) };
}

/**
 * Refuses to present a credential to a realm that is not trusted with it.
 * @throws Fault `REALM_REFUSED` saying how it can be trusted
 */
export function requireTrustedRealm(realm: RealmDecision, registry: URL): void {
  // guard: token-realm-host
  if (!realm.trusted)
    throw refused(
      `sends its credentials to ${printable(realm.url.host)}; give that host the same entry in the docker config if it is meant`,
      registry,
    );
}

function refused(what: string, registry: URL): Fault {
  return new Fault('REALM_REFUSED', `the registry ${what}`, {
    operation: 'get token',
    url: redactUrl(registry),
  });
}
