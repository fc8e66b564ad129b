import type { ServerResponse } from 'node:http';

import { toJson, withResourceVersion, type JsonObject, type KubeObject } from './object.ts';
import { badRequest, Refusal } from './refusal.ts';
import { isTrue } from './request-info.ts';
import { groupVersion, type Resource } from './resource.ts';
import { numberOf, parseResourceVersion, type Selection } from './list.ts';
import type { Change, ObjectStore } from './store.ts';

/** The query parameters of a watch. */
interface WatchOptions {
  /** Changes after this are told. */
  readonly since: number;
  readonly bookmarks: boolean;
  readonly timeoutMs: number;
}

/**
 * Bytes that may wait for a slow reader before its watch is ended, as the API server ends watches
 * that fall behind; large enough for the initial events of 10,000 objects.
 */
const MAX_BACKLOG_BYTES = 128 * 1024 * 1024;

/** Longest time a watch is left open where the client names none: 30 to 60 minutes at an API server. */
const DEFAULT_TIMEOUT_MS = 30 * 60_000;

/** So long before a watch's timeout the API server sends a last bookmark. */
const LAST_BOOKMARK_MS = 2000;

/** One open watch: writes changes to its response until it ends. */
export class Watch {
  private readonly response: ServerResponse;
  private readonly selection: Selection;
  private readonly options: WatchOptions;
  private readonly unsubscribe: () => void;
  private readonly timers: NodeJS.Timeout[] = [];
  private silent = false;
  /** What the client knows from the beginning; bookmarks are for what comes after. */
  private readonly startedAt: number;
  private told: number;

  /** @throws Refusal 400, 410, 500, before anything is written */
  constructor(
    store: ObjectStore,
    response: ServerResponse,
    selection: Selection,
    query: URLSearchParams,
    bookmarkIntervalMs: number,
  ) {
    const options = watchOptions(query);
    this.response = response;
    this.selection = selection;
    this.options = options;
    this.told = store.revision;
    // Asked for before the head is written: a refusal must still become an answer or an ERROR event.
    const missed = store.changesSince(selection.resource.collection, options.since);
    this.startedAt = missed.at(-1)?.resourceVersion ?? options.since;
    response.writeHead(200, {
      'content-type': 'application/json',
      'cache-control': 'no-cache, private',
    });
    response.flushHeaders();
    for (const change of missed) this.write(change);
    this.unsubscribe = store.subscribe((change) => {
      this.write(change);
    });
    this.timers.push(
      setTimeout(() => {
        this.end();
      }, options.timeoutMs),
    );
    if (options.bookmarks) {
      this.timers.push(
        setInterval(() => {
          this.bookmark();
        }, bookmarkIntervalMs),
        setTimeout(
          () => {
            this.bookmark();
          },
          Math.max(0, options.timeoutMs - LAST_BOOKMARK_MS),
        ),
      );
    }
  }

  /** Calls back once, when the watch has ended for whatever reason. */
  onceClosed(listener: () => void): void {
    this.response.once('close', () => {
      this.unsubscribe();
      for (const timer of this.timers) clearTimeout(timer);
      listener();
    });
  }

  /** From now on nothing is written, though the connection stays open. */
  silence(): void {
    this.silent = true;
  }

  /** Writes bytes as they are, such as a line that is no JSON. */
  writeRaw(text: string): void {
    if (!this.silent && !this.response.writableEnded) this.response.write(text);
  }

  /** An ERROR event, after which the server ends the watch. */
  fail(refusal: Refusal): void {
    this.writeLine('ERROR', JSON.stringify(refusal.status));
    this.end();
  }

  /** What is watched. */
  get resource(): Resource {
    return this.selection.resource;
  }

  /** Writes a BOOKMARK now, if the client takes any and has not begun there. */
  private bookmark(): void {
    if (!this.options.bookmarks || this.told <= this.startedAt) return;
    const { resource } = this.selection;
    const object: JsonObject = {
      kind: resource.kind,
      apiVersion: groupVersion(resource),
      metadata: { resourceVersion: String(this.told) },
    };
    this.writeLine('BOOKMARK', JSON.stringify(object));
  }

  /** Ends the response as the API server does at a watch's timeout. */
  end(): void {
    this.response.end();
  }

  /** Cuts the connection in the middle. */
  drop(): void {
    this.response.destroy();
  }

  private write(change: Change): void {
    const { resource } = this.selection;
    if (change.resourceVersion <= this.options.since) return;
    this.told = change.resourceVersion;
    if (change.collection !== resource.collection) return;
    const { previous, object } = change;
    const before = previous !== undefined && this.selects(previous);
    const after = change.type !== 'DELETED' && this.selects(object);
    if (after) {
      this.writeLine(before ? 'MODIFIED' : 'ADDED', toJson(object));
    } else if (before) {
      // What leaves the selection is told as deleted, in its last state that was selected.
      const last =
        change.type === 'DELETED' ? object : withResourceVersion(previous, change.resourceVersion);
      this.writeLine('DELETED', toJson(last));
    }
  }

  private selects(object: KubeObject): boolean {
    const { namespace, matches } = this.selection;
    return (namespace === undefined || object.metadata.namespace === namespace) && matches(object);
  }

  private writeLine(type: string, json: string): void {
    if (this.silent || this.response.writableEnded) return;
    this.response.write(`{"type":"${type}","object":${json}}\n`);
    if (this.response.writableLength > MAX_BACKLOG_BYTES) this.drop();
  }
}

/** @throws Refusal 400, 500 */
function watchOptions(query: URLSearchParams): WatchOptions {
  const version = query.get('resourceVersion') ?? '';
  if (version === '' || version === '0' || query.has('sendInitialEvents')) {
    throw badRequest('the stand-in watches from a version alone');
  }
  const timeoutSeconds = numberOf(query, 'timeoutSeconds');
  return {
    since: startOf(version),
    bookmarks: isTrue(query.get('allowWatchBookmarks')),
    timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : DEFAULT_TIMEOUT_MS,
  };
}

/** Where a watch begins; what is no version is a 500 here, as at an API server. */
function startOf(version: string): number {
  try {
    return parseResourceVersion(version);
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(500, '', error.message) : error;
  }
}
