import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readJobConfig } from '../../../functions/config.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { mirrorImages } from '../../../functions/job/images.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import type { RunResult } from '../../../functions/report/report-document.ts';
import type { Work } from '../../../functions/subscriber/execute-event.ts';
import { sampleRecord, sampleReport } from '../subscriber/samples.ts';
import { jobContext } from './job-context.ts';

async function mirror(
  argv: readonly string[],
  doWork: (work: Work) => MirrorReport,
): Promise<{ result: RunResult; works: Work[]; told: string[] }> {
  const works: Work[] = [];
  const told: string[] = [];
  const { engine } = jobContext((work) => {
    works.push(work);
    return doWork(work);
  });
  const config = readJobConfig(['--destination-registry', 'r.example/m', ...argv], {
    CLOUD_RUN_JOB: 'mirror',
    ALLOWED_SOURCES: 'ghcr.io/x/*',
  });
  const { insecureSources } = config;
  const result = await mirrorImages(
    config,
    { ...engine, rules: { ...engine.rules, insecureSources } },
    {
      onRecord: (image, { tag }) => told.push(`${image}:${tag}`),
      onBytes: (count) => told.push(`${count} bytes`),
      onRepository: ({ image }) => told.push(image),
    },
    undefined,
    new AbortController().signal,
  );
  return { result, works, told };
}

describe('images of the command line', () => {
  it('are asked for as an operator does: requested, whatever the allowed sources', async () => {
    const { works } = await mirror(['--image', 'alpine', '--verify', 'none'], () => sampleReport());
    const [work] = works;
    assert.equal(work?.event.data.reason, 'requested');
    assert.equal(work.event.data.image, 'index.docker.io/library/alpine');
    assert.equal(work.event.data.verify, 'none');
    assert.equal(work.admission.destinationPath, 'm/docker.io/library/alpine');
    assert.equal(work.offload, undefined);
  });

  it('are spoken to over http where the operator says so', async () => {
    const { works } = await mirror(
      ['--image', 'r.corp:5000/a', '--image', 'ghcr.io/a/b', '--insecure-source', 'R.corp:5000/*'],
      () => sampleReport(),
    );
    assert.deepEqual(
      works.map(({ admission }) => [admission.source.host, admission.insecure]),
      [
        ['r.corp:5000', true],
        ['ghcr.io', false],
      ],
    );
  });

  it('are told as they go', async () => {
    const { told, result, works } = await mirror(
      ['--image', 'ghcr.io/a/b', '-o', 'json'],
      (work) => {
        work.observer?.onBytes?.(7);
        work.observer?.onRecord?.(sampleRecord());
        return sampleReport();
      },
    );
    assert.deepEqual(told, ['7 bytes', 'ghcr.io/a/b:1.0', 'ghcr.io/a/b']);
    const [{ records, durationMs } = assert.fail()] = result.repositories;
    assert.deepEqual(records, [sampleRecord()]);
    assert.ok(durationMs >= 0 && durationMs < 60_000, String(durationMs));
    assert.equal(works[0]?.deadline.endsAtMs, Infinity);
  });

  it('fail one by one', async () => {
    const { result } = await mirror(
      ['--image', 'ghcr.io/a/bad', '--image', 'ghcr.io/a/good', '--tag', '1', '--tag', '1'],
      ({ event }) => {
        assert.deepEqual(event.data.tags, ['1']);
        if (event.data.image.endsWith('bad')) throw new MirrorError('NETWORK', 'x');
        return sampleReport();
      },
    );
    assert.deepEqual(
      result.repositories.map(({ image, fault }) => `${image} ${fault?.code ?? 'good'}`),
      ['ghcr.io/a/bad NETWORK', 'ghcr.io/a/good good'],
    );
  });
});
