import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAuthorization } from '../../../stand-ins/registry/auth/authorization.ts';

function basic(pair: string): string {
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}

describe('Authorization', () => {
  const cases: readonly (readonly [string | undefined, object])[] = [
    [undefined, { scheme: 'none' }],
    ['Bearer abc.def', { scheme: 'bearer', token: 'abc.def' }],
    ['bearer abc', { scheme: 'bearer', token: 'abc' }],
    [basic('user:pass:word'), { scheme: 'basic', user: 'user', password: 'pass:word' }],
    [basic('no colon'), { scheme: 'other' }],
    ['Digest x', { scheme: 'other' }],
    ['nothing', { scheme: 'other' }],
  ];
  for (const [header, credentials] of cases) {
    it(`reads ${header ?? 'its absence'}`, () => {
      const headers = header === undefined ? {} : { authorization: header };
      assert.deepEqual(readAuthorization(headers), credentials);
    });
  }
});
