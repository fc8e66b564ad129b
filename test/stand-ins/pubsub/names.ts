import { Refusal } from './refusal.ts';

/** The kinds of resources that have names, in the plural that stands in them. */
export type ResourceKind = 'topics' | 'subscriptions' | 'snapshots';

/** The topic of a subscription whose topic was deleted (pubsub.proto, Subscription.topic). */
export const DELETED_TOPIC = '_deleted-topic_';

/** A letter, then letters, digits and `-_.~+%`, 3 to 255 characters in all (pubsub.proto, Topic.name). */
const SHORT_NAME = /^[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}$/;

/** Project ids as Google gives them, and what the client sends where it knows none. */
const PROJECT = /^projects\/([^/]+)$/;

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

/** Refuses a parent that is no `projects/P`. @throws Refusal `INVALID_ARGUMENT` */
export function requireProject(name: string): void {
  if (!PROJECT.test(name)) {
    throw new Refusal('INVALID_ARGUMENT', `Invalid project name: (name=${name})`);
  }
}

/** `projects/P` of a resource's name. */
export function projectOf(name: string): string {
  return name.split('/').slice(0, 2).join('/');
}

/** The last part of a resource's name. */
export function shortNameOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}
