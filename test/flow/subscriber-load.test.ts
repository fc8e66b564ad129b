import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { deployed } from './subscriber-rig.ts';

describe('load', () => {
  deployed(
    'takes 500 events on 4 slots while the platform refuses, and none is dead-lettered',
    { maxInstances: 2, concurrency: 2, backoffFactor: 0.005 },
    async ({ registries, publish, event, settled, requireMirrored, events, deadLetters }) => {
      const repositories = Array.from({ length: 50 }, (_, n) => `org/app-${n}`);
      for (const repository of repositories) await registries.push(repository, '1.0', 'shared');
      const uids = Array.from({ length: 10 }, (_, n) => `uid-${n}`);
      await Promise.all(
        repositories.flatMap((repository) =>
          uids.map(async (uid) =>
            publish(event(repository, { imageRepository: { namespace: 'n', name: 'x', uid } })),
          ),
        ),
      );
      await settled();
      assert.ok((events.answers.get(429) ?? 0) > 0, 'the platform never refused');
      assert.equal(events.answers.get(204), 500);
      assert.deepEqual(deadLetters(), []);
      for (const repository of repositories) await requireMirrored(repository);
      // Two instances may copy a tag at the same time; more than that is work done twice.
      const { counter } = registries.destination;
      assert.ok(counter.count({ method: 'PUT', kind: 'manifest' }) <= 2 * 50);
    },
    180_000,
  );
});
