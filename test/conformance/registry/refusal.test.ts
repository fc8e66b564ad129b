import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RegistryRefusal } from '../../stand-ins/registry/refusal.ts';

describe('refusal', () => {
  it('has one entry, or those it was given', () => {
    const one = new RegistryRefusal(404, 'NAME_UNKNOWN', 'not here', { detail: { name: 'a' } });
    assert.deepEqual(one.entries, [
      { code: 'NAME_UNKNOWN', message: 'not here', detail: { name: 'a' } },
    ]);
    const entries = [
      { code: 'A', message: 'a' },
      { code: 'B', message: 'b' },
    ];
    assert.deepEqual(new RegistryRefusal(400, 'A', 'a', { entries }).entries, entries);
    assert.deepEqual(new RegistryRefusal(400, 'A', 'a').entries, [{ code: 'A', message: 'a' }]);
  });
});
