import type { IncomingHttpHeaders } from 'node:http';
import { requestKind, type RequestKind } from './request-kind.ts';

/** One request that the registry saw. Figures grow while it is under way. */
export interface RequestRecord {
  readonly method: string;
  /** Path with query, as written. */
  readonly url: string;
  readonly kind: RequestKind;
  readonly headers: IncomingHttpHeaders;
  /** Which of the registry's addresses was asked: its own, or the one of redirected blobs. */
  readonly host: 'registry' | 'downloads';
  /** 0 until an answer is known, and for ever where none is sent. */
  readonly status: number;
  /** Bytes of the request's body that were read. */
  readonly bytesIn: number;
  /** Bytes of the answer's body that were handed to the socket. */
  readonly bytesOut: number;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  /** Undefined while it is under way. */
  readonly endedMs: number | undefined;
}

/** A record while its request is served. */
export interface OpenRecord {
  readonly record: RequestRecord;
  answered(status: number): void;
  received(bytes: number): void;
  sent(bytes: number): void;
  /** Ends the record, once. */
  end(): void;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Which requests are asked for; every given field must agree. */
export interface RequestFilter {
  readonly method?: string;
  readonly kind?: RequestKind;
  readonly status?: number;
  readonly path?: RegExp;
}

/** Counts and remembers every request that a registry sees. */
export class RequestCounter {
  readonly #clock: () => number;
  #records: Mutable<RequestRecord>[] = [];
  #open = 0;
  #highestConcurrency = 0;
  readonly #openOf = new Map<RequestKind, number>();
  #highestOf = new Map<RequestKind, number>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** All requests since the last reset, in the order of their arrival. */
  get records(): readonly RequestRecord[] {
    return this.#records;
  }

  /** Requests to the registry and its token endpoint; the far ends of redirects are not among them. */
  get total(): number {
    return this.#records.filter(({ kind }) => kind !== 'download').length;
  }

  /** Requests at the far end of a blob's redirect. */
  get redirectHops(): number {
    return this.#records.length - this.total;
  }

  /** Bytes of blobs that were read from clients, whatever became of them. */
  get uploadedBytes(): number {
    return this.#sum('upload', 'bytesIn');
  }

  /** Bytes of blobs that were sent to clients. */
  get downloadedBytes(): number {
    return this.#sum('blob', 'bytesOut') + this.#sum('download', 'bytesOut');
  }

  /** The most requests that were under way at one time since the last reset. */
  get highestConcurrency(): number {
    return this.#highestConcurrency;
  }

  /** The most requests of one kind that were under way at one time since the last reset. */
  highestConcurrencyOf(kind: RequestKind): number {
    return this.#highestOf.get(kind) ?? 0;
  }

  /** Requests that are under way now. */
  get openRequests(): number {
    return this.#open;
  }

  /** The requests that a filter describes. */
  select(filter: RequestFilter): readonly RequestRecord[] {
    return this.#records.filter(
      (record) =>
        (filter.method === undefined || record.method === filter.method) &&
        (filter.kind === undefined || record.kind === filter.kind) &&
        (filter.status === undefined || record.status === filter.status) &&
        (filter.path === undefined || filter.path.test(record.url)),
    );
  }

  /** How many requests a filter describes. */
  count(filter: RequestFilter): number {
    return this.select(filter).length;
  }

  /** `GET manifest 200` → how often, for messages that say what was asked. */
  get summary(): Readonly<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const { method, kind, status } of this.#records) {
      const key = `${method} ${kind} ${status}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  }

  /** Forgets all; requests that are under way are not counted afterwards. */
  reset(): void {
    this.#records = [];
    this.#highestConcurrency = this.#open;
    this.#highestOf = new Map(this.#openOf);
  }

  /** Begins the record of a request. */
  begin(request: Pick<RequestRecord, 'method' | 'url' | 'headers' | 'host'>): OpenRecord {
    const record: Mutable<RequestRecord> = {
      ...request,
      kind: requestKind(request.url.split('?')[0] ?? ''),
      status: 0,
      bytesIn: 0,
      bytesOut: 0,
      startedMs: this.#clock(),
      endedMs: undefined,
    };
    this.#records.push(record);
    this.#opened(record.kind);
    return {
      record,
      answered: (status) => {
        record.status = status;
      },
      received: (bytes) => {
        record.bytesIn += bytes;
      },
      sent: (bytes) => {
        record.bytesOut += bytes;
      },
      end: () => {
        if (record.endedMs !== undefined) return;
        record.endedMs = this.#clock();
        this.#open--;
        this.#openOf.set(record.kind, (this.#openOf.get(record.kind) ?? 1) - 1);
      },
    };
  }

  #opened(kind: RequestKind): void {
    this.#highestConcurrency = Math.max(this.#highestConcurrency, ++this.#open);
    const open = (this.#openOf.get(kind) ?? 0) + 1;
    this.#openOf.set(kind, open);
    this.#highestOf.set(kind, Math.max(this.#highestOf.get(kind) ?? 0, open));
  }

  #sum(kind: RequestKind, field: 'bytesIn' | 'bytesOut'): number {
    return this.#records
      .filter((record) => record.kind === kind)
      .reduce((sum, record) => sum + record[field], 0);
  }
}
