import {
  isSameCredential,
  readRealm,
  requireTrustedRealm,
  type Credential,
  type Credentials,
} from '../auth/credentials.ts';
import { isMirrorError } from '../errors.ts';
import { basicHeader, type AskRealm, type BearerTokens, type IssuedToken } from './bearer.ts';
import {
  parseChallenges,
  scopesOf,
  scopeTexts,
  type Challenge,
  type ResourceScope,
} from './challenge.ts';
import { raceSignal, SingleFlight } from '../concurrency.ts';

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
  /** Repository that it is for. */
  readonly path: string;
  /** How it came about. */
  readonly way: Way['kind'];
  /** The way itself, where one was known. */
  readonly known?: KnownWay | undefined;
  /** The bearer token within, where there is one. */
  readonly token?: string | undefined;
  /** Whether a refusal of the token may only mean that it ended. */
  readonly mayHaveEnded?: IssuedToken['mayHaveEnded'];
  /** What there was to present; the header is made of it where it was asked for. */
  readonly credential?: Credential | undefined;
  /** Lets those go on that wait for the first answer of a host; called once, however it ended. */
  readonly settled: () => void;
}

/** Authorization of one registry host, for one set of credentials. */
export interface Authorizer {
  /**
   * What to present; the first request to an unknown host goes alone, the others learn from it. A
   * repository of a known host is presented with what another one was asked for, until its own
   * answer says otherwise.
   */
  authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization>;
  /**
   * Learns from an answer that is no refusal.
   * @param shows it shows something of the repository. Default: it does
   */
  accepted(used: Authorization, shows?: boolean): void;
  /**
   * Learns from a refusal and its challenge. True: presenting something else may help.
   * @param isRoots the challenge is that of the API's root, whose scope is an example's (GHCR's names
   *   `user/image`). Default: the answer's own
   * @throws MirrorError `REALM_REFUSED`
   */
  refused(
    used: Authorization,
    scope: AccessScope,
    challenge: string | undefined,
    isRoots?: boolean,
  ): Promise<boolean>;
  /** Learns from a 403. True: there is another credential now, as one that has been mended or come late. */
  forbidden(used: Authorization): Promise<boolean>;
  /**
   * Learns from a 403 or 404 to a request that presented nothing, by the challenge of the API's root. True:
   * presenting something may show more. What has shown something without a token, and whose realm gives
   * none, hides nothing: then the answer stands, and is not doubted again.
   * @throws MirrorError of the realm, where the repository has shown nothing so far, or a credential was refused
   */
  hidden(
    used: Authorization,
    scope: AccessScope,
    challenge: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /**
   * What the API's root says, asked once for the host: some registries hide behind 403 or 404 what they show to
   * whoever brings a token. What is not told is asked again.
   */
  rootChallenge(
    ask: (signal: AbortSignal) => Promise<RootAnswer>,
    signal: AbortSignal,
  ): Promise<string | undefined>;
  /** The short way is taken and the standard way still untried: a 403 may be the fault of the short one. */
  readonly preemptive: boolean;
  /** The standard way was no better: the short way is taken again, and for good. */
  keepPreemptive(): void;
}

/** What the API's root says. */
export interface RootAnswer {
  /** Undefined: it has none. */
  readonly challenge: string | undefined;
  /** The registry itself said so, and no proxy without a backend. */
  readonly isTold: boolean;
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
 * repository of a known host costs a token and no 401. What is learnt belongs to the repository, since
 * one host may have a realm for each (Nexus, Artifactory).
 */
export function openAuthorizer(options: AuthorizerOptions): Authorizer {
  return new HostAuthorizer(options);
}

/** How a repository wants to be spoken to, learnt from its answers. */
export type KnownWay =
  | { readonly kind: 'open' }
  | { readonly kind: 'basic' }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined }
  /** Google's access token (or a docker config's registry token), presented without being asked. */
  | { readonly kind: 'preemptive' };
export type Way = KnownWay | { readonly kind: 'unknown' };

/** What one repository of a host taught. */
interface Learnt {
  way: KnownWay | undefined;
  /** What the registry calls the repository in its challenges, where that is not its path. */
  name: string | undefined;
  /** What its challenges asked for, to be joined with what a request needs. */
  scopes: readonly ResourceScope[];
  /** An answer showed something of it. */
  shows: boolean;
  /** It shows without a token what there is, and its realm gives none. */
  hidesNothing: boolean;
}

/** Repositories remembered for one host; beyond it the oldest is learnt anew. */
const MAX_REPOSITORIES = 10_000;

class HostAuthorizer implements Authorizer {
  readonly #registry: URL;
  readonly #credentials: Credentials;
  readonly #tokens: BearerTokens;
  readonly #askRealm: AskRealm;
  readonly #repositories = new Map<string, Learnt>();
  /** What a repository whose own way is unknown is presented with: the last way that another one had. */
  #shared: { readonly way: KnownWay; readonly path: string } | undefined;
  /** Two repositories want different ways: none says anything of another. */
  #differs = false;
  readonly #rootFlight = new SingleFlight<RootAnswer>();
  #root: RootAnswer | undefined;
  #preemptiveRefused = false;
  #preemptiveKept = false;
  #preemptiveUsed = false;
  /** The requests that go first, while they are under way: one of the host, or one of a repository. */
  readonly #first = new Map<string, Promise<void>>();

  constructor({ registry, credentials, tokens, askRealm }: AuthorizerOptions) {
    this.#registry = registry;
    this.#credentials = credentials;
    this.#tokens = tokens;
    this.#askRealm = askRealm;
  }

  async authorize(scope: AccessScope, signal: AbortSignal): Promise<Authorization> {
    const { path } = scope;
    for (let waited = false; ; waited = true) {
      const credential = await raceSignal(this.#credential(path), signal);
      const own = this.#repositories.get(path)?.way ?? this.#directWay(credential);
      if (own !== undefined) return this.#present(own, scope, credential, signal);
      const guess = await this.#guess(credential);
      if (guess !== undefined) {
        const presented = await this.#tryPresent(guess, scope, credential, signal);
        if (presented !== undefined) return presented;
      }
      // Waits for the first answer. Where that never came, all go: a host that lets each request wait
      // would otherwise let them wait one after the other.
      const key = this.#shared === undefined ? '' : path;
      const first = this.#first.get(key);
      if (first === undefined || waited) return this.#goFirst(key, path, credential);
      await raceSignal(first, signal);
    }
  }

  accepted(used: Authorization, shows = true): void {
    if (shows) this.#learntOf(used.path).shows = true;
    if (this.#repositories.get(used.path)?.way !== undefined) return;
    this.#learnWay(used.path, used.known ?? { kind: 'open' });
  }

  async refused(
    used: Authorization,
    scope: AccessScope,
    header: string | undefined,
    isRoots = false,
  ): Promise<boolean> {
    if (used.token !== undefined) this.#tokens.forget(used.token);
    // guard: credentials-refused
    if (used.header !== undefined) this.#credentials.refused(this.#registry.host);
    if (used.way === 'preemptive' && this.#preemptiveKept) return false;
    const challenge = preferred(parseChallenges(header));
    const learnt = this.#wayOf(challenge);
    if (learnt === undefined) return false;
    if (used.way === 'preemptive') this.#preemptiveRefused = true;
    const widened = !isRoots && this.#learnScopes(scope, challenge);
    const before = used.known;
    this.#learnWay(scope.path, learnt);
    if (before === undefined || widened || !sameWay(learnt, before)) return true;
    // The same way again helps only where there is a new token or a new credential.
    if (used.way === 'bearer' && used.mayHaveEnded?.() === true) return true;
    return used.header !== undefined && (await this.#changed(used)) !== undefined;
  }

  async forbidden(used: Authorization): Promise<boolean> {
    this.#credentials.refused(this.#registry.host);
    if ((await this.#changed(used)) === undefined) return false;
    this.#learntOf(used.path).way = undefined;
    return true;
  }

  async hidden(
    used: Authorization,
    scope: AccessScope,
    header: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const learnt = this.#learntOf(scope.path);
    if (learnt.hidesNothing) return false;
    try {
      // The token first: a way that leads to none is not learnt.
      const way = this.#wayOf(preferred(parseChallenges(header)));
      if (way?.kind === 'bearer')
        await this.#bearerToken(way, scope, await this.#credential(scope.path), signal);
    } catch (error) {
      // What answers without a token is believed; a pause is waited for, as anywhere.
      if (!learnt.shows || signal.aborted || isMirrorError(error, 'ABORTED', 'RATE_LIMITED'))
        throw error;
      const isRefused = isMirrorError(error, 'UNAUTHORIZED', 'FORBIDDEN', 'REALM_REFUSED');
      // A credential that is refused is there to be mended, and may show more then.
      if (isRefused && (await this.#credential(scope.path)) !== undefined) throw error;
      learnt.hidesNothing = isRefused;
      return false;
    }
    return this.refused(used, scope, header, true);
  }

  async rootChallenge(
    ask: (signal: AbortSignal) => Promise<RootAnswer>,
    signal: AbortSignal,
  ): Promise<string | undefined> {
    if (this.#root !== undefined) return this.#root.challenge;
    const { value } = await this.#rootFlight.run('', signal, ask);
    if (value.isTold) this.#root = value;
    return value.challenge;
  }

  get preemptive(): boolean {
    return this.#preemptiveUsed && !this.#preemptiveRefused && !this.#preemptiveKept;
  }

  keepPreemptive(): void {
    this.#preemptiveKept = true;
    this.#preemptiveRefused = false;
    for (const learnt of this.#repositories.values()) learnt.way = undefined;
    this.#shared = undefined;
  }

  #credential(path: string): Promise<Credential | undefined> {
    return this.#credentials.credentialFor(this.#registry.host, path);
  }

  /** The credential in place of the one that was refused, if there is one. */
  async #changed({ path, credential }: Authorization): Promise<Credential | undefined> {
    const now = await this.#credential(path);
    return isSameCredential(now, credential) ? undefined : now;
  }

  /** A token for the registry itself is presented unasked, until that is refused. */
  #directWay(credential: Credential | undefined): KnownWay | undefined {
    const direct = credential?.kind === 'google' || credential?.kind === 'registry';
    if (!direct || this.#preemptiveRefused) return undefined;
    this.#preemptiveUsed = true;
    return { kind: 'preemptive' };
  }

  /**
   * The way of another repository, where its credential is the same: an account is shown to no realm
   * that has not asked for it.
   */
  async #guess(credential: Credential | undefined): Promise<KnownWay | undefined> {
    if (this.#shared === undefined || this.#differs) return undefined;
    const { way, path } = this.#shared;
    const other = await this.#credential(path);
    // guard: credential-prefix
    if (!isSameCredential(credential, other)) return undefined;
    return way.kind === 'preemptive' ? undefined : way;
  }

  /** Presents a guess; undefined where the realm refuses it: this repository may have another one. */
  async #tryPresent(
    guess: KnownWay,
    scope: AccessScope,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<Authorization | undefined> {
    try {
      return await this.#present(guess, scope, credential, signal);
    } catch (error) {
      if (isMirrorError(error, 'UNAUTHORIZED', 'FORBIDDEN', 'REALM_REFUSED')) return undefined;
      throw error;
    }
  }

  #goFirst(key: string, path: string, credential: Credential | undefined): Authorization {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#first.set(key, promise);
    return {
      header: undefined,
      path,
      way: 'unknown',
      credential,
      settled: () => {
        if (this.#first.get(key) === promise) this.#first.delete(key);
        resolve(undefined);
      },
    };
  }

  async #present(
    way: KnownWay,
    scope: AccessScope,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const as = (header: string | undefined, more: Partial<Authorization> = {}): Authorization => ({
      header,
      path: scope.path,
      way: way.kind,
      known: way,
      credential,
      settled: () => undefined,
      ...more,
    });
    switch (way.kind) {
      case 'open':
        return as(undefined);
      case 'basic':
        return as(basicHeader(credential));
      case 'preemptive': {
        if (credential?.kind !== 'google' && credential?.kind !== 'registry') {
          return as(basicHeader(credential));
        }
        return as(`Bearer ${credential.token}`, { token: credential.token });
      }
      case 'bearer': {
        const issued = await this.#bearerToken(way, scope, credential, signal);
        return as(`Bearer ${issued.token}`, issued);
      }
    }
  }

  /** A realm that refuses the credential, or who has none, gets one more try where there is another now. */
  async #bearerToken(
    way: Extract<Way, { kind: 'bearer' }>,
    scope: AccessScope,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<IssuedToken & Pick<Authorization, 'credential'>> {
    try {
      return { ...(await this.#askToken(way, scope, credential, signal)), credential };
    } catch (error) {
      if (!isMirrorError(error, 'UNAUTHORIZED', 'FORBIDDEN')) throw error;
      this.#credentials.refused(this.#registry.host);
      const changed = await this.#credential(scope.path);
      if (changed === undefined || isSameCredential(changed, credential)) throw error;
      return { ...(await this.#askToken(way, scope, changed, signal)), credential: changed };
    }
  }

  async #askToken(
    { realm, service }: Extract<Way, { kind: 'bearer' }>,
    scope: AccessScope,
    credential: Credential | undefined,
    signal: AbortSignal,
  ): Promise<IssuedToken> {
    if (credential !== undefined) {
      const atRealm = await this.#credentials.accountAtRealm(realm.host, scope.path);
      requireTrustedRealm(realm, this.#registry, credential, atRealm);
    }
    const question = { realm, service, scopes: this.#scopes(scope), credential };
    return this.#tokens.token(question, this.#askRealm, signal);
  }

  /** What the request needs, joined with what the repository's challenges asked for. */
  #scopes({ path, actions, mountFrom }: AccessScope): readonly string[] {
    const own = { type: 'repository', name: this.#nameOf(path), actions: actions.split(',') };
    const mount =
      mountFrom === undefined
        ? []
        : [{ type: 'repository', name: this.#nameOf(mountFrom), actions: ['pull'] }];
    return scopeTexts([own, ...mount, ...(this.#repositories.get(path)?.scopes ?? [])]);
  }

  #nameOf(path: string): string {
    return this.#repositories.get(path)?.name ?? path;
  }

  /** @returns whether the next token of this scope is another one */
  #learnScopes(scope: AccessScope, challenge: Challenge | undefined): boolean {
    const before = this.#scopes(scope).join(' ');
    const learnt = this.#learntOf(scope.path);
    // What a mount reads from another repository is asked for with the mount alone.
    const asked = scopesOf(challenge).filter(
      ({ name }) => scope.mountFrom === undefined || name !== this.#nameOf(scope.mountFrom),
    );
    const [only, ...more] = asked;
    if (only?.type === 'repository' && more.length === 0 && only.name !== scope.path) {
      learnt.name = only.name;
    }
    if (asked.length > 0) learnt.scopes = asked;
    return this.#scopes(scope).join(' ') !== before;
  }

  #learnWay(path: string, way: KnownWay): void {
    const learnt = this.#learntOf(path);
    learnt.way = way;
    const other = this.#shared;
    if (other !== undefined && other.path !== path && !sameWay(other.way, way))
      this.#differs = true;
    this.#shared = { way, path };
  }

  #learntOf(path: string): Learnt {
    const known = this.#repositories.get(path);
    if (known !== undefined) return known;
    const [oldest] = this.#repositories.keys();
    if (this.#repositories.size >= MAX_REPOSITORIES && oldest !== undefined) {
      this.#repositories.delete(oldest);
    }
    const learnt: Learnt = {
      way: undefined,
      name: undefined,
      scopes: [],
      shows: false,
      hidesNothing: false,
    };
    this.#repositories.set(path, learnt);
    return learnt;
  }

  #wayOf(challenge: Challenge | undefined): KnownWay | undefined {
    if (challenge === undefined) return undefined;
    if (challenge.scheme === 'basic') return { kind: 'basic' };
    const realm = readRealm(challenge.parameters.get('realm'), this.#registry);
    return { kind: 'bearer', realm, service: challenge.parameters.get('service') };
  }
}

/** Bearer before Basic: a token is narrower than a password. One that names no realm leads nowhere. */
function preferred(challenges: readonly Challenge[]): Challenge | undefined {
  const bearers = challenges.filter(({ scheme }) => scheme === 'bearer');
  return (
    bearers.find(({ parameters }) => URL.canParse(parameters.get('realm') ?? '')) ??
    challenges.find(({ scheme }) => scheme === 'basic') ??
    bearers[0]
  );
}

function sameWay(one: Way, other: Way): boolean {
  if (one.kind !== 'bearer' || other.kind !== 'bearer') return one.kind === other.kind;
  return one.realm.href === other.realm.href && one.service === other.service;
}
