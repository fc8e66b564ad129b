import { raceSignal, SYSTEM_TIMING, timeLimit } from '../concurrency.ts';
import { MirrorError, printable } from '../errors.ts';

/** Scope of every token: IAM decides what the service account may do with it. */
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform';

/** Access tokens of the process's own Google identity. */
export interface GoogleTokens {
  /**
   * An OAuth access token, from the metadata server or Application Default Credentials. The library
   * refreshes it about 5 minutes before it ends, so callers ask per request and never keep one.
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`
   */
  accessToken(): Promise<string>;
}

/**
 * Longest wait for a token, in milliseconds: on Cloud Run the library waits for the metadata server
 * without end, and everybody who asks meanwhile waits for the same answer.
 */
const TOKEN_TIMEOUT_MS = 20_000;

/** No token is of a project; where none is named the library asks for it, and starts `gcloud` to find it. */
const NO_PROJECT = 'none';

/**
 * Tokens by google-auth-library, which is loaded at the first question only.
 * @param timeoutMs longest wait for one. Default: 20,000
 */
export function googleTokens(timeoutMs = TOKEN_TIMEOUT_MS): GoogleTokens {
  let client: Promise<{ getAccessToken(): Promise<string | null | undefined> }> | undefined;
  return {
    async accessToken() {
      client ??= import('./library.ts').then(({ GoogleAuth, gcpMetadata }) => {
        gcpMetadata.resetIsAvailableCache();
        return new GoogleAuth({ scopes: [SCOPE], projectId: NO_PROJECT });
      });
      const asked = client;
      const limit = timeLimit(SYSTEM_TIMING, timeoutMs);
      let token: string | null | undefined;
      try {
        const answer = asked.then(async (library) => library.getAccessToken());
        token = await raceSignal(answer, limit.signal);
      } catch (error) {
        // What waits in a library that got no answer waits there for ever, and whether there is a metadata
        // server is remembered for ever: the next asks anew.
        if (client === asked) client = undefined;
        // The library's errors carry request headers: only the message goes on.
        const reason = error instanceof Error ? error.message : 'no token';
        throw unavailable(printable(reason));
      } finally {
        limit.release();
      }
      if (token === undefined || token === null || token === '') throw unavailable('no token');
      return token;
    },
  };
}

/** Artifact Registry and Container Registry: `*.pkg.dev`, `gcr.io`, `*.gcr.io`. */
const GOOGLE_HOST = /^(?:(?:[a-z0-9-]+\.)+pkg\.dev|(?:[a-z0-9-]+\.)*gcr\.io)$/;
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/;

/** Whether a host is one of Google's registries, and may see Google's credentials. */
export type GoogleHosts = (host: string) => boolean;

/**
 * Google's registries, and what `GOOGLE_REGISTRY_HOSTS` adds to them for work on one machine.
 * @param additions hosts with port; anything but loopback is refused
 * @throws MirrorError `OPTION_INVALID`
 */
export function googleHosts(additions: readonly string[] = []): GoogleHosts {
  for (const host of additions) {
    // guard: google-hosts-loopback
    if (!LOOPBACK.test(host))
      throw new MirrorError('OPTION_INVALID', `'${printable(host)}' is not loopback`, {
        operation: 'read options',
        field: 'GOOGLE_REGISTRY_HOSTS',
      });
  }
  const added = new Set(additions);
  return (host) => added.has(host) || GOOGLE_HOST.test(host);
}

function unavailable(reason: string): MirrorError {
  return new MirrorError('CREDENTIALS_UNAVAILABLE', `no access token of Google: ${reason}`, {
    operation: 'get access token',
  });
}
