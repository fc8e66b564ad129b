import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isFault } from '../../../functions/fault.ts';
import { parseOptions } from '../../../functions/options/parser.ts';
import { registryOptions } from '../../stand-ins/registry/options.ts';

describe('registry options', () => {
  it('turn words into switches of their types', () => {
    const { switches, personality, users } = parseOptions(
      registryOptions,
      [
        '--switch',
        'rttMs=20',
        '--switch',
        'referrers=absent',
        '--switch=deletion=false',
        '--user',
        'a:b',
      ],
      {},
    );
    assert.deepEqual(switches, [{ rttMs: 20 }, { referrers: 'absent' }, { deletion: false }]);
    assert.deepEqual([personality, users], ['distribution', ['a:b']]);
  });

  it('refuse what they do not know', () => {
    assert.throws(
      () => parseOptions(registryOptions, ['--switch', 'speed=9'], {}),
      (error) => isFault(error, 'OPTION_INVALID'),
    );
  });
});
