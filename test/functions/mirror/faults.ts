import { Fault, type FaultCode } from '../../../functions/fault.ts';

/** A check for `assert.rejects` and `assert.throws`: a fault with this code. */
export function coded(code: FaultCode): (error: unknown) => boolean {
  return (error) => {
    if (error instanceof Fault && error.code === code) return true;
    throw new Error(`expected ${code}`, { cause: error });
  };
}

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal;
