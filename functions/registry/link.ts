/**
 * The target of `rel="next"` in a `Link` header (RFC 8288), as it stands there; undefined where
 * there is none. Commas and semicolons within `<…>` and quotes belong to their value. Never throws.
 */
export function parseNextLink(header: string | undefined): string | undefined {
  for (const [target, parameters] of links(header ?? '')) {
    if (relations(parameters).includes('next')) return target;
  }
  return undefined;
}

const LINK =
  /<([^>]*)>((?:[ \t]*;[ \t]*[^\s=;,]+(?:[ \t]*=[ \t]*(?:"(?:[^"\\]|\\.)*"|[^\s";,]*))?)*)/y;
const SEPARATOR = /[ \t]*,[ \t,]*|[ \t]+/y;
const PARAMETER = /;[ \t]*([^\s=;,]+)(?:[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s";,]*)))?/g;

function* links(text: string): Generator<readonly [string, string]> {
  let at = 0;
  while (at < text.length) {
    SEPARATOR.lastIndex = at;
    at += SEPARATOR.exec(text)?.[0].length ?? 0;
    LINK.lastIndex = at;
    const link = LINK.exec(text);
    if (link === null) return;
    yield [link[1] ?? '', link[2] ?? ''];
    at += link[0].length;
  }
}

/** Relation types, in lower case; only the first `rel` of a link counts (RFC 8288 §3.3). */
function relations(parameters: string): readonly string[] {
  for (const [, name = '', quoted, plain] of parameters.matchAll(PARAMETER)) {
    if (name.toLowerCase() !== 'rel') continue;
    const value = quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
    return value.toLowerCase().split(/[ \t]+/);
  }
  return [];
}
