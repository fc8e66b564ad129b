import type { Credential, Credentials } from '../auth/credential.ts';
import { basicHeader, type AskRealm, type BearerTokens } from './bearer.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { judgeRealm, requireTrustedRealm } from './realm-policy.ts';
import { raceSignal } from './timing.ts';

/** What a request may do, in the words of the token specification. */
export interface AccessScope {
  /** Repository path. */
  readonly path: string;
  readonly actions: 'pull' | 'pull,push';
  /** Another repository that a blob is mounted from. */
  readonly mountFrom?: string | undefined;
}

/** What one request presents. */
export interface Authorization {
  /** The header's value; undefined: none. */
  readonly header: string | undefined;
  /** How it came about. */
  readonly way: Way['kind'];
  /** The bearer token within, where a realm gave it. */
  readonly token?: string | undefined;
  /** Lets those go on that wait for the first answer of a host; called once, however it ended. */
  readonly settled: () => void;
}

/** How a host wants to be spoken to, learnt from its answers. */
type Way =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'open' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined }
  /** Google's access token (or a docker config's registry token), presented without being asked. */
  | { readonly kind: 'preemptive' };

/** Authorization of one registry host, for one set of credentials. */
export interface Authorizer {
  /** What to present; the first request to an unknown host goes alone, the others learn from it. */
  authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization>;
  /** Learns from an answer that is no refusal. */
  accepted(used: Authorization): void;
  /**
   * Learns from a refusal (401, or 403 where `challenge` was got by asking). True: try once more.
   * @throws Fault `REALM_REFUSED`
   */
  refused(used: Authorization, scope: AccessScope, challenge: string | undefined): boolean;
  /** Whether the standard way is still untried, so that a 403 may be the fault of the short one. */
  readonly preemptive: boolean;
  /** The standard way was no better: the short way is taken again, and for good. */
  keepPreemptive(): void;
}

/** Options of {@link openAuthorizer}. */
export interface AuthorizerOptions {
  /** The registry's address, such as `https://ghcr.io`. */
  readonly registry: URL;
  readonly credentials: Credentials;
  readonly tokens: BearerTokens;
  readonly askRealm: AskRealm;
}

/**
 * Learns how a registry wants to be spoken to and does so: no ping, no question twice. A second
 * repository of a known host costs a token and no 401.
 */
export function openAuthorizer(options: AuthorizerOptions): Authorizer {
  const { registry, credentials, tokens, askRealm } = options;
  let way: Way = { kind: 'unknown' };
  let preemptiveRefused = false;
  let preemptiveKept = false;
  let first: Promise<void> | undefined;
  /** What a registry calls a repository in its challenges, where that is not its path. */
  const scopeNames = new Map<string, string>();

  function credentialOf(): Promise<Credential | undefined> {
    return credentials.credentialFor(registry.host);
  }

  async function authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization> {
    // Waits for the first answer of an unknown host; where that never came, the next goes first.
    while (first !== undefined && way.kind === 'unknown') await raceSignal(first, signal);
    if (way.kind === 'unknown') {
      const credential = await credentialOf();
      const direct = credential?.kind === 'google' || credential?.kind === 'registry';
      if (direct && !preemptiveRefused) way = { kind: 'preemptive' };
      // Another request may have gone first while the credential was read.
      else if (first !== undefined) return authorize(scope, signal);
      else return goFirst();
    }
    return present(way, scope, signal);
  }

  function goFirst(): Authorization {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    first = promise;
    return {
      header: undefined,
      way: 'unknown',
      settled() {
        first = undefined;
        resolve(undefined);
      },
    };
  }

  async function present(
    known: Exclude<Way, { kind: 'unknown' }>,
    scope: AccessScope,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const settled = (): void => undefined;
    switch (known.kind) {
      case 'open':
        return { header: undefined, way: known.kind, settled };
      case 'basic':
        return { header: basicHeader(await credentialOf()), way: known.kind, settled };
      case 'preemptive': {
        const credential = await credentialOf();
        const token =
          credential?.kind === 'google' || credential?.kind === 'registry'
            ? credential.token
            : undefined;
        const header = token === undefined ? basicHeader(credential) : `Bearer ${token}`;
        return { header, way: known.kind, token, settled };
      }
      case 'bearer': {
        const token = await bearerToken(known, scope, signal);
        return { header: `Bearer ${token}`, way: known.kind, token, settled };
      }
    }
  }

  async function bearerToken(
    { realm: realmUrl, service }: Extract<Way, { kind: 'bearer' }>,
    scope: AccessScope,
    signal: AbortSignal,
  ): Promise<string> {
    const credential = await credentialOf();
    const realmCredential = await credentials.credentialFor(realmUrl.host);
    const realm = judgeRealm(
      realmUrl.href,
      registry,
      () => credential !== undefined && same(credential, realmCredential),
    );
    if (credential !== undefined) requireTrustedRealm(realm, registry);
    const question = { realm: realm.url, service, scopes: scopesOf(scope), credential };
    return tokens.token(question, askRealm, signal);
  }

  function scopesOf({ path, actions, mountFrom }: AccessScope): readonly string[] {
    const own = `repository:${scopeNames.get(path) ?? path}:${actions}`;
    return mountFrom === undefined
      ? [own]
      : [own, `repository:${scopeNames.get(mountFrom) ?? mountFrom}:pull`].sort();
  }

  function refused(used: Authorization, scope: AccessScope, header: string | undefined): boolean {
    const challenge = preferred(parseChallenges(header));
    const named = repositoryOf(challenge);
    const renamed = named !== undefined && named !== (scopeNames.get(scope.path) ?? scope.path);
    if (renamed) scopeNames.set(scope.path, named);
    if (used.token !== undefined) tokens.forget(used.token);
    if (used.header !== undefined) credentials.refused(registry.host);
    const learnt = wayOf(challenge);
    if (learnt === undefined) return false;
    const changed = !sameWay(learnt, way);
    if (used.way === 'preemptive' && preemptiveKept) return false;
    if (used.way === 'preemptive') preemptiveRefused = true;
    way = learnt;
    // The same way again helps only where something is new: a token, a name, a credential.
    return changed || used.way !== learnt.kind || used.way === 'bearer' || renamed;
  }

  function wayOf(challenge: Challenge | undefined): Exclude<Way, { kind: 'unknown' }> | undefined {
    if (challenge === undefined) return undefined;
    if (challenge.scheme === 'basic') return { kind: 'basic' };
    const realm = judgeRealm(challenge.parameters.get('realm'), registry, () => false);
    return { kind: 'bearer', realm: realm.url, service: challenge.parameters.get('service') };
  }

  return {
    authorize,
    accepted(used) {
      if (used.way === 'unknown' && way.kind === 'unknown') way = { kind: 'open' };
    },
    refused,
    get preemptive() {
      return way.kind === 'preemptive' && !preemptiveKept;
    },
    keepPreemptive() {
      way = { kind: 'preemptive' };
      preemptiveKept = true;
    },
  };
}

/** Bearer before Basic: a token is narrower than a password. */
function preferred(challenges: readonly Challenge[]): Challenge | undefined {
  return (
    challenges.find(({ scheme }) => scheme === 'bearer') ??
    challenges.find(({ scheme }) => scheme === 'basic')
  );
}

/** The one repository that a challenge's scope names (`repository:NAME:ACTIONS`). */
function repositoryOf(challenge: Challenge | undefined): string | undefined {
  const scope = challenge?.parameters.get('scope') ?? '';
  return /^repository:([^\s:]+(?::\d+\/[^\s:]+)?):[a-z,*]+$/.exec(scope)?.[1];
}

function sameWay(one: Way, other: Way): boolean {
  if (one.kind !== 'bearer' || other.kind !== 'bearer') return one.kind === other.kind;
  return one.realm.href === other.realm.href && one.service === other.service;
}

function same(one: Credential, other: Credential | undefined): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}
