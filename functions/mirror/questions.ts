import { setImmediate } from 'node:timers/promises';

import pMap from 'p-map';

import { abortError } from '../concurrency.ts';
import { toMirrorError, type MirrorError } from '../errors.ts';

/** Questions of one event at once: half of what a registry's limiter lets start at most. */
export const QUESTION_CONCURRENCY = 16;

/** Subjects that are told one fault before the event loop has a turn. */
const TOLD_AT_ONCE = 1000;

/**
 * Asks about each subject, many at once; a question that fails fails its subject only. From the signal
 * on nothing is asked, nor once a host wants no request for longer than the work has: all that is left
 * shares one fault, since it may be hundreds of thousands.
 * @param onFault told what failed a subject
 */
export async function askEach<T>(
  subjects: readonly T[],
  signal: AbortSignal,
  operation: string,
  ask: (subject: T) => Promise<void>,
  onFault: (subject: T, fault: MirrorError) => void,
  concurrency = QUESTION_CONCURRENCY,
): Promise<void> {
  let interruption: MirrorError | undefined;
  let told = 0;
  await pMap(
    subjects,
    async (subject) => {
      if (signal.aborted) interruption ??= abortError(signal);
      if (interruption === undefined) {
        try {
          await ask(subject);
          return;
        } catch (error) {
          const fault = toMirrorError(error, operation);
          const isUnasked = fault.code === 'RATE_LIMITED' && fault.status === undefined;
          if (signal.aborted) interruption ??= abortError(signal);
          else if (isUnasked) interruption ??= fault;
          else {
            onFault(subject, fault);
            return;
          }
        }
      }
      onFault(subject, interruption);
      // Others' work has its turn in between.
      told += 1;
      if (told % TOLD_AT_ONCE === 0) await setImmediate();
    },
    { concurrency },
  );
}
