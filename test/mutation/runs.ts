import { globSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** A part of a file, and how often it ran. */
interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** What ran of each file, by its path from the project's folder: the ranges of each process. */
export type Runs = ReadonlyMap<string, readonly (readonly Range[])[]>;

/** Reads what V8 wrote of the processes of one run (NODE_V8_COVERAGE), of a copy's product alone. */
export function runsIn(folder: string, copy: string): Runs {
  const runs = new Map<string, (readonly Range[])[]>();
  for (const name of globSync('*.json', { cwd: folder })) {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8')) as {
      result: readonly { url: string; functions: readonly { ranges: readonly Range[] }[] }[];
    };
    for (const { url, functions } of result) {
      if (!url.startsWith('file://')) continue;
      const file = relative(copy, fileURLToPath(url));
      if (!/^(bridge|functions)\//.test(file)) continue;
      runs.set(file, [...(runs.get(file) ?? []), functions.flatMap(({ ranges }) => ranges)]);
    }
  }
  return runs;
}

/** Whether the character of a file ran in one of the processes: what counts is the smallest range. */
export function doesRun(runs: Runs, file: string, offset: number): boolean {
  return (runs.get(file) ?? []).some((ranges) => {
    const around = ranges.filter((one) => one.startOffset <= offset && offset < one.endOffset);
    const size = (one: Range): number => one.endOffset - one.startOffset;
    const [smallest] = around.sort((one, other) => size(one) - size(other));
    return smallest !== undefined && smallest.count > 0;
  });
}
