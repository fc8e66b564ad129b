import assert from 'node:assert/strict';
import { describe } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { tagsOf } from '../functions/registries.ts';
import { until } from '../until.ts';
import { runEntry, startEntry, type Ended } from './entry.ts';
import {
  deployed,
  jobEnvOf,
  left,
  PROJECT,
  type Deployment,
  type DeploymentOptions,
} from './subscriber-rig.ts';

/** A drain waits for 70 s for what another may hold. */
const TIMEOUT_MS = 300_000;
const BACKLOG = 'backlog';

/** A test with a pull subscription of a topic of its own, and the variables of a job. */
function withBacklog(
  name: string,
  options: DeploymentOptions,
  work: (deployment: Deployment, env: Readonly<Record<string, string>>) => Promise<void>,
): void {
  const prepared = async (deployment: Deployment): Promise<void> => {
    await deployment.admin.createTopic(BACKLOG);
    await deployment.admin.createSubscription(BACKLOG, BACKLOG);
    await work(deployment, jobEnvOf(deployment));
  };
  deployed(name, options, prepared, TIMEOUT_MS);
}

function summaryOf({ stdout }: Ended): Record<string, unknown> | undefined {
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .find(({ entry }) => entry === 'drain' || entry === 'republish');
}

describe('drain', () => {
  withBacklog(
    'executes duplicated and reordered events, and what stops it is not lost',
    { duplicateShare: 0.2 },
    async (deployment, env) => {
      const { registries, publish, event, requireMirrored, deadLetters } = deployment;
      const repositories = Array.from({ length: 8 }, (_, n) => `org/app-${n}`);
      for (const repository of repositories) {
        for (const tag of ['1.0', '1.1']) await registries.push(repository, tag);
        for (const minute of [2, 3, 1]) {
          const time = new Date(Date.UTC(2026, 7, 1, 0, minute));
          await publish(event(repository, { revision: String(minute) }, time), BACKLOG);
        }
        await publish(event(repository, { tags: ['1.1'] }), BACKLOG);
      }
      const { attributes } = encodeEvent(event('org/app-0'));
      await publish({ attributes, data: Buffer.from('{') }, BACKLOG);

      registries.source.set({ rttMs: 150 });
      const args = ['--drain', BACKLOG, '--drain-idle', '4s', '--workers', '2'];
      const first = startEntry('functions/job.ts', args, env);
      await until(() =>
        repositories.some(
          (repository) => Object.keys(tagsOf(registries.destination, `m/${repository}`)).length > 0,
        ),
      );
      first.child.kill('SIGTERM');
      const stopped = await first.ended;
      assert.equal(stopped.code, 1, stopped.stdout);
      assert.ok(Number(summaryOf(stopped)?.['handedBack']) > 0);
      assert.ok(Number(left(deployment, BACKLOG)) > 0);

      registries.source.set({ rttMs: 0 });
      const second = await runEntry('functions/job.ts', args, env);
      assert.equal(summaryOf(second)?.['handedBack'], 0, second.stdout);
      assert.equal(left(deployment, BACKLOG), 0);
      for (const repository of repositories) await requireMirrored(repository);
      const codes = new Set(deadLetters().map((letter) => letter.attributes['error-code']));
      assert.deepEqual([...codes], ['EVENT_UNDECODABLE']);
    },
  );

  withBacklog('keeps what fails, and leaves it to the next', {}, async (deployment, env) => {
    const { registries, publish, event, requireMirrored } = deployment;
    for (const repository of ['org/good', 'org/bad']) {
      await registries.push(repository, '1.0');
      await publish(event(repository), BACKLOG);
    }
    const outage = registries.source.faults.add({
      path: /org\/bad\/tags/,
      times: Number.POSITIVE_INFINITY,
      effect: { kind: 'answer', status: 503 },
    });
    const args = ['--drain', BACKLOG, '--drain-idle', '4s'];
    const first = await runEntry('functions/job.ts', args, env);
    const { received, executed, handedBack } = summaryOf(first) ?? {};
    // Kept, it neither came again nor held the drain's end up.
    assert.deepEqual([first.code, received, executed, handedBack], [1, 2, 1, 1]);
    await requireMirrored('org/good');
    assert.equal(left(deployment, BACKLOG), 1);

    outage.remove();
    const second = await runEntry('functions/job.ts', args, env);
    assert.deepEqual([second.code, summaryOf(second)?.['executed']], [0, 1]);
    await requireMirrored('org/bad');
    assert.equal(left(deployment, BACKLOG), 0);
  });
});

describe('replay of dead letters', () => {
  withBacklog(
    'mirrors what a mended configuration allows, attributes kept',
    { env: { ALLOWED_SOURCES: '127.0.0.1:1/*' } },
    async (deployment, env) => {
      const { registries, publish, event, settled, deadLetters, requireMirrored } = deployment;
      await registries.push('org/app', '1.0');
      const message = encodeEvent(event('org/app'));
      const attributes = { ...message.attributes, 'ce-partitionkey': 'p' };
      await publish({ attributes, data: message.data }, TOPICS.bulk);
      await publish({ attributes: {}, data: Buffer.from('{') });
      await settled();
      const codes = deadLetters().map((letter) => letter.attributes['error-code']);
      assert.deepEqual(codes.sort(), ['EVENT_INVALID', 'SOURCE_FORBIDDEN']);

      const args = ['--drain', TOPICS.deadLetter, '--drain-idle', '4s'];
      const republish = ['--republish', BACKLOG, '--filter', 'code=SOURCE_FORBIDDEN'];
      const ended = await runEntry('functions/job.ts', [...args, ...republish], env);
      assert.equal(ended.code, 0, ended.stdout);
      const { received, republished, handedBack } = summaryOf(ended) ?? {};
      assert.deepEqual([received, republished, handedBack], [2, 1, 1]);
      assert.equal(left(deployment, TOPICS.deadLetter), 1);
      const again = deployment.pubsub.view.messages(`projects/${PROJECT}/topics/${BACKLOG}`);
      assert.deepEqual(
        again.map((one) => [{ ...one.attributes }, Buffer.from(one.data)]),
        [[attributes, message.data]],
      );

      const drained = await runEntry(
        'functions/job.ts',
        ['--drain', BACKLOG, '--drain-idle', '4s'],
        env,
      );
      assert.equal(drained.code, 0, drained.stdout);
      await requireMirrored('org/app');
    },
  );
});
