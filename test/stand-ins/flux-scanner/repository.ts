/** A condition of `status.conditions` (Kubernetes' metav1.Condition). */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime: string;
  readonly observedGeneration?: number;
}

/** What a scan found. */
export interface ScanResult {
  readonly revision?: string;
  readonly tagCount: number;
  /** RFC 3339, whole seconds, UTC. */
  readonly scanTime?: string;
  /** Absent when there are none. */
  readonly latestTags?: readonly string[];
}

/** `status` of an ImageRepository. */
export interface RepositoryStatus {
  readonly conditions?: readonly Condition[];
  readonly observedGeneration?: number;
  readonly canonicalImageName?: string;
  readonly lastScanResult?: ScanResult;
  readonly observedExclusionList?: readonly string[];
  readonly lastHandledReconcileAt?: string;
}

/** The part of an ImageRepository that a scanner reads. */
export interface Repository {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation: number;
    readonly deletionTimestamp?: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
  };
  readonly spec: {
    readonly image: string;
    readonly interval: string;
    readonly timeout?: string;
    readonly exclusionList?: readonly string[];
    readonly insecure?: boolean;
    readonly suspend?: boolean;
    readonly provider?: string;
    readonly secretRef?: { readonly name: string };
  };
  readonly status?: RepositoryStatus;
}

/** Keeps an object until its scanner has let go of it. */
export const FINALIZER = 'finalizers.fluxcd.io';
/** A new value asks for a scan at once. */
export const REQUESTED_AT = 'reconcile.fluxcd.io/requestedAt';

/** The annotation's value, if it asks for a scan that was not handled yet. */
export function pendingRequest({ metadata, status }: Repository): string | undefined {
  const value = metadata.annotations?.[REQUESTED_AT];
  return value === status?.lastHandledReconcileAt ? undefined : value;
}
