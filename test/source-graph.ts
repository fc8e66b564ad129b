import { readFileSync } from 'node:fs';
import { posix } from 'node:path';

import ts from 'typescript';

/** An import, or a re-export, of one source file. */
export interface Import {
  readonly specifier: string;
  /** Erased at run time: it binds the compiler, not the process. */
  readonly typeOnly: boolean;
}

/** A top-level declaration. */
interface Declaration {
  readonly exported: boolean;
  /** A function, or a class: what somebody can call. */
  readonly callable: boolean;
  /** Names that its text uses. */
  readonly uses: ReadonlySet<string>;
}

/** In the place of a name: all that the file has (`* as x`, `import('…')`). */
const EVERYTHING = '*';

/** In the place of a name: nothing but what the file runs when it is loaded. */
const LOADED = '';

/** A name of a file. */
interface Binding {
  readonly file: string;
  readonly name: string;
}

interface Source {
  readonly imports: readonly Import[];
  readonly declarations: ReadonlyMap<string, Declaration>;
  /** Local name → what it was imported from. */
  readonly bindings: ReadonlyMap<string, Binding>;
  /** Names that its statements use when it is loaded. */
  readonly runs: ReadonlySet<string>;
  /** Files that it loads with `import('…')`. */
  readonly dynamic: readonly string[];
  /** Its string literals. */
  readonly texts: ReadonlySet<string>;
}

/** The imports and the top-level declarations of the source files below a folder. */
export class SourceGraph {
  readonly #sources: ReadonlyMap<string, Source>;

  /** @param files paths from `root`, with `/` */
  constructor(root: string, files: readonly string[]) {
    this.#sources = new Map(
      files.map((file) => [file, readSource(file, readFileSync(posix.join(root, file), 'utf8'))]),
    );
  }

  /** Static, dynamic and re-exporting imports of a file. */
  importsOf(file: string): readonly Import[] {
    return this.#sources.get(file)?.imports ?? [];
  }

  /** String literals of a file. */
  textsOf(file: string): ReadonlySet<string> {
    return this.#sources.get(file)?.texts ?? new Set();
  }

  /** Names of the exported functions and classes of a file. */
  exportedCallables(file: string): readonly string[] {
    const declarations = this.#sources.get(file)?.declarations ?? new Map<string, Declaration>();
    return [...declarations].flatMap(([name, { exported, callable }]) =>
      exported && callable ? [name] : [],
    );
  }

  /**
   * Everything that is reached from the whole text of the files: `FILE NAME` for each top-level
   * declaration that is used by one that is reached, and by whatever a file runs when it is loaded.
   */
  reachedFrom(files: readonly string[]): ReadonlySet<string> {
    const reached = new Set<string>();
    const loaded = new Set<string>();
    const waiting: Binding[] = files.map((file) => ({ file, name: EVERYTHING }));
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
      const source = this.#sources.get(next.file);
      if (source === undefined) continue;
      const { file, name } = next;
      const take = (used: string): void => {
        waiting.push(source.bindings.get(used) ?? { file, name: used });
      };
      if (!loaded.has(file)) {
        loaded.add(file);
        source.runs.forEach(take);
        for (const { specifier, typeOnly } of source.imports) {
          const target = localTarget(file, specifier);
          if (target !== undefined && !typeOnly) waiting.push({ file: target, name: LOADED });
        }
        for (const target of source.dynamic) waiting.push({ file: target, name: EVERYTHING });
      }
      if (name === EVERYTHING) {
        for (const own of source.declarations.keys()) waiting.push({ file, name: own });
        for (const binding of source.bindings.values()) waiting.push(binding);
        continue;
      }
      const key = `${file} ${name}`;
      if (reached.has(key)) continue;
      const declaration = source.declarations.get(name);
      if (declaration === undefined) {
        // A name that the file only hands on.
        const binding = source.bindings.get(name);
        if (binding !== undefined) waiting.push(binding);
        continue;
      }
      reached.add(key);
      declaration.uses.forEach(take);
    }
    return reached;
  }
}

/** The file that a relative import names, from the same root as `file`; undefined: a package. */
export function localTarget(file: string, specifier: string): string | undefined {
  return specifier.startsWith('.') ? posix.join(posix.dirname(file), specifier) : undefined;
}

function readSource(file: string, text: string): Source {
  const parsed = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const source = {
    imports: [] as Import[],
    declarations: new Map<string, Declaration>(),
    bindings: new Map<string, Binding>(),
    runs: new Set<string>(),
    dynamic: [] as string[],
    texts: new Set<string>(),
  };
  for (const statement of parsed.statements) {
    if (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) {
      const { moduleSpecifier } = statement;
      if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) continue;
      const { text: specifier } = moduleSpecifier;
      const typeOnly = isTypeOnly(statement);
      source.imports.push({ specifier, typeOnly });
      const target = localTarget(file, specifier);
      if (target === undefined || typeOnly) continue;
      for (const [local, name] of boundNames(statement)) {
        source.bindings.set(local, { file: target, name });
      }
      continue;
    }
    const exported = isExported(statement);
    const uses = usedNames(statement);
    const declared = namesOf(statement);
    for (const { name, callable } of declared) {
      source.declarations.set(name, { exported, callable, uses });
    }
    if (declared.length === 0) for (const name of uses) source.runs.add(name);
  }
  const visit = (node: ts.Node): void => {
    if (ts.isStringLiteralLike(node)) source.texts.add(node.text);
    const specifier = dynamicImport(node);
    if (specifier !== undefined) {
      source.imports.push({ specifier, typeOnly: false });
      const target = localTarget(file, specifier);
      if (target !== undefined) source.dynamic.push(target);
    }
    ts.forEachChild(node, visit);
  };
  visit(parsed);
  return source;
}

function isTypeOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  return ts.isExportDeclaration(statement)
    ? statement.isTypeOnly
    : statement.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword;
}

/** Local name → name in the other file, without what is a type only. */
function boundNames(
  statement: ts.ImportDeclaration | ts.ExportDeclaration,
): readonly (readonly [string, string])[] {
  const clause = ts.isExportDeclaration(statement)
    ? statement.exportClause
    : statement.importClause?.namedBindings;
  if (clause === undefined) return [];
  if (ts.isNamespaceImport(clause)) return [[clause.name.text, EVERYTHING]];
  if (ts.isNamespaceExport(clause)) return [[clause.name.text, EVERYTHING]];
  return clause.elements.flatMap((element) =>
    element.isTypeOnly
      ? []
      : [[element.name.text, (element.propertyName ?? element.name).text] as const],
  );
}

function dynamicImport(node: ts.Node): string | undefined {
  if (!ts.isCallExpression(node) || node.expression.kind !== ts.SyntaxKind.ImportKeyword) return;
  const [specifier] = node.arguments;
  return specifier !== undefined && ts.isStringLiteralLike(specifier) ? specifier.text : undefined;
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false;
}

/** What a top-level statement declares; empty where it only runs. */
function namesOf(
  statement: ts.Statement,
): readonly { readonly name: string; readonly callable: boolean }[] {
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.flatMap(({ name, initializer }) =>
      ts.isIdentifier(name)
        ? [{ name: name.text, callable: initializer !== undefined && isFunction(initializer) }]
        : [],
    );
  }
  if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
    return statement.name === undefined ? [] : [{ name: statement.name.text, callable: true }];
  }
  return ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
    ? [{ name: statement.name.text, callable: false }]
    : [];
}

function isFunction(node: ts.Expression): boolean {
  return ts.isArrowFunction(node) || ts.isFunctionExpression(node);
}

/** Identifiers that a node uses: neither names of properties nor those of types. */
function usedNames(root: ts.Node): ReadonlySet<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isPropertyAccessExpression(node)) {
      visit(node.expression);
    } else if (ts.isPropertyAssignment(node)) {
      visit(node.initializer);
    } else if (ts.isIdentifier(node)) {
      names.add(node.text);
    } else {
      ts.forEachChild(node, visit);
    }
  };
  visit(root);
  return names;
}
