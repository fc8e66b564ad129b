import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';

import type { JobTemplate, Task } from '../../stand-ins/cloud-run/execution.ts';
import { RunApiRefusal } from '../../stand-ins/cloud-run/refusal.ts';
import { startRunApi, type LocalRunApi } from '../../stand-ins/cloud-run/api.ts';

const JOB = 'projects/acme/locations/europe-west1/jobs/mirror';

interface Started {
  readonly env: Readonly<Record<string, string>>;
  readonly args: readonly string[] | undefined;
  readonly exit: (code: number) => void;
  stopped: boolean;
}

interface Rig {
  readonly api: LocalRunApi;
  readonly tasks: Started[];
  readonly call: (
    method: string,
    path: string,
    body?: unknown,
    token?: string,
  ) => Promise<{ status: number; body: Record<string, unknown> }>;
}

const open: LocalRunApi[] = [];
after(async () => {
  await Promise.all(open.map(async (api) => api.close()));
});

async function rig(template: Partial<JobTemplate> = {}): Promise<Rig> {
  const tasks: Started[] = [];
  const start: JobTemplate['start'] = (env, args): Task => {
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const task: Started = { env, args, exit: resolve, stopped: false };
    tasks.push(task);
    return {
      ended,
      stop: () => {
        task.stopped = true;
        resolve(143);
      },
    };
  };
  const api = await startRunApi({
    jobs: [{ name: JOB, taskTimeoutMs: 60_000, maxRetries: 1, concurrency: 1, start, ...template }],
    isToken: (token) => token === 'good',
  });
  open.push(api);
  const call: Rig['call'] = async (method, path, body, token = 'good') => {
    const response = await fetch(`${api.url}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };
  return { api, tasks, call };
}

const override = (env: readonly unknown[]): unknown => ({
  overrides: { containerOverrides: [{ env }] },
});

describe('local Run API', () => {
  it('runs a job with overridden variables and shows its execution', async () => {
    const { api, tasks, call } = await rig();
    const run = await call('POST', `/v2/${JOB}:run`, override([{ name: 'EVENT', value: '{}' }]));
    assert.equal(run.status, 200);
    assert.equal(tasks[0]?.env['EVENT'], '{}');
    assert.equal(tasks[0].env['CLOUD_RUN_TASK_ATTEMPT'], '0');
    const [execution] = (await call('GET', `/v2/${JOB}/executions`)).body['executions'] as Record<
      string,
      unknown
    >[];
    assert.equal(execution?.['runningCount'], 1);
    assert.equal(execution['completionTime'], undefined);
    assert.deepEqual((execution['template'] as { containers: unknown[] }).containers, [
      { image: 'imagerepo-mirror', env: [{ name: 'EVENT', value: '{}' }] },
    ]);
    tasks[0].exit(0);
    await api.idle();
    assert.equal(api.executions[0]?.succeeded, true);
    const one = await call('GET', `/v2/${String(execution['name'])}`);
    assert.equal(typeof one.body['completionTime'], 'string');
  });

  it('tries a failed task again, as often as the job says', async () => {
    const { api, tasks, call } = await rig();
    await call('POST', `/v2/${JOB}:run`, {});
    tasks[0]?.exit(1);
    await new Promise(setImmediate);
    assert.equal(tasks[1]?.env['CLOUD_RUN_TASK_ATTEMPT'], '1');
    tasks[1].exit(1);
    await api.idle();
    assert.equal(tasks.length, 2);
    assert.equal(api.executions[0]?.succeeded, false);
    assert.equal(api.executions[0].ended, true);
  });

  it('stops a task at its timeout', async () => {
    const { api, tasks, call } = await rig({ taskTimeoutMs: 10, maxRetries: 0 });
    await call('POST', `/v2/${JOB}:run`, {});
    await api.idle();
    assert.equal(tasks[0]?.stopped, true);
  });

  it('lets executions over its concurrency wait, and lists the newest first by pages', async () => {
    const { api, tasks, call } = await rig();
    await call('POST', `/v2/${JOB}:run`, override([{ name: 'N', value: '1' }]));
    await call('POST', `/v2/${JOB}:run`, override([{ name: 'N', value: '2' }]));
    assert.equal(tasks.length, 1);
    const first = await call('GET', `/v2/${JOB}/executions?pageSize=1`);
    const second = await call(
      'GET',
      `/v2/${JOB}/executions?pageSize=1&pageToken=${String(first.body['nextPageToken'])}`,
    );
    const name = (page: typeof first): unknown =>
      (page.body['executions'] as { name: string }[])[0]?.name;
    assert.deepEqual(
      [name(first), name(second)],
      [`${JOB}/executions/mirror-00001`, `${JOB}/executions/mirror-00000`],
    );
    assert.equal(second.body['nextPageToken'], undefined);
    tasks[0]?.exit(0);
    await new Promise(setImmediate);
    tasks[1]?.exit(0);
    await api.idle();
    assert.equal(tasks.length, 2);
  });

  const refused: readonly [name: string, path: string, body: unknown, status: number][] = [
    ['an unknown job', '/v2/projects/acme/locations/x/jobs/other:run', {}, 404],
    ['an unknown field', `/v2/${JOB}:run`, { overides: {} }, 400],
    ['a reserved variable', `/v2/${JOB}:run`, override([{ name: 'PORT', value: '1' }]), 400],
    ['a variable without name', `/v2/${JOB}:run`, override([{ value: '1' }]), 400],
    [
      'a variable over 32 KiB',
      `/v2/${JOB}:run`,
      override([{ name: 'EVENT', value: 'x'.repeat(32 * 1024 + 1) }]),
      400,
    ],
    ['a malformed timeout', `/v2/${JOB}:run`, { overrides: { timeout: 5 } }, 400],
  ];
  for (const [name, path, body, status] of refused) {
    it(`refuses ${name} with ${status}`, async () => {
      const { call, tasks } = await rig();
      assert.equal((await call('POST', path, body)).status, status);
      assert.equal(tasks.length, 0);
    });
  }

  it('refuses a token that is not one of its own, and none', async () => {
    const { api, call } = await rig();
    assert.equal((await call('POST', `/v2/${JOB}:run`, {}, 'bad')).status, 401);
    assert.equal((await fetch(`${api.url}/v2/${JOB}/executions`)).status, 401);
  });

  it('fails when told to, so often', async () => {
    const { api, call } = await rig();
    api.fail(new RunApiRefusal('UNAVAILABLE', 'later'), 1);
    assert.equal((await call('GET', `/v2/${JOB}/executions`)).status, 503);
    assert.equal((await call('GET', `/v2/${JOB}/executions`)).status, 200);
    assert.equal(api.requests.length, 2);
  });
});
