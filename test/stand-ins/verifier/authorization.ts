import { exchange, textOf } from './http-exchange.ts';

/** Asked for before a request, and again with the registry's challenge where that was refused. */
export interface AuthorizationRequest {
  readonly repository: string;
  readonly actions: 'pull' | 'pull,push';
  /** `WWW-Authenticate` of the refusal; undefined at first. */
  readonly challenge: string | undefined;
}

/** Provides the value of `Authorization`; undefined: none. */
export type Authorization = (request: AuthorizationRequest) => Promise<string | undefined>;

/** A user and a password. */
export interface UserCredentials {
  readonly user: string;
  readonly password: string;
}

/** The same header for every request, asked for anew each time: an access token that is renewed. */
export function fixedAuthorization(
  header: () => string | undefined | Promise<string | undefined>,
): Authorization {
  return async () => header();
}

/**
 * Answers challenges as registries expect: Basic with the credentials, Bearer with a token of the
 * named realm, anonymously where there are no credentials (Docker Registry v2, "Token Authentication
 * Specification"). Tokens are kept per repository until they are refused.
 */
export function challengedAuthorization(credentials?: UserCredentials): Authorization {
  const kept = new Map<string, string>();
  const basic =
    credentials === undefined
      ? undefined
      : `Basic ${Buffer.from(`${credentials.user}:${credentials.password}`).toString('base64')}`;
  return async ({ repository, actions, challenge }) => {
    const key = `${repository} ${actions}`;
    if (challenge === undefined) return kept.get(key);
    const header = /^bearer /i.test(challenge)
      ? `Bearer ${await fetchToken(challenge, `repository:${repository}:${actions}`, basic)}`
      : basic;
    if (header !== undefined) kept.set(key, header);
    return header;
  };
}

async function fetchToken(
  challenge: string,
  scope: string,
  basic: string | undefined,
): Promise<string> {
  const parameters = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]),
  );
  const url = new URL(parameters.get('realm') ?? '');
  const service = parameters.get('service');
  if (service !== undefined) url.searchParams.set('service', service);
  url.searchParams.set('scope', scope);
  const response = await exchange(url, {
    method: 'GET',
    ...(basic === undefined ? {} : { headers: { authorization: basic } }),
  });
  const text = await textOf(response);
  if (response.statusCode !== 200) {
    throw new Error(`the token endpoint answered ${response.statusCode ?? 0}: ${text}`);
  }
  const { token, access_token: accessToken } = JSON.parse(text) as {
    readonly token?: string;
    readonly access_token?: string;
  };
  return token ?? accessToken ?? '';
}
