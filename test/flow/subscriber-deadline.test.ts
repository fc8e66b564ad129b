import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { deployed, PROJECT } from './subscriber-rig.ts';

describe('deadline', () => {
  deployed(
    'publishes a continuation where the work moved on, and all arrives',
    { env: { DEADLINE_SECONDS: '2', TAG_WORKERS: '1' } },
    async ({ registries, eventLines, deadLetters, mirror }) => {
      for (let n = 0; n < 12; n++) await registries.push('org/app', `1.0.${n}`);
      registries.source.set({ rttMs: 150 });
      await mirror('org/app');
      const continued = eventLines({ decision: 'continue' });
      assert.ok(continued.length > 0);
      assert.deepEqual(
        continued.map(({ continuation = 0 }) => continuation),
        continued.map((_line, index) => index),
      );
      assert.equal(eventLines({ decision: 'acknowledge' }).length, 1);
      assert.deepEqual(deadLetters(), []);
      // What one delivery copied, the next does not copy again.
      assert.equal(registries.destination.counter.count({ method: 'PUT', kind: 'manifest' }), 12);
    },
  );

  deployed(
    'asks for redelivery where nothing moved',
    { env: { DEADLINE_SECONDS: '5' } },
    async ({ registries, eventLines, mirror }) => {
      await registries.push('org/app', '1.0');
      registries.source.faults.add({
        kind: 'manifest',
        times: 1,
        effect: { kind: 'stall', at: 'head' },
      });
      await mirror('org/app');
      assert.equal(eventLines({ decisionReason: 'NoProgress' }).length, 1);
      assert.equal(eventLines({ decision: 'continue' }).length, 0);
    },
  );

  deployed(
    'answers in its own time, not in that of the platform',
    { env: { DEADLINE_SECONDS: '5' }, timeoutMs: 60_000 },
    async ({ registries, events, mirror }) => {
      await registries.push('org/app', '1.0');
      registries.source.faults.add({
        kind: 'tags',
        times: 2,
        effect: { kind: 'stall', at: 'head' },
      });
      await mirror('org/app');
      assert.equal(events.answers.get(504), undefined);
      assert.equal(events.answers.get(500), 2);
    },
  );
});

describe('fan-out', () => {
  deployed(
    'copies the first batch and publishes the others, and nothing is copied twice',
    { env: { BATCH_TAGS: '5' } },
    async ({ registries, eventLines, pubsub, mirror }) => {
      for (let n = 0; n < 23; n++) await registries.push('org/app', `1.0.${n}`);
      await mirror('org/app');
      assert.equal(eventLines({ decisionReason: 'FannedOut' }).length, 1);
      const batches = pubsub.view.messages(`projects/${PROJECT}/topics/${TOPICS.bulk}`);
      assert.equal(batches.length, 4);
      assert.equal(eventLines({ decisionReason: 'Finished' }).length, 4);
      assert.equal(registries.destination.counter.count({ method: 'PUT', kind: 'manifest' }), 23);
    },
  );

  deployed(
    'publishes what of the first batch failed, and a batch never fans out',
    { env: { BATCH_TAGS: '4', TAG_WORKERS: '1' } },
    async ({ registries, eventLines, mirror }) => {
      for (let n = 0; n < 8; n++) await registries.push('org/app', `1.0.${n}`);
      // The newest is in the first batch.
      registries.source.faults.add({
        path: /manifests\/1\.0\.7/,
        times: 4,
        effect: { kind: 'answer', status: 500 },
      });
      await mirror('org/app');
      const [first] = eventLines({ decisionReason: 'BatchUnfinished' });
      assert.equal(first?.['unfinishedTags'], 1);
      assert.equal(eventLines({ ending: 'fanned-out' }).length, 1);
    },
  );

  deployed(
    'is not done where the batches could not be published',
    { env: { BATCH_TAGS: '2' } },
    async ({ registries, publish, event, settled, requireMirrored, eventLines, pubsub }) => {
      for (let n = 0; n < 5; n++) await registries.push('org/app', `1.0.${n}`);
      await publish(event('org/app'));
      pubsub.faults.add({
        kind: 'refused',
        status: 'PERMISSION_DENIED',
        method: 'Publish',
        resource: `projects/${PROJECT}/topics/${TOPICS.bulk}`,
        times: 1,
      });
      await settled();
      await requireMirrored('org/app');
      assert.equal(eventLines({ code: 'PUBLISH_FAILED', decision: 'retry' }).length, 1);
    },
  );
});

describe('brake', () => {
  deployed(
    'holds a flood, tells the ways on, and is lifted by a request',
    { env: { MAX_MISSING_TAGS: '3' } },
    async ({ registries, publish, event, settled, requireMirrored, eventLines }) => {
      for (let n = 0; n < 6; n++) await registries.push('org/app', `1.0.${n}`);
      await publish(event('org/app'));
      await settled();
      assert.deepEqual(registries.destination.store.tags('m/org/app'), ['1.0.3', '1.0.4', '1.0.5']);
      const [line] = eventLines();
      assert.equal(line?.['severity'], 'WARNING');
      assert.equal(line['held'], 3);
      assert.match(String(line['message']), /MAX_MISSING_TAGS/);
      await publish(event('org/app', { reason: 'requested' }));
      await settled();
      await requireMirrored('org/app');
    },
  );
});
