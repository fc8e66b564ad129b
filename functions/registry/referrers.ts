import { Fault, isFault } from '../fault.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { requireDigest } from '../oci/digest.ts';
import { parseManifest, MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { essence, OCI_INDEX } from '../oci/media-types.ts';
import { failure, type Answer, type Asked } from './failure.ts';
import type { Target } from './manifests.ts';
import { pages } from './pagination.ts';

/** Most pages of one subject's referrers. */
const MAX_PAGES = 100;
/** Most referrers of one subject: what one tag may reach at all. */
const MAX_REFERRERS = 1000;

/**
 * Manifests that refer to a subject (OCI Distribution 1.1, "Listing Referrers"). Registries that
 * have no such question answer 404 or 405, and some 200 with something else: only an OCI index
 * that can be read is an answer.
 */
export async function listReferrers(
  target: Target,
  digest: string,
  signal: AbortSignal,
): Promise<readonly Descriptor[] | 'unsupported'> {
  const found = new Map<string, Descriptor>();
  const walk = pages(MAX_PAGES);
  let next: string | URL | undefined = `/v2/${target.path}/referrers/${requireDigest(digest)}`;
  while (next !== undefined) {
    const answer: Answer = await target.client.ask(
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
    const page = readPage(answer, target);
    if (page === 'unsupported') return page;
    for (const referrer of page) found.set(referrer.digest, referrer);
    // guard: referrer-count
    if (found.size > MAX_REFERRERS)
      throw new Fault('GRAPH_TOO_LARGE', `more than ${MAX_REFERRERS} referrers`);
    next = walk.next(answer.url, answer.header('link'));
  }
  return [...found.values()];
}

function readPage(answer: Answer, target: Target): readonly Descriptor[] | 'unsupported' {
  if (answer.status === 401 || answer.status === 403) throw failure(answer, asked(target));
  if (answer.status !== 200) return 'unsupported';
  if (essence(answer.header('content-type')) !== OCI_INDEX) return 'unsupported';
  try {
    const { children } = parseManifest(answer.body, OCI_INDEX);
    return children;
  } catch (error) {
    if (isFault(error)) return 'unsupported';
    throw error;
  }
}

function asked(target: Target): Asked {
  return { operation: 'list referrers', side: target.client.side };
}
