import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { bridgeOptions } from '../../bridge/options.ts';
import type { Option } from '../../functions/options/option.ts';

const options: readonly Option<unknown>[] = Object.values(bridgeOptions);

describe('bridgeOptions', () => {
  it('gives every option an environment variable, and no two the same', () => {
    const names = options.map(({ env }) => env);
    assert.ok(names.every((name) => name !== undefined && /^[A-Z][A-Z_]+$/.test(name)));
    assert.equal(new Set(names).size, names.length);
  });

  it('gives no two options the same flag', () => {
    const flags = options.flatMap(({ flag }) => flag ?? []);
    assert.equal(new Set(flags).size, flags.length);
    assert.ok(flags.every((flag) => /^--[a-z]+(-[a-z]+)*$/.test(flag)));
  });

  it('has defaults that it takes itself', () => {
    for (const option of options) {
      if (option.default !== undefined && !option.repeatable) option.read([option.default]);
    }
  });
});
