import type { Dialect, RegistrySwitches } from './dialect.ts';
import type { RegistryRequest } from './exchange.ts';
import type { TokenSigner } from './signed-token.ts';
import type { RegistryStore } from './store.ts';
import type { UploadSession } from './upload-session.ts';

/** The capability by which a redirected blob is fetched without credentials. */
export interface DownloadTicket {
  readonly pool: string;
  readonly digest: string;
  readonly expiresMs: number;
}

/** A request, and what the endpoints answer it from. */
export interface Call {
  readonly request: RegistryRequest;
  readonly dialect: Dialect;
  /** As they were when the request came. */
  readonly switches: RegistrySwitches;
  readonly store: RegistryStore;
  /** The uploads under way by id, also those that interrupted clients left behind. */
  readonly uploads: Map<string, UploadSession>;
  /** Whether more than size and digest of uploaded blobs is kept. */
  readonly keepsBlobs: boolean;
  readonly tickets: TokenSigner<DownloadTicket>;
  /** Artifact Registry: `PROJECT/REPOSITORY` that exist; undefined: any. */
  readonly repositories: readonly string[] | undefined;
  /** Where redirects to another host lead. */
  readonly downloadOrigin: string;
  readonly clock: () => number;
}
