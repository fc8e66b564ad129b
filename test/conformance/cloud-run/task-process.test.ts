import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { taskProcess } from '../../stand-ins/cloud-run/task-process.ts';

describe('task process', () => {
  it("runs the job's entry with its variables, and tells its exit code", async () => {
    const lines: string[] = [];
    const start = taskProcess({
      entry: 'functions/job.ts',
      env: { DESTINATION_REGISTRY: 'r.example/m' },
      onLine: (_line, raw) => lines.push(raw),
    });
    assert.equal(await start({ EVENT: '{' }, undefined).ended, 2);
    assert.match(lines.join('\n'), /EVENT/);
    assert.equal(await start({}, ['--help']).ended, 0);
  });

  it('is stopped by SIGTERM', async () => {
    const start = taskProcess({
      entry: 'functions/serve.ts',
      env: { DESTINATION_REGISTRY: 'r.example/m', PORT: '0' },
      onLine: (line) => {
        if (typeof line['port'] === 'number') task.stop();
      },
    });
    const task = start({}, undefined);
    assert.equal(await task.ended, 0);
  });
});
