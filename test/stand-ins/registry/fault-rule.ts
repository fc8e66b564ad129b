import type { RegistryRequest } from './exchange.ts';
import type { ErrorEntry } from './refusal.ts';
import { requestKind, type RequestKind } from './request-kind.ts';

/** What goes wrong with one request. */
export type FaultEffect =
  | AnswerFault
  | {
      /**
       * The connection is reset (RST): before anything (`head`), after some bytes of the request's
       * body, after the work but before its answer (`commit`), after some bytes of the answer's body,
       * or after all of the answer (`end`).
       */
      readonly kind: 'reset';
      readonly at: 'head' | 'request-body' | 'commit' | 'response-body' | 'end';
      /** For the two bodies. Default 0. */
      readonly afterBytes?: number;
    }
  | {
      /** Nothing more comes, and the connection stays open. */
      readonly kind: 'stall';
      readonly at: 'head' | 'request-body' | 'response-body';
      readonly afterBytes?: number;
    }
  | {
      /** The request is served as if it bore no credentials: refused with the registry's own challenge. */
      readonly kind: 'anonymous';
    }
  /** The answer's body ends early and the connection is closed in good order (FIN). */
  | { readonly kind: 'truncate'; readonly afterBytes: number }
  /** The lowest bit of one byte of the answer's body is wrong. */
  | { readonly kind: 'flip'; readonly atByte: number }
  /** The answer's body has more bytes than it should, and its length says so. */
  | { readonly kind: 'pad'; readonly bytes: number }
  /** `Content-Length` is wrong by this much; too few bytes come cleanly, too many announced never come. */
  | { readonly kind: 'length'; readonly delta: number }
  /** `Docker-Content-Digest` is this one. */
  | { readonly kind: 'digest'; readonly digest: string }
  /** Something happens to the store before or after the request is served as usual. */
  | {
      readonly kind: 'event';
      readonly before?: (request: RegistryRequest) => void;
      readonly after?: (request: RegistryRequest) => void;
    };

/** Another answer than the right one. */
export interface AnswerFault {
  readonly kind: 'answer';
  readonly status: number;
  /** Such as `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Entries of the error document. Default: none, and an empty body. */
  readonly errors?: readonly ErrorEntry[];
  /** A body of any form, in place of `errors`. */
  readonly body?: { readonly contentType: string; readonly text: string };
  /** Bytes of the request's body that are read first; `Infinity`: all. Default 0. */
  readonly afterRequestBytes?: number;
  /** What becomes of the rest of the request's body: read (default), or left while the socket stays open. */
  readonly unread?: 'drain' | 'hold';
  /** Whether the work is done all the same. Default false. */
  readonly commit?: boolean;
}

/** When a fault strikes: every given condition must hold. */
export interface FaultRule {
  readonly method?: string;
  readonly kind?: RequestKind;
  /** Tested against path and query. */
  readonly path?: RegExp;
  readonly when?: (request: RegistryRequest) => boolean;
  /** Matching requests that pass before the first is struck. Default 0. */
  readonly skip?: number;
  /** Requests that are struck; `Infinity`: all from then on. Default 1. */
  readonly times?: number;
  readonly effect: FaultEffect;
}

/** A rule in force. */
export interface ActiveFault {
  /** How many requests it has struck. */
  readonly struck: number;
  remove(): void;
}

/** The faults that a registry was told to have. */
export class FaultRules {
  #rules: { readonly rule: FaultRule; matched: number; struck: number }[] = [];
  #struck = 0;

  /** Requests struck by any rule since the start. */
  get struck(): number {
    return this.#struck;
  }

  /** Adds a rule; of several that match, the one added first and not used up strikes. */
  add(rule: FaultRule): ActiveFault {
    const entry = { rule, matched: 0, struck: 0 };
    this.#rules.push(entry);
    return {
      get struck(): number {
        return entry.struck;
      },
      remove: (): void => {
        this.#rules = this.#rules.filter((other) => other !== entry);
      },
    };
  }

  /** Removes all rules. */
  clear(): void {
    this.#rules = [];
  }

  /** What strikes this request. */
  take(request: RegistryRequest): FaultEffect | undefined {
    for (const entry of this.#rules) {
      const { rule } = entry;
      if (!matches(rule, request)) continue;
      entry.matched++;
      if (entry.matched <= (rule.skip ?? 0) || entry.struck >= (rule.times ?? 1)) continue;
      entry.struck++;
      this.#struck++;
      return rule.effect;
    }
    return undefined;
  }
}

function matches(rule: FaultRule, request: RegistryRequest): boolean {
  const url = request.rawQuery === '' ? request.path : `${request.path}?${request.rawQuery}`;
  return (
    (rule.method === undefined || rule.method === request.method) &&
    (rule.kind === undefined || rule.kind === requestKind(request.path)) &&
    (rule.path === undefined || rule.path.test(url)) &&
    (rule.when === undefined || rule.when(request))
  );
}
