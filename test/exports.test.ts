import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

import { localTarget } from './source-graph.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const files = globSync('{bridge,functions,infra,test}/**/*.ts', { cwd: root }).map((path) =>
  path.replaceAll('\\', '/'),
);

/** What only tests import, and why it is exported all the same. */
const EXCEPTED: Readonly<Record<string, string>> = {
  'bridge/metrics.ts BRIDGE_METRICS': 'the catalogue that dashboards and documents are held to',
  'functions/options/help.ts markdownTable': 'writes the option tables of the READMEs',
  'functions/subscriber/cloud-run-job.ts eventVariable':
    'the form of EVENT, which operators write too',
  'functions/concurrency.ts forwardClock': 'SYSTEM_TIMING, whose clocks no test can set',
  'functions/watchdog.ts Watchdog': 'the one of a process ends it',
  'functions/registry/address-guard.ts judgeAddress':
    'decides for three guards, each of which is switched off alone',
  'functions/registry/uploads.ts withDigest': 'takes any Location that a registry writes',
  'functions/registry/uploads.ts isApiAddress': 'judges any Location that a registry writes',
  'functions/telemetry/otlp.ts exportHeaders': 'what Google’s collector gets, which no test asks',
};

interface Module {
  /** Exported functions, classes and constants: types are gone at run time. */
  readonly values: readonly string[];
  /** `FILE NAME` of what it imports; `FILE *` for all that a file has. */
  readonly imported: readonly string[];
}

function readModule(file: string): Module {
  const text = readFileSync(posix.join(root, file), 'utf8');
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const values: string[] = [];
  const imported: string[] = [];
  const take = (specifier: ts.Expression | undefined, names: readonly string[]): void => {
    if (specifier === undefined || !ts.isStringLiteralLike(specifier)) return;
    const target = localTarget(file, specifier.text);
    if (target !== undefined) imported.push(...names.map((name) => `${target} ${name}`));
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      take(node.moduleSpecifier, boundNames(node.importClause?.namedBindings));
    } else if (ts.isExportDeclaration(node)) {
      take(node.moduleSpecifier, boundNames(node.exportClause));
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      take(node.arguments[0], ['*']);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  for (const statement of source.statements) values.push(...exportedValues(statement));
  return { values, imported };
}

function boundNames(
  clause: ts.NamedImportBindings | ts.NamedExportBindings | undefined,
): readonly string[] {
  if (clause === undefined || ts.isNamespaceImport(clause) || ts.isNamespaceExport(clause)) {
    return ['*'];
  }
  return clause.elements.map(({ name, propertyName }) => (propertyName ?? name).text);
}

function exportedValues(statement: ts.Statement): readonly string[] {
  const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
  if (modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) !== true) return [];
  if (ts.isVariableStatement(statement)) {
    return statement.declarationList.declarations.map(({ name }) => name.getText());
  }
  const isCallable = ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement);
  return isCallable && statement.name !== undefined ? [statement.name.text] : [];
}

describe('exports of the product', () => {
  const modules = new Map(files.map((file) => [file, readModule(file)]));
  const isTest = (file: string): boolean => file.startsWith('test/');
  const importedBy = (wanted: (file: string) => boolean): ReadonlySet<string> =>
    new Set([...modules].filter(([file]) => wanted(file)).flatMap(([, { imported }]) => imported));
  const byTests = importedBy(isTest);
  const byOthers = importedBy((file) => !isTest(file));
  const onlyTests = [...modules]
    .filter(([file]) => /^(bridge|functions)\//.test(file))
    .flatMap(([file, { values }]) => values.map((name) => [file, name] as const))
    .filter(([file, name]) => !byOthers.has(`${file} ${name}`) && !byOthers.has(`${file} *`))
    .map(([file, name]) => `${file} ${name}`)
    .filter((name) => byTests.has(name));

  it('are used by more than tests, but for those excepted by name', () => {
    assert.deepEqual(
      onlyTests.filter((name) => !(name in EXCEPTED)),
      [],
    );
  });

  it('are excepted only where that is needed', () => {
    assert.deepEqual(
      Object.keys(EXCEPTED).filter((name) => !onlyTests.includes(name)),
      [],
    );
  });

  it('are looked for where there are some', () => {
    assert.ok(byOthers.size > 500 && modules.size > 300);
  });
});
