// A reporter of node's test runner: says at the end how many tests were skipped, by the reason. A
// suite that is skipped does not run, so its tests are counted as they are written.
import { readFileSync } from 'node:fs';

import ts from 'typescript';

/** What the runner tells of a test or suite that has ended; the rest of its events is passed over. */
export interface RunnerEvent {
  readonly type: string;
  readonly data: {
    readonly skip?: string | boolean | undefined;
    readonly file?: string | undefined;
    readonly line?: number | undefined;
    readonly details?: { readonly type?: string | undefined };
  };
}

/** The reporter. */
export async function* skippedTests(events: AsyncIterable<RunnerEvent>): AsyncGenerator<string> {
  const counts = new Map<string, number>();
  for await (const { type, data } of events) {
    const { skip, file, line, details } = data;
    if (type !== 'test:pass' || typeof skip !== 'string') continue;
    const isSuite = details?.type === 'suite' && file !== undefined;
    const count = isSuite ? testsOf(readFileSync(file, 'utf8'), line ?? 0) : 1;
    counts.set(skip, (counts.get(skip) ?? 0) + count);
  }
  for (const [reason, count] of counts) yield `skipped ${count} tests: ${reason}\n`;
}

// What the runner loads.
export { skippedTests as default };

/** How many tests stand in the suite that begins on this line (1-based); those of a loop count once. */
function testsOf(text: string, line: number): number {
  const source = ts.createSourceFile('suite.ts', text, ts.ScriptTarget.Latest, true);
  let count = 0;
  const visit = (node: ts.Node, isWithin: boolean): void => {
    const isHere =
      isWithin ||
      (ts.isCallExpression(node) &&
        source.getLineAndCharacterOfPosition(node.getStart()).line === line - 1);
    if (isHere && ts.isCallExpression(node) && node.expression.getText() === 'it') count += 1;
    ts.forEachChild(node, (child) => {
      visit(child, isHere);
    });
  };
  visit(source, false);
  return count;
}
