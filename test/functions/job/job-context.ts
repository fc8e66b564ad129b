import type { JobContext } from '../../../functions/job/one-event.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import type { Work } from '../../../functions/subscriber/execute-event.ts';
import { keptLines, SAMPLE_RULES } from '../subscriber/samples.ts';

/** What a job executes events with, over an engine that reports what the test says. */
export function jobContext(doWork: (work: Work) => MirrorReport): JobContext & {
  readonly lines: Record<string, unknown>[];
  /** What the progress was told, and the flush of figures. */
  readonly told: readonly string[];
} {
  const { logger, lines } = keptLines();
  const told: string[] = [];
  return {
    lines,
    told,
    logger,
    engine: {
      rules: SAMPLE_RULES,
      doWork: async (work) => {
        await Promise.resolve();
        return doWork(work);
      },
      flush: async () => Promise.resolve(void told.push('flush')),
    },
    deadline: {
      ...NO_DEADLINE,
      signal: new AbortController().signal,
      endsAtMs: Number.POSITIVE_INFINITY,
      passed: () => false,
      release: () => undefined,
    },
    progress: {
      tag: () => told.push('tag'),
      bytes: (count) => told.push(`${count} bytes`),
      line: () => undefined,
      end: () => undefined,
    },
  };
}
