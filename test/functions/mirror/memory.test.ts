import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { imageWith } from './images.ts';
import { Rig } from './rig.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const TAGS = 10_000;

describe('memory', () => {
  for (const map of ['complete', 'none'] as const) {
    it(`grows by at most 1 KiB a tag for 10,000 unchanged tags (map: ${map})`, async () => {
      const rig = new Rig();
      rig.destination.map = map;
      const image = imageWith('image', 1);
      rig.source.add(image);
      rig.destination.add(image);
      for (let tag = 0; tag < TAGS; tag += 1) {
        rig.source.tags.set(`v1.0.${tag}`, image.manifest);
        rig.destination.tags.set(`v1.0.${tag}`, image.manifest);
      }
      // What is allocated once is not the tags'.
      await rig.mirror({ tags: ['v1.0.0'] });
      collectGarbage();
      const before = process.memoryUsage().heapUsed;
      let most = 0;
      const report = await rig.mirror(
        {},
        {
          observer: {
            onPhase: () => {
              collectGarbage();
              most = Math.max(most, process.memoryUsage().heapUsed - before);
            },
          },
        },
      );
      assert.equal(report.counts.skipped, TAGS);
      assert.ok(most > 0 && most <= TAGS * 1024, `${Math.round(most / TAGS)} bytes a tag`);
    });
  }
});
