import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';

import { startRunApi, type LocalRunApi } from '../stand-ins/cloud-run/api.ts';
import { Refusal } from '../stand-ins/google-apis/refusal.ts';
import { taskProcess, type JobTemplate } from '../stand-ins/cloud-run/execution.ts';
import { startRunFront, type RunFront } from '../stand-ins/cloud-run/front.ts';
import { startInstanceProcess, type Instance } from '../stand-ins/cloud-run/instance.ts';
import { until } from '../until.ts';

interface Container {
  /** Answers the oldest request. */
  readonly respond: (status?: number) => void;
  readonly waiting: ServerResponse[];
}

const fronts: RunFront[] = [];
after(async () => {
  await Promise.all(fronts.map(async (front) => front.close()));
});

async function rig(
  options: Partial<Parameters<typeof startRunFront>[0]> = {},
): Promise<{ front: RunFront; containers: Container[] }> {
  const containers: Container[] = [];
  const start = async (): Promise<Instance> => {
    const waiting: ServerResponse[] = [];
    const server = createServer((request, response) => {
      request.resume();
      waiting.push(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { promise: gone, resolve: end } = Promise.withResolvers<number>();
    containers.push({
      waiting,
      respond: (status = 204) => {
        waiting.shift()?.writeHead(status).end();
      },
    });
    const close = (code: number): void => {
      server.closeAllConnections();
      server.close();
      end(code);
    };
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      gone,
      kill: () => {
        close(137);
      },
      stop: async () => {
        for (const response of waiting.splice(0)) response.writeHead(500).end();
        close(0);
        await gone;
      },
    };
  };
  const front = await startRunFront({ start, ...options });
  fronts.push(front);
  return { front, containers };
}

async function post(front: RunFront): Promise<number> {
  return (await fetch(front.url, { method: 'POST', body: 'x' })).status;
}

describe('Cloud Run front', () => {
  it('starts instances as requests come, up to its limit, and refuses the rest', async () => {
    const { front, containers } = await rig({ maxInstances: 2, concurrency: 2 });
    const first = Array.from({ length: 4 }, async () => post(front));
    await until(() => containers.reduce((sum, { waiting }) => sum + waiting.length, 0) === 4);
    assert.equal(containers.length, 2);
    assert.equal(await post(front), 429);
    for (const container of containers) {
      container.respond();
      container.respond();
    }
    assert.deepEqual(await Promise.all(first), [204, 204, 204, 204]);
    const again = post(front);
    await until(() => containers.some(({ waiting }) => waiting.length === 1));
    for (const container of containers) container.respond(500);
    assert.equal(await again, 500);
    assert.deepEqual([...front.answers].sort(), [
      [204, 4],
      [429, 1],
      [500, 1],
    ]);
  });

  it('answers 504 when it takes too long, and the container goes on', async () => {
    const { front, containers } = await rig({ concurrency: 1, timeoutMs: 30 });
    assert.equal(await post(front), 504);
    await until(() => containers[0]?.waiting.length === 1);
    assert.equal(await post(front), 429);
    containers[0]?.respond();
    await until(() => containers[0]?.waiting.length === 0);
  });

  it('gives a stopped instance no more requests, and starts another', async () => {
    const { front, containers } = await rig({ concurrency: 1 });
    const held = post(front);
    await until(() => containers[0]?.waiting.length === 1);
    const stopping = front.stop(front.instances[0]!);
    assert.equal(await held, 500);
    await stopping;
    const next = post(front);
    await until(() => containers.length === 2 && containers[1]?.waiting.length === 1);
    containers[1]?.respond();
    assert.equal(await next, 204);
  });

  it('answers 503 for the requests of a killed instance', async () => {
    const { front, containers } = await rig();
    const held = post(front);
    await until(() => containers[0]?.waiting.length === 1);
    await front.kill(front.instances[0]!);
    assert.equal(await held, 503);
    assert.equal(front.inFlight, 0);
  });

  it('answers 503 where no instance starts', async () => {
    const front = await startRunFront({ start: async () => Promise.reject(new Error('x')) });
    fronts.push(front);
    assert.equal(await post(front), 503);
  });
});

describe('an instance that is a process', () => {
  const options = {
    command: ['functions/serve.ts'],
    env: { DESTINATION_REGISTRY: 'r.example/m' },
  };

  it('answers once it was started, and ends at SIGTERM', async () => {
    const instance = await startInstanceProcess(options);
    assert.equal((await fetch(instance.url)).status, 200);
    await instance.stop();
    assert.equal(await instance.gone, 0);
  });

  it('can be killed', async () => {
    const instance = await startInstanceProcess(options);
    instance.kill();
    assert.equal(await instance.gone, 137);
  });

  it('tells why it did not start', async () => {
    await assert.rejects(startInstanceProcess({ ...options, env: {} }), /DESTINATION_REGISTRY/);
  });
});

const JOB = 'projects/acme/locations/europe-west1/jobs/mirror';

interface StartedTask {
  readonly env: Readonly<Record<string, string>>;
  readonly exit: (code: number) => void;
  stopped: boolean;
}

interface Answered {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

const apis: LocalRunApi[] = [];
after(async () => {
  await Promise.all(apis.map(async (api) => api.close()));
});

async function withJob(template: Partial<JobTemplate> = {}): Promise<{
  api: LocalRunApi;
  tasks: StartedTask[];
  call: (method: string, path: string, body?: unknown, token?: string) => Promise<Answered>;
}> {
  const tasks: StartedTask[] = [];
  const start: JobTemplate['start'] = (env) => {
    const { promise: ended, resolve } = Promise.withResolvers<number>();
    const task: StartedTask = { env, exit: resolve, stopped: false };
    tasks.push(task);
    return {
      ended,
      stop: () => {
        task.stopped = true;
        resolve(143);
      },
    };
  };
  const job = { name: JOB, taskTimeoutMs: 60_000, maxRetries: 1, concurrency: 1, start };
  const other = { ...job, name: `${JOB}-other` };
  const api = await startRunApi({
    jobs: [{ ...job, ...template }, other],
    isToken: (token) => token === 'good',
  });
  apis.push(api);
  return {
    api,
    tasks,
    call: async (method, path, body, token = 'good') => {
      const response = await fetch(`${api.url}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      return { status: response.status, body: (await response.json()) as Answered['body'] };
    },
  };
}

function overridden(env: readonly unknown[]): object {
  return { overrides: { containerOverrides: [{ env }] } };
}

function executionsOf({ body }: Answered): readonly Readonly<Record<string, unknown>>[] {
  return (body['executions'] ?? []) as readonly Readonly<Record<string, unknown>>[];
}

describe('the Cloud Run Admin API', () => {
  it('runs a job with overridden variables and shows its execution', async () => {
    const { api, tasks, call } = await withJob();
    const run = await call('POST', `/v2/${JOB}:run`, overridden([{ name: 'EVENT', value: '{}' }]));
    assert.equal(run.status, 200);
    assert.equal(run.body['name'], 'projects/acme/locations/europe-west1/operations/mirror-00000');
    const { EVENT, CLOUD_RUN_TASK_ATTEMPT, CLOUD_RUN_EXECUTION } = tasks[0]?.env ?? {};
    assert.deepEqual(
      [EVENT, CLOUD_RUN_TASK_ATTEMPT, CLOUD_RUN_EXECUTION],
      ['{}', '0', 'mirror-00000'],
    );
    const [running] = executionsOf(await call('GET', `/v2/${JOB}/executions`));
    assert.deepEqual([running?.['runningCount'], running?.['completionTime']], [1, undefined]);
    assert.deepEqual(running?.['template'], {
      maxRetries: 1,
      containers: [{ image: 'imagerepo-mirror', env: [{ name: 'EVENT', value: '{}' }] }],
    });
    tasks[0]?.exit(0);
    await api.idle();
    assert.equal(api.executions[0]?.succeeded, true);
    const [ended] = executionsOf(await call('GET', `/v2/${JOB}/executions`));
    assert.equal(typeof ended?.['completionTime'], 'string');
    assert.deepEqual([ended?.['succeededCount'], ended?.['failedCount']], [1, 0]);
  });

  it('tries a failed task again, as often as the job says', async () => {
    const { api, tasks, call } = await withJob();
    await call('POST', `/v2/${JOB}:run`, {});
    tasks[0]?.exit(1);
    await until(() => tasks.length === 2);
    assert.equal(tasks[1]?.env['CLOUD_RUN_TASK_ATTEMPT'], '1');
    tasks[1].exit(1);
    await api.idle();
    assert.equal(tasks.length, 2);
    const [failed] = executionsOf(await call('GET', `/v2/${JOB}/executions`));
    assert.deepEqual([failed?.['failedCount'], failed?.['retriedCount']], [1, 1]);
  });

  it('stops a task at its timeout', async () => {
    const { api, tasks, call } = await withJob({ taskTimeoutMs: 10, maxRetries: 0 });
    await call('POST', `/v2/${JOB}:run`, {});
    await api.idle();
    assert.equal(tasks[0]?.stopped, true);
  });

  it('lets executions over the concurrency of their job wait, and lists the newest first', async () => {
    const { api, tasks, call } = await withJob();
    for (const job of [JOB, JOB, `${JOB}-other`]) await call('POST', `/v2/${job}:run`, {});
    assert.deepEqual(
      tasks.map(({ env }) => env['CLOUD_RUN_EXECUTION']),
      ['mirror-00000', 'mirror-other-00002'],
    );
    const first = await call('GET', `/v2/${JOB}/executions?pageSize=1`);
    const token = String(first.body['nextPageToken']);
    const second = await call('GET', `/v2/${JOB}/executions?pageSize=1&pageToken=${token}`);
    assert.deepEqual(
      [first, second].map((page) => executionsOf(page)[0]?.['name']),
      [`${JOB}/executions/mirror-00001`, `${JOB}/executions/mirror-00000`],
    );
    assert.equal(second.body['nextPageToken'], undefined);
    tasks[0]?.exit(0);
    await until(() => tasks.length === 3);
    for (const task of tasks) task.exit(0);
    await api.idle();
    assert.ok(api.executions.every(({ succeeded }) => succeeded));
  });

  it('cancels what runs and forgets what waits when it is closed', async () => {
    const { api, tasks, call } = await withJob();
    await call('POST', `/v2/${JOB}:run`, {});
    await call('POST', `/v2/${JOB}:run`, {});
    await api.close();
    assert.deepEqual(
      tasks.map(({ stopped }) => stopped),
      [true],
    );
    assert.deepEqual(
      api.executions.map(({ state }) => state),
      ['ended', 'waiting'],
    );
  });

  const run = `/v2/${JOB}:run`;
  for (const [name, path, body, status] of [
    ['an unknown job', '/v2/projects/acme/locations/x/jobs/other:run', {}, 404],
    ['an unknown field', run, { overides: {} }, 400],
    ['no object', run, [], 400],
    ['a list that is none', run, { overrides: { containerOverrides: {} } }, 400],
    ['two containers', run, { overrides: { containerOverrides: [{}, {}] } }, 400],
    ['a reserved variable', run, overridden([{ name: 'PORT', value: '1' }]), 400],
    ['a variable without name', run, overridden([{ value: '1' }]), 400],
    ['a variable over 32 KiB', run, overridden([{ name: 'E', value: 'x'.repeat(32_769) }]), 400],
  ] as const) {
    it(`refuses ${name} with ${status}`, async () => {
      const { call, tasks } = await withJob();
      assert.equal((await call('POST', path, body)).status, status);
      assert.equal(tasks.length, 0);
    });
  }

  it('takes a variable of 32 KiB', async () => {
    const { call, tasks } = await withJob();
    const answered = await call(
      'POST',
      run,
      overridden([{ name: 'E', value: 'x'.repeat(32_768) }]),
    );
    assert.equal(answered.status, 200);
    tasks[0]?.exit(0);
  });

  it('refuses a token that is not one of its own, and none', async () => {
    const { api, call } = await withJob();
    const refused = await call('POST', run, {}, 'bad');
    assert.deepEqual(refused, {
      status: 401,
      body: {
        error: {
          code: 401,
          message: 'Request had invalid authentication credentials.',
          status: 'UNAUTHENTICATED',
        },
      },
    });
    assert.equal((await fetch(`${api.url}/v2/${JOB}/executions`)).status, 401);
  });

  it('fails when told to, so often', async () => {
    const { api, call } = await withJob();
    api.fail(new Refusal('UNAVAILABLE', 'later'), 1);
    assert.equal((await call('GET', `/v2/${JOB}/executions`)).status, 503);
    assert.equal((await call('GET', `/v2/${JOB}/executions`)).status, 200);
  });
});

describe('a task that is a process', () => {
  it("runs the job's entry with its variables, and tells its exit code", async () => {
    const lines: string[] = [];
    const start = taskProcess({
      entry: 'functions/job.ts',
      env: { DESTINATION_REGISTRY: 'r.example/m' },
      onLine: (_line, raw) => lines.push(raw),
    });
    assert.equal(await start({ EVENT: '{' }).ended, 2);
    assert.match(lines.join('\n'), /EVENT/);
  });

  it('is stopped by SIGTERM', async () => {
    const start = taskProcess({
      entry: 'functions/serve.ts',
      env: { DESTINATION_REGISTRY: 'r.example/m', PORT: '0' },
      onLine: (line) => {
        if (typeof line['port'] === 'number') task.stop();
      },
    });
    const task = start({});
    assert.equal(await task.ended, 0);
  });
});
