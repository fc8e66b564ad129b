import type { Random } from '../random.ts';

/** What an exchange is about, as far as disturbances choose by it. */
export interface ExchangeFacts {
  /** From 1, in the order in which the run's exchanges were sent. */
  readonly number: number;
  readonly side: 'source' | 'destination';
  readonly host: string;
  readonly method: string;
  readonly kind: 'tags' | 'manifest' | 'blob' | 'start' | 'upload' | 'referrers' | 'token' | 'ping';
  /** Digest or tag, where the address names one. */
  readonly object: string | undefined;
  /** Bytes of the request's own body, or that a blob has. */
  readonly sizeBytes: number;
  readonly resumes: boolean;
}

/** One thing that goes wrong with one exchange. Shares are of its bytes, 0 … 1. */
export type Disturbance =
  | { readonly kind: 'throttled'; readonly retryAfterS: number | undefined }
  | { readonly kind: 'failing'; readonly status: number }
  /** The connection breaks before the request arrives. */
  | { readonly kind: 'unreachable' }
  /** It is done, and nobody hears of it. */
  | { readonly kind: 'answer-lost' }
  /** No answer ever. */
  | { readonly kind: 'silent'; readonly arrives: boolean }
  | { readonly kind: 'late'; readonly delayMs: number }
  /** The answer's body breaks. */
  | { readonly kind: 'cut'; readonly share: number }
  /** The answer's body stops. */
  | { readonly kind: 'stuck'; readonly share: number }
  /** The answer's body comes in small parts, far apart. */
  | { readonly kind: 'trickle'; readonly partBytes: number; readonly gapMs: number }
  | { readonly kind: 'flipped'; readonly share: number }
  | { readonly kind: 'wrong-length' }
  | { readonly kind: 'upload-cut'; readonly share: number }
  | { readonly kind: 'upload-stuck'; readonly share: number }
  /** 429 while the body flows. */
  | {
      readonly kind: 'throttled-late';
      readonly share: number;
      readonly retryAfterS: number | undefined;
    }
  /** The registry forgets its tokens first. */
  | { readonly kind: 'token-expired' };

/** Name of a kind. */
export type DisturbanceKind = Disturbance['kind'];

const BODY_KINDS: readonly DisturbanceKind[] = [
  'cut',
  'stuck',
  'trickle',
  'flipped',
  'wrong-length',
];
const UPLOAD_KINDS: readonly DisturbanceKind[] = ['upload-cut', 'upload-stuck', 'throttled-late'];

/** Whether a kind can strike an exchange at all. */
export function fits(kind: DisturbanceKind, facts: ExchangeFacts): boolean {
  if (BODY_KINDS.includes(kind)) return facts.method === 'GET' && facts.kind === 'blob';
  if (UPLOAD_KINDS.includes(kind)) return facts.kind === 'upload' && facts.sizeBytes > 0;
  if (kind === 'token-expired') return facts.kind !== 'token';
  return true;
}

/** One disturbance of a kind. */
export function disturbanceOf(kind: DisturbanceKind, random: Random): Disturbance {
  const share = random.next();
  switch (kind) {
    case 'throttled':
      return { kind, retryAfterS: retryAfter(random) };
    case 'throttled-late':
      return { kind, share, retryAfterS: retryAfter(random) };
    case 'failing':
      return { kind, status: random.pick([500, 502, 503, 504]) };
    case 'silent':
      return { kind, arrives: random.chance(0.5) };
    case 'late':
      return { kind, delayMs: random.pick([500, 4_000, 6_000, 20_000, 45_000]) };
    case 'trickle':
      // Of the largest parts, enough moves within the idle limit to go on for hours.
      return {
        kind,
        partBytes: random.pick([400, 5_000, 5_000]),
        gapMs: random.pick([1_000, 6_000, 13_000]),
      };
    case 'cut':
    case 'stuck':
    case 'flipped':
    case 'upload-cut':
    case 'upload-stuck':
      return { kind, share };
    case 'unreachable':
    case 'answer-lost':
    case 'wrong-length':
    case 'token-expired':
      return { kind };
  }
}

function retryAfter(random: Random): number | undefined {
  return random.pick([undefined, undefined, 0, 1, 5, 20]);
}

/** Decides for each exchange whether and how it is disturbed. */
export interface Disturber {
  next(facts: ExchangeFacts): Disturbance | undefined;
  /** From now on nothing is disturbed any more. */
  stop(): void;
}

/** A rule of a scenario: which kinds strike which exchanges how often. */
export interface DisturbanceRule {
  readonly kinds: readonly DisturbanceKind[];
  /** Probability, 0 … 1, for an exchange that the rule is about. */
  readonly chance: number;
  /** Most times that the rule strikes. */
  readonly most: number;
  readonly applies?: (facts: ExchangeFacts) => boolean;
}

/** The first rule that strikes decides. */
export function disturberOf(rules: readonly DisturbanceRule[], random: Random): Disturber {
  const left = rules.map(({ most }) => most);
  let stopped = false;
  return {
    stop() {
      stopped = true;
    },
    next(facts) {
      if (stopped) return undefined;
      for (const [index, rule] of rules.entries()) {
        const kinds = rule.kinds.filter((kind) => fits(kind, facts));
        if ((left[index] ?? 0) <= 0 || kinds.length === 0) continue;
        if (rule.applies?.(facts) === false || !random.chance(rule.chance)) continue;
        left[index] = (left[index] ?? 0) - 1;
        return disturbanceOf(random.pick(kinds), random);
      }
      return undefined;
    },
  };
}
