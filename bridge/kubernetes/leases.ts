import type { Fault } from '../../functions/fault.ts';
import { answerFault, type ApiServer } from './api-server.ts';

/** A Lease as leader election uses it (coordination.k8s.io/v1, as client-go writes it). */
export interface LeaseRecord {
  /** Empty: nobody, it was released. */
  readonly holderIdentity: string;
  readonly leaseDurationSeconds: number;
  /** RFC 3339 with microseconds, by the holder's clock. */
  readonly acquireTime: string;
  /** RFC 3339 with microseconds, by the holder's clock. */
  readonly renewTime: string;
  readonly leaseTransitions: number;
  /** All of its annotations. */
  readonly annotations: Readonly<Record<string, string>>;
  /** What else its metadata holds, with the version that an update must name; absent in a new one. */
  readonly metadata?: Readonly<Record<string, unknown>> | undefined;
}

/** The one Lease that replicas compete for. */
export interface LeaseStore {
  /** Undefined where there is none. @throws Fault when it cannot be read */
  read(): Promise<LeaseRecord | undefined>;
  /**
   * Makes it, or replaces the version it was read with.
   * @returns the written record; undefined where somebody else was faster
   * @throws Fault when it cannot be written
   */
  write(record: LeaseRecord): Promise<LeaseRecord | undefined>;
}

/** A Lease at an API server; an answer is waited for `timeoutMs` at most. */
export function leaseStore(
  apiServer: ApiServer,
  namespace: string,
  name: string,
  timeoutMs: number,
): LeaseStore {
  const folder = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  const what = `Lease ${namespace}/${name}`;
  return {
    async read() {
      const answer = await apiServer.send('GET', `${folder}/${name}`, undefined, { timeoutMs });
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw answerFault(answer, `get ${what}`);
      return recordOf(answer.body);
    },
    async write(record) {
      const exists = record.metadata !== undefined;
      const lease = leaseOf(namespace, name, record);
      const answer = exists
        ? await apiServer.send('PUT', `${folder}/${name}`, lease, { timeoutMs })
        : await apiServer.send('POST', folder, lease, { timeoutMs });
      // Conflict: written by another since it was read; or not there any more (404).
      if (answer.status === 409 || (exists && answer.status === 404)) return undefined;
      if (answer.status !== 200 && answer.status !== 201) throw refused(answer, exists, what);
      return recordOf(answer.body);
    },
  };
}

function refused(answer: { status: number; body: unknown }, exists: boolean, what: string): Fault {
  return answerFault(answer, `${exists ? 'update' : 'create'} ${what}`);
}

function leaseOf(namespace: string, name: string, record: LeaseRecord): object {
  const { annotations, metadata, ...spec } = record;
  return {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...metadata, namespace, name, annotations },
    spec,
  };
}

function recordOf(body: unknown): LeaseRecord {
  const { metadata = {}, spec = {} } = body as {
    readonly metadata?: Readonly<Record<string, unknown>>;
    readonly spec?: Partial<Omit<LeaseRecord, 'annotations' | 'metadata'>>;
  };
  const { annotations, managedFields: _dropped, ...rest } = metadata;
  return {
    holderIdentity: spec.holderIdentity ?? '',
    leaseDurationSeconds: spec.leaseDurationSeconds ?? 0,
    acquireTime: spec.acquireTime ?? '',
    renewTime: spec.renewTime ?? '',
    leaseTransitions: spec.leaseTransitions ?? 0,
    annotations: (annotations as Readonly<Record<string, string>> | null | undefined) ?? {},
    metadata: rest,
  };
}
