import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { LogLine } from '../../infra/local/child.ts';
import { startMetadata } from '../../infra/local/metadata/metadata.ts';
import { RunApiRefusal } from '../../infra/local/run-api/refusal.ts';
import { startRunApi, type LocalRunApi } from '../../infra/local/run-api/server.ts';
import { taskProcess } from '../../infra/local/run-api/task-process.ts';
import { TOPICS } from '../../infra/local/pubsub/topology.ts';
import { deploy, PROJECT, type Deployment } from './subscriber-rig.ts';

const TIMEOUT = { timeout: 90_000 };
const JOB = `projects/${PROJECT}/locations/europe-west1/jobs/mirror`;

interface WithJob extends Deployment {
  readonly api: LocalRunApi;
  readonly jobLines: readonly LogLine[];
}

/** A deployment whose job is a real process, started through the Run API. */
async function withJob(
  env: Readonly<Record<string, string>>,
  work: (deployment: WithJob) => Promise<void>,
  job: { readonly maxRetries?: number } = {},
): Promise<void> {
  const metadata = await startMetadata();
  const jobLines: LogLine[] = [];
  const jobEnv: Record<string, string> = {};
  const api = await startRunApi({
    isToken: (token) => metadata.issuer.verify(token) !== undefined,
    jobs: [
      {
        name: JOB,
        taskTimeoutMs: 60_000,
        maxRetries: job.maxRetries ?? 0,
        concurrency: 2,
        start: (variables, args) =>
          taskProcess({
            entry: 'functions/job.ts',
            env: jobEnv,
            onLine: (line) => {
              jobLines.push(line);
            },
          })(variables, args),
      },
    ],
  });
  const deployment = await deploy({
    env: {
      JOB,
      RUN_API_ENDPOINT: api.url,
      GCE_METADATA_HOST: metadata.host,
      METADATA_SERVER_DETECTION: 'assume-present',
      ...env,
    },
  });
  const { registries, pubsub } = deployment;
  Object.assign(jobEnv, {
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    GOOGLE_CLOUD_PROJECT: PROJECT,
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    TASK_MAX_RETRIES: String(job.maxRetries ?? 0),
    PUBSUB_EMULATOR_HOST: pubsub.host,
    METADATA_SERVER_DETECTION: 'none',
  });
  try {
    await work({ ...deployment, api, jobLines });
  } finally {
    await api.close();
    await deployment.close();
    await metadata.close();
  }
}

describe('hand-off to the job', () => {
  it('gives what exceeds the threshold to the job, which copies it', TIMEOUT, async () => {
    await withJob({ JOB_THRESHOLD_BYTES: '100000' }, async (deployment) => {
      const { registries, publish, event, settled, api, requireMirrored, eventLines } = deployment;
      for (const tag of ['1.0', '1.1']) await registries.push('org/big', tag, undefined, 300_000);
      await registries.push('org/small', '1.0');
      await publish(event('org/big'));
      await publish(event('org/small'));
      await settled();
      await api.idle();
      await requireMirrored('org/big');
      await requireMirrored('org/small');
      assert.equal(api.executions.length, 1);
      assert.equal(api.executions[0]?.succeeded, true);
      assert.equal(
        eventLines({ decisionReason: 'HandedOff', handOffReason: 'TooManyBytes' }).length,
        1,
      );
      assert.equal(eventLines({ decisionReason: 'Finished' }).length, 1);
    });
  });

  it(
    'lets the job do every copy where the threshold is 0, and nothing that needs none',
    TIMEOUT,
    async () => {
      await withJob({ JOB_THRESHOLD_BYTES: '0' }, async (deployment) => {
        const { registries, publish, event, settled, api, requireMirrored, jobLines } = deployment;
        await registries.push('org/app', '1.0');
        await publish(event('org/app'));
        await settled();
        await api.idle();
        await requireMirrored('org/app');
        await publish(event('org/app'));
        await settled();
        await api.idle();
        assert.equal(api.executions.length, 1);
        assert.equal(jobLines.filter(({ outcome }) => outcome === 'copied').length, 1);
        assert.equal(deployment.lines.filter(({ outcome }) => outcome === 'copied').length, 0);
      });
    },
  );

  it('starts no second execution where one that runs covers the event', TIMEOUT, async () => {
    await withJob({ JOB_THRESHOLD_BYTES: '0' }, async (deployment) => {
      const { registries, publish, event, settled, api, requireMirrored, lines } = deployment;
      for (let n = 0; n < 4; n++) await registries.push('org/app', `1.0.${n}`);
      registries.source.set({ rttMs: 300 });
      const one = event('org/app');
      await publish(one);
      await settled();
      await publish(one);
      await settled();
      await api.idle();
      await requireMirrored('org/app');
      assert.equal(api.executions.length, 1);
      assert.ok(lines.some(({ handOff }) => handOff === 'covered'));
    });
  });

  it('is asked for again where the API fails', TIMEOUT, async () => {
    await withJob({ JOB_THRESHOLD_BYTES: '0' }, async (deployment) => {
      const { registries, publish, event, settled, api, requireMirrored, eventLines } = deployment;
      await registries.push('org/app', '1.0');
      api.fail(new RunApiRefusal('UNAVAILABLE', 'later'), 2);
      await publish(event('org/app'));
      await settled();
      await api.idle();
      await requireMirrored('org/app');
      assert.equal(eventLines({ code: 'HAND_OFF_FAILED', decision: 'retry' }).length, 2);
      assert.equal(api.executions.length, 1);
    });
  });

  it('puts aside what remains after the last attempt of the task', TIMEOUT, async () => {
    await withJob(
      { JOB_THRESHOLD_BYTES: '0' },
      async (deployment) => {
        const { registries, publish, event, settled, api, deadLetters } = deployment;
        await registries.push('org/app', '1.0');
        await registries.push('org/app', '1.1');
        registries.source.faults.add({
          path: /manifests\/1\.1/,
          times: Number.POSITIVE_INFINITY,
          effect: { kind: 'answer', status: 500 },
        });
        await publish(event('org/app'));
        await settled();
        await api.idle();
        assert.deepEqual(registries.destination.store.tags('m/org/app'), ['1.0']);
        assert.equal(api.executions[0]?.succeeded, false);
        const letters = deadLetters();
        assert.equal(letters.length, 1);
        assert.equal(letters[0]?.attributes['error-code'], 'SERVER_ERROR');
      },
      { maxRetries: 1 },
    );
  });
});
