import type { Credential, Credentials } from '../auth/credential.ts';
import { isFault } from '../fault.ts';
import { basicHeader, type AskRealm, type BearerTokens, type IssuedToken } from './bearer.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import { judgeRealm, requireTrustedRealm } from './realm-policy.ts';
import { raceSignal } from '../concurrency.ts';

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
  /** The bearer token within, where there is one. */
  readonly token?: string | undefined;
  /** The token was got before: a refusal may only mean that it ended early. */
  readonly cached?: boolean;
  /** Lets those go on that wait for the first answer of a host; called once, however it ended. */
  readonly settled: () => void;
}

/** Authorization of one registry host, for one set of credentials. */
export interface Authorizer {
  /** What to present; the first request to an unknown host goes alone, the others learn from it. */
  authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization>;
  /** Learns from an answer that is no refusal. */
  accepted(used: Authorization): void;
  /**
   * Learns from a refusal and its challenge. True: presenting something else may help.
   * @throws Fault `REALM_REFUSED`
   */
  refused(used: Authorization, scope: AccessScope, challenge: string | undefined): Promise<boolean>;
  /** The short way is taken and the standard way still untried: a 403 may be the fault of the short one. */
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
  return new HostAuthorizer(options);
}

/** How a host wants to be spoken to, learnt from its answers. */
type KnownWay =
  | { readonly kind: 'open' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined }
  /** Google's access token (or a docker config's registry token), presented without being asked. */
  | { readonly kind: 'preemptive' };
type Way = KnownWay | { readonly kind: 'unknown' };

class HostAuthorizer implements Authorizer {
  readonly #registry: URL;
  readonly #credentials: Credentials;
  readonly #tokens: BearerTokens;
  readonly #askRealm: AskRealm;
  #way: Way = { kind: 'unknown' };
  #preemptiveRefused = false;
  #preemptiveKept = false;
  /** The request that goes first, while it is under way. */
  #first: Promise<void> | undefined;
  /** What a registry calls a repository in its challenges, where that is not its path. */
  readonly #scopeNames = new Map<string, string>();

  constructor({ registry, credentials, tokens, askRealm }: AuthorizerOptions) {
    this.#registry = registry;
    this.#credentials = credentials;
    this.#tokens = tokens;
    this.#askRealm = askRealm;
  }

  async authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization> {
    if (this.#way.kind === 'unknown') {
      const credential = await this.#credential();
      const direct = credential?.kind === 'google' || credential?.kind === 'registry';
      if (direct && !this.#preemptiveRefused) this.#way = { kind: 'preemptive' };
    }
    // Waits for the first answer of an unknown host; where that never came, the next goes first.
    while (this.#way.kind === 'unknown') {
      if (this.#first === undefined) return this.#goFirst();
      await raceSignal(this.#first, signal);
    }
    return this.#present(this.#way, scope, signal);
  }

  accepted(used: Authorization): void {
    if (used.way === 'unknown' && this.#way.kind === 'unknown') this.#way = { kind: 'open' };
  }

  async refused(
    used: Authorization,
    scope: AccessScope,
    header: string | undefined,
  ): Promise<boolean> {
    if (used.token !== undefined) this.#tokens.forget(used.token);
    // guard: credentials-refused
    if (used.header !== undefined) this.#credentials.refused(this.#registry.host);
    if (used.way === 'preemptive' && this.#preemptiveKept) return false;
    const challenge = preferred(parseChallenges(header));
    const learnt = this.#wayOf(challenge);
    if (learnt === undefined) return false;
    if (used.way === 'preemptive') this.#preemptiveRefused = true;
    const renamed = this.#learnName(scope, challenge);
    const changed = !sameWay(learnt, this.#way);
    this.#way = learnt;
    if (changed || renamed || used.way !== learnt.kind) return true;
    // The same way again helps only where there is a new token or a new credential.
    if (used.way === 'bearer') return used.cached === true;
    return used.header !== undefined && basicHeader(await this.#credential()) !== used.header;
  }

  get preemptive(): boolean {
    return this.#way.kind === 'preemptive' && !this.#preemptiveKept;
  }

  keepPreemptive(): void {
    this.#way = { kind: 'preemptive' };
    this.#preemptiveKept = true;
  }

  #credential(): Promise<Credential | undefined> {
    return this.#credentials.credentialFor(this.#registry.host);
  }

  #goFirst(): Authorization {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#first = promise;
    return {
      header: undefined,
      way: 'unknown',
      settled: () => {
        this.#first = undefined;
        resolve(undefined);
      },
    };
  }

  async #present(way: KnownWay, scope: AccessScope, signal: AbortSignal): Promise<Authorization> {
    const as = (header: string | undefined, token?: string, cached = false): Authorization => ({
      header,
      way: way.kind,
      token,
      cached,
      settled: () => undefined,
    });
    switch (way.kind) {
      case 'open':
        return as(undefined);
      case 'basic':
        return as(basicHeader(await this.#credential()));
      case 'preemptive': {
        const credential = await this.#credential();
        if (credential?.kind !== 'google' && credential?.kind !== 'registry') {
          return as(basicHeader(credential));
        }
        return as(`Bearer ${credential.token}`, credential.token);
      }
      case 'bearer': {
        const { token, cached } = await this.#bearerToken(way, scope, signal);
        return as(`Bearer ${token}`, token, cached);
      }
    }
  }

  /** A realm that refuses the credential gets one more try where the credential has been changed. */
  async #bearerToken(
    way: Extract<Way, { kind: 'bearer' }>,
    scope: AccessScope,
    signal: AbortSignal,
  ): Promise<IssuedToken> {
    const credential = await this.#credential();
    try {
      return await this.#askToken(way, scope, credential, signal);
    } catch (error) {
      if (!isFault(error, 'UNAUTHORIZED', 'FORBIDDEN') || credential === undefined) throw error;
      this.#credentials.refused(this.#registry.host);
      const changed = await this.#credential();
      if (changed === undefined || same(changed, credential)) throw error;
      return this.#askToken(way, scope, changed, signal);
    }
  }

  async #askToken(
    { realm, service }: Extract<Way, { kind: 'bearer' }>,
    scope: AccessScope,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<IssuedToken> {
    if (credential !== undefined) {
      const atRealm = await this.#credentials.credentialFor(realm.host);
      const trusts = judgeRealm(realm.href, this.#registry, () => same(credential, atRealm));
      requireTrustedRealm(trusts, this.#registry);
    }
    const question = { realm, service, scopes: this.#scopes(scope), credential };
    return this.#tokens.token(question, this.#askRealm, signal);
  }

  #scopes({ path, actions, mountFrom }: AccessScope): readonly string[] {
    const own = `repository:${this.#nameOf(path)}:${actions}`;
    if (mountFrom === undefined) return [own];
    return [own, `repository:${this.#nameOf(mountFrom)}:pull`].sort();
  }

  #nameOf(path: string): string {
    return this.#scopeNames.get(path) ?? path;
  }

  #learnName(scope: AccessScope, challenge: Challenge | undefined): boolean {
    const name = repositoryOf(challenge);
    if (name === undefined || name === this.#nameOf(scope.path) || name === scope.mountFrom) {
      return false;
    }
    this.#scopeNames.set(scope.path, name);
    return true;
  }

  #wayOf(challenge: Challenge | undefined): KnownWay | undefined {
    if (challenge === undefined) return undefined;
    if (challenge.scheme === 'basic') return { kind: 'basic' };
    const realm = judgeRealm(challenge.parameters.get('realm'), this.#registry, () => false);
    return { kind: 'bearer', realm: realm.url, service: challenge.parameters.get('service') };
  }
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
