import { Worker } from 'node:worker_threads';

import type { RunResult } from './run.ts';
import type { WorkerOrder } from './worker.ts';

/** How a campaign is led. */
export interface CampaignOptions {
  /** Seed of the first schedule; the others count on from it. */
  readonly seed: number;
  readonly count: number;
  /** Threads. Default 2: so many processors the slowest machine of the team has. */
  readonly workers?: number;
  /** Name of a broken engine. Default: the engine as it is. */
  readonly broken?: string;
  /** Ends at the first schedule that goes wrong. Default false. */
  readonly untilWrong?: boolean;
  readonly onResult?: (result: RunResult) => void;
}

/** What a campaign came to. */
export interface CampaignResult {
  readonly runs: number;
  readonly steps: number;
  readonly exchanges: number;
  /** In how many schedules each situation occurred. */
  readonly situations: ReadonlyMap<string, number>;
  /** Schedules that went wrong, by seed. */
  readonly wrong: readonly RunResult[];
}

/** Schedules that a thread is given at once. */
const SHARE = 10;

type Told = { readonly idle: true } | { readonly seed: number; readonly result: RunResult };

/** Runs schedules in threads. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const { seed, count, workers = 2, broken, untilWrong = false } = options;
  const situations = new Map<string, number>();
  const wrong: RunResult[] = [];
  let [next, runs, steps, exchanges] = [seed, 0, 0, 0];
  const order = (): WorkerOrder | undefined => {
    if (next >= seed + count || (untilWrong && wrong.length > 0)) return undefined;
    const share = Math.min(SHARE, seed + count - next);
    next += share;
    return { seed: next - share, count: share };
  };
  const take = (result: RunResult): void => {
    runs += 1;
    steps += result.steps;
    exchanges += result.exchanges;
    for (const situation of result.situations.keys()) {
      situations.set(situation, (situations.get(situation) ?? 0) + 1);
    }
    if (result.findings.length > 0) wrong.push(result);
    options.onResult?.(result);
  };
  await Promise.all(Array.from({ length: workers }, () => runWorker(broken, order, take)));
  wrong.sort((one, other) => one.seed - other.seed);
  return { runs, steps, exchanges, situations, wrong };
}

/** One thread, until there is nothing left to run. */
async function runWorker(
  broken: string | undefined,
  order: () => WorkerOrder | undefined,
  take: (result: RunResult) => void,
): Promise<void> {
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: { broken } });
  try {
    await new Promise<void>((resolve, reject) => {
      worker.on('error', reject);
      worker.on('exit', (code) => {
        reject(new Error(`a thread of the simulation ended by itself (${code})`));
      });
      worker.on('message', (told: Told) => {
        if ('result' in told) {
          take(told.result);
          return;
        }
        const next = order();
        if (next === undefined) resolve();
        else worker.postMessage(next);
      });
    });
  } finally {
    await worker.terminate();
  }
}
