import { resourceOf, type Decorator, type Methods } from './methods.ts';
import { Refusal, requireArgument } from './refusal.ts';

/** The permission that each method wants (Pub/Sub, "Access control with IAM"). */
const REQUIRED: Readonly<Record<string, string>> = {
  CreateTopic: 'pubsub.topics.create',
  GetTopic: 'pubsub.topics.get',
  ListTopics: 'pubsub.topics.list',
  UpdateTopic: 'pubsub.topics.update',
  DeleteTopic: 'pubsub.topics.delete',
  Publish: 'pubsub.topics.publish',
  ListTopicSubscriptions: 'pubsub.topics.get',
  ListTopicSnapshots: 'pubsub.topics.get',
  CreateSubscription: 'pubsub.subscriptions.create',
  GetSubscription: 'pubsub.subscriptions.get',
  ListSubscriptions: 'pubsub.subscriptions.list',
  UpdateSubscription: 'pubsub.subscriptions.update',
  ModifyPushConfig: 'pubsub.subscriptions.update',
  DeleteSubscription: 'pubsub.subscriptions.delete',
  Pull: 'pubsub.subscriptions.consume',
  StreamingPull: 'pubsub.subscriptions.consume',
  Acknowledge: 'pubsub.subscriptions.consume',
  ModifyAckDeadline: 'pubsub.subscriptions.consume',
  Seek: 'pubsub.subscriptions.consume',
  CreateSnapshot: 'pubsub.snapshots.create',
  GetSnapshot: 'pubsub.snapshots.get',
  ListSnapshots: 'pubsub.snapshots.list',
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

  /** Checks the permission before each method of a service. */
  readonly decorate: Decorator = (name, method) => (request, call) => {
    this.require(name, request);
    return method(request, call);
  };

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
