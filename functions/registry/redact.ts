import { printable } from '../errors.ts';

/** Query parameters of the protocol, whose values are no secrets; all others are hidden. */
const PUBLIC_PARAMETERS = new Set([
  'n',
  'last',
  'mount',
  'from',
  'digest',
  'service',
  'scope',
  'artifactType',
  'pageSize',
]);

/**
 * Path segments that are followed by a capability: whoever knows the session of an upload may write
 * to it, whoever knows Artifact Registry's download id may read.
 */
const SESSIONS = /\/(uploads|downloads)\/[^?#]+/;

/**
 * A URL fit for a log line or an error: no user, no session, query values of the protocol only. A
 * text that is no URL is not repeated.
 */
export function redactUrl(url: string | URL): string {
  const text = String(url);
  if (!URL.canParse(text)) return '(no URL)';
  const parsed = new URL(text);
  const path = parsed.pathname.replace(SESSIONS, '/$1/REDACTED'); // guard: redact-session, without: const path = parsed.pathname;
  const query = [...parsed.searchParams].map(
    ([name, value]) => `${name}=${PUBLIC_PARAMETERS.has(name) ? value : 'REDACTED'}`, // guard: redact-query, without: ([name, value]) => `${name}=${value}`,
  );
  return printable(`${parsed.origin}${path}${query.length > 0 ? `?${query.join('&')}` : ''}`);
}
