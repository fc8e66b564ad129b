import { parseErrorBody } from '../oci/error-body.ts';
import type { Answer } from './failure.ts';

/** What is left of a window in which a registry counts manifest GETs. */
export interface PullsLeft {
  readonly count: number;
  /** Length of the window; undefined where it is not told. */
  readonly windowMs: number | undefined;
}

/** Hosts that Docker Hub is spoken to under. */
const DOCKER_HUB = /^(?:[a-z0-9-]+\.)*docker\.io$/;
/**
 * Windows below an hour are a gateway's (`4;w=1`: four more in this second): they are over before anybody
 * could spare anything, and the limit on starts heeds them.
 */
const LEAST_WINDOW_MS = 60 * 60_000;

/** With this many left no new manifest GET is started: what is left belongs to the node's own pulls. */
export const RESERVED_PULLS = 5;

/**
 * Manifest GETs left in the window of Docker Hub, or of another registry that counts in windows of an
 * hour or more (`ratelimit-remaining: 76;w=21600`; HEAD tells it too and is not counted); undefined
 * where the answer says nothing of the kind.
 * @param host of the registry
 */
export function pullsLeft(header: Answer['header'], host: string): PullsLeft | undefined {
  const match = /^\s*(\d{1,9})\s*(?:;(.*))?$/.exec(header('ratelimit-remaining') ?? '');
  if (match === null) return undefined;
  const seconds = /(?:^|;)\s*w\s*=\s*(\d{1,9})\s*(?:;|$)/.exec(match[2] ?? '')?.[1];
  const windowMs = seconds === undefined ? undefined : Number(seconds) * 1000;
  const isLong = windowMs !== undefined && windowMs >= LEAST_WINDOW_MS;
  if (!isLong && !DOCKER_HUB.test(host)) return undefined;
  return { count: Number(match[1]), windowMs };
}

/**
 * How registries say in words that it was too much; there is no status for it but 429. A quota of storage is
 * none of requests, and a refusal may name a repository that is called so (`envoyproxy/ratelimit`).
 */
const IN_WORDS =
  /(?<![\w/.:-])(?:rate[ _-]?limit|throttl)|too many requests|abuse detection|(?:request|rate|pull)s?[\w ]* quota exceeded|quota exceeded for[\w ']*(?:requests|rate|pulls)|slow down/i;

/**
 * Whether an answer asks for less: 429; the code of throttling under a status that some registries choose
 * for it; a 403 that says so in words (GHCR's secondary limit) or headers, which a HEAD has alone.
 */
export function isThrottled({ status, body, header }: Answer): boolean {
  if (status === 429) return true;
  if (status !== 403 && status !== 503) return false;
  const { codes, message } = parseErrorBody(body);
  if (codes.includes('TOOMANYREQUESTS')) return true;
  if (status !== 403) return false;
  const told = header('retry-after') !== undefined || header('x-ratelimit-remaining') === '0';
  return told || IN_WORDS.test(message);
}
