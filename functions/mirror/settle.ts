import pMap from 'p-map';

import { toFault, type Fault } from '../fault.ts';

/**
 * Does all tasks, never leaving one behind, and then throws the gravest of their faults: a
 * permanent one before a transient one, and that before a mere interruption.
 * @param onFault told each fault as it comes, for instance to stop the others
 * @throws Fault
 */
export async function settle<T>(
  subjects: readonly T[],
  task: (subject: T) => Promise<void>,
  options: {
    readonly concurrency: number;
    readonly operation: string;
    readonly onFault?: (fault: Fault) => void;
  },
): Promise<void> {
  const faults: Fault[] = [];
  await pMap(
    subjects,
    async (subject) => {
      try {
        await task(subject);
      } catch (error) {
        const fault = toFault(error, options.operation);
        faults.push(fault);
        options.onFault?.(fault);
      }
    },
    { concurrency: options.concurrency },
  );
  throwGravest(faults);
}

/** Waits for all, however they end, and then throws the gravest fault. @throws Fault */
export async function settleAll(
  promises: readonly Promise<void>[],
  operation: string,
): Promise<void> {
  const endings = await Promise.allSettled(promises);
  throwGravest(
    endings.flatMap((ending) =>
      ending.status === 'rejected' ? [toFault(ending.reason, operation)] : [],
    ),
  );
}

function throwGravest(faults: readonly Fault[]): void {
  const [gravest] = [...faults].sort((a, b) => gravity(b) - gravity(a));
  if (gravest !== undefined) throw gravest;
}

function gravity(fault: Fault): number {
  if (fault.code === 'ABORTED' || fault.code === 'DEADLINE_EXCEEDED') return 0;
  return fault.disposition === 'permanent' ? 2 : 1;
}
