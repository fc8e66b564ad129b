import { Refusal } from './refusal.ts';

/** The kinds of resources that have names, in the plural that stands in them. */
export type ResourceKind = 'topics' | 'subscriptions' | 'snapshots';

/** The topic of a subscription whose topic was deleted (pubsub.proto, Subscription.topic). */
export const DELETED_TOPIC = '_deleted-topic_';

/** A letter, then letters, digits and `-_.~+%`, 3 to 255 characters in all (pubsub.proto, Topic.name). */
const SHORT_NAME = /^[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/;

/** Refuses a name that is no `projects/P/KIND/NAME`. @throws Refusal `INVALID_ARGUMENT` */
export function requireResourceName(name: string, kind: ResourceKind): void {
  const parts = name.split('/');
  const [root, project = '', collection, short = ''] = parts;
  const valid =
    parts.length === 4 &&
    root === 'projects' &&
    project !== '' &&
    collection === kind &&
    SHORT_NAME.test(short) &&
    !short.startsWith('goog');
  if (!valid) {
    throw new Refusal(
      'INVALID_ARGUMENT',
      `Invalid [${kind}] name: (name=${name}): 3 to 255 characters of A-Z a-z 0-9 - _ . ~ + %, the first a letter, not goog`,
    );
  }
}

/** The project's id in a resource's name. */
export function projectIdOf(name: string): string {
  return name.split('/')[1] ?? '';
}

/** The last part of a resource's name. */
export function shortNameOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** Full name of the resource that a request is about, by the field that each request names it in. */
export function resourceOf(request: unknown): string {
  const fields = request as Readonly<Record<string, unknown>>;
  for (const field of ['topic', 'subscription', 'snapshot', 'resource', 'name']) {
    const value = fields[field];
    if (typeof value === 'string' && value !== '') return value;
  }
  return '';
}
