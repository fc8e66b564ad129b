import { isMirrorError } from '../errors.ts';
import { essence } from '../oci/media-types.ts';
import { parseChallenges } from './challenge.ts';
import { failure, type Answer, type Asked } from './failure.ts';
import type { HostCapabilities } from './host-capabilities.ts';
import { hasRegistryForm, isPage, namesApi } from './registry-form.ts';
import type { Target } from './repository.ts';

/** Forms of bare 404s remembered for a host; beyond it the memory begins anew. */
const MAX_FORMS = 100;
/** Longest body that is remembered as a form of its host's 404. */
const MAX_FORM_BYTES = 256;

/** Whether a 404 has the form of a registry's, or the very form that this host was seen to use. */
export function isRegistryWord(
  method: 'GET' | 'HEAD',
  answer: Answer,
  memory: HostCapabilities,
): boolean {
  return hasRegistryForm(answer) || memory.bareNotFound.has(formOf(method, answer));
}

/**
 * Makes sure that a 404 to a GET is the registry's own. A proxy without a backend answers 404 too, and
 * to believe it would make a repository empty or a tag lost. A 404 without the registry's form is
 * believed only where the API's root answers as a registry and the question, asked again, is answered
 * in the same way: three requests, once per host and form.
 * @param ask asks the question again
 * @param patienceMs longest pause of the host that is waited for. Default: what the deadline leaves
 * @throws MirrorError `RESPONSE_INVALID` where it is not
 */
export async function requireAbsence(
  target: Target,
  answer: Answer,
  asked: Asked,
  ask: () => Promise<Answer>,
  signal: AbortSignal,
  patienceMs?: number,
): Promise<void> {
  const { memory } = target;
  // A refusal that some gateways answer with 404: its code beats the status.
  const fault = failure(answer, asked);
  if (isMirrorError(fault, 'RATE_LIMITED', 'UNAUTHORIZED', 'FORBIDDEN')) throw fault;
  if (isRegistryWord('GET', answer, memory)) return;
  if (await isRegistry(target, signal, patienceMs)) {
    const again = await ask();
    if (again.status === 404 && formOf('GET', again) === formOf('GET', answer)) {
      rememberForm('GET', answer, memory);
      return;
    }
  }
  throw failure(answer, asked, 'RESPONSE_INVALID');
}

/** A 404 of this form was confirmed: the next one is believed. Pages are never: any front has them. */
export function rememberForm(
  method: 'GET' | 'HEAD',
  answer: Answer,
  memory: HostCapabilities,
): void {
  if (isPage(answer) || answer.body.length > MAX_FORM_BYTES) return;
  if (memory.bareNotFound.size >= MAX_FORMS) memory.bareNotFound.clear();
  memory.bareNotFound.add(formOf(method, answer));
}

/** Whether the API's root is a registry's (OCI Distribution 1.1, "Determining Support"). */
async function isRegistry(
  { client }: Target,
  signal: AbortSignal,
  patienceMs: number | undefined,
): Promise<boolean> {
  const answer = await client.ask(
    {
      kind: 'ping',
      operation: 'get API root',
      method: 'GET',
      target: '/v2/',
      scope: undefined,
      redirects: 'same-origin',
      patienceMs,
    },
    signal,
  );
  if (answer.status === 401) {
    return parseChallenges(answer.header('www-authenticate')).length > 0;
  }
  if (answer.status !== 200 || isPage(answer)) return false;
  return namesApi(answer) || answer.body.length === 0 || isJson(answer.body);
}

function formOf(method: 'GET' | 'HEAD', answer: Answer): string {
  return `${method} ${essence(answer.header('content-type'))} ${answer.body.toString('latin1')}`;
}

function isJson(body: Buffer): boolean {
  try {
    JSON.parse(body.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}
