import { TokenReader } from './tokens.ts';

/**
 * The Logging query language, as far as the module's filters speak it: comparisons of a field with a value
 * or a list, `field:*`, AND, OR, NOT and parentheses.
 * https://docs.cloud.google.com/logging/docs/view/logging-query-language
 */
export function matchesFilter(filter: string, entry: object): boolean {
  const tokens = filter.match(/"(?:[^"\\]|\\.)*"|[()]|>=|<=|!=|[=:<>]|[^\s()=:<>!"]+/g) ?? [];
  const reader = new FilterReader(tokens);
  const test = reader.disjunction();
  if (!reader.ended) throw new Error(`a filter that is not understood: ${filter}`);
  return test(entry);
}

type Test = (entry: object) => boolean;

/** From mild to grave; a severity that is none compares as DEFAULT. */
const SEVERITIES = ['DEFAULT', 'DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL'];

class FilterReader extends TokenReader {
  disjunction(): Test {
    const tests = [this.#conjunction()];
    while (this.takes('OR')) tests.push(this.#conjunction());
    return (entry) => tests.some((test) => test(entry));
  }

  #conjunction(): Test {
    const tests = [this.#term()];
    while (this.takes('AND')) tests.push(this.#term());
    return (entry) => tests.every((test) => test(entry));
  }

  #term(): Test {
    if (this.takes('NOT')) {
      const test = this.#term();
      return (entry) => !test(entry);
    }
    if (this.takes('(')) {
      const test = this.disjunction();
      this.expect(')');
      return test;
    }
    const path = this.next().split('.');
    const operator = this.next();
    if (this.takes('(')) {
      const values = [this.next()];
      while (this.takes('OR')) values.push(this.next());
      this.expect(')');
      return (entry) => values.some((value) => compare(fieldOf(entry, path), operator, value));
    }
    const value = this.next();
    return (entry) => compare(fieldOf(entry, path), operator, value);
  }
}

/** A field's value as it is compared: of an object nothing is. */
function textOf(field: unknown): string {
  const isScalar =
    typeof field === 'string' || typeof field === 'number' || typeof field === 'boolean';
  return isScalar ? String(field) : '';
}

/** The value at a path such as `jsonPayload.error.code`. */
export function fieldOf(entry: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, name) =>
      typeof value === 'object' && value !== null
        ? (value as Record<string, unknown>)[name]
        : undefined,
    entry,
  );
}

function compare(field: unknown, operator: string, written: string): boolean {
  const value = written.startsWith('"') ? (JSON.parse(written) as string) : written;
  // A field that is not there satisfies nothing, `!=` neither.
  if (field === undefined) return false;
  if (operator === ':')
    return value === '*' || textOf(field).toLowerCase().includes(value.toLowerCase());
  const left = rank(field);
  const right = rank(value);
  switch (operator) {
    case '=':
      return textOf(field) === value;
    case '!=':
      return textOf(field) !== value;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    default:
      throw new Error(`an operator that is not understood: ${operator}`);
  }
}

function rank(value: unknown): number {
  const severity = SEVERITIES.indexOf(textOf(value));
  return severity === -1 ? Number(value) : severity;
}
