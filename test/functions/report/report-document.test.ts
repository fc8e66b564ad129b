import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Ajv2020 } from 'ajv/dist/2020.js';

import { MirrorError } from '../../../functions/errors.ts';
import { OUTCOMES } from '../../../functions/mirror/outcome.ts';
import {
  isFailed,
  reportDocument,
  type RunResult,
} from '../../../functions/report/report-document.ts';
import { sampleRecord, sampleReport } from '../subscriber/samples.ts';

const schema = JSON.parse(
  readFileSync(new URL('../../../functions/report/report.schema.json', import.meta.url), 'utf8'),
) as Record<string, unknown>;
const validate = new Ajv2020({ strict: true, allErrors: true }).compile(schema);

const digest = `sha256:${'a'.repeat(64)}`;
const run: RunResult = {
  startedAt: new Date('2026-08-10T09:00:00Z'),
  finishedAt: new Date('2026-08-10T09:00:04.100Z'),
  dryRun: false,
  destinationRegistry: 'r.example/m',
  repositories: [
    {
      image: 'ghcr.io/org/app',
      durationMs: 4000,
      report: sampleReport([
        ...OUTCOMES.map((outcome) => sampleRecord({ tag: outcome, outcome, digest })),
        sampleRecord({ outcome: 'skipped', reason: 'TagInvalid' }),
        sampleRecord({
          outcome: 'failed',
          previousDigest: digest,
          subject: digest,
          fault: new MirrorError('MANIFEST_REFUSED', 'no', {
            operation: 'put manifest',
            side: 'destination',
            url: 'https://r.example/v2/',
            status: 400,
            registryCodes: ['MANIFEST_INVALID'],
            field: 'x',
            cause: new Error('below'),
          }),
          bytesUploaded: 7,
        }),
        sampleRecord({ platformsLeftOut: 2 }),
        sampleRecord({ platformsLeftOut: 6 }),
        sampleRecord({ noPlatformMatched: true }),
      ]),
    },
    {
      image: 'ghcr.io/org/gone',
      durationMs: 10,
      report: sampleReport([], { ending: 'source-lost' }),
    },
    {
      image: 'ghcr.io/org/unlisted',
      durationMs: 10,
      report: sampleReport([], { sourceUnlisted: 'FORBIDDEN', destinationUnlisted: 'TIMEOUT' }),
    },
    { image: 'ghcr.io/org/down', durationMs: 10, fault: new MirrorError('NETWORK', 'refused') },
  ],
};

describe('report document', () => {
  it('is what its schema says', () => {
    const document: unknown = JSON.parse(JSON.stringify(reportDocument(run)));
    assert.ok(validate(document), JSON.stringify(validate.errors));
  });

  it('says of a tag what there is to say, and no more', () => {
    const [repository] = reportDocument(run).repositories;
    assert.ok(repository !== undefined && 'tags' in repository);
    const tags = repository.tags ?? [];
    const base = {
      tag: '1.0',
      outcome: 'copied',
      reason: 'Missing',
      bytesUploaded: 0,
      durationSeconds: 0.005,
    };
    assert.deepEqual(tags.at(-1), { ...base, noPlatformMatched: true });
    assert.deepEqual(tags.at(-2), { ...base, platformsLeftOut: 6 });
    assert.deepEqual(tags[0], { ...base, tag: OUTCOMES[0], outcome: OUTCOMES[0], digest });
    const { error, ...rest } = tags.at(-4) ?? {};
    assert.deepEqual(rest, {
      ...base,
      outcome: 'failed',
      previousDigest: digest,
      subject: digest,
      bytesUploaded: 7,
    });
    assert.equal(error?.code, 'MANIFEST_REFUSED');
  });

  it('says of a repository what there is to say, and no more', () => {
    const [, gone, unlisted, down] = reportDocument(run).repositories;
    const told = [gone, unlisted, down].map((one = assert.fail()) =>
      ['sourceUnlisted', 'platformsLeftOut', 'tags', 'error'].filter((name) => name in one),
    );
    assert.deepEqual(told, [['tags'], ['sourceUnlisted', 'tags'], ['error']]);
    assert.equal(unlisted?.sourceUnlisted, 'FORBIDDEN');
    assert.equal(unlisted.destinationUnlisted, 'TIMEOUT');
    assert.equal(down?.error?.code, 'NETWORK');
  });

  it('sums up', () => {
    const { summary } = reportDocument(run);
    assert.equal(summary.repositories, 4);
    assert.equal(summary.failedRepositories, 3);
    assert.equal(summary.counts.failed, 2);
    assert.equal(summary.leftAside, 1);
    assert.equal(summary.bytesUploaded, 7);
    assert.equal(summary.platformsLeftOut, 8);
    assert.equal(summary.durationSeconds, 4.1);
  });

  it('has a schema that refuses what is no such document', () => {
    const document = reportDocument(run);
    for (const broken of [
      {},
      { ...document, kind: 'Report' },
      { ...document, extra: 1 },
      { ...document, repositories: [{ image: 'x', durationSeconds: -1 }] },
      { ...document, repositories: [{ image: 'x', durationSeconds: 1, tags: [{ tag: 'x' }] }] },
    ]) {
      assert.equal(validate(JSON.parse(JSON.stringify(broken))), false);
    }
  });
});

describe('failed repository', () => {
  for (const [name, expected, records] of [
    ['copied and skipped tags', false, ['copied', 'skipped']],
    ['lost, drifted and held tags', false, ['lost', 'drifted', 'held']],
    ['a failed tag', true, ['copied', 'failed']],
  ] as const) {
    it(`is ${expected ? '' : 'not '}one with ${name}`, () => {
      const report = sampleReport(records.map((outcome) => sampleRecord({ outcome })));
      assert.equal(isFailed({ image: 'x', durationMs: 1, report }), expected);
    });
  }

  it('is one that nothing was planned for', () => {
    assert.equal(isFailed({ image: 'x', durationMs: 1 }), true);
  });
});
