import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeEvent, receivedEvent } from '../../functions/contract/codec.ts';
import { eventVariable } from '../../functions/subscriber/cloud-run-job.ts';
import type { LogLine } from '../stand-ins/child.ts';
import { startMetadata } from '../stand-ins/metadata/metadata.ts';
import { startRunApi, type LocalRunApi } from '../stand-ins/cloud-run/api.ts';
import { Refusal } from '../stand-ins/google-apis/refusal.ts';
import { taskProcess } from '../stand-ins/cloud-run/execution.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { until } from '../until.ts';
import { runEntry, startEntry } from './entry.ts';
import { deploy, jobEnvOf, left, PROJECT, type Deployment } from './subscriber-rig.ts';

const JOB = `projects/${PROJECT}/locations/europe-west1/jobs/mirror`;

interface WithJob extends Deployment {
  readonly api: LocalRunApi;
  readonly jobLines: readonly LogLine[];
  readonly jobEnv: Readonly<Record<string, string>>;
  /** Publishes events, and waits until neither the service nor the job has anything to do. */
  readonly deliver: (...repositories: readonly string[]) => Promise<void>;
  /** Runs the job's entry by hand, as an operator does; it must exit 0. */
  readonly runJob: (...args: readonly string[]) => Promise<void>;
}

/** A test on a deployment whose job is a real process, started through the Run API. */
function withJob(
  name: string,
  env: Readonly<Record<string, string>>,
  work: (deployment: WithJob) => Promise<void>,
  { maxRetries = 0, taskTimeoutSeconds = 60 } = {},
): void {
  // A drain waits for 70 s for what another may hold.
  it(name, { timeout: 300_000 }, async () => {
    const metadata = await startMetadata();
    const jobLines: LogLine[] = [];
    const jobEnv: Record<string, string> = {};
    const onLine = (line: LogLine): void => {
      jobLines.push(line);
    };
    const api = await startRunApi({
      isToken: (token) => metadata.issuer.verify(token) !== undefined,
      jobs: [
        {
          name: JOB,
          taskTimeoutMs: 60_000,
          maxRetries,
          concurrency: 2,
          start: taskProcess({ entry: 'functions/job.ts', env: jobEnv, onLine }),
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
    Object.assign(jobEnv, jobEnvOf(deployment), {
      TASK_MAX_RETRIES: String(maxRetries),
      TASK_TIMEOUT_SECONDS: String(taskTimeoutSeconds),
    });
    try {
      await work({
        ...deployment,
        api,
        jobLines,
        jobEnv,
        deliver: async (...repositories) => {
          for (const repository of repositories) {
            await deployment.publish(deployment.event(repository));
          }
          await deployment.settled();
          await api.idle();
        },
        runJob: async (...args) => {
          // An operator's own run has no task's timeout.
          const own = { ...jobEnv, TASK_TIMEOUT_SECONDS: '0' };
          const { code, stdout } = await runEntry('functions/job.ts', args, own);
          assert.equal(code, 0, stdout);
        },
      });
    } finally {
      await api.close();
      await deployment.close();
      await metadata.close();
    }
  });
}

describe('hand-off to the job', () => {
  withJob(
    'gives what exceeds the threshold to the job, which copies it',
    { JOB_THRESHOLD_BYTES: '100000' },
    async (deployment) => {
      const { registries, deliver, api, requireMirrored, eventLines } = deployment;
      for (const tag of ['1.0', '1.1']) await registries.push('org/big', tag, undefined, 300_000);
      await registries.push('org/small', '1.0');
      await deliver('org/big', 'org/small');
      await requireMirrored('org/big');
      await requireMirrored('org/small');
      assert.equal(api.executions.length, 1);
      assert.equal(api.executions[0]?.succeeded, true);
      assert.equal(
        eventLines({ decisionReason: 'HandedOff', handOffReason: 'TooManyBytes' }).length,
        1,
      );
      assert.equal(eventLines({ decisionReason: 'Finished' }).length, 1);
    },
  );

  withJob(
    'lets the job do every copy where the threshold is 0, and nothing that needs none',
    { JOB_THRESHOLD_BYTES: '0' },
    async (deployment) => {
      const { registries, deliver, api, requireMirrored, jobLines } = deployment;
      await registries.push('org/app', '1.0');
      await deliver('org/app');
      await requireMirrored('org/app');
      await deliver('org/app');
      assert.equal(api.executions.length, 1);
      assert.equal(jobLines.filter(({ outcome }) => outcome === 'copied').length, 1);
      assert.equal(deployment.lines.filter(({ outcome }) => outcome === 'copied').length, 0);
    },
  );

  withJob(
    'starts no second execution where one that runs covers the event',
    { JOB_THRESHOLD_BYTES: '0' },
    async (deployment) => {
      const { registries, publish, event, settled, deliver, api, requireMirrored } = deployment;
      for (let n = 0; n < 4; n++) await registries.push('org/app', `1.0.${n}`);
      registries.source.set({ rttMs: 300 });
      const one = event('org/app');
      await publish(one);
      await settled();
      await publish(one);
      await deliver();
      await requireMirrored('org/app');
      assert.equal(api.executions.length, 1);
      assert.ok(deployment.lines.some(({ handOff }) => handOff === 'covered'));
    },
  );

  withJob(
    'is asked for again where the API fails',
    { JOB_THRESHOLD_BYTES: '0' },
    async (deployment) => {
      const { registries, deliver, api, requireMirrored, eventLines } = deployment;
      await registries.push('org/app', '1.0');
      api.fail(new Refusal('UNAVAILABLE', 'later'), 2);
      await deliver('org/app');
      await requireMirrored('org/app');
      assert.equal(eventLines({ code: 'HAND_OFF_FAILED', decision: 'retry' }).length, 2);
      assert.equal(api.executions.length, 1);
    },
  );

  withJob(
    'puts aside what remains after the last attempt, and a republish ends the work',
    { JOB_THRESHOLD_BYTES: '0' },
    async (deployment) => {
      const { registries, deliver, api, requireMirrored } = deployment;
      await registries.push('org/app', '1.0');
      await registries.push('org/app', '1.1');
      const outage = registries.source.faults.add({
        path: /manifests\/1\.1/,
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'answer', status: 500 },
      });
      await deliver('org/app');
      assert.deepEqual(registries.destination.store.tags('m/org/app'), ['1.0']);
      assert.equal(api.executions[0]?.succeeded, false);
      assert.equal(deployment.jobLines.filter(({ entry }) => entry === 'event').length, 2);
      assert.deepEqual(lettersOf(deployment), [['SERVER_ERROR', ['1.1']]]);

      outage.remove();
      await deployment.runJob(
        ...['--drain', TOPICS.deadLetter, '--drain-idle', '4s'],
        ...['--republish', TOPICS.events, '--filter', 'code=SERVER_ERROR'],
      );
      await deliver();
      await requireMirrored('org/app');
      assert.equal(api.executions.length, 2);
      assert.equal(left(deployment, TOPICS.deadLetter), 0);
      assert.deepEqual(lettersOf(deployment).length, 1);
    },
    { maxRetries: 1 },
  );

  withJob(
    'puts aside what remains when its task nears its timeout, and a drain ends the work',
    { JOB_THRESHOLD_BYTES: '0' },
    async (deployment) => {
      const { registries, deliver, api, requireMirrored } = deployment;
      for (const tag of ['1.0', '1.1']) await registries.push('org/app', tag);
      const outage = registries.source.faults.add({
        path: /manifests\/1\.1/,
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'stall', at: 'head' },
      });
      await deliver('org/app');
      assert.equal(api.executions[0]?.succeeded, false);
      assert.deepEqual(lettersOf(deployment), [['DEADLINE_EXCEEDED', ['1.1']]]);

      outage.remove();
      await deployment.runJob('--drain', TOPICS.deadLetter, '--drain-idle', '4s');
      await requireMirrored('org/app');
      assert.equal(left(deployment, TOPICS.deadLetter), 0);
    },
    { taskTimeoutSeconds: 15 },
  );

  withJob(
    'puts aside what remains when its last attempt is told to end',
    {},
    async (deployment) => {
      const { registries, event, requireMirrored } = deployment;
      for (const tag of ['1.0', '1.1']) await registries.push('org/app', tag);
      const hanging = registries.source.faults.add({
        path: /manifests\/1\.1/,
        times: Number.POSITIVE_INFINITY,
        effect: { kind: 'stall', at: 'head' },
      });
      const { child, ended } = startEntry('functions/job.ts', [], {
        ...deployment.jobEnv,
        EVENT: eventVariable(event('org/app')),
        CLOUD_RUN_TASK_ATTEMPT: '0',
      });
      await until(
        () => hanging.struck > 0 && registries.destination.store.tags('m/org/app').includes('1.0'),
      );
      child.kill('SIGTERM');
      assert.equal((await ended).code, 1);
      assert.deepEqual(lettersOf(deployment), [['DEADLINE_EXCEEDED', ['1.1']]]);

      hanging.remove();
      await deployment.runJob('--drain', TOPICS.deadLetter, '--drain-idle', '4s');
      await requireMirrored('org/app');
    },
  );
});

/** Code and tags of every dead letter. */
function lettersOf({ deadLetters }: Deployment): readonly (readonly [unknown, unknown])[] {
  return deadLetters().map(({ attributes, data }) => [
    attributes['error-code'],
    decodeEvent(receivedEvent({ attributes, data: Buffer.from(data) })).data.tags,
  ]);
}
