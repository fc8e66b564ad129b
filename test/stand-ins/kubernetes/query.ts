import { parseResourceVersion, type ListOptions, type Selection } from './list.ts';
import { badRequest, invalidOptions, Refusal } from './refusal.ts';
import { isTrue } from './request-info.ts';
import type { WatchOptions } from './watch.ts';

/** Longest time a watch is left open where the client names none: 30 to 60 minutes at an API server. */
const DEFAULT_WATCH_TIMEOUT_MS = 30 * 60_000;

/**
 * Reads the parameters of a list.
 * @throws Refusal 400
 */
export function listOptions(query: URLSearchParams): ListOptions {
  const limit = integer(query.get('limit'));
  const continueToken = query.get('continue') ?? '';
  const resourceVersion = query.get('resourceVersion');
  const resourceVersionMatch = query.get('resourceVersionMatch') ?? '';
  return {
    limit,
    ...(continueToken === '' ? {} : { continueToken }),
    ...(resourceVersion === null ? {} : { resourceVersion }),
    ...(resourceVersionMatch === '' ? {} : { resourceVersionMatch }),
  };
}

/**
 * Reads the parameters of a watch.
 * @throws Refusal 400, 422
 */
export function watchOptions(
  query: URLSearchParams,
): Omit<WatchOptions, keyof Selection | 'bookmarkIntervalMs'> {
  const version = query.get('resourceVersion') ?? '';
  const asked = query.get('sendInitialEvents');
  const match = query.get('resourceVersionMatch');
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  if (asked === null ? match !== null : match !== 'NotOlderThan') {
    const message =
      asked === null
        ? 'Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'
        : 'Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan';
    throw invalidOptions('FieldValueForbidden', message);
  }
  const timeoutSeconds = integer(query.get('timeoutSeconds'));
  const atAnyVersion = version === '' || version === '0';
  const initialEvents = asked === null ? atAnyVersion : isTrue(asked);
  return {
    since: atAnyVersion || initialEvents ? undefined : startOf(version),
    initialEvents,
    notOlderThan: initialEvents && !atAnyVersion ? startOf(version) : 0,
    initialEventsEnd: initialEvents && bookmarks,
    bookmarks,
    timeoutMs: timeoutSeconds > 0 ? timeoutSeconds * 1000 : DEFAULT_WATCH_TIMEOUT_MS,
  };
}

/** A number parameter; absent and empty are 0. */
function integer(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^-?\d{1,15}$/.test(text)) {
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  return Number(text);
}

/** Where a watch begins; what is no version is a 500 here, as at an API server. */
function startOf(version: string): number {
  try {
    return parseResourceVersion(version);
  } catch (error) {
    throw error instanceof Refusal ? new Refusal(500, '', error.message) : error;
  }
}
