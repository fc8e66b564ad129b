import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import {
  bytesText,
  repositoryLine,
  summaryLines,
  tagLine,
} from '../../../functions/report/report-lines.ts';
import { LEFT_ASIDE, sampleRecord, sampleReport } from '../subscriber/samples.ts';

describe('line of a tag', () => {
  it('begins with the outcome in one column', () => {
    assert.equal(
      tagLine('ghcr.io/x', sampleRecord({ bytesUploaded: 12_400_000, durationMs: 840 })),
      'copied           ghcr.io/x:1.0  12.4 MB in 0.8 s',
    );
    assert.equal(
      tagLine('ghcr.io/x', sampleRecord({ outcome: 'would-overwrite' })),
      'would-overwrite  ghcr.io/x:1.0',
    );
  });

  it('says what was left out for its platform, and what is whole for want of one', () => {
    const left = sampleRecord({ platformsLeftOut: 8 });
    assert.equal(tagLine('x', left), 'copied           x:1.0  8 platforms left out');
    assert.match(tagLine('x', sampleRecord({ platformsLeftOut: 1 })), / 1 platform left out$/);
    assert.match(tagLine('x', sampleRecord({ noPlatformMatched: true })), / {2}whole: /);
  });

  it('says of a failure where, what and why', () => {
    const fault = new MirrorError('SERVER_ERROR', 'status 503', {
      side: 'source',
      operation: 'get manifest',
      url: 'https://ghcr.io/v2/',
    });
    assert.equal(
      tagLine('x', sampleRecord({ outcome: 'failed', fault })),
      'failed           x:1.0  SERVER_ERROR at the source, get manifest: status 503 (https://ghcr.io/v2/)',
    );
  });

  it('says of what is left aside why', () => {
    for (const reason of LEFT_ASIDE) {
      const line = tagLine('x', sampleRecord({ outcome: 'skipped', reason }));
      assert.match(line, /^skipped +x:1\.0 {2}left aside: [a-z ,]+$/);
    }
    const identical = tagLine('x', sampleRecord({ outcome: 'skipped', reason: 'Identical' }));
    assert.equal(identical, 'skipped          x:1.0');
  });

  it('lets no control characters through', () => {
    assert.equal(tagLine('x', sampleRecord({ tag: '\u001b[31m1' })).includes('\u001b'), false);
  });
});

describe('line of a repository', () => {
  it('tells selection, bytes and time', () => {
    assert.equal(
      repositoryLine({ image: 'ghcr.io/x', durationMs: 61_000, report: sampleReport([]) }),
      'ghcr.io/x → r.example/m/ghcr.io/stefanprodan/podinfo: 0 of 0 tags selected, 0 B in 1 min 1 s',
    );
  });

  it('tells time in minutes from one on, and never has 60 seconds beside them', () => {
    const times = [1700, 60_000, 119_600, 7_205_000].map(
      (durationMs) =>
        repositoryLine({ image: 'x', durationMs, report: sampleReport([]) }).split(' in ')[1],
    );
    assert.deepEqual(times, ['1.7 s', '1 min 0 s', '2 min 0 s', '120 min 5 s']);
  });

  it('tells a lost source, a fault and the brake', () => {
    const line = (facts: Parameters<typeof sampleReport>[1]): string =>
      repositoryLine({ image: 'x', durationMs: 1, report: sampleReport([], facts) });
    assert.match(line({ ending: 'source-lost' }), /no such repository/);
    assert.match(
      line({ brake: { engaged: true, missing: 2000, maxMissingTags: 1000, held: 900 } }),
      /900 held/,
    );
    assert.match(line({ sourceUnlisted: 'FORBIDDEN' }), /, no signatures by tag: .* FORBIDDEN,/);
    assert.match(line({ destinationUnlisted: 'FORBIDDEN' }), /, asked tag by tag: .* FORBIDDEN,/);
    assert.equal(repositoryLine({ image: 'x', durationMs: 1 }), 'x: nothing was done');
    const fault = new MirrorError('NETWORK', 'gone');
    assert.equal(repositoryLine({ image: 'x', durationMs: 1, fault }), 'x: NETWORK: gone');
  });
});

describe('what is left aside', () => {
  const aside = sampleRecord({ outcome: 'skipped', reason: 'TagInvalid' });
  const report = sampleReport([aside, sampleRecord({ outcome: 'skipped', reason: 'Identical' })]);

  it('is counted for the repository and for the run', () => {
    const repository = { image: 'ghcr.io/x', durationMs: 1, report };
    assert.match(repositoryLine(repository), /2 of 2 tags selected, 1 left aside, /);
    const [line = ''] = summaryLines({
      startedAt: new Date(0),
      finishedAt: new Date(0),
      dryRun: false,
      destinationRegistry: 'r.example',
      repositories: [repository, repository],
    });
    assert.match(line, /4 skipped, 2 of the skipped left aside;/);
  });
});

describe('summary', () => {
  const run = {
    startedAt: new Date(1000),
    finishedAt: new Date(3500),
    dryRun: false,
    destinationRegistry: 'r.example',
  };

  it('says so where nothing was done', () => {
    assert.deepEqual(summaryLines({ ...run, repositories: [] }), [
      '0 repositories: no tags; 0 B in 2.5 s',
    ]);
    const repositories = [{ image: 'a', durationMs: 1, report: sampleReport([sampleRecord()]) }];
    assert.deepEqual(summaryLines({ ...run, repositories }), [
      '1 repository: 1 copied; 0 B in 2.5 s',
    ]);
  });

  it('counts outcomes', () => {
    const fault = new MirrorError('UNAUTHORIZED', 'x');
    const lines = summaryLines({
      ...run,
      repositories: [
        {
          image: 'a',
          durationMs: 1,
          report: sampleReport([
            sampleRecord({ bytesUploaded: 150, platformsLeftOut: 3 }),
            sampleRecord({ outcome: 'failed', fault }),
            sampleRecord({ outcome: 'failed', fault }),
          ]),
        },
        { image: 'b', durationMs: 1, fault: new MirrorError('NETWORK', 'x') },
        { image: 'c', durationMs: 1, report: sampleReport([], { leftAside: 1 }) },
      ],
    });
    assert.deepEqual(lines, [
      '3 repositories (2 with failures): 1 copied, 2 failed, 1 of the skipped left aside; 150 B in 2.5 s; 3 platforms left out',
    ]);
  });
});

describe('bytes', () => {
  for (const [bytes, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '1.0 kB'],
    [52_428_800, '52.4 MB'],
    [5e12, '5.0 TB'],
    [5e15, '5000.0 TB'],
  ] as const) {
    it(`are ${text}`, () => {
      assert.equal(bytesText(bytes), text);
    });
  }
});
