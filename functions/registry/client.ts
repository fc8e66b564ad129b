import { MirrorError, toMirrorError, type Side } from '../errors.ts';
import type { AccessScope, Authorization, Authorizer, RootAnswer } from './authorizer.ts';
import { GET_TOKEN } from './bearer.ts';
import { parseChallenges } from './challenge.ts';
import { failure, isOpen, located, type Answer, type Asked, type OpenAnswer } from './failure.ts';
import { isRedirect, keepsMethod, nextHop } from './redirect-policy.ts';
import { isRootsWord, repositoryOf } from './registry-form.ts';
import { isReplayable, type ClientParts, type RegistryRequest } from './request.ts';
import { NO_RETRY, retryDelayMs } from './retry-policy.ts';
import { exchangeOnce } from './round-trip.ts';
import { markSentInFull, wasSentInFull } from './sent-in-full.ts';
import { sleep } from '../concurrency.ts';

/** One side's client of one registry host. */
export interface RegistryClient {
  readonly side: Side;
  /** The registry's address. */
  readonly registry: URL;
  /**
   * Asks and reads the answer whole. Throttling, server errors and broken connections are tried again
   * and end as faults; every other status is the caller's to judge.
   */
  ask(request: RegistryRequest, signal: AbortSignal): Promise<Answer>;
  /** As `ask`, but a 200 or 206 stays open; every other answer comes read, as `Answer`. */
  open(request: RegistryRequest, signal: AbortSignal): Promise<OpenAnswer | Answer>;
}

/** A client over the parts: authorization, gate, redirects and retries in one place. */
export function openClient(parts: ClientParts): RegistryClient {
  return {
    side: parts.side,
    registry: parts.registry,
    async ask(request, signal) {
      const answer = await withRetries(parts, request, false, signal);
      if (isOpen(answer)) throw new Error('an answer was left open');
      return answer;
    },
    open: (request, signal) => withRetries(parts, request, true, signal),
  };
}

/** The only place that repeats a request; what is sent from a stream is repeated by whoever has the stream. */
async function withRetries(
  parts: ClientParts,
  request: RegistryRequest,
  keepOpen: boolean,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const { retryPolicy, timing, random, deadlineAtMs = Infinity } = parts;
  const policy = isReplayable(request) ? retryPolicy : NO_RETRY;
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptRequest(parts, request, { attempt, keepOpen }, signal);
    } catch (error) {
      const fault = complete(error, parts, request);
      const ownMs = retryDelayMs(policy, attempt, fault, random());
      const delayMs =
        ownMs === undefined ? undefined : Math.max(ownMs, realmPauseMs(fault, request));
      const tooLate = delayMs === undefined || timing.now() + delayMs > deadlineAtMs;
      if (tooLate || signal.aborted || isEndedBy(fault, request)) throw fault;
      if (delayMs > 0 && fault.retryAfterMs !== undefined) {
        const { host } = parts.registry;
        parts.onPause?.({ side: parts.side, host, untilMs: timing.now() + delayMs });
      }
      await sleep(timing, delayMs, signal);
    }
  }
}

/** Whether who asks wants no other try after this fault. */
function isEndedBy(
  fault: MirrorError,
  { mayRetry, patienceMs = Infinity }: RegistryRequest,
): boolean {
  return (fault.retryAfterMs ?? 0) > patienceMs || mayRetry?.(fault) === false;
}

/** The pause that the realm of a token asked for: the starts of the registry itself are not closed for it. */
function realmPauseMs(
  { operation, retryAfterMs = 0 }: MirrorError,
  { kind }: RegistryRequest,
): number {
  return kind !== 'token' && operation === GET_TOKEN ? retryAfterMs : 0;
}

/** What was thrown, as a fault that says what was asked, of whom. */
function complete(error: unknown, parts: ClientParts, request: RegistryRequest): MirrorError {
  const asked: Asked = { operation: request.operation, side: parts.side };
  const fault = located(
    toMirrorError(error, request.operation),
    asked,
    new URL(request.target, parts.registry),
  );
  if (error instanceof MirrorError && wasSentInFull(error)) markSentInFull(fault);
  return fault;
}

/** Refusals of one request that are answered by presenting something else: learning the way, then a new token. */
const MAX_AUTHORIZATIONS = 2;

/** What registries hide from whoever brings no token. */
const HIDDEN: ReadonlySet<RegistryRequest['kind']> = new Set(['tags', 'manifest', 'upload']);

/** Options of {@link attemptRequest}. */
interface AttemptOptions {
  /** Which try of the request this is, from 1. */
  readonly attempt: number;
  /** A 200 or 206 is left open. */
  readonly keepOpen: boolean;
}

/**
 * One try of a request: its authorizations and redirects, up to an answer or a fault. Credentials are
 * presented at the registry's own origin only, whatever redirects there or away. A registry that it is a
 * front of may ask for a token of its own: it gets one that was had anonymously.
 */
async function attemptRequest(
  parts: ClientParts,
  request: RegistryRequest,
  options: AttemptOptions,
  signal: AbortSignal,
): Promise<OpenAnswer | Answer> {
  const attempt = new Attempt(parts, request, options, signal);
  return attempt.run();
}

class Attempt {
  readonly #parts: ClientParts;
  readonly #request: RegistryRequest;
  readonly #options: AttemptOptions;
  readonly #signal: AbortSignal;
  #url: URL;
  /** Path and query as they came, where the URL writes them otherwise. */
  #rawPath: string | undefined;
  #hops = 0;
  /** What authorizes at the URL's origin; undefined: nothing is presented there. */
  #authorizer: Authorizer | undefined;
  #authorizations = 0;
  /** A 403 was answered by trying the standard way in place of the short one. */
  #triedStandardWay = false;

  constructor(
    parts: ClientParts,
    request: RegistryRequest,
    options: AttemptOptions,
    signal: AbortSignal,
  ) {
    this.#parts = parts;
    this.#request = request;
    this.#options = options;
    this.#signal = signal;
    this.#url = new URL(request.target, parts.registry);
    this.#rawPath = request.rawPath;
    const isHome = this.#url.origin === parts.registry.origin; // guard: request-origin, without: const isHome = true;
    this.#authorizer = isHome ? parts.authorizer : this.#elsewhere();
  }

  async run(): Promise<OpenAnswer | Answer> {
    for (;;) {
      const answer = await this.#exchange();
      if (answer === 'again') continue;
      if (isOpen(answer) || !isRedirect(answer.status)) return answer;
      this.#follow(answer);
    }
  }

  /** One exchange; `again` where it was refused and something else may be presented. */
  async #exchange(): Promise<OpenAnswer | Answer | 'again'> {
    const scope = this.#scope();
    const authorizer = this.#authorizer;
    if (scope === undefined || authorizer === undefined) return this.#send(undefined);
    const used = await authorizer.authorize(scope, this.#signal);
    try {
      const answer = await this.#send(used.header);
      if (!isOpen(answer) && (await this.#mayPresentAnother(authorizer, used, scope, answer))) {
        return 'again';
      }
      const { status } = answer;
      if (status < 400 || status === 404) authorizer.accepted(used, status < 300);
      return isOpen(answer) ? answer : advised(answer, used);
    } finally {
      used.settled();
    }
  }

  /** Learns from a refusal; a body that has begun to flow cannot be sent again, but the next one learns too. */
  async #mayPresentAnother(
    authorizer: Authorizer,
    used: Authorization,
    scope: AccessScope,
    answer: Answer,
  ): Promise<boolean> {
    const { status } = answer;
    const mayHide = used.header === undefined && this.#mayHide(status);
    if (!mayHide && status !== 401 && status !== 403) return false;
    if (this.#triedStandardWay) {
      // It was refused like the short one, which hence was not the reason.
      authorizer.keepPreemptive();
      return false;
    }
    if (this.#authorizations >= MAX_AUTHORIZATIONS) return false;
    this.#authorizations += 1;
    if (mayHide) {
      return authorizer.hidden(used, scope, await this.#rootChallenge(), this.#signal);
    }
    if (status === 401) {
      const own = answer.header('www-authenticate');
      const isTold = parseChallenges(own).length > 0 || this.#request.kind === 'referrers';
      const challenge = isTold ? own : await this.#rootChallenge();
      const may = await authorizer.refused(used, scope, challenge, !isTold);
      return may && isReplayable(this.#request);
    }
    if (!isReplayable(this.#request)) return false;
    if (!authorizer.preemptive) return authorizer.forbidden(used);
    const { challenge } = await this.#askRoot(this.#signal);
    this.#triedStandardWay = await authorizer.refused(used, scope, challenge, true);
    return this.#triedStandardWay;
  }

  /** At another origin it is the repository of that registry that is read. */
  #scope(): AccessScope | undefined {
    const { scope } = this.#request;
    if (scope === undefined || this.#authorizer === this.#parts.authorizer) return scope;
    return { path: repositoryOf(this.#url) ?? scope.path, actions: 'pull' };
  }

  /** Lists and manifests are hidden behind such answers, and pushes refused with them; what goes with them follows. */
  #mayHide(status: number): boolean {
    if (!HIDDEN.has(this.#request.kind) || !isReplayable(this.#request)) return false;
    return status === 403 || status === 404;
  }

  /** What the registry's own root asks for, where its answer does not say it. */
  async #rootChallenge(): Promise<string | undefined> {
    const { authorizer } = this.#parts;
    if (this.#authorizer !== authorizer) return undefined;
    return authorizer.rootChallenge((signal) => this.#askRoot(signal), this.#signal);
  }

  /** A 403 brings no challenge; the API's root does (OCI Distribution 1.1, "Determining Support"). */
  async #askRoot(signal: AbortSignal): Promise<RootAnswer> {
    const { registry } = this.#parts;
    const answer = await exchangeOnce(
      this.#parts,
      {
        kind: 'ping',
        operation: 'get challenge',
        method: 'GET',
        target: '/v2/',
        scope: undefined,
      },
      {
        url: new URL('/v2/', registry),
        number: 0,
        authorization: undefined,
        attempt: this.#options.attempt,
        keepOpen: false,
      },
      signal,
    );
    return {
      challenge: answer.header('www-authenticate'),
      isTold: isOpen(answer) || isRootsWord(answer),
    };
  }

  #send(authorization: string | undefined): Promise<OpenAnswer | Answer> {
    const { attempt, keepOpen } = this.#options;
    return exchangeOnce(
      this.#parts,
      this.#request,
      {
        url: this.#url,
        rawPath: this.#rawPath,
        number: this.#hops,
        authorization,
        attempt,
        keepOpen,
      },
      this.#signal,
    );
  }

  #follow(answer: Answer): void {
    const { side, registry } = this.#parts;
    const { operation, method, redirects } = this.#request;
    const next = nextHop({
      from: this.#url,
      location: answer.header('location'),
      method,
      mayResend: keepsMethod(answer.status) && isReplayable(this.#request),
      hops: this.#hops,
      credentialsOrigin: registry.origin,
    });
    // guard: token-redirect
    if (redirects === 'same-origin' && next.url.origin !== this.#url.origin)
      throw failure(answer, { operation, side }, 'REDIRECT_REFUSED');
    this.#hops += 1;
    this.#url = next.url;
    this.#rawPath = next.rawPath;
    this.#authorizations = 0;
    this.#triedStandardWay = false;
    this.#authorizer = next.authorize ? this.#parts.authorizer : this.#elsewhere();
  }

  /** What authorizes at another origin, which a redirect or the next page of a redirected list leads to. */
  #elsewhere(): Authorizer | undefined {
    if (this.#request.scope === undefined || repositoryOf(this.#url) === undefined)
      return undefined;
    return this.#parts.anonymousAt(this.#url);
  }
}

/** A refusal, with what the operator can do about the credential that was presented. */
function advised(answer: Answer, { credential }: Authorization): Answer {
  const isRefused = answer.status === 401 || answer.status === 403;
  const advice = isRefused && credential?.kind === 'google' ? credential.advice : undefined;
  return advice === undefined ? answer : { ...answer, advice };
}
