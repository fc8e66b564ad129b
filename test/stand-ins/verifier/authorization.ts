import { text } from 'node:stream/consumers';

import { exchange } from '../http.ts';

/**
 * Provides the value of `Authorization`; undefined: none. Asked for before a request, and again with
 * the registry's challenge (`WWW-Authenticate`) where that was refused.
 */
export type Authorization = (
  repository: string,
  challenge: string | undefined,
) => string | undefined | Promise<string | undefined>;

/**
 * Answers a Bearer challenge as anonymous readers do, with a token of the named realm for pulling
 * (Docker Registry v2, "Token Authentication Specification"). Tokens are kept per repository until
 * they are refused.
 */
export function challengedAuthorization(): Authorization {
  const kept = new Map<string, string>();
  return async (repository, challenge) => {
    if (challenge === undefined) return kept.get(repository);
    if (!/^bearer /i.test(challenge)) return undefined;
    const header = `Bearer ${await fetchToken(challenge, `repository:${repository}:pull`)}`;
    kept.set(repository, header);
    return header;
  };
}

async function fetchToken(challenge: string, scope: string): Promise<string> {
  const parameters = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const url = new URL(parameters.get('realm') ?? '');
  const service = parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  const response = await exchange(url, { method: 'GET' });
  const body = await text(response);
  if (response.statusCode !== 200) {
    throw new Error(`the token endpoint answered ${response.statusCode ?? 0}: ${body}`);
  }
  const { token, access_token: accessToken } = JSON.parse(body) as {
    readonly token?: string;
    readonly access_token?: string;
  };
  return token ?? accessToken ?? '';
}
