import type { DownloadTickets } from './download-ticket.ts';
import type { RegistryStore } from './store.ts';
import type { Personality, RegistrySwitches } from './switches.ts';
import type { UploadSessions } from './upload-session.ts';

/** What the endpoints share. */
export interface RegistryContext {
  readonly personality: Personality;
  readonly store: RegistryStore;
  readonly uploads: UploadSessions;
  readonly tickets: DownloadTickets;
  /** The switches as they are now. */
  readonly switches: () => RegistrySwitches;
  /** Artifact Registry: `PROJECT/REPOSITORY` that exist; undefined: any. */
  readonly repositories: readonly string[] | undefined;
  /** Where redirects to another host lead: an origin. */
  readonly downloadOrigin: () => string;
  readonly clock: () => number;
}
