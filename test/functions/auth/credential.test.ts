import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ANONYMOUS, chain, type Credentials } from '../../../functions/auth/credential.ts';

function only(host: string, username: string, refused: string[]): Credentials {
  return {
    credentialFor: (asked) =>
      Promise.resolve(asked === host ? { kind: 'basic', username, password: 'p' } : undefined),
    refused: (asked) => refused.push(`${username} ${asked}`),
  };
}

describe('credentials', () => {
  it('takes the first of a chain that has one for the host', async () => {
    const refused: string[] = [];
    const all = chain(
      ANONYMOUS,
      only('a', 'one', refused),
      only('a', 'two', refused),
      only('b', 'three', refused),
    );
    assert.deepEqual(await all.credentialFor('a'), {
      kind: 'basic',
      username: 'one',
      password: 'p',
    });
    assert.deepEqual(await all.credentialFor('b'), {
      kind: 'basic',
      username: 'three',
      password: 'p',
    });
    assert.equal(await all.credentialFor('c'), undefined);
    all.refused('a');
    assert.deepEqual(refused, ['one a', 'two a', 'three a']);
  });

  it('has none for anybody where all are anonymous', async () => {
    assert.equal(await chain(ANONYMOUS).credentialFor('ghcr.io'), undefined);
  });
});
