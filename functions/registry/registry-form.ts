import { parseErrorBody } from '../oci/error-body.ts';
import { essence } from '../oci/media-types.ts';
import type { Answer } from './failure.ts';

/** Sent with every answer of a registry's API (Docker Registry HTTP API V2, "API Version Check"). */
const API_VERSION = 'docker-distribution-api-version';

/** Whether an answer names itself one of a registry's API. */
export function namesApi({ header }: Answer): boolean {
  return header(API_VERSION) !== undefined;
}

/** Whether an answer is a page for people. */
export function isPage({ header }: Answer): boolean {
  return essence(header('content-type')) === 'text/html';
}

/**
 * Whether a refusal has the form of a registry's: an error body of OCI Distribution 1.1, or the header of
 * its API (not with a page: a front adds that header to its own pages too).
 */
export function hasRegistryForm(answer: Answer): boolean {
  return parseErrorBody(answer.body).codes.length > 0 || (namesApi(answer) && !isPage(answer));
}

/** Whether it is the registry that says what is at its API's root, and no proxy without a backend. */
export function isRootsWord(answer: Answer): boolean {
  if (answer.status === 401 || hasRegistryForm(answer)) return true;
  return !isPage(answer) && answer.status !== 403 && answer.status !== 404;
}
