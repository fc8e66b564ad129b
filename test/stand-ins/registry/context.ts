import type { Dialect, RegistrySwitches } from './dialect.ts';
import type { TokenSigner } from './signed-token.ts';
import type { RegistryStore } from './store.ts';
import type { UploadSessions } from './upload-session.ts';

/** The capability by which a redirected blob is fetched without credentials. */
export interface DownloadTicket {
  readonly pool: string;
  readonly digest: string;
  readonly expiresMs: number;
}

/** Life of a ticket: storage services sign addresses for minutes. */
export const TICKET_LIFETIME_MS = 10 * 60_000;

/** What the endpoints share. */
export interface RegistryContext {
  readonly dialect: Dialect;
  readonly store: RegistryStore;
  readonly uploads: UploadSessions;
  readonly tickets: TokenSigner<DownloadTicket>;
  /** The switches as they are now. */
  readonly switches: () => RegistrySwitches;
  /** Artifact Registry: `PROJECT/REPOSITORY` that exist; undefined: any. */
  readonly repositories: readonly string[] | undefined;
  /** Where redirects to another host lead: an origin. */
  readonly downloadOrigin: () => string;
  readonly clock: () => number;
}
