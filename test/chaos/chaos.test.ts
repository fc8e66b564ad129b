import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BROKEN_ENGINES } from './broken-engines.ts';
import { BROKEN_PATHS } from './broken-paths.ts';
import { runCampaign } from './campaign.ts';
import { PATH_FAULT_NAMES } from './path-faults.ts';

// As many runs as are named end each of them; this is what a machine with no time to spare may take.
const TIMEOUT = { timeout: 900_000 };

describe('chaos', () => {
  it('finds nothing unpullable, nothing wrong and no waste in a short campaign', async () => {
    const { wrong, runs } = await runCampaign({ runs: 15, seed: 1 });
    assert.deepEqual(wrong, []);
    assert.equal(runs, 15);
  });

  for (const [name, broken] of Object.entries(BROKEN_ENGINES)) {
    it(`catches an engine that is broken: ${name}`, TIMEOUT, async () => {
      const { wrong } = await runCampaign({ ...broken, runs: 200, seed: 1, untilWrong: true });
      assert.equal(wrong.length, 1);
    });
  }

  it('reproduces a run by its seed', async () => {
    const one = await runCampaign({ runs: 1, seed: 16 });
    const two = await runCampaign({ runs: 1, seed: 16 });
    assert.equal(one.faults, two.faults);
    assert.deepEqual(one.wrong, two.wrong);
  });
});

describe('chaos of the whole path', () => {
  for (const fault of PATH_FAULT_NAMES) {
    it(`loses nothing: ${fault}`, TIMEOUT, async () => {
      const { wrong } = await runCampaign({ scene: 'path', fault, runs: 2, seed: 1 });
      assert.deepEqual(wrong, []);
    });

    it(`catches a broken path: ${fault}`, TIMEOUT, async () => {
      const broken = BROKEN_PATHS[fault];
      const { wrong } = await runCampaign({
        ...{ scene: 'path', fault, broken, limitMs: 8000 },
        ...{ runs: 40, seed: 1, untilWrong: true },
      });
      assert.equal(wrong.length, 1);
    });
  }
});
