import { parseFilter, type Expression } from './filter-syntax.ts';

/** Tests the attributes of a message. */
export type Filter = (attributes: Readonly<Record<string, string>>) => boolean;

/**
 * The test that a filter expression spells; the empty one keeps every message. Keys and values are
 * compared exactly, `!=` and `NOT` match messages without the attribute too.
 * @throws Refusal `INVALID_ARGUMENT` where the product's filter language does not take it
 */
export function compileFilter(text: string): Filter {
  if (text === '') return () => true;
  const expression = parseFilter(text);
  return (attributes) => matches(expression, attributes);
}

function matches(expression: Expression, attributes: Readonly<Record<string, string>>): boolean {
  switch (expression.kind) {
    case 'has':
      return Object.hasOwn(attributes, expression.key);
    case 'equals':
      return valueOf(attributes, expression.key) === expression.value;
    case 'hasPrefix':
      return valueOf(attributes, expression.key)?.startsWith(expression.value) ?? false;
    case 'not':
      return !matches(expression.operand, attributes);
    case 'and':
      return expression.operands.every((operand) => matches(operand, attributes));
    case 'or':
      return expression.operands.some((operand) => matches(operand, attributes));
  }
}

function valueOf(attributes: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(attributes, key) ? attributes[key] : undefined;
}
