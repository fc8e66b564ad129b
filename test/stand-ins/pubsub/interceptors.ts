import type { Methods } from './grpc.ts';
import { resourceOf } from './names.ts';
import { Refusal, requireArgument, type StatusName } from './refusal.ts';

/** A fault, and which requests meet it: they are refused, or carried out late. A stream can only be refused. */
export type Fault = (
  | { readonly kind: 'refused'; readonly status: StatusName }
  | { readonly kind: 'slow'; readonly delayMs: number }
) & {
  /** Name of the method, such as `Publish`. */
  readonly method: string;
  /** Full name of the topic, subscription or snapshot; default any. */
  readonly resource?: string;
  /** How many requests meet it; default 1, Infinity for all. */
  readonly times?: number;
};

/** The faults that are still to come; of several that fit a request the oldest happens. */
export class Faults {
  readonly #pending: { readonly fault: Fault; left: number }[] = [];

  /** Lets these happen, after those that were added before. */
  add(...faults: readonly Fault[]): void {
    for (const fault of faults) this.#pending.push({ fault, left: fault.times ?? 1 });
  }

  /** Forgets what has not happened. */
  clear(): void {
    this.#pending.length = 0;
  }

  /** The fault that a request meets, now used up. */
  take(method: string, request: unknown): Fault | undefined {
    const resource = resourceOf(request);
    const index = this.#pending.findIndex(
      ({ fault }) => fault.method === method && (fault.resource ?? resource) === resource,
    );
    const found = this.#pending[index];
    if (found === undefined) return undefined;
    found.left -= 1;
    if (found.left <= 0) this.#pending.splice(index, 1);
    return found.fault;
  }
}

/** The permission that each method wants (Pub/Sub, "Access control with IAM"). */
const REQUIRED: Readonly<Record<string, string>> = {
  CreateTopic: 'pubsub.topics.create',
  GetTopic: 'pubsub.topics.get',
  DeleteTopic: 'pubsub.topics.delete',
  Publish: 'pubsub.topics.publish',
  CreateSubscription: 'pubsub.subscriptions.create',
  GetSubscription: 'pubsub.subscriptions.get',
  ModifyPushConfig: 'pubsub.subscriptions.update',
  DeleteSubscription: 'pubsub.subscriptions.delete',
  Pull: 'pubsub.subscriptions.consume',
  StreamingPull: 'pubsub.subscriptions.consume',
  Acknowledge: 'pubsub.subscriptions.consume',
  ModifyAckDeadline: 'pubsub.subscriptions.consume',
  Seek: 'pubsub.subscriptions.consume',
  CreateSnapshot: 'pubsub.snapshots.create',
  DeleteSnapshot: 'pubsub.snapshots.delete',
};

interface TestIamPermissionsRequest {
  readonly resource: string;
  readonly permissions: readonly string[];
}

/** Which permissions the callers have: all but the denied ones. */
export class Permissions {
  readonly #denied = new Set<string>();

  /** Takes permissions such as `pubsub.topics.publish` away. */
  deny(...permissions: readonly string[]): void {
    for (const permission of permissions) this.#denied.add(permission);
  }

  /** Gives them back. */
  allow(...permissions: readonly string[]): void {
    for (const permission of permissions) this.#denied.delete(permission);
  }

  /** Refuses a request whose caller lacks the permission. @throws Refusal `PERMISSION_DENIED` */
  require(method: string, request: unknown): void {
    const permission = REQUIRED[method];
    if (permission === undefined || !this.#denied.has(permission)) return;
    throw new Refusal(
      'PERMISSION_DENIED',
      `User not authorized to perform this action: ${permission} on ${resourceOf(request)}`,
    );
  }

  /**
   * The methods of google.iam.v1.IAMPolicy; policies themselves are not kept. A resource that does
   * not exist has no permissions, which is no error (iam_policy.proto, TestIamPermissions).
   */
  methods(exists: (resource: string) => boolean): Methods {
    return {
      TestIamPermissions: ({ resource, permissions }: TestIamPermissionsRequest) => {
        requireArgument(
          permissions.every((permission) => !permission.includes('*')),
          'Permissions with wildcards are not allowed',
        );
        return {
          permissions: exists(resource)
            ? permissions.filter((permission) => !this.#denied.has(permission))
            : [],
        };
      },
    };
  }
}

/** What every request passes before it is carried out: it is counted, meets its fault, and is checked. */
export class Interceptors {
  readonly faults = new Faults();
  readonly permissions = new Permissions();
  readonly #requests = new Map<string, number>();

  /** Requests that have arrived for a method, refused ones included. */
  requests(method: string): number {
    return this.#requests.get(method) ?? 0;
  }

  /** Lets a request pass; answers with how many milliseconds it is held back. @throws Refusal */
  admit(method: string, request: unknown): number {
    this.#requests.set(method, this.requests(method) + 1);
    const fault = this.faults.take(method, request);
    if (fault?.kind === 'refused') throw new Refusal(fault.status, `A fault: ${fault.status}`);
    this.permissions.require(method, request);
    return fault?.delayMs ?? 0;
  }
}
