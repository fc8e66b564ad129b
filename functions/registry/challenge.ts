/** One challenge of a `WWW-Authenticate` header. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Parameter names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** RFC 9110 §5.6.2 and §11.2: token, token68, quoted-string. */
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const PARAMETER =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s",=][^\s",]*)?))(?=[ \t]*(?:,|$))/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const SEPARATOR = /[ \t]*(?:,[ \t]*)*/y;
/** Longest header that is read; the transport takes 16 KiB of headers in all. */
const MAX_LENGTH = 16 * 1024;

/**
 * Reads the challenges of a `WWW-Authenticate` header (RFC 9110 §11.6.1; several may stand in one
 * header, and values may hold commas). What follows something unreadable is left out. Never throws.
 */
export function parseChallenges(header: string | undefined): readonly Challenge[] {
  const text = (header ?? '').slice(0, MAX_LENGTH);
  const found: Challenge[] = [];
  let at = skip(SEPARATOR, text, 0);
  while (at < text.length) {
    const scheme = match(TOKEN, text, at);
    if (scheme === undefined) break;
    at += scheme[0].length;
    const parameters = new Map<string, string>();
    const gap = /^[ \t]+/.exec(text.slice(at))?.[0].length ?? 0;
    if (gap > 0) at = readParameters(text, at + gap, parameters);
    found.push({ scheme: scheme[0].toLowerCase(), parameters });
    const next = skip(SEPARATOR, text, at);
    if (next === at && at < text.length) break;
    at = next;
  }
  return found;
}

/** Reads parameters until the next scheme; answers where that begins. The first of a doubled name wins. */
function readParameters(text: string, start: number, into: Map<string, string>): number {
  let at = start;
  for (;;) {
    const parameter = match(PARAMETER, text, at);
    if (parameter === undefined) {
      const token68 = into.size === 0 ? match(TOKEN68, text, at) : undefined;
      return token68 === undefined ? at : at + token68[0].length;
    }
    const name = (parameter[1] ?? '').toLowerCase();
    const value = parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? '';
    if (!into.has(name)) into.set(name, value);
    const end = at + parameter[0].length;
    at = skip(SEPARATOR, text, end);
    if (at === end || match(PARAMETER, text, at) === undefined) return end;
  }
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

function skip(pattern: RegExp, text: string, at: number): number {
  return at + (match(pattern, text, at)?.[0].length ?? 0);
}
