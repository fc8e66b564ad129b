import { parentPort, workerData } from 'node:worker_threads';

import { breakEngine } from './broken-engines.ts';

// Runs schedules for a campaign in a thread with an engine of its own, broken where that is asked for.

/** What a worker is begun with. */
export interface WorkerBegin {
  /** Name of one of the broken engines. */
  readonly broken: string | undefined;
}

/** Seeds to run, one after the other. */
export interface WorkerOrder {
  readonly seed: number;
  readonly count: number;
}

// Faults are made by the thousand, and nobody reads where.
Error.stackTraceLimit = 0;

const { broken } = workerData as WorkerBegin;
const port = parentPort;
if (port === null) throw new Error('this is no worker thread');
const wasBroken = broken === undefined ? () => true : breakEngine(broken);
// Only now, so that the engine is loaded broken.
const { runSeed } = await import('./run.ts');
if (!wasBroken())
  throw new Error(`nothing of the engine is as '${broken ?? ''}' wants to break it`);

port.on('message', (order: WorkerOrder) => {
  void (async () => {
    for (let seed = order.seed; seed < order.seed + order.count; seed += 1) {
      port.postMessage({ seed, result: await runSeed(seed) });
    }
    port.postMessage({ idle: true });
  })();
});
port.postMessage({ idle: true });
