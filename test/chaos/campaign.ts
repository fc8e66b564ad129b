import { runPath, type PathOptions } from './path.ts';
import { runSeed, type RunOptions, type RunResult } from './run.ts';

/** What a campaign came to. */
export interface CampaignResult {
  readonly runs: number;
  readonly deliveries: number;
  readonly faults: number;
  /** Runs that went wrong. */
  readonly wrong: readonly RunResult[];
}

/** What runs. `copy`: the engine between two registries; `path`: from the cluster to the destination. */
export const SCENES = ['copy', 'path'] as const;

/** How a campaign is led. */
export interface CampaignOptions extends RunOptions, PathOptions {
  readonly runs: number;
  /** Seed of the first run; the others count on from it. */
  readonly seed: number;
  /** Default `copy`. */
  readonly scene?: (typeof SCENES)[number];
  /** Ends at the first run that goes wrong. Default false. */
  readonly untilWrong?: boolean;
  readonly onRun?: (result: RunResult) => void;
}

/** Runs one seed after the other. */
export async function runCampaign(options: CampaignOptions): Promise<CampaignResult> {
  const wrong: RunResult[] = [];
  const run = options.scene === 'path' ? runPath : runSeed;
  let [runs, deliveries, faults] = [0, 0, 0];
  while (runs < options.runs) {
    const result = await run(options.seed + runs, options);
    runs += 1;
    deliveries += result.deliveries;
    faults += result.faults.length;
    options.onRun?.(result);
    if (result.findings.length > 0) wrong.push(result);
    if (wrong.length > 0 && options.untilWrong === true) break;
  }
  return { runs, deliveries, faults, wrong };
}
