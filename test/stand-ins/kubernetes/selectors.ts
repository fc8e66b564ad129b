import { isLabelValue, isQualifiedName } from './metadata.ts';
import { badRequest } from './refusal.ts';

/** One condition on a label. */
interface Requirement {
  readonly key: string;
  readonly operator: 'in' | 'notin' | 'exists' | 'absent';
  readonly values: readonly string[];
}

type Labels = Readonly<Record<string, string>> | undefined;

/** Whether labels satisfy the selector. */
export type LabelSelector = (labels: Labels) => boolean;

/**
 * Reads `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas (Kubernetes,
 * "Labels and Selectors"). The empty text selects all.
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
    if (!isLabelValue(value)) refuse(`values: Invalid value: "${value}"`);
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
  const match = /^([^\s!=<>(),]+)\s*(==|=|!=)\s*([^\s!=<>(),]*)$/.exec(part);
  if (match === null) return undefined;
  const [, key = '', sign = '=', value = ''] = match;
  return { key, operator: sign === '!=' ? 'notin' : 'in', values: [value] };
}

function parseExistence(part: string): Requirement | undefined {
  const match = /^(!?)\s*([^\s!=<>(),]+)$/.exec(part);
  if (match === null) return undefined;
  const [, not, key = ''] = match;
  return { key, operator: not === '!' ? 'absent' : 'exists', values: [] };
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
  }
}
