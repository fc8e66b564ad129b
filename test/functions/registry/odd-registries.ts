import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { TestContext } from 'node:test';

import { serve, type Served } from './setting.ts';

/** Answers a request in place of the registry behind; false: it leaves that to the registry. */
export type Oddity = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A registry that follows the specification, behind a proxy that answers some requests in its own way. */
export function front(t: TestContext, upstreamHost: string, oddity: Oddity): Promise<Served> {
  const [hostname, port] = upstreamHost.split(':');
  return serve(t, (request, response) => {
    if (oddity(request, response)) return;
    const { method, url, headers } = request;
    const passed = httpRequest({ hostname, port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
    });
    passed.on('error', () => response.destroy());
    request.pipe(passed);
  });
}

/** Path of the repository that a URL of the API names; empty where it names none. */
export function repositoryIn(url: string | undefined): string {
  return /^\/v2\/(.+?)\/(?:tags|manifests|blobs|referrers)\//.exec(url ?? '')?.[1] ?? '';
}

/**
 * A front whose every repository has a realm of its own, on the front's own host (Nexus, Artifactory). A
 * realm gives tokens for its repository alone, and to those it knows.
 * @param accountOf Basic header that a realm wants; undefined: it gives to anybody
 */
export function realmPerRepository(
  t: TestContext,
  upstreamHost: string,
  accountOf: (repository: string) => string | undefined = () => undefined,
): Promise<Served> {
  return front(t, upstreamHost, (request, response) => {
    const url = new URL(request.url ?? '/', 'http://front');
    if (url.pathname.startsWith('/token/')) {
      const repository = url.pathname.slice('/token/'.length);
      const named = url.searchParams.get('scope')?.split(':')[1] === repository;
      const account = accountOf(repository);
      const known = account === undefined || account === request.headers.authorization;
      if (named && known)
        response.writeHead(200).end(JSON.stringify({ token: tokenOf(repository) }));
      else response.writeHead(401).end(JSON.stringify({ details: 'not of this realm' }));
      return true;
    }
    const repository = repositoryIn(request.url);
    if (request.headers.authorization === `Bearer ${tokenOf(repository)}`) return false;
    const realm = `http://${request.headers.host ?? ''}/token/${repository}`;
    const challenge = `Bearer realm="${realm}",service="front",scope="repository:${repository}:pull"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
    return true;
  });
}

function tokenOf(repository: string): string {
  return `token-of-${repository.replaceAll('/', '-')}`;
}
