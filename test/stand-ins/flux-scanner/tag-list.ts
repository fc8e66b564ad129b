import type { Image } from './image.ts';

/** A whole answer; any status is one. */
interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** Tags asked for in one page, as Flux asks. */
const PAGE_SIZE = 1000;
/** Pages after which a registry is taken to page without end. */
const MAX_PAGES = 1000;

/**
 * All tags of a repository, in the registry's order (OCI Distribution 1.1, "Listing Tags"), asked for
 * anonymously.
 * @param insecure whether plain HTTP is tried where https fails; always so for loopback
 * @throws Error with the request and what the registry said
 */
export async function listTags(
  image: Image,
  insecure: boolean,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { base, challenge } = await ping(image.registry, insecure, signal);
  const authorization = await authorize(challenge, image, signal);
  const tags: string[] = [];
  let next: URL | undefined = new URL(`/v2/${image.repository}/tags/list?n=${PAGE_SIZE}`, base);
  for (let page = 0; next !== undefined; page += 1) {
    if (page === MAX_PAGES) throw new Error(`GET ${next.href}: more than ${MAX_PAGES} pages`);
    const url: URL = next;
    const answer = await ask(url, signal, authorization);
    if (answer.status !== 200) throw new Error(`GET ${url.href}: ${describe(answer)}`);
    tags.push(...tagsOf(answer, url));
    next = nextPage(answer, url);
  }
  return tags;
}

/** Finds the scheme that the registry speaks and what it asks for. */
async function ping(
  registry: string,
  insecure: boolean,
  signal: AbortSignal,
): Promise<{ readonly base: URL; readonly challenge: string | undefined }> {
  const failures: string[] = [];
  for (const scheme of insecure || isLoopback(registry) ? ['https', 'http'] : ['https']) {
    const base = new URL(`${scheme}://${registry}/v2/`);
    try {
      const answer = await ask(base, signal);
      if (answer.status !== 200 && answer.status !== 401) {
        throw new Error(`GET ${base.href}: ${describe(answer)}`);
      }
      const challenge = answer.status === 401 ? answer.headers.get('www-authenticate') : null;
      return { base, challenge: challenge ?? undefined };
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(failures.join('; '));
}

/** Whether a host (with port) is this machine. */
export function isLoopback(registry: string): boolean {
  const host = registry.replace(/:\d+$/, '');
  return host === 'localhost' || host === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** The `Authorization` that the registry's challenge leads to: a bearer token for anybody, or none. */
async function authorize(
  challenge: string | undefined,
  image: Image,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (challenge === undefined || !/^bearer\s/i.test(challenge)) return undefined;
  const values = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const { realm, service } = values;
  if (realm === undefined) throw new Error(`malformed challenge: ${challenge}`);
  const url = new URL(realm);
  url.searchParams.set('scope', `repository:${image.repository}:pull`);
  if (service !== undefined) url.searchParams.set('service', service);
  const answer = await ask(url, signal);
  if (answer.status !== 200) throw new Error(`GET ${url.href}: ${describe(answer)}`);
  const { token, access_token: accessToken } = JSON.parse(answer.text) as {
    readonly token?: string;
    readonly access_token?: string;
  };
  return `Bearer ${token ?? accessToken ?? ''}`;
}

async function ask(url: URL, signal: AbortSignal, authorization?: string): Promise<Answer> {
  try {
    const response = await fetch(url, {
      headers: {
        accept: 'application/json',
        'user-agent': 'image-reflector-controller',
        ...(authorization === undefined ? {} : { authorization }),
      },
      redirect: 'manual',
      signal,
    });
    const { status, headers } = response;
    return { status, headers, text: await response.text() };
  } catch (error) {
    throw new Error(`Get "${url.href}": ${connectionFailure(error, url)}`, { cause: error });
  }
}

/** A failed connection in the words of Flux's language. */
function connectionFailure(error: unknown, url: URL): string {
  const { message, cause = error } = error as Error;
  const { code, message: why = message } = cause as { code?: string; message?: string };
  if (code !== 'ECONNREFUSED') return why;
  const port = url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
  return `dial tcp ${url.hostname}:${port}: connect: connection refused`;
}

function tagsOf(answer: Answer, url: URL): readonly string[] {
  const { tags } = JSON.parse(answer.text) as { readonly tags?: unknown };
  // A repository without tags is told as null by some registries.
  if (tags === null || tags === undefined) return [];
  if (!Array.isArray(tags) || !tags.every((tag) => typeof tag === 'string')) {
    throw new Error(`GET ${url.href}: tags are no list of texts`);
  }
  return tags;
}

/** The next page, only of the same origin: nobody else is asked for tags. */
function nextPage({ headers }: Answer, url: URL): URL | undefined {
  const target = /<([^>]*)>\s*;\s*rel="?next"?/.exec(headers.get('link') ?? '')?.[1];
  if (target === undefined) return undefined;
  const next = new URL(target, url);
  if (next.origin !== url.origin) throw new Error(`GET ${url.href}: the next page is elsewhere`);
  return next;
}

interface RegistryError {
  readonly code?: string;
  readonly message?: string;
  readonly detail?: unknown;
}

/** What a registry's error body says, code first. */
function describe({ status, text }: Answer): string {
  try {
    const { errors = [] } = JSON.parse(text) as { readonly errors?: readonly RegistryError[] };
    if (errors.length > 0) return errors.map(describeError).join('; ');
  } catch {
    // No JSON: its text is shown below.
  }
  return `unexpected status code ${status}: ${text.slice(0, 512)}`;
}

function describeError({ code = 'UNKNOWN', message = '', detail }: RegistryError): string {
  if (typeof detail !== 'object' || detail === null) return `${code}: ${message}`;
  const shown = Object.entries(detail).map(([name, value]) => `${name}:${String(value)}`);
  return `${code}: ${message}; map[${shown.join(' ')}]`;
}
