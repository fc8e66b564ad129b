/** Signals that end a process: Cloud Run's, and a terminal's. */
const ENDING = ['SIGTERM', 'SIGINT'] as const;

/** Longest end at a defect, in milliseconds: the service's 9 s of a shut-down, and a second for the answers. */
const DEFECT_END_MS = 10_000;

/**
 * Ends the process in order at SIGTERM or SIGINT: `shutDown`, then exit 0.
 *
 * Functions-framework 5 registers handlers of its own once it listens, which cut every request
 * under way (`process.exit` within the signal). It has no option against that, so its handlers,
 * known by the function they call, are removed as they are added.
 */
export function takeOverSignals(target: NodeJS.Process, shutDown: () => Promise<void>): void {
  target.on('newListener', (event: string | symbol, listener: () => void) => {
    if (event !== 'SIGTERM' && event !== 'SIGINT') return;
    if (!String(listener).includes('sendCrashResponse')) return;
    setImmediate(() => target.removeListener(event, listener));
  });
  endOnSignals(target, shutDown);
}

/** Ends the process in order at SIGTERM or SIGINT: `shutDown`, then exit 0, or the code of a defect meanwhile. */
export function endOnSignals(target: NodeJS.Process, shutDown: () => Promise<void>): void {
  const end = (): void => {
    endAfter(target, shutDown);
  };
  for (const signal of ENDING) target.once(signal, end);
}

/**
 * Ends the process in order with exit code 1 at the first error that nothing caught: `tell`, then `shutDown`.
 * What is under way is finished or handed back, where it still can be. What throws again and again, or
 * in `tell` itself (its stream may be closed), neither hinders the end nor is told.
 * @param limitMs the end comes then at the latest. Default: 10 s
 */
export function endAtDefects(
  target: NodeJS.Process,
  tell: (error: unknown) => void,
  shutDown: () => Promise<void>,
  limitMs = DEFECT_END_MS,
): void {
  let ending = false;
  const end = (error: unknown): void => {
    if (ending) return;
    ending = true;
    // An end that is under way, or comes of itself, takes it from here.
    target.exitCode = 1;
    // By a timer's own call: errors without end leave no turn to promises.
    setTimeout(() => target.exit(1), limitMs);
    try {
      tell(error);
    } catch {
      target.stderr.write('the process ends at a defect that cannot be told\n');
    }
    endAfter(target, shutDown);
  };
  target.on('uncaughtException', end);
  target.on('unhandledRejection', end);
}

function endAfter(target: NodeJS.Process, shutDown: () => Promise<void>): void {
  shutDown().then(
    // With the exit code that is set, else 0.
    () => target.exit(),
    () => target.exit(1),
  );
}
