import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { jobOptions } from '../../functions/job-options.ts';
import {
  mirrorOptions,
  resourceName,
  subscriberOptions,
  TOPIC,
} from '../../functions/option-tables.ts';
import type { OptionTable } from '../../functions/options/option.ts';

const tables: Readonly<Record<string, OptionTable>> = {
  mirrorOptions,
  subscriberOptions,
  jobOptions,
};

for (const [name, table] of Object.entries(tables)) {
  describe(name, () => {
    it('has each flag and variable once, and a sentence for each', () => {
      const options = Object.values(table);
      for (const names of [
        options.flatMap(({ flag, short }) => [flag, short]),
        options.map(({ env }) => env),
      ]) {
        const given = names.filter((one) => one !== undefined);
        assert.equal(new Set(given).size, given.length);
      }
      for (const { sentence, flag, env } of options) {
        assert.match(sentence, /^[A-Z].*\.$/);
        assert.ok(flag !== undefined || env !== undefined);
      }
    });
  });
}

describe('resource name', () => {
  it('is an id or a full name', () => {
    const check = resourceName(TOPIC);
    check('bulk');
    check('projects/acme/topics/bulk');
    for (const bad of ['', 'a', 'a b', 'projects/acme/bulk', '1abc']) {
      assert.throws(() => {
        check(bad);
      }, Error);
    }
  });
});
