import { isAllowed, type User } from './access.ts';
import { isJsonObject, type JsonObject } from './object.ts';
import { badRequest } from './refusal.ts';

/**
 * Answers a SelfSubjectAccessReview of `authorization.k8s.io/v1`: may this user do that?
 * @throws Refusal 400
 */
export function reviewAccess(user: User, review: JsonObject): JsonObject {
  const spec = review['spec'];
  const asked = isJsonObject(spec) ? spec['resourceAttributes'] : undefined;
  if (!isJsonObject(asked)) {
    throw badRequest('spec.resourceAttributes: only access to resources is reviewed here');
  }
  const text = (name: string): string | undefined => {
    const value = asked[name];
    return typeof value === 'string' && value !== '' && value !== '*' ? value : undefined;
  };
  const subresource = text('subresource');
  const namespace = text('namespace');
  const name = text('name');
  const allowed = isAllowed(user, {
    verb: text('verb') ?? '*',
    resource: { group: text('group') ?? '', plural: text('resource') ?? '*', kind: '' },
    ...(subresource === undefined ? {} : { subresource }),
    ...(namespace === undefined ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
  });
  return {
    kind: 'SelfSubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    metadata: {},
    spec,
    status: { allowed },
  };
}
