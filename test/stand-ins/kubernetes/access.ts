import { randomUUID } from 'node:crypto';

import { detailsOf, qualified, Refusal, unauthorized, type Named } from './refusal.ts';

/** What a user may do: every listed verb on every listed resource, as in an RBAC rule. */
export interface Rule {
  /** `''` is the core group, `*` any. */
  readonly apiGroups: readonly string[];
  /** Plurals, with `/status` where that subresource is meant; `*` any. */
  readonly resources: readonly string[];
  /** get, list, watch, create, update, patch, delete, deletecollection; `*` any. */
  readonly verbs: readonly string[];
  /** Where the rule holds, as a Role does; absent: everywhere, as a ClusterRole. */
  readonly namespaces?: readonly string[];
}

/** A user, known by a bearer token. */
export interface User {
  readonly name: string;
  readonly rules: readonly Rule[];
}

/** A request as the authorizer sees it. */
export interface Attempt {
  readonly verb: string;
  readonly resource: Named;
  readonly subresource?: string | undefined;
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
}

/** Rules that allow everything, as the group `system:masters` has. */
export const everything: readonly Rule[] = [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }];

const anonymous: User = {
  name: 'system:anonymous',
  rules: [],
};

/** Tokens and the users behind them. */
export class Users {
  private readonly byToken = new Map<string, User>();

  /** Adds a user and returns its token; a given token is taken, and moved if another user has it. */
  add(user: User, token: string = randomUUID()): string {
    this.byToken.set(token, user);
    return token;
  }

  /** Makes a token unknown: its next request is told 401. */
  revoke(token: string): void {
    this.byToken.delete(token);
  }

  /**
   * Who sends a request with this `Authorization` header; without one it is `system:anonymous`.
   * @throws Refusal 401
   */
  authenticate(authorization: string | undefined): User {
    if (authorization === undefined || authorization === '') return anonymous;
    const token = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const user = token === undefined ? undefined : this.byToken.get(token);
    if (user === undefined) throw unauthorized();
    return user;
  }
}

/** Whether the user's rules allow the attempt. */
export function isAllowed(user: User, attempt: Attempt): boolean {
  return user.rules.some(
    (rule) =>
      includes(rule.verbs, attempt.verb) &&
      includes(rule.apiGroups, attempt.resource.group) &&
      includes(rule.resources, pluralOf(attempt)) &&
      (rule.namespaces === undefined ||
        (attempt.namespace !== undefined && rule.namespaces.includes(attempt.namespace))),
  );
}

/** Plural of what is meant, a subresource behind it. */
function pluralOf({ resource: { plural }, subresource }: Attempt): string {
  return subresource === undefined ? plural : `${plural}/${subresource}`;
}

function includes(allowed: readonly string[], wanted: string): boolean {
  return allowed.includes('*') || allowed.includes(wanted);
}

/** 403 in Kubernetes' words. */
export function forbidden(user: User, attempt: Attempt): Refusal {
  const { resource, name, namespace, verb } = attempt;
  const object = name === undefined ? '' : ` "${name}"`;
  const scope =
    namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  return new Refusal(
    403,
    'Forbidden',
    `${qualified(resource)}${object} is forbidden: User "${user.name}" cannot ${verb} resource "${pluralOf(attempt)}" in API group "${resource.group}" ${scope}`,
    detailsOf(resource, name),
  );
}
