import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { after } from 'node:test';

import { isMirrorError, type MirrorError, type ErrorCode } from '../functions/errors.ts';
import { watchdog } from '../functions/watchdog.ts';

/** A signal that nobody aborts, and that nobody listens to when the tests of a file are over. */
export const NEVER: AbortSignal = new AbortController().signal;
after(() => {
  assert.equal(getEventListeners(NEVER, 'abort').length, 0, 'somebody listens to what is over');
  const fail = (message: string): never => assert.fail(message);
  watchdog.tellUnsettled({ warning: fail, error: fail });
});

/** Waits for a rejection with a fault of this code and gives it. */
export async function rejection(promise: Promise<unknown>, code: ErrorCode): Promise<MirrorError> {
  const [result] = await Promise.allSettled([promise]);
  if (result.status === 'fulfilled') return assert.fail(`it resolved, ${code} was expected`);
  return faultWith(code, result.reason);
}

/** Calls what must throw a fault of this code and gives it. */
export function thrown(call: () => unknown, code: ErrorCode): MirrorError {
  try {
    call();
  } catch (error) {
    return faultWith(code, error);
  }
  return assert.fail(`nothing was thrown, ${code} was expected`);
}

/** For `assert.rejects`: an error that has, or whose cause has, one of these codes of Node. */
export function hasCause(...codes: readonly string[]): (error: unknown) => boolean {
  return (error) => {
    const own = error instanceof Error ? [error, error.cause] : [];
    const found = own.map((each) => (each instanceof Error && 'code' in each ? each.code : ''));
    assert.ok(
      found.some((code) => codes.includes(String(code))),
      String(error),
    );
    return true;
  };
}

function faultWith(code: ErrorCode, error: unknown): MirrorError {
  assert.ok(isMirrorError(error), String(error));
  assert.equal(error.code, code, error.message);
  return error;
}
