import {
  askKubeApi,
  watchKubeApi,
  type KubeAccess,
  type KubeAnswer,
  type WatchEvent,
} from '../kubernetes/client.ts';

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

const GROUP = '/apis/image.toolkit.fluxcd.io/v1';
const MANAGER = 'image-reflector-controller';

/** All ImageRepositories of the cluster, with the resourceVersion to watch from. */
export async function listRepositories(
  access: KubeAccess,
  signal: AbortSignal,
): Promise<{ readonly items: readonly Repository[]; readonly resourceVersion: string }> {
  const answer = await askKubeApi(access, 'GET', `${GROUP}/imagerepositories`, undefined, signal);
  const { items, metadata } = accepted(answer) as {
    readonly items: readonly Repository[];
    readonly metadata: { readonly resourceVersion: string };
  };
  return { items, resourceVersion: metadata.resourceVersion };
}

/** Changes after a resourceVersion, until the server ends the watch. */
export function watchRepositories(
  access: KubeAccess,
  resourceVersion: string,
  signal: AbortSignal,
): AsyncGenerator<WatchEvent, void> {
  const query = `watch=true&allowWatchBookmarks=true&resourceVersion=${resourceVersion}`;
  return watchKubeApi(access, `${GROUP}/imagerepositories?${query}`, signal);
}

/** One object; undefined where it is gone. */
export async function readRepository(
  access: KubeAccess,
  key: string,
): Promise<Repository | undefined> {
  const answer = await askKubeApi(access, 'GET', pathOf(key));
  return answer.status === 404 ? undefined : (accepted(answer) as Repository);
}

/** Sends a merge patch as Flux's controller; gives the object afterwards. */
export async function patchRepository(
  access: KubeAccess,
  repository: Repository,
  target: 'main' | 'status',
  patch: object,
): Promise<Repository> {
  const path = `${pathOf(keyOf(repository))}${target === 'status' ? '/status' : ''}`;
  const answer = await askKubeApi(access, 'PATCH', `${path}?fieldManager=${MANAGER}`, patch);
  return accepted(answer) as Repository;
}

/** `NAMESPACE/NAME`. */
export function keyOf({ metadata }: Repository): string {
  return `${metadata.namespace}/${metadata.name}`;
}

function pathOf(key: string): string {
  return `${GROUP}/namespaces/${key.replace('/', '/imagerepositories/')}`;
}

function accepted({ status, body }: KubeAnswer): unknown {
  if (status < 300) return body;
  throw new Error(`the API server answered ${status}: ${JSON.stringify(body)}`);
}
