import { isLabelValue, isQualifiedName } from './metadata.ts';
import { isJsonObject, type KubeObject } from './object.ts';
import { badRequest } from './refusal.ts';

/** What a field selector asks of an object. */
export interface FieldSelector {
  matches(object: KubeObject): boolean;
  /** The one name that it allows, where it asks for one: authorization knows names. */
  readonly name?: string;
}

/**
 * Reads `metadata.name=x,metadata.namespace!=y` and what else the resource can be selected by.
 * @throws Refusal 400
 */
export function parseFieldSelector(
  text: string,
  selectable: ReadonlyMap<string, string>,
): FieldSelector {
  const terms = text
    .split(',')
    .filter((term) => term !== '')
    .map((term) => {
      const match = /^([^=!]+)(==|=|!=)(.*)$/.exec(term);
      if (match === null)
        throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      const [, path = '', operator = '', value = ''] = match;
      const stored = /^metadata\.name(space)?$/.test(path) ? path : selectable.get(path);
      if (stored === undefined) throw badRequest(`field label not supported: ${path}`);
      return { path: stored, equal: operator !== '!=', value };
    });
  const named = terms.find(({ path, equal }) => path === 'metadata.name' && equal);
  return {
    matches: (object) =>
      terms.every(({ path, equal, value }) => (fieldOf(object, path) === value) === equal),
    ...(named === undefined ? {} : { name: named.value }),
  };
}

function fieldOf(object: KubeObject, path: string): string {
  let value: unknown = object;
  for (const step of path.split('.')) value = isJsonObject(value) ? value[step] : undefined;
  return typeof value === 'string' ? value : '';
}

/** One condition on a label. */
interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent' | 'less' | 'greater';
  readonly values: readonly string[];
}

type Labels = Readonly<Record<string, string>> | undefined;

/** Whether labels satisfy the selector. */
export type LabelSelector = (labels: Labels) => boolean;

/**
 * Reads the full selector syntax: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`,
 * `a>1`, `a<1`, joined by commas (Kubernetes, "Labels and Selectors"). The empty text selects all.
 * @throws Refusal 400
 */
export function parseLabelSelector(text: string): LabelSelector {
  const requirements = splitRequirements(text).map((part) => parseRequirement(part, text));
  return (labels) => requirements.every((requirement) => satisfies(requirement, labels));
}

/** Splits at commas outside parentheses. */
function splitRequirements(text: string): readonly string[] {
  if (text.trim() === '') return [];
  return text.split(/,(?![^(]*\))/).map((part) => part.trim());
}

function parseRequirement(part: string, whole: string): Requirement {
  const refuse = (why: string): never => {
    throw badRequest(`unable to parse requirement: ${why} in '${whole}'`);
  };
  const found = parseSet(part) ?? parseComparison(part) ?? parseExistence(part);
  if (found === undefined) return refuse(`found '${part}'`);
  if (!isQualifiedName(found.key)) refuse(`<nil>: Invalid value: "${found.key}"`);
  for (const value of found.values) {
    const ordered = found.operator === 'less' || found.operator === 'greater';
    if (ordered ? !/^-?\d+$/.test(value) : !isLabelValue(value)) {
      refuse(`values: Invalid value: "${value}"`);
    }
  }
  return found;
}

function parseSet(part: string): Requirement | undefined {
  const match = /^([^\s!=<>(),]+)\s+(in|notin)\s*\(([^()]*)\)$/.exec(part);
  if (match === null) return undefined;
  const [, key = '', operator, values = ''] = match;
  return {
    key,
    operator: operator === 'in' ? 'in' : 'notin',
    values: values.split(',').map((value) => value.trim()),
  };
}

function parseComparison(part: string): Requirement | undefined {
  const match = /^([^\s!=<>(),]+)\s*(==|=|!=|<|>)\s*([^\s!=<>(),]*)$/.exec(part);
  if (match === null) return undefined;
  const [, key = '', sign = '=', value = ''] = match;
  return { key, operator: comparison(sign), values: [value] };
}

function parseExistence(part: string): Requirement | undefined {
  const match = /^(!?)\s*([^\s!=<>(),]+)$/.exec(part);
  if (match === null) return undefined;
  const [, not, key = ''] = match;
  return { key, operator: not === '!' ? 'absent' : 'exists', values: [] };
}

function comparison(sign: string): Requirement['operator'] {
  if (sign === '<') return 'less';
  if (sign === '>') return 'greater';
  return sign === '!=' ? 'notin' : 'in';
}

function satisfies({ key, operator, values }: Requirement, labels: Labels): boolean {
  const value = labels?.[key];
  switch (operator) {
    case 'in':
      return value !== undefined && values.includes(value);
    case 'notin':
      return value === undefined || !values.includes(value);
    case 'exists':
      return value !== undefined;
    case 'absent':
      return value === undefined;
    case 'less':
    case 'greater': {
      if (value === undefined || !/^-?\d+$/.test(value)) return false;
      const [limit = '0'] = values;
      return operator === 'less' ? BigInt(value) < BigInt(limit) : BigInt(value) > BigInt(limit);
    }
  }
}
