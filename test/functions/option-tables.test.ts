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

describe('whole numbers', () => {
  for (const [name, option, fallback, least, most] of [
    ['tagWorkers', mirrorOptions.tagWorkers, 4, 1, 64],
    ['latest', mirrorOptions.latest, 0, 0, 100_000],
    ['maxMissingTags', mirrorOptions.maxMissingTags, 1000, 0, 1_000_000],
    ['batchTags', subscriberOptions.batchTags, 100, 1, 1000],
    [
      'jobThresholdBytes',
      subscriberOptions.jobThresholdBytes,
      10 * 1024 ** 3,
      -1,
      Number.MAX_SAFE_INTEGER,
    ],
    ['deadlineSeconds', subscriberOptions.deadlineSeconds, 540, 1, 3600],
    ['port', subscriberOptions.port, 8080, 0, 65_535],
    ['taskTimeoutSeconds', jobOptions.taskTimeoutSeconds, 0, 0, 604_800],
    ['taskMaxRetries', jobOptions.taskMaxRetries, 3, 0, 10],
    ['workers', jobOptions.workers, 4, 1, 64],
  ] as const) {
    it(`of ${name} are ${least} to ${most}, ${fallback} where none is given`, () => {
      assert.equal(option.default, String(fallback));
      for (const value of [least, most]) assert.equal(option.read([String(value)]), value);
      for (const value of [least - 1, most + 1])
        assert.throws(() => option.read([String(value)]), /wants a whole number/);
    });
  }
});

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
