import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readOverrides } from '../../stand-ins/cloud-run/overrides.ts';
import { RunApiRefusal } from '../../stand-ins/cloud-run/refusal.ts';

describe('overrides of an execution', () => {
  it('are none in an empty request', () => {
    assert.deepEqual(readOverrides({}), {
      args: undefined,
      env: {},
      taskCount: undefined,
      timeoutMs: undefined,
    });
  });

  it('are variables, arguments and a timeout', () => {
    const read = readOverrides({
      overrides: {
        containerOverrides: [{ args: ['--x'], env: [{ name: 'A', value: 'b' }] }],
        timeout: '90s',
        taskCount: 1,
      },
    });
    assert.deepEqual(read, { args: ['--x'], env: { A: 'b' }, taskCount: 1, timeoutMs: 90_000 });
    assert.deepEqual(
      readOverrides({ overrides: { containerOverrides: [{ clearArgs: true }] } }).args,
      [],
    );
  });

  for (const [name, body] of [
    ['no object', []],
    ['two containers', { overrides: { containerOverrides: [{}, {}] } }],
    ['arguments that are no texts', { overrides: { containerOverrides: [{ args: [1] }] } }],
    ['several tasks', { overrides: { taskCount: 2 } }],
    ['a list that is none', { overrides: { containerOverrides: {} } }],
  ] as const) {
    it(`refuse ${name}`, () => {
      assert.throws(
        () => readOverrides(body),
        (error) => error instanceof RunApiRefusal && error.status === 'INVALID_ARGUMENT',
      );
    });
  }
});
