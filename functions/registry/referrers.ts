import { MirrorError, isMirrorError, type ErrorCode } from '../errors.ts';
import type { ReferrersAnswer } from '../mirror/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { requireDigest } from '../oci/digest.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { MAX_MANIFEST_BYTES, parseReferrers, type ReferrersPage } from '../oci/manifest.ts';
import { essence, OCI_INDEX } from '../oci/media-types.ts';
import { requireAbsence } from './absence.ts';
import { asked, failure, judged, type Answer } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import { pages } from './pagination.ts';
import { hasRegistryForm, isBarePage, isPage } from './registry-form.ts';
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
/** Repositories whose refusal, failure or denial is remembered; beyond it the memory begins anew. */
const MAX_REMEMBERED = 10_000;
/** Stands for all repositories of a host: who says nothing to one says nothing to others. */
const WHOLE_HOST = '';

/** Statuses by which a host without the API says so, where no code of OCI tells more. */
const NO_SUCH_API = new Set([404, 405, 501]);

/** Whether the question may be asked of this repository at all. */
export function mayHaveReferrers({ memory, path }: Target, nowMs: number): boolean {
  if (memory.referrersProven) return true;
  const { referrersUnsupportedUntilMs: untilMs } = memory;
  return [path, WHOLE_HOST].every((place) => nowMs >= (untilMs.get(place) ?? 0));
}

/**
 * Manifests that refer to a subject (OCI Distribution 1.1, "Listing Referrers"). Registries that
 * have no such question answer 404 or 405, and some 200 with something else: only an OCI index
 * that can be read is an answer. Once a host gave one it has the API, and denies the subject that
 * was asked for alone (Quay: 400 or 404 for a manifest that no tag reaches; a proxy of Harbor: 404 for
 * what its upstream lacks). Others refuse it, or lead to a page to sign in at: that says
 * nothing of the images, and is remembered for the repository. A server error, no answer at all, or
 * a proxy's in place of a host that has the API may pass: it is thrown, to this and to all that ask
 * within the next minutes, so that a host which lets each question wait costs that once. Whoever fails
 * the third time in a row does not answer.
 * @param onUnread told how many entries of a page have a digest that cannot be read; they are left out
 * @throws MirrorError of the way: `NETWORK`, `TIMEOUT`, `SERVER_ERROR`, `RATE_LIMITED`, `RESPONSE_INVALID`,
 *   `PAGINATION_REFUSED`, `GRAPH_TOO_LARGE`; those of {@link parseReferrers} of a host that has the API
 */
export async function listReferrers(
  target: Target,
  digest: string,
  now: () => number,
  signal: AbortSignal,
  onUnread?: (count: number) => void,
): Promise<ReferrersAnswer> {
  const { memory, path } = target;
  const about = asked(target, 'list referrers');
  if (!mayHaveReferrers(target, now())) return 'unsupported';
  if (now() < (memory.referrersRefusedUntilMs.get(path) ?? 0)) return 'refused';
  if (hasFailed(target, now())) return 'refused';
  const found = new Map<string, Descriptor>();
  const walk = pages(MAX_PAGES);
  let next: string | URL | undefined = `/v2/${path}/referrers/${requireDigest(digest)}`;
  while (next !== undefined) {
    const answer = await askPage(target, next, now, signal);
    const page =
      answer === 'refused' ? answer : judged(answer, about, () => readPage(target, answer, now()));
    if (answer === 'refused' || page === 'refused') {
      remember(memory.referrersRefusedUntilMs, path, now() + REFUSED_MS);
      return 'refused';
    }
    if (page === 'unsupported') return page;
    for (const place of [path, WHOLE_HOST]) memory.referrersFailures.delete(place);
    if (page.unread > 0) onUnread?.(page.unread);
    for (const referrer of page.referrers) found.set(referrer.digest, referrer);
    next = judged(answer, about, () => {
      // guard: referrer-count
      if (found.size > MAX_REFERRERS)
        throw new MirrorError('GRAPH_TOO_LARGE', `more than ${MAX_REFERRERS} referrers`);
      return walk.next(answer.url, answer.header('link'));
    });
  }
  return [...found.values()];
}

/** Whether it failed too often to be asked now. @throws MirrorError that of a failure minutes ago */
function hasFailed({ memory, path }: Target, nowMs: number): boolean {
  for (const place of [path, WHOLE_HOST]) {
    const failed = memory.referrersFailures.get(place);
    if (failed === undefined || nowMs >= failed.untilMs) continue;
    if (failed.times >= MAX_FAILURES) return true;
    throw failed.fault;
  }
  return false;
}

/** Where the question leads elsewhere than to an answer. */
const LED_ASTRAY: readonly ErrorCode[] = [
  'REDIRECT_REFUSED',
  'INSECURE_REFUSED',
  'ADDRESS_REFUSED',
];

/** What may pass. */
const FAILURES: readonly ErrorCode[] = ['SERVER_ERROR', 'TIMEOUT', 'NETWORK', 'RESPONSE_INVALID'];

async function askPage(
  target: Target,
  next: string | URL,
  now: () => number,
  signal: AbortSignal,
): Promise<Answer | 'refused'> {
  const { client, scope, memory } = target;
  const about = asked(target, 'list referrers');
  const ask = (): Promise<Answer> =>
    client.ask(
      {
        kind: 'referrers',
        operation: about.operation,
        method: 'GET',
        target: next,
        headers: { accept: OCI_INDEX },
        scope,
        maxBytes: MAX_MANIFEST_BYTES,
      },
      signal,
    );
  try {
    const answer = await ask();
    // 501 says for good what others say with 404 (RFC 9110 §15.6.2).
    if (answer.status >= 500 && answer.status !== 501) throw failure(answer, about);
    if (memory.referrersProven && !isOfApi(answer)) {
      if (answer.status !== 404) throw failure(answer, about, 'RESPONSE_INVALID');
      await requireAbsence(target, answer, about, ask, signal);
    }
    return answer;
  } catch (error) {
    if (isMirrorError(error, ...LED_ASTRAY)) return 'refused';
    const failed = isMirrorError(error, ...FAILURES) && !signal.aborted;
    if (failed && fails(target, error, now())) return 'refused';
    throw error;
  }
}

/** Whether an answer has a form in which a host with the API gives lists, refuses or denies them. */
function isOfApi(answer: Answer): boolean {
  const { status } = answer;
  if (status === 401 || status === 403) return !isBarePage(answer);
  if (status === 200) return isPage(answer) || isIndex(answer);
  return hasRegistryForm(answer);
}

function isIndex({ status, header }: Answer): boolean {
  return status === 200 && essence(header('content-type')) === OCI_INDEX;
}

/**
 * Remembers a failure; true: there were too many to ask on. Of who says nothing the repository is counted
 * too: its host may answer others.
 */
function fails({ memory, path }: Target, fault: MirrorError, nowMs: number): boolean {
  const places = isMirrorError(fault, 'TIMEOUT', 'NETWORK') ? [path, WHOLE_HOST] : [path];
  return places.map((place) => failsAt(place, memory, fault, nowMs)).includes(true);
}

function failsAt(
  place: string,
  { referrersFailures }: HostCapabilities,
  fault: MirrorError,
  nowMs: number,
): boolean {
  const before = referrersFailures.get(place);
  // Those that were asked at the same time failed with it.
  if (before !== undefined && nowMs < before.untilMs) return before.times >= MAX_FAILURES;
  const times = (before?.times ?? 0) + 1;
  const isRefusal = times >= MAX_FAILURES;
  const untilMs = nowMs + (isRefusal ? REFUSED_MS : FAILED_MS);
  remember(referrersFailures, place, { fault, untilMs, times });
  return isRefusal;
}

function readPage(
  { memory, path }: Target,
  answer: Answer,
  nowMs: number,
): ReferrersPage | 'unsupported' | 'refused' {
  const { status } = answer;
  if (status === 401 || status === 403) return 'refused';
  if (status === 200 && isPage(answer)) return 'refused';
  try {
    if (isIndex(answer)) {
      const page = parseReferrers(answer.body);
      memory.referrersProven = true;
      return page;
    }
  } catch (error) {
    const isNone = isMirrorError(error) && error.code !== 'GRAPH_TOO_LARGE';
    if (memory.referrersProven || !isNone) throw error;
  }
  if (!memory.referrersProven) {
    // A code may be about the subject; a page is any front's, and soon another one.
    const isBare = parseErrorBody(answer.body).codes.length === 0;
    const isOfHost = isBare && (status === 200 || NO_SUCH_API.has(status));
    const unsupportedMs = status === 404 && isPage(answer) ? FAILED_MS : UNSUPPORTED_MS;
    const place = isOfHost ? WHOLE_HOST : path;
    remember(memory.referrersUnsupportedUntilMs, place, nowMs + unsupportedMs);
  }
  return 'unsupported';
}

function remember<T>(places: Map<string, T>, place: string, what: T): void {
  if (places.size >= MAX_REMEMBERED) places.clear();
  places.set(place, what);
}
