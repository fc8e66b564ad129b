import type { JobContext } from '../../../functions/job/one-event.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import type { Work } from '../../../functions/subscriber/execute-event.ts';
import { keptLines, SAMPLE_RULES } from '../subscriber/samples.ts';

/** What a job executes events with, over an engine that reports what the test says. */
export function jobContext(
  doWork: (work: Work) => MirrorReport,
): JobContext & { readonly lines: Record<string, unknown>[] } {
  const { logger, lines } = keptLines();
  return {
    lines,
    logger,
    engine: {
      rules: SAMPLE_RULES,
      doWork: async (work) => {
        await Promise.resolve();
        return doWork(work);
      },
      flush: async () => Promise.resolve(),
    },
    deadline: {
      ...NO_DEADLINE,
      signal: new AbortController().signal,
      endsAtMs: Number.POSITIVE_INFINITY,
      passed: () => false,
      release: () => undefined,
    },
    progress: {
      tag: () => undefined,
      bytes: () => undefined,
      line: () => undefined,
      end: () => undefined,
    },
  };
}
