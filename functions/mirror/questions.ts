import pMap from 'p-map';

import { abortFault } from '../concurrency.ts';
import { toFault, type Fault } from '../fault.ts';

/** Questions of one event at once: half of what a registry's limiter lets start at most. */
export const QUESTION_CONCURRENCY = 16;

/**
 * Asks about each subject, many at once; a question that fails fails its subject only. From the signal
 * on nothing is asked, and all that is left shares one fault: it may be hundreds of thousands.
 * @param onFault told what failed a subject
 */
export async function askEach<T>(
  subjects: readonly T[],
  signal: AbortSignal,
  operation: string,
  ask: (subject: T) => Promise<void>,
  onFault: (subject: T, fault: Fault) => void,
): Promise<void> {
  const isOver = (): boolean => signal.aborted;
  let interruption: Fault | undefined;
  await pMap(
    subjects,
    async (subject) => {
      if (!isOver()) {
        try {
          await ask(subject);
          return;
        } catch (error) {
          if (!isOver()) {
            onFault(subject, toFault(error, operation));
            return;
          }
        }
      }
      interruption ??= abortFault(signal);
      onFault(subject, interruption);
    },
    { concurrency: QUESTION_CONCURRENCY },
  );
}
