import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault, type FaultCode } from '../../../functions/fault.ts';
import { Flight } from '../../../functions/mirror/flight.ts';

const never = new AbortController().signal;

function coded(code: FaultCode): (error: unknown) => boolean {
  return (error) => error instanceof Fault && error.code === code;
}

/** Work that ends when told to. */
function held(): {
  readonly work: (signal: AbortSignal) => Promise<string>;
  readonly finish: (value: string) => void;
  readonly fail: (error: Error) => void;
  readonly aborted: () => boolean;
} {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let seen: AbortSignal | undefined;
  return {
    work: async (signal) => {
      seen = signal;
      signal.addEventListener('abort', () => {
        reject(new Error('aborted'));
      });
      return promise;
    },
    finish: resolve,
    fail: reject,
    aborted: () => seen?.aborted === true,
  };
}

describe('Flight', () => {
  it('tells all who wait, and one of them that the result is its own', async () => {
    const { work, finish } = held();
    const flight = new Flight(work);
    const joined = [flight.join(never), flight.join(never), flight.join(never)];
    finish('done');
    const endings = await Promise.all(joined);
    assert.deepEqual(endings, [
      { ok: true, value: 'done', mine: true },
      { ok: true, value: 'done', mine: false },
      { ok: true, value: 'done', mine: false },
    ]);
  });

  it('goes on while anybody waits, and counts for who has waited longest', async () => {
    const { work, finish, aborted } = held();
    const flight = new Flight(work);
    const leaving = new AbortController();
    const leader = flight.join(leaving.signal);
    const other = flight.join(never);
    leaving.abort();
    await assert.rejects(leader, coded('ABORTED'));
    assert.equal(aborted(), false);
    finish('done');
    assert.deepEqual(await other, { ok: true, value: 'done', mine: true });
  });

  it('is aborted when everybody has gone', async () => {
    const { work, aborted } = held();
    const flight = new Flight(work);
    const leaving = new AbortController();
    const joined = [flight.join(leaving.signal), flight.join(leaving.signal)];
    await Promise.resolve();
    leaving.abort();
    for (const left of joined) await assert.rejects(left, coded('ABORTED'));
    await flight.ended;
    assert.equal(aborted(), true);
  });

  it('tells who joins an aborted flight that it was interrupted', async () => {
    const { work } = held();
    const flight = new Flight(work);
    const leaving = new AbortController();
    const left = flight.join(leaving.signal);
    await Promise.resolve();
    leaving.abort();
    const late = flight.join(never);
    await assert.rejects(left, coded('ABORTED'));
    const ending = await late;
    assert.equal(ending.ok ? undefined : ending.fault.code, 'ABORTED');
  });

  it('is aborted where its only participant had gone before', async () => {
    const { work } = held();
    const flight = new Flight(work);
    await assert.rejects(flight.join(AbortSignal.abort()), coded('ABORTED'));
    await flight.ended;
  });

  it('tells all who wait how it failed', async () => {
    const { work, fail } = held();
    const flight = new Flight(work);
    const joined = [flight.join(never), flight.join(never)];
    fail(new Fault('SERVER_ERROR', 'no'));
    for (const ending of await Promise.all(joined)) {
      assert.equal(ending.ok ? undefined : ending.fault.code, 'SERVER_ERROR');
    }
  });
});
