import type { MirrorError } from '../../functions/errors.ts';
import { answerError, type ApiAnswer, type ApiServer } from './api-server.ts';

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
  /**
   * The Lease as it was read, absent in a new one: an update names its version and keeps what this
   * bridge does not know.
   */
  readonly lease?: Lease | undefined;
}

/** A whole Lease as the API server gives it. */
export interface Lease {
  readonly metadata?: Readonly<Record<string, unknown>>;
  readonly spec?: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

/** The one Lease that replicas compete for. */
export interface LeaseStore {
  /** Undefined where there is none. @throws MirrorError when it cannot be read */
  read(signal?: AbortSignal): Promise<LeaseRecord | undefined>;
  /**
   * Makes it, or replaces the version it was read with.
   * @returns the written record; undefined where somebody else was faster
   * @throws MirrorError when it cannot be written
   */
  write(record: LeaseRecord, signal?: AbortSignal): Promise<LeaseRecord | undefined>;
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
    async read(signal) {
      const answer = await apiServer.send('GET', `${folder}/${name}`, undefined, {
        timeoutMs,
        signal,
      });
      if (answer.status === 404) return undefined;
      if (answer.status !== 200) throw answerError(answer, `get ${what}`);
      return recordOf(answer.body);
    },
    async write(record, signal) {
      const exists = record.lease !== undefined;
      const lease = leaseOf(namespace, name, record);
      const options = { timeoutMs, signal };
      const answer = exists
        ? await apiServer.send('PUT', `${folder}/${name}`, lease, options)
        : await apiServer.send('POST', folder, lease, options);
      // Conflict: written by another since it was read; or not there any more (404).
      if (answer.status === 409 || (exists && answer.status === 404)) return undefined;
      if (answer.status !== 200 && answer.status !== 201) throw refused(answer, exists, what);
      return recordOf(answer.body);
    },
  };
}

function refused(answer: ApiAnswer, exists: boolean, what: string): MirrorError {
  return answerError(answer, `${exists ? 'update' : 'create'} ${what}`);
}

function leaseOf(namespace: string, name: string, record: LeaseRecord): object {
  const { lease, ...own } = record;
  // Without its elements (see managed-fields.ts): the API server keeps its own.
  const { managedFields: _dropped, ...metadata } = lease?.metadata ?? {};
  return {
    ...lease,
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { ...metadata, namespace, name },
    spec: { ...lease?.spec, ...own },
  };
}

function recordOf(body: unknown): LeaseRecord {
  const lease = body as Lease;
  const spec = lease.spec as Partial<LeaseRecord> | undefined;
  return {
    holderIdentity: spec?.holderIdentity ?? '',
    leaseDurationSeconds: spec?.leaseDurationSeconds ?? 0,
    acquireTime: spec?.acquireTime ?? '',
    renewTime: spec?.renewTime ?? '',
    leaseTransitions: spec?.leaseTransitions ?? 0,
    lease,
  };
}
