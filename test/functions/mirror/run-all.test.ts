import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { runAll, runAllStarted } from '../../../functions/mirror/run-all.ts';
import { rejection } from '../../faults.ts';

const OPTIONS = { concurrency: 2, operation: 'test' };

function fault(code: ErrorCode): MirrorError {
  return new MirrorError(code, code);
}

describe('settle', () => {
  it('does all tasks before it throws', async () => {
    const done: number[] = [];
    await rejection(
      runAll(
        [1, 2, 3, 4],
        async (number) => {
          await Promise.resolve();
          if (number === 1) throw fault('NETWORK');
          done.push(number);
        },
        OPTIONS,
      ),
      'NETWORK',
    );
    assert.deepEqual(done, [2, 3, 4]);
  });

  it('throws the worst fault', async () => {
    const codes: readonly ErrorCode[] = ['ABORTED', 'NETWORK', 'SOURCE_INCOMPLETE', 'TIMEOUT'];
    const told: string[] = [];
    await rejection(
      runAll(codes, (code) => Promise.reject(fault(code)), {
        ...OPTIONS,
        onFault: ({ code }) => told.push(code),
      }),
      'SOURCE_INCOMPLETE',
    );
    assert.deepEqual(told, codes);
    await rejection(
      runAll(codes.slice(0, 2), (code) => Promise.reject(fault(code)), OPTIONS),
      'NETWORK',
    );
  });

  it('keeps to its concurrency', async () => {
    let [running, most] = [0, 0];
    await runAll(
      [1, 2, 3, 4, 5],
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
      },
      OPTIONS,
    );
    assert.equal(most, 2);
  });

  it('names an error of no code as a defect', async () => {
    await rejection(
      runAll([1], () => Promise.reject(new TypeError('oops')), OPTIONS),
      'INTERNAL',
    );
  });
});

describe('runAllStarted', () => {
  it('waits for all and throws the worst fault', async () => {
    let ended = false;
    const slow = new Promise<void>((resolve) =>
      setImmediate(() => {
        ended = true;
        resolve();
      }),
    );
    await rejection(
      runAllStarted(
        [Promise.reject(fault('NETWORK')), slow, Promise.reject(fault('TAG_INVALID'))],
        'x',
      ),
      'TAG_INVALID',
    );
    assert.equal(ended, true);
    await runAllStarted([Promise.resolve()], 'x');
  });
});
