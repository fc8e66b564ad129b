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
}

/** A record while its request is served. */
export type OpenRecord = { -readonly [K in keyof RequestRecord]: RequestRecord[K] };

/** Which requests are asked for; every given field must agree. */
export interface RequestFilter {
  readonly method?: string;
  readonly kind?: RequestKind;
  readonly status?: number;
  readonly path?: RegExp;
}

/** Counts and remembers every request that a registry sees. */
export class RequestCounter {
  #records: OpenRecord[] = [];
  #open = 0;
  #highestConcurrency = 0;

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
    return this.select({ kind: 'upload' }).reduce((sum, { bytesIn }) => sum + bytesIn, 0);
  }

  /** The most requests that were under way at one time since the last reset. */
  get highestConcurrency(): number {
    return this.#highestConcurrency;
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
  }

  /** Begins the record of a request; {@link end} is called once when it has ended. */
  begin(request: Pick<RequestRecord, 'method' | 'url' | 'headers' | 'host'>): OpenRecord {
    const record = {
      ...request,
      kind: requestKind(request.url.split('?')[0] ?? ''),
      status: 0,
      bytesIn: 0,
    };
    this.#records.push(record);
    this.#highestConcurrency = Math.max(this.#highestConcurrency, ++this.#open);
    return record;
  }

  /** A request has ended. */
  end(): void {
    this.#open--;
  }
}
