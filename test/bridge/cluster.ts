import type { Wanted } from './objects.ts';

/** A rule of RBAC. */
export interface ClusterRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** A core/v1 Event, as far as the tests look at it. */
export interface WrittenEvent {
  readonly reason: string;
  readonly type: string;
  readonly message: string;
  readonly involvedObject: { readonly kind: string; readonly name: string };
}

/** A Lease's spec, as far as the tests look at it. */
export interface WrittenLease {
  readonly holderIdentity?: string;
  readonly leaseTransitions?: number;
  /** RFC 3339. */
  readonly renewTime?: string;
}

/** What the flows need of a Kubernetes, the stand-in or a real API server; namespace `flux-system`. */
export interface Cluster {
  /** Path of a kubeconfig with all rights. */
  readonly kubeconfig: string;
  /** Path of one with none but those granted. */
  readonly limitedKubeconfig: string;
  /** Name of that user. */
  readonly limitedUser: string;
  /** Gives the limited user these rights besides those it has. */
  grant(rule: ClusterRule): Promise<void>;
  /** Makes an ImageRepository, or makes it so, status and all. */
  put(name: string, wanted?: Wanted): Promise<void>;
  remove(name: string): Promise<void>;
  /** Ends the API server. */
  halt(): Promise<void>;
  /** Starts it again; without its history every watch must list anew. */
  resume(history: 'keep' | 'forget'): Promise<void>;
  events(): Promise<readonly WrittenEvent[]>;
  lease(name: string): Promise<WrittenLease | undefined>;
  close(): Promise<void>;
}
