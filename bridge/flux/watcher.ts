import type { IncomingMessage } from 'node:http';

import {
  MirrorError,
  isMirrorError,
  toMirrorError,
  type ErrorCode,
} from '../../functions/errors.ts';
import { backoff, isAborted, sleep, type Backoff, type BackoffRange } from '../backoff.ts';
import { answerError, connectionError } from '../kubernetes/api-server.ts';
import { readLines } from '../kubernetes/json-stream.ts';
import { uidOf, type ImageRepository } from './image-repository.ts';
import {
  imageRepositoriesPath,
  listImageRepositories,
  narrowed,
  refusalOf,
  type Listing,
  type ListOptions,
} from './lister.ts';

/** As client-go's reflector: the server ends a watch after 5 to 10 minutes. */
const WATCH_SECONDS = { min: 300, max: 600 } as const;
/** The API server sends a bookmark a minute; two missed and a half is a dead connection. */
const SILENCE_MS = 150_000;

/**
 * A watch that lived so long and ended is none that failed: a proxy ends idle connections after 10 s
 * to some minutes.
 */
const LIVED_MS = 5000;
/** As client-go's reflector: after so long without one, the next expiry counts as the first. */
const RESET_MS = 120_000;

/** HTTP 410: the resourceVersion is older than what the server remembers. */
const EXPIRED = 410;

/** Answers of a server that is starting, stopping or busy, or of credentials that are being changed. */
const PASSING: readonly number[] = [401, 403, 429, 500, 502, 503];
const PASSING_CODES: readonly ErrorCode[] = ['NETWORK', 'TIMEOUT', 'CREDENTIALS_UNAVAILABLE'];

/** What the watcher tells of the objects. Nothing in it may throw. */
export interface WatchHandler {
  /** An object of a list (told again as a whole after an interruption). */
  listed(object: ImageRepository): void;
  /** The list is complete: objects whose uid is not among these are gone. */
  synced(uids: ReadonlySet<string>): void;
  /** An object was added or modified. */
  changed(object: ImageRepository): void;
  /** An object was deleted or has left the label selector. */
  deleted(uid: string): void;
}

/** What the watcher waits for, for readiness and the log. */
export type WatchState =
  | { readonly phase: 'listing' | 'watching' }
  /** The CRD or its version v1 is not there, access is denied, or the API server is away. */
  | { readonly phase: 'waiting'; readonly fault: MirrorError }
  /** Watches open and say nothing of what has changed: lists are all that is seen. */
  | { readonly phase: 'polling'; readonly fault: MirrorError };

/** Why a watch was opened again. */
export type RestartCause = 'Closed' | 'Expired' | 'Silent' | 'Failed';

/** What is watched and how. */
export interface WatcherOptions extends ListOptions {
  readonly handler: WatchHandler;
  readonly onState: (state: WatchState) => void;
  readonly onRestart: (cause: RestartCause) => void;
  /**
   * Default 150,000: time without any event, bookmarks included, after which a watch is opened anew,
   * and everything is listed where that one said nothing either.
   */
  readonly silenceMs?: number;
  readonly backoff?: BackoffRange;
  /** Default 5000: how long a watch lives that did not fail. */
  readonly livedMs?: number;
}

/**
 * Lists and watches until the signal is aborted, through closed and silent connections, restarts
 * of the API server, expired resource versions (410), refused access and an absent CRD.
 */
export async function watchImageRepositories(
  options: WatcherOptions,
  signal: AbortSignal,
): Promise<void> {
  const wait = backoff(options.backoff);
  const hearing: Hearing = {
    atMs: performance.now(),
    mute: undefined,
    isHeldBack: false,
    listed: undefined,
  };
  let resourceVersion: string | undefined;
  while (!signal.aborted) {
    try {
      if (resourceVersion === undefined) {
        options.onState(hearing.mute ?? { phase: 'listing' });
        const listing = await list(options, signal);
        ({ resourceVersion } = listing);
        hearing.atMs = performance.now();
        judgeMute(listing.digest, hearing, options);
      }
      options.onState(hearing.mute ?? { phase: 'watching' });
      const ended = await watch(options, resourceVersion, hearing, signal);
      if (isAborted(signal)) return;
      resourceVersion = ended.resourceVersion;
      if (!ended.said && isOutOfHearing(hearing, options)) {
        // What happened meanwhile is not known, and the next watch may be as mute.
        resourceVersion = undefined;
        becomeMute(ended.cause, hearing, options);
      }
      options.onRestart(ended.cause);
      await sleep(pauseMs(ended, wait, options), signal);
    } catch (error) {
      if (isAborted(signal)) return;
      const fault = toMirrorError(error, 'watch ImageRepositories');
      options.onRestart('Failed');
      options.onState({ phase: 'waiting', fault });
      if (!isPassing(fault) || isOutOfHearing(hearing, options)) resourceVersion = undefined;
      const retryMs = Math.max(wait.next(), fault.retryAfterMs ?? 0);
      options.logger.error('cannot watch ImageRepositories; trying again', {
        retrySeconds: inSeconds(retryMs),
        error: fault,
      });
      await sleep(retryMs, signal);
    }
  }
}

/** What has come of the watches and lists, over all of them. */
interface Hearing {
  /** When the last line of a watch or the last list came, ms of a monotonic clock. */
  atMs: number;
  /** What is told while no watch says anything and lists stand in for them; undefined: they do. */
  mute: WatchState | undefined;
  /** Whether a watch was open for all that time, since one said anything. */
  isHeldBack: boolean;
  /** Digest of the last list; undefined where a watch said something since. */
  listed: string | undefined;
}

function isOutOfHearing({ atMs }: Hearing, { silenceMs = SILENCE_MS }: WatcherOptions): boolean {
  return performance.now() - atMs >= silenceMs;
}

/**
 * A watch that is open for so long without a bookmark is held back on the way, or hangs in the API
 * server. One that a proxy ends earlier may have had nothing to say.
 */
function becomeMute(cause: RestartCause, hearing: Hearing, options: WatcherOptions): void {
  if (hearing.mute === undefined) options.logger.warning(muteWords(options), { cause });
  hearing.mute ??= { phase: 'watching' };
  if (cause === 'Silent') hearing.isHeldBack = true;
}

/**
 * A watch that was held back has missed something only where the list after it is another than the one
 * before: there are API servers that send no bookmarks, and objects that do not change for hours.
 */
function judgeMute(digest: string, hearing: Hearing, options: WatcherOptions): void {
  const { mute, isHeldBack, listed } = hearing;
  hearing.listed = digest;
  if (mute === undefined) return;
  const hasMissed = isHeldBack && listed !== undefined && listed !== digest;
  hearing.mute = hasMissed
    ? { phase: 'polling', fault: new MirrorError('WATCH_FAILED', muteWords(options)) }
    : { phase: 'watching' };
}

function muteWords({ silenceMs = SILENCE_MS }: WatcherOptions): string {
  return `no watch of ImageRepositories has said anything for ${inSeconds(silenceMs)} s, not even a bookmark; everything is listed again each time it is so`;
}

function heard(hearing: Hearing, { logger, onState }: WatcherOptions): void {
  hearing.atMs = performance.now();
  hearing.isHeldBack = false;
  hearing.listed = undefined;
  if (hearing.mute === undefined) return;
  hearing.mute = undefined;
  logger.info('the watch of ImageRepositories says something again');
  onState({ phase: 'watching' });
}

/** How long to wait after a watch has ended before the next one, or the list before it. */
function pauseMs(ended: WatchEnd, wait: Backoff, options: WatcherOptions): number {
  if (ended.cause === 'Expired') {
    // Each costs the API server a whole list, and may come again at once.
    if (ended.livedMs >= RESET_MS) wait.reset();
    const retryMs = wait.next();
    options.logger.warning('the watch is older than the history of the API server; listing anew', {
      retrySeconds: inSeconds(retryMs),
    });
    return retryMs;
  }
  const lived = ended.livedMs >= (options.livedMs ?? LIVED_MS);
  if (lived || ended.told) wait.reset();
  if (lived) return 0;
  const retryMs = wait.next();
  if (!ended.told) {
    options.logger.warning('the watch ended at once; opening it again', {
      retrySeconds: inSeconds(retryMs),
    });
  }
  return retryMs;
}

function inSeconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}

/** Whether a fault says nothing about what was seen so far: the watch goes on where it was. */
function isPassing(fault: MirrorError): boolean {
  return PASSING_CODES.includes(fault.code) || PASSING.includes(fault.status ?? 0);
}

/** Lists everything. */
async function list(options: WatcherOptions, signal: AbortSignal): Promise<Listing> {
  const listing = await listImageRepositories(
    options,
    (object) => {
      options.handler.listed(object);
    },
    signal,
  );
  options.handler.synced(listing.uids);
  return listing;
}

/** How a watch ended. */
interface WatchEnd {
  readonly cause: RestartCause;
  /** To go on from; undefined: everything is to be listed. */
  readonly resourceVersion: string | undefined;
  /** Whether it told of an object before. */
  readonly told: boolean;
  /** Whether it said anything, bookmarks included. */
  readonly said: boolean;
  readonly livedMs: number;
}

async function watch(
  options: WatcherOptions,
  from: string,
  hearing: Hearing,
  signal: AbortSignal,
): Promise<WatchEnd> {
  const quiet = new AbortController();
  const timer = setTimeout(() => {
    quiet.abort();
  }, options.silenceMs ?? SILENCE_MS);
  let resourceVersion: string | undefined = from;
  let opened = false;
  let told = false;
  let said = false;
  const openedMs = performance.now();
  const end = (cause: RestartCause): WatchEnd => ({
    cause,
    resourceVersion: cause === 'Expired' ? undefined : resourceVersion,
    told,
    said,
    livedMs: performance.now() - openedMs,
  });
  try {
    const response = await open(options, from, AbortSignal.any([signal, quiet.signal]));
    opened = true;
    for await (const line of readLines(response)) {
      timer.refresh();
      said = true;
      heard(hearing, options);
      const event = readEvent(line);
      tell(event, options);
      told ||= event.type !== 'BOOKMARK';
      resourceVersion = event.resourceVersion ?? resourceVersion;
    }
    return end('Closed');
  } catch (error) {
    if (isAborted(signal)) return end('Closed');
    if (quiet.signal.aborted) return end('Silent');
    if (isMirrorError(error) && error.status === EXPIRED) return end('Expired');
    // A connection that breaks while it is read goes on where it was.
    const fault = connectionError(imageRepositoriesPath(options.namespace), error);
    if (fault.code === 'NETWORK' && opened) return end('Closed');
    throw fault;
  } finally {
    clearTimeout(timer);
    quiet.abort();
  }
}

async function open(
  options: WatcherOptions,
  resourceVersion: string,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const seconds =
    WATCH_SECONDS.min + Math.floor(Math.random() * (WATCH_SECONDS.max - WATCH_SECONDS.min));
  const query = new URLSearchParams({
    watch: '1',
    allowWatchBookmarks: 'true',
    timeoutSeconds: String(seconds),
    resourceVersion,
  });
  if (options.labelSelector !== '') query.set('labelSelector', options.labelSelector);
  const path = `${imageRepositoriesPath(options.namespace)}?${query.toString()}`;
  const answer = await options.apiServer.open(path, signal);
  if ('body' in answer) throw refusalOf(answer, 'watch ImageRepositories');
  return answer;
}

interface WatchEvent {
  readonly type: string;
  readonly object: unknown;
  readonly resourceVersion: string | undefined;
}

function readEvent(line: string): WatchEvent {
  try {
    const { type, object } = JSON.parse(line) as {
      readonly type: string;
      readonly object: unknown;
    };
    const { metadata } = object as { readonly metadata?: { readonly resourceVersion?: unknown } };
    const version = metadata?.resourceVersion;
    return { type, object, resourceVersion: typeof version === 'string' ? version : undefined };
  } catch {
    throw new MirrorError('RESPONSE_INVALID', 'a line of the watch is no event', {
      operation: 'watch ImageRepositories',
    });
  }
}

function tell(event: WatchEvent, options: WatcherOptions): void {
  if (event.type === 'BOOKMARK') return;
  if (event.type === 'ERROR') {
    const { code } = event.object as { readonly code?: unknown };
    const status = typeof code === 'number' ? code : 0;
    const fault = answerError({ status, body: event.object }, 'watch ImageRepositories');
    // Without its status: an error in the middle of a watch wants a new list.
    throw status === EXPIRED ? fault : new MirrorError('WATCH_FAILED', fault.message);
  }
  if (event.type === 'DELETED') {
    const uid = uidOf(event.object);
    if (uid !== undefined) options.handler.deleted(uid);
    return;
  }
  const object = narrowed(event.object, options.logger);
  if (object !== undefined) options.handler.changed(object);
}
