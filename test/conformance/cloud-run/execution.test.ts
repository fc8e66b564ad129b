import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Execution, type Task } from '../../stand-ins/cloud-run/execution.ts';

const NONE = { args: undefined, env: {}, taskCount: undefined, timeoutMs: undefined };

function execution(exits: readonly number[], maxRetries: number): [Execution, string[]] {
  const attempts: string[] = [];
  const start = (env: Readonly<Record<string, string>>): Task => {
    attempts.push(env['CLOUD_RUN_TASK_ATTEMPT'] ?? '');
    return { ended: Promise.resolve(exits[attempts.length - 1] ?? 0), stop: () => undefined };
  };
  const template = {
    name: 'projects/p/locations/l/jobs/j',
    taskTimeoutMs: 1000,
    maxRetries,
    concurrency: 1,
    start,
  };
  return [new Execution(template, NONE, 'j-0', () => 0), attempts];
}

describe('execution', () => {
  it('ends with the first attempt that succeeds', async () => {
    const [one, attempts] = execution([1, 0], 3);
    assert.equal(one.ended, false);
    await one.run();
    assert.deepEqual(attempts, ['0', '1']);
    assert.equal(one.succeeded, true);
    assert.equal(one.name, 'projects/p/locations/l/jobs/j/executions/j-0');
  });

  it('fails when no attempt is left, and shows it', async () => {
    const [one, attempts] = execution([1, 1], 1);
    await one.run();
    assert.deepEqual(attempts, ['0', '1']);
    const { failedCount, retriedCount, completionTime } = one.resource() as Record<string, unknown>;
    assert.deepEqual(
      [failedCount, retriedCount, completionTime],
      [1, 1, '1970-01-01T00:00:00.000Z'],
    );
  });

  it('starts no further attempt after it was cancelled', async () => {
    const [one, attempts] = execution([1, 1, 1], 3);
    const running = one.run();
    one.cancel();
    await running;
    assert.deepEqual(attempts, ['0']);
    assert.equal(one.ended, true);
  });
});
