import type { IncomingHttpHeaders } from 'node:http';

/** What an `Authorization` header holds. */
export type Credentials =
  | { readonly scheme: 'none' }
  | { readonly scheme: 'basic'; readonly user: string; readonly password: string }
  | { readonly scheme: 'bearer'; readonly token: string }
  | { readonly scheme: 'other' };

/** Reads `Authorization` (RFC 7617, RFC 6750). */
export function readAuthorization(headers: IncomingHttpHeaders): Credentials {
  const header = headers.authorization;
  if (header === undefined) return { scheme: 'none' };
  const [, scheme = '', rest = ''] = /^(\S+) +(.*)$/.exec(header) ?? [];
  if (scheme.toLowerCase() === 'bearer') return { scheme: 'bearer', token: rest };
  if (scheme.toLowerCase() !== 'basic') return { scheme: 'other' };
  const pair = Buffer.from(rest, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  return colon < 0
    ? { scheme: 'other' }
    : { scheme: 'basic', user: pair.slice(0, colon), password: pair.slice(colon + 1) };
}
