import assert from 'node:assert/strict';

import { Fault, type FaultCode } from '../../functions/fault.ts';

/** Calls what must throw a fault of the code; gives the fault. */
export function faultOf(code: FaultCode, call: () => unknown): Fault {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof Fault, String(error));
    assert.equal(error.code, code);
    return error;
  }
  return assert.fail(`nothing was thrown, ${code} was expected`);
}

/** Waits for what must reject with a fault of the code; gives the fault. */
export async function faultOfPromise(code: FaultCode, promise: Promise<unknown>): Promise<Fault> {
  const [result] = await Promise.allSettled([promise]);
  if (result.status === 'fulfilled') return assert.fail(`it resolved, ${code} was expected`);
  assert.ok(result.reason instanceof Fault, String(result.reason));
  assert.equal(result.reason.code, code);
  return result.reason;
}
