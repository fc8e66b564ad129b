import type { MirrorError, Side } from '../errors.ts';
import type { AccessScope, Authorizer } from './authorizer.ts';
import type { ExchangeKind, OnExchange } from './exchange.ts';
import type { Answer } from './failure.ts';
import type { AdaptiveLimiter } from './limiter.ts';
import type { RetryPolicy } from './retry-policy.ts';
import type { Timing } from '../concurrency.ts';
import type { StreamBody } from './blob-stream.ts';
import type { Transport } from './transport.ts';

/** One question to a registry. */
export interface RegistryRequest {
  readonly kind: ExchangeKind;
  /** Verb and object, for errors: `get manifest`. */
  readonly operation: string;
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT';
  /** Below the registry's address, such as `/v2/org/app/tags/list`, or a whole URL. */
  readonly target: string | URL;
  /** Path and query to send in place of those of `target`, byte for byte. */
  readonly rawPath?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** A stream is sent once: a request that has one is never repeated. */
  readonly body?: Buffer | StreamBody | undefined;
  /** What is to be allowed; undefined: nothing is presented (a capability URL, a foreign host). */
  readonly scope: AccessScope | undefined;
  /**
   * Asked each time when its turn has come: false ends it as `ABORTED`, unsent. Default: it is sent,
   * however long it waited.
   */
  readonly mayStart?: (() => boolean) | undefined;
  /** Asked before it is sent again after a fault that may pass: false ends it with that one. Default: it is. */
  readonly mayRetry?: ((fault: MirrorError) => boolean) | undefined;
  /**
   * Longest pause that the other side asks for and that is waited for, milliseconds: a longer one ends
   * the request as a fault that names it. Whoever holds what others wait for gives it back and comes
   * again. Default: what the deadline leaves, at most 10 minutes.
   */
  readonly patienceMs?: number | undefined;
  /** Cap of the answer's body. Default 64 KiB. */
  readonly maxBytes?: number;
  /** `same-origin`: to another origin none is followed. Default: any, for GET and HEAD. */
  readonly redirects?: 'same-origin';
  /** Is told every answer that was read, refusals too, before it is judged. */
  readonly onAnswer?: ((answer: Answer) => void) | undefined;
}

/** A time before which a host wants no request. */
export interface Pause {
  readonly side: Side;
  /** With its port where it has one. */
  readonly host: string;
  readonly untilMs: number;
}

/** Is told of every pause. */
export type OnPause = (pause: Pause) => void;

/** What a client of one registry host, on one side, is made of. */
export interface ClientParts {
  readonly side: Side;
  /** The registry's address. */
  readonly registry: URL;
  readonly transport: Transport;
  readonly authorizer: Authorizer;
  /** Authorization without any credential, at another registry that this one redirects to. */
  readonly anonymousAt: (url: URL) => Authorizer;
  /** The starts of an origin: a registry, a realm or a store behind a redirect. */
  readonly limiterOf: (origin: string) => AdaptiveLimiter;
  readonly timing: Timing;
  readonly retryPolicy: RetryPolicy;
  /** 0 … 1, for jitter. */
  readonly random: () => number;
  readonly onExchange: OnExchange;
  /** Is told of a pause that a host asked for; times are on the timing's clock. Default: nobody. */
  readonly onPause?: OnPause | undefined;
  /** When the work that this client is for must have ended, on the timing's clock. */
  readonly deadlineAtMs: number | undefined;
}

/** Whether a request can be sent again as it is. */
export function isReplayable({ body }: RegistryRequest): boolean {
  return body === undefined || Buffer.isBuffer(body);
}

/** Bytes of a request's body. */
export function bodyBytes({ body }: RegistryRequest): number {
  if (body === undefined) return 0;
  return Buffer.isBuffer(body) ? body.length : body.sizeBytes;
}
