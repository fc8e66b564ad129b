import { Fault, isFault, type FaultCode } from '../fault.ts';
import type { ReferrersAnswer } from '../mirror/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { requireDigest } from '../oci/digest.ts';
import { parseManifest, MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { essence, OCI_INDEX } from '../oci/media-types.ts';
import { failure, type Answer } from './failure.ts';
import type { HostMemory } from './host-memory.ts';
import { pages } from './pagination.ts';
import type { Target } from './repository.ts';

/** Most pages of one subject's referrers. */
const MAX_PAGES = 100;
/** Most referrers of one subject: what one tag may reach at all. */
const MAX_REFERRERS = 1000;

/** How long a host without the API, and a repository that refuses the question, are not asked again. */
const UNSUPPORTED_MS = 60 * 60_000;
const REFUSED_MS = 60 * 60_000;
/**
 * After a failure: a question that is left without an answer takes minutes (four tries of a minute), and
 * the next look of a bridge (its follow-up, 10 minutes) is to ask again.
 */
const FAILED_MS = 5 * 60_000;
/**
 * So many failures in a row, each {@link FAILED_MS} after the other, are taken for a refusal, by all whom
 * they stand for.
 */
const MAX_FAILURES = 3;
/** Repositories whose refusal or failure is remembered; beyond it the memory begins anew. */
const MAX_REMEMBERED = 10_000;
/** Stands for all repositories of a host: who says nothing to one says nothing to others. */
const WHOLE_HOST = '';

/** Whether the question may be asked of this host at all. */
export function mayHaveReferrers(
  { referrersUnsupportedUntilMs }: HostMemory,
  nowMs: number,
): boolean {
  return nowMs >= referrersUnsupportedUntilMs;
}

/**
 * Manifests that refer to a subject (OCI Distribution 1.1, "Listing Referrers"). Registries that
 * have no such question answer 404 or 405, and some 200 with something else: only an OCI index
 * that can be read is an answer. Others refuse it, or lead to a page to sign in at: that says
 * nothing of the images, and is remembered for the repository. A server error, or no answer at all,
 * may pass: it is thrown, to this and to all that ask within the next minutes, so that a host which
 * lets each question wait costs that once. Whoever fails the third time in a row does not answer.
 * @throws Fault of the way: `NETWORK`, `TIMEOUT`, `SERVER_ERROR`, `RATE_LIMITED`,
 *   `PAGINATION_REFUSED`, `GRAPH_TOO_LARGE`
 */
export async function listReferrers(
  target: Target,
  digest: string,
  now: () => number,
  signal: AbortSignal,
): Promise<ReferrersAnswer> {
  const { memory, path } = target;
  if (!mayHaveReferrers(memory, now())) return 'unsupported';
  if (now() < (memory.referrersRefusedUntilMs.get(path) ?? 0)) return 'refused';
  for (const place of [path, WHOLE_HOST]) {
    const failed = memory.referrersFailures.get(place);
    if (failed === undefined || now() >= failed.untilMs) continue;
    if (failed.times >= MAX_FAILURES) return 'refused';
    throw failed.fault;
  }
  const found = new Map<string, Descriptor>();
  const walk = pages(MAX_PAGES);
  let next: string | URL | undefined = `/v2/${path}/referrers/${requireDigest(digest)}`;
  while (next !== undefined) {
    const answer = await askPage(target, next, now, signal);
    const page = answer === 'refused' ? answer : readPage(answer);
    if (answer === 'refused' || page === 'refused') {
      refuse(target, now() + REFUSED_MS);
      return 'refused';
    }
    if (page === 'unsupported') {
      memory.referrersUnsupportedUntilMs = now() + UNSUPPORTED_MS;
      return page;
    }
    for (const place of [path, WHOLE_HOST]) memory.referrersFailures.delete(place);
    for (const referrer of page) found.set(referrer.digest, referrer);
    // guard: referrer-count
    if (found.size > MAX_REFERRERS)
      throw new Fault('GRAPH_TOO_LARGE', `more than ${MAX_REFERRERS} referrers`);
    next = walk.next(answer.url, answer.header('link'));
  }
  return [...found.values()];
}

/** Where the question leads elsewhere than to an answer. */
const LED_ASTRAY: readonly FaultCode[] = [
  'REDIRECT_REFUSED',
  'INSECURE_REFUSED',
  'ADDRESS_REFUSED',
];

async function askPage(
  target: Target,
  next: string | URL,
  now: () => number,
  signal: AbortSignal,
): Promise<Answer | 'refused'> {
  const asked = { operation: 'list referrers', side: target.client.side };
  try {
    const answer = await target.client.ask(
      {
        kind: 'referrers',
        operation: asked.operation,
        method: 'GET',
        target: next,
        headers: { accept: OCI_INDEX },
        scope: target.scope,
        maxBytes: MAX_MANIFEST_BYTES,
      },
      signal,
    );
    // 501 says for good what others say with 404 (RFC 9110 §15.6.2).
    if (answer.status >= 500 && answer.status !== 501) throw failure(answer, asked);
    return answer;
  } catch (error) {
    if (isFault(error, ...LED_ASTRAY)) return 'refused';
    const failed = isFault(error, 'SERVER_ERROR', 'TIMEOUT', 'NETWORK') && !signal.aborted;
    if (failed && fails(target, error, now())) return 'refused';
    throw error;
  }
}

/**
 * Remembers a failure; true: there were too many to ask on. Of who says nothing the repository is counted
 * too: its host may answer others.
 */
function fails({ memory, path }: Target, fault: Fault, nowMs: number): boolean {
  const places = fault.code === 'SERVER_ERROR' ? [path] : [path, WHOLE_HOST];
  return places.map((place) => failsAt(place, memory, fault, nowMs)).includes(true);
}

function failsAt(
  place: string,
  { referrersFailures }: HostMemory,
  fault: Fault,
  nowMs: number,
): boolean {
  const before = referrersFailures.get(place);
  // Those that were asked at the same time failed with it.
  if (before !== undefined && nowMs < before.untilMs) return before.times >= MAX_FAILURES;
  const times = (before?.times ?? 0) + 1;
  if (referrersFailures.size >= MAX_REMEMBERED) referrersFailures.clear();
  const isRefusal = times >= MAX_FAILURES;
  const untilMs = nowMs + (isRefusal ? REFUSED_MS : FAILED_MS);
  referrersFailures.set(place, { fault, untilMs, times });
  return isRefusal;
}

function readPage(answer: Answer): readonly Descriptor[] | 'unsupported' | 'refused' {
  const type = essence(answer.header('content-type'));
  if (answer.status === 401 || answer.status === 403) return 'refused';
  if (answer.status === 200 && type === 'text/html') return 'refused';
  if (answer.status !== 200 || type !== OCI_INDEX) return 'unsupported';
  try {
    return parseManifest(answer.body, OCI_INDEX).children;
  } catch (error) {
    if (isFault(error)) return 'unsupported';
    throw error;
  }
}

function refuse({ memory, path }: Target, untilMs: number): void {
  const { referrersRefusedUntilMs } = memory;
  if (referrersRefusedUntilMs.size >= MAX_REMEMBERED) referrersRefusedUntilMs.clear();
  referrersRefusedUntilMs.set(path, untilMs);
}
