import { startChild, type LogLine } from '../child.ts';
import type { StartTask } from './execution.ts';

/** Runs the job's entry as a process of its own, as the product runs its container. */
export function taskProcess(options: {
  /** Path from the project's root: `functions/job.ts`. */
  readonly entry: string;
  /** Variables of the deployed job; those of an execution win. */
  readonly env: Readonly<Record<string, string>>;
  readonly onLine: (line: LogLine, raw: string) => void;
}): StartTask {
  return (env, args) => {
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const child = startChild({
      name: 'job',
      entry: options.entry,
      args: args ?? [],
      env: { ...options.env, ...env },
      onLine: options.onLine,
      onDeath: (_child, code) => {
        resolve(code);
      },
    });
    return {
      ended,
      stop: () => {
        child.stop().then(
          () => {
            resolve(child.exitCode ?? 1);
          },
          () => {
            resolve(1);
          },
        );
      },
    };
  };
}
