import { MirrorError, printable } from '../errors.ts';
import { redactUrl } from './redact.ts';

/** Most redirects of one request: registry → storage is one, a CDN between makes two. */
const MAX_HOPS = 5;

/** Statuses that send a reader elsewhere (RFC 9110 §15.4). */
export function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/** Those that ask for the same method and body there (RFC 9110 §15.4.8, §15.4.9). */
export function keepsMethod(status: number): boolean {
  return status === 307 || status === 308;
}

/** A redirect as it was answered. */
export interface Redirect {
  readonly from: URL;
  readonly location: string | undefined;
  readonly method: string;
  /** The same method and body are asked for, and can be sent again. Default: not. */
  readonly mayResend?: boolean;
  /** Redirects followed before this one. */
  readonly hops: number;
  /** Origin that the credentials are for. */
  readonly credentialsOrigin: string;
}

/** Where a request goes next. */
export interface NextHop {
  readonly url: URL;
  /**
   * Path and query as they came, where the URL writes them otherwise: what is signed is signed as it
   * stands. Undefined: the URL's own are the same.
   */
  readonly rawPath?: string;
  /** Whether the Authorization header goes along: to the exact origin that it is for, only. */
  readonly authorize: boolean;
}

/**
 * What an https registry means that names its very own host by http: itself. Behind a proxy without
 * X-Forwarded-Proto it knows no better, and go-containerregistry's clients stay with https as well.
 */
export function ownAddress(registry: URL, named: URL): URL {
  if (registry.protocol !== 'https:' || named.protocol !== 'http:') return named;
  const secure = new URL(named.href.replace(/^http:/, 'https:'));
  return named.host === registry.host || secure.host === registry.host ? secure : named;
}

/**
 * Decides about a redirect: GET and HEAD, and what else is sent again as it is within its origin only (a redirected
 * upload would send bytes and rights elsewhere), never from https to http, never with a user in the URL.
 * @throws MirrorError `REDIRECT_REFUSED`, `INSECURE_REFUSED`
 */
export function nextHop(redirect: Redirect): NextHop {
  const { from, method, mayResend = false, hops, credentialsOrigin } = redirect;
  const location = escaped(redirect.location);
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw refused('redirects without a usable Location', from);
  }
  // guard: redirect-hops
  if (hops >= MAX_HOPS) throw refused(`redirects more than ${MAX_HOPS} times`, from);
  const url = ownAddress(from, new URL(location, from));
  const isRead = method === 'GET' || method === 'HEAD';
  const resends = mayResend && url.origin === from.origin;
  // guard: redirect-method
  if (!isRead && !resends) throw refused(`redirects a ${method}`, from);
  // guard: redirect-downgrade
  if (from.protocol === 'https:' && url.protocol === 'http:') throw downgraded(from, url);
  // guard: redirect-scheme
  if (!isWeb(url)) throw refused(`redirects to ${url.protocol}`, from);
  // guard: redirect-userinfo
  if (hasUser(url)) throw refused('redirects to a URL with a user', from);
  // guard: redirect-authorization
  if (url.origin !== credentialsOrigin)
    return { url, ...rawPathOf(location, url), authorize: false };
  return { url, ...rawPathOf(location, url), authorize: true };
}

/** Bytes beyond ASCII, which Node gives as Latin 1, are escaped one by one, as Go's clients do. */
function escaped(location: string | undefined): string | undefined {
  return location?.replace(
    /[\u0080-\u00ff]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A Location of visible characters: its authority, where it has one, and its path and query. */
const RAW = /^((?:https?:)?\/\/[^/?#\\]+)?(\/[!-"$-[\]-~]*)(?:#.*)?$/i;

/**
 * Path and query of a Location as they stand there: the parser writes `'`, `"`, `|`, `{`, `%7e` or `..`
 * anew, and breaks signatures with that. What is relative to the path, or has bytes that no request
 * line may have, goes as the parser writes it.
 */
function rawPathOf(location: string, url: URL): { readonly rawPath?: string } {
  const [, authority, path = ''] = RAW.exec(location.trim()) ?? [];
  // The parser takes further slashes for the beginning of an authority.
  if (path === '' || (authority === undefined && path.startsWith('//'))) return {};
  return path === `${url.pathname}${url.search}` ? {} : { rawPath: path };
}

/**
 * Where an upload goes on: the same origin, or another https host, then without credentials.
 * @throws MirrorError `REDIRECT_REFUSED`, `INSECURE_REFUSED`
 */
export function uploadLocation(from: URL, raw: string | undefined): NextHop {
  const location = escaped(raw);
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw refused('starts an upload without a usable Location', from);
  }
  const url = ownAddress(from, new URL(location, from));
  // guard: upload-downgrade
  if (from.protocol === 'https:' && url.protocol === 'http:') throw downgraded(from, url);
  const elsewhere = url.origin !== from.origin;
  // guard: upload-location
  if (elsewhere && url.protocol !== 'https:')
    throw refused('starts an upload at another host without TLS', from);
  // guard: upload-userinfo
  if (hasUser(url)) throw refused('starts an upload at a URL with a user', from);
  // guard: upload-authorization
  if (elsewhere) return { url, ...rawPathOf(location, url), authorize: false };
  return { url, ...rawPathOf(location, url), authorize: true };
}

function isWeb(url: URL): boolean {
  return url.protocol === 'https:' || url.protocol === 'http:';
}

function hasUser(url: URL): boolean {
  return url.username !== '' || url.password !== '';
}

function downgraded(from: URL, { host }: URL): MirrorError {
  return new MirrorError(
    'INSECURE_REFUSED',
    `the https registry sends to another host without TLS, ${printable(host)}: it or its proxy must be told the https address`,
    { url: redactUrl(from) },
  );
}

function refused(what: string, from: URL): MirrorError {
  return new MirrorError('REDIRECT_REFUSED', `the registry ${what}`, { url: redactUrl(from) });
}
