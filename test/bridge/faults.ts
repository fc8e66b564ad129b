import assert from 'node:assert/strict';

import { MirrorError, type ErrorCode } from '../../functions/errors.ts';

/** Calls what must throw a fault of the code; gives the fault. */
export function faultOf(code: ErrorCode, call: () => unknown): MirrorError {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof MirrorError, String(error));
    assert.equal(error.code, code);
    return error;
  }
  return assert.fail(`nothing was thrown, ${code} was expected`);
}

/** Waits for what must reject with a fault of the code; gives the fault. */
export async function faultOfPromise(
  code: ErrorCode,
  promise: Promise<unknown>,
): Promise<MirrorError> {
  const [result] = await Promise.allSettled([promise]);
  if (result.status === 'fulfilled') return assert.fail(`it resolved, ${code} was expected`);
  assert.ok(result.reason instanceof MirrorError, String(result.reason));
  assert.equal(result.reason.code, code);
  return result.reason;
}
