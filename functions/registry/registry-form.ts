import { isDigest, parseDigest } from '../oci/digest.ts';
import { parseErrorBody } from '../oci/error-body.ts';
import { essence } from '../oci/media-types.ts';
import { failure, type Answer, type Asked } from './failure.ts';

/** Sent with every answer of a registry's API (Docker Registry HTTP API V2, "API Version Check"). */
const API_VERSION = 'docker-distribution-api-version';

/** Whether an answer names itself one of a registry's API. */
export function namesApi({ header }: Answer): boolean {
  return header(API_VERSION) !== undefined;
}

/**
 * The digest that an answer announces; undefined where it announces none that can be read. Behind some proxies
 * the header comes twice: said twice alike it is said once.
 */
export function announcedDigest({ header }: Answer): string | undefined {
  const told = (header('docker-content-digest') ?? '').split(',').map((text) => text.trim());
  const [digest = '', ...others] = new Set(told);
  return others.length === 0 && isDigest(digest) ? digest : undefined;
}

/** Whether an answer announces another digest of the same algorithm. */
export function announcesOther(answer: Answer, digest: string): boolean {
  const announced = announcedDigest(answer);
  if (announced === undefined || announced === digest) return false;
  return parseDigest(announced).algorithm === parseDigest(digest).algorithm;
}

/** Whether an answer is a page for people. */
export function isPage({ header }: Answer): boolean {
  return essence(header('content-type')) === 'text/html';
}

/**
 * A front that asks to sign in answers 200 with its page to whatever is sent. 201 and 202 say outright that
 * something was made or taken, and a digest whose it is: of some registries (Quay) each answer is `text/html`.
 * An object store's empty answer to an upload is called so too.
 * @param isHead whether no answer could have a body
 * @throws MirrorError `RESPONSE_INVALID`
 */
export function requireNoPage(answer: Answer, asked: Asked, isHead = false): void {
  const isEmpty = !isHead && answer.body.length === 0;
  const isTold =
    answer.status !== 200 || isEmpty || answer.header('docker-content-digest') !== undefined;
  if (!isTold && isPage(answer)) throw failure(answer, asked, 'RESPONSE_INVALID');
}

/**
 * Whether a refusal has the form of a registry's: an error body of OCI Distribution 1.1, or the header of
 * its API (not with a page: a front adds that header to its own pages too).
 */
export function hasRegistryForm(answer: Answer): boolean {
  return parseErrorBody(answer.body).codes.length > 0 || (namesApi(answer) && !isPage(answer));
}

/** Whether a refusal is a page for people, in which no registry says anything; an empty body may be any registry's. */
export function isBarePage(answer: Answer): boolean {
  return isPage(answer) && answer.body.length > 0 && !hasRegistryForm(answer);
}

/** Whether it is the registry that says what is at its API's root, and no proxy without a backend. */
export function isRootsWord(answer: Answer): boolean {
  if (answer.status === 401 || hasRegistryForm(answer)) return true;
  return !isPage(answer) && answer.status !== 403 && answer.status !== 404;
}

/**
 * The repository that a URL of a registry's API names, which may stand below a prefix (Artifactory's); undefined
 * for every other URL, such as a store's, where a refusal is no question for a token.
 */
export function repositoryOf({ pathname }: URL): string | undefined {
  return /\/v2\/(.+)\/(?:tags\/list|manifests\/|blobs\/|referrers\/)/.exec(pathname)?.[1];
}
