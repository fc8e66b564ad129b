import type { Side } from '../errors.ts';

/** What an exchange is about, for counting. */
export type ExchangeKind =
  'tags' | 'manifest' | 'blob' | 'upload' | 'referrers' | 'token' | 'ping' | 'api';

/** One exchange with a registry, a realm or a store, as it ended. */
export interface ExchangeReport {
  readonly side: Side;
  /** Host with port that was spoken to. */
  readonly host: string;
  readonly kind: ExchangeKind;
  readonly method: string;
  /** 0: there was no answer. */
  readonly status: number;
  /** Redirects followed before this exchange; above 0 it is a hop that another host asked for. */
  readonly hop: number;
  /** Body bytes received, known once the body ended. */
  readonly receivedBytes: number;
  /** Body bytes sent. */
  readonly sentBytes: number;
  readonly durationMs: number;
}

/** Is told every exchange when it has ended; must not throw. */
export type OnExchange = (report: ExchangeReport) => void;
