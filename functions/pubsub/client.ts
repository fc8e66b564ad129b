import type { PubSub } from '@google-cloud/pubsub';

import { defined } from '../contract/fields.ts';
import { errorText, MirrorError, printable } from '../errors.ts';

/**
 * The Pub/Sub client of a process: made at first use, since its loading takes half a second, and made
 * anew where the one before cannot go on.
 */
export interface QueueClient {
  /**
   * The client for one call, once its credentials and its project are known.
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`; the next call begins with a client made anew
   */
  open(): Promise<OpenClient>;
  /**
   * A client of its own for streams: calls that get no answer do not end it. Its keepalive notices a
   * dead connection, and a stream opens another by itself.
   * @throws MirrorError `CREDENTIALS_UNAVAILABLE`
   */
  openStream(): Promise<StreamClient>;
  /** Closes the connections; nothing where there are none. */
  close(): Promise<void>;
}

/** A client that may be called. */
export interface OpenClient {
  readonly pubsub: PubSub;
  /**
   * Ends with the call, or with an error where nobody answers in time.
   * @throws the call's own error
   */
  readonly inTime: <T>(call: Promise<T>) => Promise<T>;
  /** Tells how the call ended: with an error, or (undefined) well. Two without an answer end the client. */
  readonly ended: (error: unknown) => void;
}

/** A client that streams may be opened of. */
export interface StreamClient {
  readonly pubsub: PubSub;
  /** Longest that its connection may take to come, ms. */
  readonly timeoutMs: number;
  /** Its connection has not come: the next stream is of a client made anew. */
  readonly giveUp: () => void;
}

/** How a client is made. */
export interface QueueClientOptions {
  /**
   * Ends the wait for the first credentials. What has had them once goes on after it: an end in order
   * still has messages to send.
   */
  readonly signal?: AbortSignal;
  /** Longest that credentials, and then an answer, are waited for, ms. Default 20,000. */
  readonly timeoutMs?: number;
  /** See {@link KEEPALIVE_MS}. */
  readonly keepaliveMs?: number;
}

/**
 * How long a call may take, retries included: the answer to a push must still fit within the last
 * minute before the acknowledgement deadline (600 s; the deliveries' own is 540 s).
 */
export const CALL_TIMEOUT_MS = 20_000;
/**
 * A connection that has been silent for so long is asked whether it lives, also while no call is
 * under way, as Google's Bigtable client does. Pub/Sub's own library asks every 5 minutes.
 */
const KEEPALIVE_MS = 30_000;
/** How long the answer to that may take. Bigtable's client: the same. */
const KEEPALIVE_TIMEOUT_MS = 10_000;
/** A client is given up when so many calls in a row have got no answer in time. */
const MAX_UNANSWERED = 2;
/** How long closing waits: a client whose credentials never came would never close. */
const CLOSE_TIMEOUT_MS = 1000;

/** gRPC status codes (grpc.io, "Status codes and their use in gRPC"). */
export const DEADLINE_EXCEEDED = 4;
const UNAUTHENTICATED = 16;

/** Whose credentials and project are asked before every call; what is known is not asked again. */
const PUBSUB_URL = 'https://pubsub.googleapis.com/';

/** Said where a call gets no answer. */
class NoAnswer extends Error {
  readonly code = DEADLINE_EXCEEDED;
}

/**
 * A client that is loaded when it is first needed. It finds its credentials by itself (or the
 * emulator, by `PUBSUB_EMULATOR_HOST`).
 * @param projectId project of topics and subscriptions that are named without one; undefined: that of
 *   the credentials
 */
export function queueClient(
  projectId: string | undefined,
  options: QueueClientOptions = {},
): QueueClient {
  const timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
  let current: Promise<PubSub> | undefined;
  let streaming: Promise<PubSub> | undefined;
  /** Clients that have had credentials once. */
  const credentialed = new WeakSet<Promise<PubSub>>();
  let unanswered = 0;
  let again = false;

  function giveUp(client: Promise<PubSub>): void {
    // Of several calls that failed at once the first has done it already.
    if (current !== client) return;
    current = undefined;
    unanswered = 0;
    again = true;
    void closed(client);
  }

  function make(): Promise<PubSub> {
    return load(projectId, options.keepaliveMs ?? KEEPALIVE_MS, again);
  }

  async function authenticate(client: Promise<PubSub>): Promise<PubSub> {
    const pubsub = await client;
    await authenticated(pubsub);
    return pubsub;
  }

  async function ready(client: Promise<PubSub>): Promise<PubSub> {
    const signal = credentialed.has(client) ? undefined : options.signal;
    const pubsub = await within(authenticate(client), timeoutMs, signal);
    credentialed.add(client);
    return pubsub;
  }

  return {
    async open() {
      const client = (current ??= make());
      let pubsub: PubSub;
      try {
        pubsub = await ready(client);
      } catch (error) {
        giveUp(client);
        throw unavailable(error);
      }
      return {
        pubsub,
        inTime: (call) => within(call, timeoutMs),
        ended(error) {
          const code = codeOf(error);
          unanswered = code === DEADLINE_EXCEEDED ? unanswered + 1 : 0;
          // An error without a code is none of Pub/Sub's: the client itself cannot go on.
          const broken = error !== undefined && (code === undefined || code === UNAUTHENTICATED);
          if (broken || unanswered >= MAX_UNANSWERED) giveUp(client);
        },
      };
    },
    async openStream() {
      const client = (streaming ??= make());
      const giveUpStream = (): void => {
        if (streaming !== client) return;
        streaming = undefined;
        again = true;
        void closed(client);
      };
      try {
        const pubsub = await ready(client);
        return { pubsub, timeoutMs, giveUp: giveUpStream };
      } catch (error) {
        giveUpStream();
        throw unavailable(error);
      }
    },
    async close() {
      const open = [current, streaming].filter((client) => client !== undefined);
      current = streaming = undefined;
      await Promise.all(open.map(closed));
    },
  };
}

/**
 * The project that a full name says (`projects/PROJECT/…/ID`): the client asks for one even where the name has it,
 * and a login alone has none. Undefined for an id.
 */
export function projectOf(name: string): string | undefined {
  return /^projects\/([^/]+)\//.exec(name)?.[1];
}

async function load(
  projectId: string | undefined,
  keepaliveMs: number,
  again: boolean,
): Promise<PubSub> {
  const { PubSub, gcpMetadata } = await import('./library.ts');
  // Whether there is a metadata server is remembered for ever; it may have come since.
  if (again) gcpMetadata.resetIsAvailableCache();
  const channel: Readonly<Record<string, number>> = {
    'grpc.keepalive_time_ms': keepaliveMs,
    'grpc.keepalive_timeout_ms': Math.min(keepaliveMs, KEEPALIVE_TIMEOUT_MS),
    'grpc.keepalive_permit_without_calls': 1,
    // Connections of its own: a client that is made anew would else wait for the one that its predecessor
    // has been opening ever since to a server that accepts and says nothing.
    'grpc.use_local_subchannel_pool': 1,
  };
  return new PubSub({ ...channel, ...defined({ projectId }) });
}

/** Waits for what a call needs before it is sent: the library itself waits for it without end. */
async function authenticated(pubsub: PubSub): Promise<void> {
  await pubsub.getClientConfig();
  if (pubsub.isEmulator) return;
  // The clients of single services take these credentials too, and do not ask for others.
  Object.assign(pubsub.options, { auth: pubsub.auth });
  const client = await pubsub.auth.getClient();
  await client.getRequestHeaders(PUBSUB_URL);
}

/** What a promise gives, or an error after so long, or when the signal is aborted. */
async function within<T>(promise: Promise<T>, timeoutMs: number, signal?: AbortSignal): Promise<T> {
  const { promise: ended, reject } = Promise.withResolvers<never>();
  const stop = (): void => {
    reject(new NoAnswer('the run ended before they came (--timeout, or told to end)'));
  };
  const timer = setTimeout(() => {
    reject(new NoAnswer(`no answer in ${timeoutMs} ms`));
  }, timeoutMs);
  if (signal?.aborted === true) stop();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await Promise.race([promise, ended]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

async function closed(client: Promise<PubSub>): Promise<void> {
  const closing = client.then((pubsub) => pubsub.close());
  // What cannot be closed is left: nobody waits for its calls any more.
  await within(closing, CLOSE_TIMEOUT_MS).catch(() => undefined);
}

/** The gRPC status code of an error. */
export function codeOf(error: unknown): number | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'number'
    ? error.code
    : undefined;
}

/** Only the text of a library's error: it carries the request, with what authorized it. */
function unavailable(error: unknown): MirrorError {
  return new MirrorError(
    'CREDENTIALS_UNAVAILABLE',
    `no credentials for Pub/Sub (at a terminal: gcloud auth application-default login): ${printable(errorText(error))}`,
    {
      operation: 'get credentials for Pub/Sub',
    },
  );
}
