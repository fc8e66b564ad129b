import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { verifyRepository } from '../stand-ins/verifier/verifier.ts';
import { tagsOf } from '../functions/registries.ts';
import { until } from '../until.ts';
import { deployed, FROM_SOURCE, PROJECT, type DeploymentOptions } from './subscriber-rig.ts';

const REPOSITORIES = ['org/a', 'org/b'];

const entries: readonly [name: string, options: DeploymentOptions][] = [
  ["the image's entry", {}],
  ["the framework's own command line", FROM_SOURCE],
];

for (const [name, options] of entries) {
  describe(`end of an instance under ${name}`, () => {
    deployed(
      'answers both requests under way at SIGTERM, exits 0 in time, and nothing is lost',
      { ...options, env: { TAG_WORKERS: '1' } },
      async (deployment) => {
        const { registries, publish, event, settled, requireMirrored, events } = deployment;
        for (const repository of REPOSITORIES) {
          for (let n = 0; n < 8; n++) await registries.push(repository, `1.0.${n}`);
        }
        registries.source.set({ rttMs: 200 });
        for (const repository of REPOSITORIES) await publish(event(repository));
        await until(
          () =>
            events.inFlight === 2 &&
            REPOSITORIES.every(
              (repository) =>
                Object.keys(tagsOf(registries.destination, `m/${repository}`)).length > 0,
            ),
        );
        const [instance] = events.instances;
        await events.stop(instance!);
        // 137 where it had to be killed, 10 s after it was told.
        assert.equal(await instance!.gone, 0);
        assert.equal(events.answers.get(503), undefined, 'a connection was dropped');
        // Both had moved on, so both are continued; neither is redelivered.
        assert.deepEqual(Object.fromEntries(events.answers), { 204: 2 });
        registries.source.set({ rttMs: 0 });
        await settled();
        for (const repository of REPOSITORIES) await requireMirrored(repository);
        assert.deepEqual(deployment.deadLetters(), []);
      },
    );

    deployed('hands back in time what hangs at SIGTERM', options, async (deployment) => {
      const { registries, publish, event, settled, requireMirrored, events } = deployment;
      for (const repository of REPOSITORIES) await registries.push(repository, '1.0');
      const hanging = registries.source.faults.add({
        kind: 'manifest',
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'stall', at: 'head' },
      });
      for (const repository of REPOSITORIES) await publish(event(repository));
      await until(() => hanging.struck >= 2);
      const [instance] = events.instances;
      const stopped = events.stop(instance!);
      hanging.remove();
      await stopped;
      assert.equal(await instance!.gone, 0);
      await settled();
      for (const repository of REPOSITORIES) await requireMirrored(repository);
      // Neither had moved on: both answers ask for redelivery, and none is a dropped connection.
      assert.deepEqual(Object.fromEntries(events.answers), { 500: 2, 204: 2 });
      assert.deepEqual(deployment.deadLetters(), []);
    });

    deployed(
      'loses nothing when it is killed, and shows no tag that cannot be pulled',
      { ...options, env: { TAG_WORKERS: '2' } },
      async (deployment) => {
        const { registries, publish, event, settled, requireMirrored, events } = deployment;
        for (const repository of REPOSITORIES) {
          for (let n = 0; n < 6; n++)
            await registries.push(repository, `1.0.${n}`, undefined, 200_000);
        }
        registries.source.set({ rttMs: 100 });
        for (const repository of REPOSITORIES) await publish(event(repository));
        await until(() => registries.destination.counter.uploadedBytes > 200_000);
        await events.kill(events.instances[0]!);
        for (const repository of REPOSITORIES) {
          const { problems } = await verifyRepository({
            url: registries.destination.url,
            repository: `m/${repository}`,
          });
          assert.deepEqual(problems, []);
        }
        registries.source.set({ rttMs: 0 });
        await settled();
        for (const repository of REPOSITORIES) await requireMirrored(repository);
        assert.equal(events.answers.get(503), 2);
        assert.deepEqual(deployment.deadLetters(), []);
      },
    );

    deployed(
      'takes a GET, an empty body and a body that is none without harm',
      options,
      async (deployment) => {
        const { registries, events, mirror } = deployment;
        await registries.push('org/a', '1.0');
        const json = { 'content-type': 'application/json' };
        await fetch(events.url);
        await fetch(events.url, { method: 'POST' });
        await fetch(events.url, { method: 'POST', headers: json, body: '{' });
        await fetch(events.url, {
          method: 'POST',
          headers: { 'content-type': 'text/plain' },
          body: 'x',
        });
        await mirror('org/a');
        assert.equal(events.instances.length, 1);
      },
    );
  });
}

describe('end of an instance whose topic does not answer', () => {
  deployed(
    'comes in time, and the messages come again',
    { env: { TAG_WORKERS: '1' } },
    async (deployment) => {
      const { registries, publish, event, settled, requireMirrored, events, pubsub } = deployment;
      for (let n = 0; n < 8; n++) await registries.push('org/a', `1.0.${n}`);
      pubsub.faults.add({
        kind: 'slow',
        method: 'Publish',
        resource: `projects/${PROJECT}/topics/${TOPICS.bulk}`,
        delayMs: 60_000,
      });
      registries.source.set({ rttMs: 200 });
      await publish(event('org/a'));
      await until(() => Object.keys(tagsOf(registries.destination, 'm/org/a')).length > 0);
      const [instance] = events.instances;
      await events.stop(instance!);
      assert.equal(await instance!.gone, 0);
      registries.source.set({ rttMs: 0 });
      await settled();
      await requireMirrored('org/a');
      assert.deepEqual(Object.fromEntries(events.answers), { 503: 1, 204: 1 });
      assert.deepEqual(deployment.deadLetters(), []);
    },
  );
});
