import ts from 'typescript';

/** One small change of one file. */
export interface Mutant {
  readonly file: string;
  /** What kind of change it is, such as `boundary`. */
  readonly kind: MutantKind;
  /** 1-based. */
  readonly line: number;
  /** Characters from the beginning of the file; `end` is the first that stays. */
  readonly start: number;
  readonly end: number;
  readonly replacement: string;
}

/** The kinds of change that are made. */
export const MUTANT_KINDS = [
  /** `<` for `<=`, `>` for `>=` and the other way round. */
  'boundary',
  /** `===` for `!==`, and an order turned round. */
  'comparison',
  /** `&&` for `||`, and the other way round. */
  'logic',
  /** `+` for `-`, `*` for `/`, and the other way round. */
  'arithmetic',
  /** A number that is one more. */
  'number',
  /** `true` for `false`. */
  'boolean',
  /** A condition that never holds. */
  'never',
  /** An `if` that always holds. */
  'always',
  /** An `if` that returns or throws early, gone. */
  'early-return',
  /** A statement that only calls something, gone. */
  'call',
  /** The left side of `??` alone, where there is one. */
  'default',
] as const;

/** See {@link MUTANT_KINDS}. */
export type MutantKind = (typeof MUTANT_KINDS)[number];

type Change = Pick<Mutant, 'kind' | 'replacement'> & { readonly node: ts.Node };

const BOUNDARIES: Readonly<Record<string, string>> = { '<': '<=', '<=': '<', '>': '>=', '>=': '>' };
const COMPARISONS: Readonly<Record<string, string>> = {
  '===': '!==',
  '!==': '===',
  '<': '>',
  '>': '<',
};
const LOGIC: Readonly<Record<string, string>> = { '&&': '||', '||': '&&' };
const ARITHMETIC: Readonly<Record<string, string>> = { '+': '-', '-': '+', '*': '/', '/': '*' };

/** All mutants of a source text, in the order of their places. */
export function mutantsOf(file: string, text: string): readonly Mutant[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const mutants: Mutant[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) || ts.isInterfaceDeclaration(node) || ts.isImportDeclaration(node))
      return;
    for (const { kind, replacement, node: changed } of changesAt(node)) {
      const start = changed.getStart(source);
      const line = source.getLineAndCharacterOfPosition(start).line + 1;
      mutants.push({ file, kind, line, start, end: changed.getEnd(), replacement });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return mutants;
}

/** The text of a file with a mutant in it. */
export function mutated(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}

function changesAt(node: ts.Node): readonly Change[] {
  if (ts.isBinaryExpression(node)) return changesOfBinary(node);
  if (ts.isNumericLiteral(node)) {
    return [{ kind: 'number', node, replacement: `(${node.text} + 1)` }];
  }
  if (node.kind === ts.SyntaxKind.TrueKeyword && !ts.isLiteralTypeNode(node.parent)) {
    return [{ kind: 'boolean', node, replacement: 'false' }];
  }
  if (node.kind === ts.SyntaxKind.FalseKeyword && !ts.isLiteralTypeNode(node.parent)) {
    return [{ kind: 'boolean', node, replacement: 'true' }];
  }
  if (ts.isIfStatement(node)) return changesOfIf(node);
  if (ts.isConditionalExpression(node)) {
    const { condition } = node;
    return [{ kind: 'never', node: condition, replacement: `(false && (${condition.getText()}))` }];
  }
  if (ts.isExpressionStatement(node)) {
    const { expression } = node;
    const called = ts.isAwaitExpression(expression) ? expression.expression : expression;
    // What a constructor owes its base class is no choice.
    const isSuper =
      ts.isCallExpression(called) && called.expression.kind === ts.SyntaxKind.SuperKeyword;
    return ts.isCallExpression(called) && !isSuper
      ? [{ kind: 'call', node, replacement: ';' }]
      : [];
  }
  return [];
}

function changesOfBinary(node: ts.BinaryExpression): readonly Change[] {
  const { operatorToken } = node;
  const operator = operatorToken.getText();
  const swaps = [
    ['boundary', BOUNDARIES],
    ['comparison', COMPARISONS],
    ['logic', LOGIC],
    ['arithmetic', isOfText(node) ? {} : ARITHMETIC],
  ] as const;
  const changes: Change[] = swaps.flatMap(([kind, table]) => {
    const replacement = table[operator];
    return replacement === undefined ? [] : [{ kind, node: operatorToken, replacement }];
  });
  if (operator === '??') {
    changes.push({ kind: 'default', node, replacement: `(${node.left.getText()})!` });
  }
  return changes;
}

/** `+` joins texts as well. */
function isOfText({ left, right }: ts.BinaryExpression): boolean {
  return [left, right].some(
    (side) => ts.isStringLiteralLike(side) || ts.isTemplateExpression(side),
  );
}

function changesOfIf(node: ts.IfStatement): readonly Change[] {
  const { expression } = node;
  const text = expression.getText();
  const never = { node: expression, replacement: `false && (${text})` };
  const always: Change = { kind: 'always', node: expression, replacement: `true || (${text})` };
  return [{ kind: endsEarly(node.thenStatement) ? 'early-return' : 'never', ...never }, always];
}

function endsEarly(statement: ts.Statement): boolean {
  const last = ts.isBlock(statement) ? statement.statements.at(-1) : statement;
  return (
    last !== undefined &&
    (ts.isReturnStatement(last) ||
      ts.isThrowStatement(last) ||
      ts.isContinueStatement(last) ||
      ts.isBreakStatement(last))
  );
}
