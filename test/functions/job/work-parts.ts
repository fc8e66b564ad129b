import type { Engine } from '../../../functions/compose.ts';
import type { EventWorkParts } from '../../../functions/job/event-work.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import type { Work } from '../../../functions/subscriber/work.ts';
import { keptLines } from '../subscriber/samples.ts';

/** Parts of event work over an engine that reports what the test says. */
export function workParts(
  doWork: (work: Work) => MirrorReport,
): EventWorkParts & { readonly lines: Record<string, unknown>[]; readonly engine: Engine } {
  const { logger, lines } = keptLines();
  return {
    lines,
    logger,
    engine: {
      rules: {
        destinationRegistry: 'r.example/m',
        destinationLayout: 'host-path',
        allowedSources: [],
        allowedDestinations: [],
        insecureSources: [],
      },
      doWork: async (work) => {
        await Promise.resolve();
        return doWork(work);
      },
      logger,
      flush: async () => Promise.resolve(),
      openWork: () => [],
      googleApi: { call: async () => Promise.reject(new Error('not here')) },
      close: async () => Promise.resolve(),
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
