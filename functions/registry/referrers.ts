import { Fault, isFault, type FaultCode } from '../fault.ts';
import type { ReferrersAnswer } from '../mirror/ports.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { requireDigest } from '../oci/digest.ts';
import { parseManifest, MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { essence, OCI_INDEX } from '../oci/media-types.ts';
import type { Answer } from './failure.ts';
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
/** After a server error the next look of a bridge (its follow-up, 10 minutes) is to ask again. */
const FAILED_MS = 5 * 60_000;
/** Repositories whose refusal is remembered; beyond it the memory begins anew. */
const MAX_REFUSALS = 10_000;

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
 * that can be read is an answer. Others refuse it, fail, or lead to a page to sign in at: that says
 * nothing of the images, and is remembered for the repository.
 * @throws Fault of the way: `NETWORK`, `TIMEOUT`, `RATE_LIMITED`, `PAGINATION_REFUSED`, `GRAPH_TOO_LARGE`
 */
export async function listReferrers(
  target: Target,
  digest: string,
  nowMs: number,
  signal: AbortSignal,
): Promise<ReferrersAnswer> {
  const { memory, path } = target;
  if (!mayHaveReferrers(memory, nowMs)) return 'unsupported';
  if (nowMs < (memory.referrersRefusedUntilMs.get(path) ?? 0)) return 'refused';
  const found = new Map<string, Descriptor>();
  const walk = pages(MAX_PAGES);
  let next: string | URL | undefined = `/v2/${path}/referrers/${requireDigest(digest)}`;
  while (next !== undefined) {
    const answer = await askPage(target, next, signal);
    const page = readPage(answer);
    if (page === 'unsupported') {
      memory.referrersUnsupportedUntilMs = nowMs + UNSUPPORTED_MS;
      return page;
    }
    if (page === 'refused' || page === 'failed' || answer === 'failed' || answer === 'refused') {
      refuse(target, nowMs + (page === 'failed' ? FAILED_MS : REFUSED_MS));
      return 'refused';
    }
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
  signal: AbortSignal,
): Promise<Answer | 'failed' | 'refused'> {
  try {
    return await target.client.ask(
      {
        kind: 'referrers',
        operation: 'list referrers',
        method: 'GET',
        target: next,
        headers: { accept: OCI_INDEX },
        scope: target.scope,
        maxBytes: MAX_MANIFEST_BYTES,
      },
      signal,
    );
  } catch (error) {
    if (isFault(error, 'SERVER_ERROR')) return 'failed';
    if (isFault(error, ...LED_ASTRAY)) return 'refused';
    throw error;
  }
}

function readPage(
  answer: Answer | 'failed' | 'refused',
): readonly Descriptor[] | 'unsupported' | 'refused' | 'failed' {
  if (answer === 'failed' || answer === 'refused') return answer;
  const type = essence(answer.header('content-type'));
  if (answer.status === 401 || answer.status === 403) return 'refused';
  if (answer.status >= 500) return answer.status === 501 ? 'unsupported' : 'failed';
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
  if (memory.referrersRefusedUntilMs.size >= MAX_REFUSALS) memory.referrersRefusedUntilMs.clear();
  memory.referrersRefusedUntilMs.set(path, untilMs);
}
