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
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|((?:[^\s",;=][^\s",;]*)?))(?=[ \t]*(?:[,;]|$))/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))/y;
const GAP = /[ \t]+/y;
/** Some write semicolons between parameters, as in other headers. */
const SEPARATOR = /[ \t]*(?:[,;][ \t]*)*/y;
/** Longest header that is read. */
const MAX_LENGTH = 16 * 1024;

/**
 * Reads the challenges of a `WWW-Authenticate` header (RFC 9110 §11.6.1; several may stand in one
 * header, and values may hold commas). What follows something unreadable is left out. Never throws.
 */
export function parseChallenges(header: string | undefined): readonly Challenge[] {
  const text = (header ?? '').slice(0, MAX_LENGTH);
  const found: Challenge[] = [];
  let at = pastSeparator(text, 0);
  while (at < text.length) {
    const scheme = match(TOKEN, text, at);
    if (scheme === undefined) break;
    at += scheme[0].length;
    const parameters = new Map<string, string>();
    const gap = match(GAP, text, at);
    if (gap !== undefined) at = readParameters(text, at + gap[0].length, parameters);
    found.push({ scheme: scheme[0].toLowerCase(), parameters });
    const next = pastSeparator(text, at);
    if (next === at) break;
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
    const [whole, name = '', quoted, bare = ''] = parameter;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? bare;
    if (!into.has(name.toLowerCase())) into.set(name.toLowerCase(), value);
    const end = at + whole.length;
    at = pastSeparator(text, end);
    if (at === end || match(PARAMETER, text, at) === undefined) return end;
  }
}

function match(pattern: RegExp, text: string, at: number): RegExpExecArray | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? undefined;
}

/** It may be empty, and so always matches. */
function pastSeparator(text: string, at: number): number {
  SEPARATOR.lastIndex = at;
  SEPARATOR.test(text);
  return SEPARATOR.lastIndex;
}

/** What a challenge says that a token is needed for (distribution, "Token Scope Documentation"). */
export interface ResourceScope {
  /** `repository`, `registry`, `repository(plugin)`. */
  readonly type: string;
  /** May have a host with port before its path. */
  readonly name: string;
  /** Such as `pull`, `metadata_read` or `*`. */
  readonly actions: readonly string[];
}

/** Scopes of one challenge that are read; a mount needs two. */
const MAX_SCOPES = 8;
/**
 * `resourcescope` of distribution's grammar; actions with an underscore are Azure's (`metadata_read`).
 * The name's colons belong to it, the last one begins the actions.
 */
const SCOPE =
  /^([a-z0-9]+(?:\([a-z0-9]+\))?):([!-~]{1,512}):((?:[A-Za-z0-9_*-]+)(?:,[A-Za-z0-9_*-]+)*)$/;

/** The scopes that a challenge names; what breaks the grammar is left out. Never throws. */
export function scopesOf(challenge: Challenge | undefined): readonly ResourceScope[] {
  const text = challenge?.parameters.get('scope') ?? '';
  return text
    .split(/[ \t]+/)
    .slice(0, MAX_SCOPES)
    .flatMap((scope) => {
      const [, type, name = '', actions = ''] = SCOPE.exec(scope) ?? [];
      if (type === undefined) return [];
      return [{ type, name, actions: actions.split(',') }];
    });
}

/** The scopes as a token is asked for them: each resource once, its actions united, in a fixed order. */
export function scopeTexts(scopes: readonly ResourceScope[]): readonly string[] {
  const actionsOf = new Map<string, Set<string>>();
  for (const { type, name, actions } of scopes) {
    const resource = `${type}:${name}`;
    actionsOf.set(resource, new Set([...(actionsOf.get(resource) ?? []), ...actions]));
  }
  return [...actionsOf]
    .map(([resource, actions]) => `${resource}:${[...actions].join(',')}`)
    .sort();
}
