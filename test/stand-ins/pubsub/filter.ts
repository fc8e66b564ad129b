import { Refusal, requireArgument } from './refusal.ts';

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

/** A parsed filter. */
type Expression =
  | { readonly kind: 'has'; readonly key: string }
  | { readonly kind: 'equals' | 'hasPrefix'; readonly key: string; readonly value: string }
  | { readonly kind: 'not'; readonly operand: Expression }
  | { readonly kind: 'and' | 'or'; readonly operands: readonly Expression[] };

/** Longest filter, in bytes (Pub/Sub, "Filter messages"). */
const MAX_FILTER_BYTES = 256;

type Token =
  | { readonly kind: 'word' | 'text'; readonly value: string }
  | { readonly kind: 'sign'; readonly value: '(' | ')' | ',' | '.' | ':' | '=' | '!=' | '-' };

/** Blanks, a quoted text, an operator, or a word; a word holds no dot, so that `attributes.key` is three tokens. */
const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(!=|[(),.:=-])|([A-Za-z0-9_][A-Za-z0-9_-]*))/y;

const ESCAPE = /\\(u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|[0-7]{3}|.)/g;
const ESCAPED: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/**
 * Parses `attributes:key`, `attributes.key = "value"`, `!=`, `hasPrefix(attributes.key, "start")`,
 * joined by `AND`, `OR`, `NOT` (or `-`) and parentheses; `AND` and `OR` mix only in parentheses.
 * @throws Refusal `INVALID_ARGUMENT`
 */
function parseFilter(text: string): Expression {
  requireArgument(
    Buffer.byteLength(text) <= MAX_FILTER_BYTES,
    `The filter is longer than ${MAX_FILTER_BYTES} bytes`,
  );
  const parser = new Parser(tokensOf(text), text);
  return parser.whole();
}

function tokensOf(text: string): readonly Token[] {
  const tokens: Token[] = [];
  const trimmed = text.trimEnd();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < trimmed.length) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(trimmed);
    if (match === null) throw malformed(text, `unexpected character at ${at}`);
    const [, quoted, sign, word] = match;
    if (quoted !== undefined) tokens.push({ kind: 'text', value: unquoted(quoted) });
    else if (sign !== undefined) tokens.push({ kind: 'sign', value: sign as '(' });
    else tokens.push({ kind: 'word', value: word ?? '' });
  }
  return tokens;
}

function unquoted(quoted: string): string {
  return quoted.slice(1, -1).replace(ESCAPE, (_whole, code: string) => {
    if (/^[ux][0-9A-Fa-f]/.test(code)) return String.fromCharCode(parseInt(code.slice(1), 16));
    if (/^[0-7]{3}$/.test(code)) return String.fromCharCode(parseInt(code, 8));
    return ESCAPED[code] ?? code;
  });
}

function malformed(text: string, reason: string): Refusal {
  return new Refusal('INVALID_ARGUMENT', `Invalid filter (${reason}): ${text}`);
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #text: string;
  #next = 0;

  constructor(tokens: readonly Token[], text: string) {
    this.#tokens = tokens;
    this.#text = text;
  }

  /** The expression that the whole text spells. */
  whole(): Expression {
    const expression = this.#joined();
    if (this.#next < this.#tokens.length) throw this.#unexpected();
    return expression;
  }

  #joined(): Expression {
    const operands = [this.#negated()];
    const joint = this.#peek();
    if (joint?.kind !== 'word' || (joint.value !== 'AND' && joint.value !== 'OR')) {
      return operands[0] ?? this.#negated();
    }
    while (this.#takes('word', joint.value)) operands.push(this.#negated());
    return { kind: joint.value === 'AND' ? 'and' : 'or', operands };
  }

  #negated(): Expression {
    if (this.#takes('word', 'NOT') || this.#takes('sign', '-')) {
      return { kind: 'not', operand: this.#negated() };
    }
    if (this.#takes('sign', '(')) {
      const inner = this.#joined();
      this.#expect('sign', ')');
      return inner;
    }
    return this.#comparison();
  }

  #comparison(): Expression {
    if (this.#takes('word', 'hasPrefix')) {
      this.#expect('sign', '(');
      const key = this.#attribute();
      this.#expect('sign', ',');
      const value = this.#literal();
      this.#expect('sign', ')');
      return { kind: 'hasPrefix', key, value };
    }
    this.#expect('word', 'attributes');
    if (this.#takes('sign', ':')) return { kind: 'has', key: this.#key() };
    this.#expect('sign', '.');
    const key = this.#key();
    if (this.#takes('sign', '=')) return { kind: 'equals', key, value: this.#literal() };
    this.#expect('sign', '!=');
    return { kind: 'not', operand: { kind: 'equals', key, value: this.#literal() } };
  }

  #attribute(): string {
    this.#expect('word', 'attributes');
    this.#expect('sign', '.');
    return this.#key();
  }

  /** A key is quoted where it holds more than letters, digits, `-` and `_`. */
  #key(): string {
    const token = this.#tokens[this.#next];
    if (token === undefined || token.kind === 'sign') throw this.#unexpected();
    this.#next += 1;
    return token.value;
  }

  #literal(): string {
    const token = this.#tokens[this.#next];
    if (token?.kind !== 'text') throw this.#unexpected();
    this.#next += 1;
    return token.value;
  }

  #peek(): Token | undefined {
    return this.#tokens[this.#next];
  }

  #takes(kind: Token['kind'], value: string): boolean {
    const token = this.#tokens[this.#next];
    if (token?.kind !== kind || token.value !== value) return false;
    this.#next += 1;
    return true;
  }

  #expect(kind: Token['kind'], value: string): void {
    if (!this.#takes(kind, value)) throw this.#unexpected();
  }

  #unexpected(): Refusal {
    const token = this.#tokens[this.#next];
    return malformed(this.#text, token === undefined ? 'it ends early' : `at '${token.value}'`);
  }
}
