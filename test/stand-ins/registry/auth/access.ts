import type { IncomingHttpHeaders } from 'node:http';
import { jsonAnswer, type Answer, type RegistryRequest } from '../exchange.ts';
import { requestKind } from '../request-kind.ts';

/** Decides about credentials before an endpoint is reached. */
export interface Guard {
  /**
   * Lets a request pass.
   * @throws RegistryRefusal `UNAUTHORIZED` with a challenge, `DENIED`
   */
  check(request: RegistryRequest): void;
  /** Answers the token endpoint. */
  tokens(request: RegistryRequest): Answer;
}

/** What an `Authorization` header holds. */
export type Credentials =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  | { readonly scheme: 'other' };

/** Reads `Authorization` (RFC 7617, RFC 6750). */
export function readAuthorization(headers: IncomingHttpHeaders): Credentials {
  const header = headers.authorization;
  if (header === undefined) return { scheme: 'none' };
  const [, scheme = '', rest = ''] = /^(\S+) +(.*)$/.exec(header) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', token: rest };
  if (scheme.toLowerCase() !== 'basic') return { scheme: 'other' };
  const pair = Buffer.from(rest, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0
    ? { scheme: 'other' }
    : { scheme: 'basic', user: pair.slice(0, colon), password: pair.slice(colon + 1) };
}

/** What may be done to a repository (Docker Registry v2, token scopes). */
export type Action = 'pull' | 'push' | 'delete';

/** Actions on one repository. */
export interface Access {
  readonly repository: string;
  readonly actions: readonly Action[];
}

const NAME = /^\/v2\/(.+)\/(?:tags\/list|manifests\/[^/]+|referrers\/[^/]+|blobs\/.+)$/;
const SCOPE = /^repository(?:\([^)]*\))?:(.+):([a-z,*]*)$/;

/** What a request needs: a mount also needs to pull from where it mounts. */
export function accessOf(request: RegistryRequest): readonly Access[] {
  const repository = NAME.exec(request.path)?.[1];
  if (repository === undefined) return [];
  const own = { repository, actions: actionsOf(request.method) };
  const from = requestKind(request.path) === 'upload' ? request.query.get('from') : null;
  return from === null ? [own] : [own, { repository: from, actions: ['pull'] }];
}

/** `repository:NAME:pull,push` for each access, as a challenge writes it. */
function scopeText(access: readonly Access[]): string {
  return access
    .map(({ repository, actions }) => `repository:${repository}:${actions.join(',')}`)
    .join(' ');
}

/** The challenge that sends a caller to this registry's token endpoint. */
export function bearerChallenge(
  request: RegistryRequest,
  endpoint: string,
  error?: string,
): string {
  const scope = scopeText(accessOf(request));
  const parameters = [
    `realm="${request.origin}${endpoint}"`,
    `service="${request.headers.host ?? ''}"`,
    ...(scope === '' ? [] : [`scope="${scope}"`]),
    ...(error === undefined ? [] : [`error="${error}"`]),
  ];
  return `Bearer ${parameters.join(',')}`;
}

/** The token endpoint's answer. */
export function tokenAnswer(token: string, lifetimeSeconds: number, issuedMs: number): Answer {
  return jsonAnswer(200, {
    token,
    expires_in: lifetimeSeconds,
    issued_at: new Date(issuedMs).toISOString(),
  });
}

/** The repository scopes of a token request; others are not granted and hence left out. */
export function readScopes(texts: readonly string[]): readonly Access[] {
  return texts
    .flatMap((text) => text.split(' '))
    .flatMap((scope) => {
      const [, repository, actions] = SCOPE.exec(scope) ?? [];
      if (repository === undefined || actions === undefined) return [];
      const named = actions === '*' ? ['pull', 'push', 'delete'] : actions.split(',');
      return [{ repository, actions: named.filter(isAction) }];
    });
}

/** Whether all of `needed` is within `granted`. */
export function covers(granted: readonly Access[], needed: readonly Access[]): boolean {
  return needed.every(({ repository, actions }) =>
    actions.every((action) =>
      granted.some((access) => access.repository === repository && access.actions.includes(action)),
    ),
  );
}

function actionsOf(method: string): readonly Action[] {
  if (method === 'GET' || method === 'HEAD') return ['pull'];
  return method === 'DELETE' ? ['delete'] : ['pull', 'push'];
}

function isAction(text: string): text is Action {
  return text === 'pull' || text === 'push' || text === 'delete';
}
