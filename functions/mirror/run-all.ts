import pMap from 'p-map';

import { toMirrorError, type MirrorError } from '../errors.ts';

/**
 * Does all tasks, never leaving one behind, and then throws the worst of their faults: a
 * permanent one before a transient one, and that before a mere interruption.
 * @param onFault told each fault as it comes, for instance to stop the others
 * @throws MirrorError
 */
export async function runAll<T>(
  subjects: readonly T[],
  task: (subject: T) => Promise<void>,
  options: {
    readonly concurrency: number;
    readonly operation: string;
    readonly onFault?: (fault: MirrorError) => void;
  },
): Promise<void> {
  const faults: MirrorError[] = [];
  await pMap(
    subjects,
    async (subject) => {
      try {
        await task(subject);
      } catch (error) {
        const fault = toMirrorError(error, options.operation);
        faults.push(fault);
        options.onFault?.(fault);
      }
    },
    { concurrency: options.concurrency },
  );
  throwWorst(faults);
}

/** Waits for all, however they end, and then throws the worst fault. @throws MirrorError */
export async function runAllStarted(
  promises: readonly Promise<void>[],
  operation: string,
): Promise<void> {
  const endings = await Promise.allSettled(promises);
  throwWorst(
    endings.flatMap((ending) =>
      ending.status === 'rejected' ? [toMirrorError(ending.reason, operation)] : [],
    ),
  );
}

function throwWorst(faults: readonly MirrorError[]): void {
  const [worst] = [...faults].sort((a, b) => severity(b) - severity(a));
  if (worst !== undefined) throw worst;
}

function severity(fault: MirrorError): number {
  if (fault.code === 'ABORTED' || fault.code === 'DEADLINE_EXCEEDED') return 0;
  return fault.disposition === 'permanent' ? 2 : 1;
}
