import type { Logger } from './logger.ts';

/** Classes of an answer: its hundred, `429` apart, `none` where there was no answer. */
export type RequestClass = '2xx' | '3xx' | '4xx' | '429' | '5xx' | 'none';

/** One request to a registry that has ended. */
export interface EndedRequest {
  /** Host with port. */
  readonly host: string;
  readonly side: 'source' | 'destination';
  /** 0: there was no answer. */
  readonly status: number;
}

/** Counts requests between two lines about them. */
export interface RequestTally {
  add(request: EndedRequest): void;
  /** Writes the counts, unless they were written within the last 10 s. */
  flush(): void;
  /** Writes the counts, whenever they were written last: the process ends. */
  finish(): void;
}

/** Cloud Monitoring takes a point of a series every 5 s at best; one line in 10 s costs little. */
const FLUSH_INTERVAL_MS = 10_000;
/** Hosts told apart in one process; storage hosts that registries redirect to are a handful. */
const MAX_HOSTS = 50;

/** Counts requests by host and class, and writes them as lines of entry `requests`. */
export function requestTally(logger: Logger, clock: () => number): RequestTally {
  const hosts = new Set<string>();
  let counts = new Map<string, { request: EndedRequest; class: RequestClass; count: number }>();
  let flushedAtMs = Number.NEGATIVE_INFINITY;

  function write(): void {
    flushedAtMs = clock();
    const written = counts;
    counts = new Map();
    for (const { request, class: answered, count } of written.values()) {
      const { host, side } = request;
      logger.info(
        `${count} ${count === 1 ? 'request' : 'requests'} to ${host} answered ${answered}`,
        {
          entry: 'requests',
          host,
          side,
          class: answered,
          count,
        },
      );
    }
  }

  return {
    add: (request) => {
      if (hosts.size < MAX_HOSTS) hosts.add(request.host);
      const host = hosts.has(request.host) ? request.host : 'other';
      const answered = classOf(request.status);
      const key = `${host} ${request.side} ${answered}`;
      const counted = counts.get(key);
      if (counted === undefined) {
        counts.set(key, { request: { ...request, host }, class: answered, count: 1 });
      } else counted.count += 1;
    },
    flush: () => {
      if (counts.size > 0 && clock() - flushedAtMs >= FLUSH_INTERVAL_MS) write();
    },
    finish: write,
  };
}

function classOf(status: number): RequestClass {
  if (status === 0) return 'none';
  if (status === 429) return '429';
  if (status >= 500) return '5xx';
  if (status >= 400) return '4xx';
  return status >= 300 ? '3xx' : '2xx';
}
