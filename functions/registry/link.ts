/**
 * The target of `rel="next"` in a `Link` header (RFC 8288), as it stands there, else of a link that tells
 * no relation: of a list's page that can only be the next one. Undefined where there is none. Commas and
 * semicolons within `<…>` and quotes belong to their value. Never throws.
 */
export function parseNextLink(header: string | undefined): string | undefined {
  let bare: string | undefined;
  for (const { target, parameters } of links(header ?? '')) {
    const found = relations(parameters);
    if (found?.includes('next') === true) return target;
    if (found === undefined) bare ??= target;
  }
  return bare;
}

/** Whether a `Link` header has something that cannot be read, behind which a next page may be. */
export function isBrokenLink(header: string | undefined): boolean {
  return [...links(header ?? '')].some(({ isBroken }) => isBroken);
}

interface Link {
  readonly target: string;
  readonly parameters: string;
  /** What follows cannot be read. */
  readonly isBroken: boolean;
}

const LINK =
  /<([^>]*)>((?:[ \t]*;[ \t]*[^\s=;,]+(?:[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^\s";,]*))?)*)/y;
const SEPARATOR = /[ \t]*,[ \t,]*|[ \t]+/y;
const PARAMETER = /;[ \t]*([^\s=;,]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*)))?/g;

function* links(text: string): Generator<Link> {
  let at = 0;
  while (at < text.length) {
    SEPARATOR.lastIndex = at;
    at += SEPARATOR.exec(text)?.[0].length ?? 0;
    LINK.lastIndex = at;
    const link = LINK.exec(text);
    if (link === null) {
      if (at < text.length) yield { target: '', parameters: '; rel=""', isBroken: true };
      return;
    }
    yield { target: link[1] ?? '', parameters: link[2] ?? '', isBroken: false };
    at += link[0].length;
  }
}

/** Relation types, in lower case; only the first `rel` of a link counts (RFC 8288 §3.3). Undefined: it has none. */
function relations(parameters: string): readonly string[] | undefined {
  for (const [, name = '', quoted, plain] of parameters.matchAll(PARAMETER)) {
    if (name.toLowerCase() !== 'rel') continue;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
    return value.toLowerCase().split(/[ \t]+/);
  }
  return undefined;
}
