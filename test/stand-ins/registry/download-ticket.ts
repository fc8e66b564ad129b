import { TokenSigner } from './signed-token.ts';

/** A blob that a redirect leads to. */
export interface Download {
  readonly pool: string;
  readonly digest: string;
}

/** The capability by which a redirected blob is fetched without credentials. */
export interface DownloadTicket extends Download {
  readonly expiresMs: number;
}

/** Life of a ticket: storage services sign addresses for minutes. */
export const TICKET_LIFETIME_MS = 10 * 60_000;

/** Makes and reads download tickets. */
export type DownloadTickets = TokenSigner<DownloadTicket>;

/** Tickets under a secret of their own. */
export function downloadTickets(clock: () => number): DownloadTickets {
  return new TokenSigner<DownloadTicket>({ prefix: '', clock });
}
