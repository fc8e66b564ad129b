import { SYSTEM_TIMING } from '../concurrency.ts';
import type { RepositoryName } from '../contract/destination.ts';
import { MirrorError, isMirrorError, printable, type Side } from '../errors.ts';
import { openDockerConfig, type DockerCredential } from './docker-config.ts';
import type { GoogleHosts, GoogleTokens } from './google.ts';

/** What is presented to a registry or to its token realm; `google` is an OAuth access token of Google. */
export type Credential =
  | DockerCredential
  | {
      readonly kind: 'google';
      readonly token: string;
      /** What to say where it is refused. */
      readonly advice?: string;
    };

/** The credentials that one side presents. The other side has an object of its own. */
export interface Credentials {
  /**
   * The credential for exactly this host (with its port where it has one); undefined: go anonymously.
   * Asked per request, so that no credential is older than its keeper allows.
   * @param repository its path
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`, `DOCKER_CONFIG_INVALID`
   */
  credentialFor(host: string, repository: string): Promise<Credential | undefined>;
  /**
   * The account that the operator gave a token realm, for the path of a repository. It is only compared with
   * the registry's ({@link requireTrustedRealm}), and never presented.
   * @throws MirrorError `DOCKER_CONFIG_INVALID`
   */
  accountAtRealm(host: string, repository: string): Promise<Credential | undefined>;
  /** The host refused it (401, 403), or who came without any: what is cached is asked again at the next question. */
  refused(host: string): void;
}

/** No credential for anybody. */
export const ANONYMOUS: Credentials = {
  credentialFor: () => Promise.resolve(undefined),
  accountAtRealm: () => Promise.resolve(undefined),
  refused: () => undefined,
};

/**
 * What a repository is opened with on one side. There are three objects at most, one for each side and
 * {@link ANONYMOUS}: what is learnt with one of them is kept apart from the others.
 */
export type CredentialsOf = (side: Side, repository: RepositoryName) => Credentials;

/** What the operator allows, and where credentials come from. */
export interface CredentialRules {
  /** Host of `DESTINATION_REGISTRY`, canonical. */
  readonly destinationHost: string;
  /** Whether `ALLOWED_SOURCES` matches a source, or the command line names its host. */
  readonly isAllowedSource: (source: RepositoryName) => boolean;
  readonly isGoogle: GoogleHosts;
  readonly googleTokens: GoogleTokens;
  /** `DOCKER_CONFIG_FILE`; undefined: there is none. */
  readonly dockerConfigFile?: string | undefined;
  /** Milliseconds since 1970. Default: the machine's clock. */
  readonly now?: (() => number) | undefined;
}

/** How long a side believes that the process has no Google identity: looking for one takes seconds. */
const NO_IDENTITY_MS = 60_000;

/**
 * Decides which credential goes where. All the rules are in the two functions `credentialsOf` (which
 * repository gets any) and `credentialFor` (which host gets which); which token realm may see one is
 * decided by {@link requireTrustedRealm}.
 */
export function openCredentials(rules: CredentialRules): CredentialsOf {
  const { isAllowedSource, isGoogle, googleTokens, dockerConfigFile } = rules;
  const now = rules.now ?? SYSTEM_TIMING.now;
  const docker =
    dockerConfigFile === undefined ? undefined : openDockerConfig({ path: dockerConfigFile, now });
  const noIdentityUntilMs: Record<Side, number> = { source: 0, destination: 0 };
  /** From when on a refusal lets a side look again before that. */
  const looksAgainAtMs: Record<Side, number> = { source: 0, destination: 0 };

  /** A source that the operator has not allowed is read anonymously: an event may name any host. */
  function credentialsOf(side: Side, repository: RepositoryName): Credentials {
    // guard: source-credentials
    if (side === 'source' && !isAllowedSource(repository)) return ANONYMOUS;
    return sides[side];
  }

  async function credentialFor(
    side: Side,
    host: string,
    repository: string,
  ): Promise<Credential | undefined> {
    // The destination's go to the destination alone: nothing is written anywhere else.
    // guard: destination-credentials
    if (side === 'destination' && !isDestination(host)) return undefined;
    // An account of the docker config goes to the host, and below the path, that it stands under. The operator
    // wrote it for this host, perhaps a vendor's project of Google's registries.
    const account = await docker?.credentialFor(host, repository);
    // One for the whole host may be a vendor's there, who has no say in where the process writes as itself.
    const isOfHost = account !== undefined && account === (await docker?.credentialFor(host));
    const isFallback = side === 'destination' && isGoogle(host) && isOfHost;
    if (account !== undefined && !isFallback) return account;
    // Google's token opens whatever IAM lets the process do: it goes to Google's own registries only.
    const isGoogles = isGoogle(host); // guard: google-hosts-only, without: const isGoogles = true;
    if (!isGoogles) return undefined;
    // A public image can be read without an identity; nothing can be pushed without any.
    const mayLack = side === 'source' || isFallback;
    const token = mayLack ? await tokenIfAny(side) : await googleTokens.accessToken();
    if (token === undefined) return account;
    return { kind: 'google', token, ...(isFallback ? { advice: notUsed(host) } : {}) };
  }

  /** A URL of http leaves the port 80 out. */
  function isDestination(host: string): boolean {
    const { destinationHost } = rules;
    return host === destinationHost || host === new URL(`http://${destinationHost}`).host;
  }

  /** Google's token where the process has an identity. */
  async function tokenIfAny(side: Side): Promise<string | undefined> {
    if (now() < noIdentityUntilMs[side]) return undefined;
    try {
      return await googleTokens.accessToken();
    } catch (error) {
      if (!isMirrorError(error, 'CREDENTIALS_UNAVAILABLE')) throw error;
      noIdentityUntilMs[side] = now() + NO_IDENTITY_MS;
      return undefined;
    }
  }

  function open(side: Side): Credentials {
    return {
      credentialFor: (host, repository) => credentialFor(side, host, repository),
      accountAtRealm: async (host, repository) => docker?.credentialFor(host, repository),
      refused: (host) => {
        // A closed repository refuses every request: one look in a while is enough.
        if (isGoogle(host) && now() >= looksAgainAtMs[side]) {
          noIdentityUntilMs[side] = 0;
          looksAgainAtMs[side] = now() + NO_IDENTITY_MS;
        }
        docker?.reread();
      },
    };
  }

  const sides = { source: open('source'), destination: open('destination') };
  return credentialsOf;
}

/** An account that is there, and left for the identity of the process. */
function notUsed(host: string): string {
  return (
    `the docker config's entry for the whole ${host} is not used for the destination; ` +
    `write it under ${host}/PROJECT/REPOSITORY`
  );
}

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

/**
 * The token realm that a registry names: https (http only where the registry itself is spoken to so,
 * and then on its own host only), without a user. A token may be asked for there; whether with a
 * credential is decided by {@link requireTrustedRealm}.
 * @throws MirrorError `REALM_REFUSED`
 */
export function readRealm(text: string | undefined, registry: URL): URL {
  if (text === undefined || !URL.canParse(text))
    throw realmRefused('names no usable token realm', registry);
  const realm = new URL(text);
  const plain =
    realm.protocol === 'http:' &&
    registry.protocol === 'http:' &&
    realm.hostname === registry.hostname;
  // guard: token-realm-https
  if (realm.protocol !== 'https:' && !plain)
    throw realmRefused(
      `names a token realm without TLS at ${printable(realm.host)}: it or its proxy must be told the https address`,
      registry,
    );
  // guard: token-realm-userinfo
  if (realm.username !== '' || realm.password !== '')
    throw realmRefused('names a token realm with a user', registry);
  return realm;
}

/**
 * Lets a registry's credential go to its realm where that is on the registry's host name, at a known
 * partner of it, or at a host that the operator gave the same credential.
 * @param atRealm the account of the realm's host for the same path ({@link Credentials.accountAtRealm})
 * @throws MirrorError `REALM_REFUSED` saying how it can be trusted
 */
export function requireTrustedRealm(
  realm: URL,
  registry: URL,
  credential: Credential,
  atRealm: Credential | undefined,
): void {
  const isPartner = REALM_HOSTS.some(
    ([pattern, host]) => pattern.test(registry.host) && realm.host === host,
  );
  const isTrusted =
    realm.hostname === registry.hostname || isPartner || isSameCredential(credential, atRealm);
  // guard: token-realm-host
  if (!isTrusted)
    throw realmRefused(
      `sends its credentials to ${printable(realm.host)}; give that host (or that host with the same path) the same entry in the docker config if it is meant`,
      registry,
    );
}

/** Whether two credentials are the same; none is the same as none. */
export function isSameCredential(
  one: Credential | undefined,
  other: Credential | undefined,
): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function realmRefused(what: string, registry: URL): MirrorError {
  return new MirrorError('REALM_REFUSED', `the registry ${what}`, {
    operation: 'get token',
    url: `${registry.origin}/`,
  });
}
