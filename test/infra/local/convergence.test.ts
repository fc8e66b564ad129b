import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { differences, verifyAll, type Ends } from '../../../infra/local/convergence.ts';
import { sampleEvent } from '../../functions/subscriber/samples.ts';
import { buildRelease, putRelease } from '../../stand-ins/images/release.ts';
import { storeTarget } from '../../stand-ins/images/target.ts';
import type { ImageProgress } from '../../../infra/local/progress.ts';
import { startRegistry, type LocalRegistry } from '../../stand-ins/registry/registry.ts';

const line = { repository: 'demo/api', kind: 'signed' } as const;
let source: LocalRegistry;
let destination: LocalRegistry;
let ends: Ends;

before(async () => {
  source = await startRegistry({ auth: { scheme: 'bearer' } });
  destination = await startRegistry();
  ends = { destinationUrl: destination.url, destinationAuthorization: undefined };
});

after(async () => {
  await source.close();
  await destination.close();
});

/** An image of a repository of its own, with releases at both sides. */
async function mirrored(
  repository: string,
  atSource: readonly string[],
  atDestination: readonly string[],
  exclusionList: readonly string[] = [],
): Promise<ImageProgress> {
  const at = { ...line, repository };
  for (const version of atSource) await putRelease(storeTarget(source.store), at, version, 's');
  for (const version of atDestination)
    await putRelease(storeTarget(destination.store), at, version, 's');
  const image = `${source.host}/${repository}`;
  return {
    image,
    event: sampleEvent({ image, exclusionList }),
    lastOutcome: '',
    destination: `${destination.host}/${repository}`,
    sourceTags: undefined,
    mirroredTags: undefined,
    movedBytes: 0,
    lagSeconds: undefined,
    failures: [],
  };
}

describe('differences', () => {
  it('finds none where every tag and signature is there', async () => {
    const progress = await mirrored('a/equal', ['1.0.0'], ['1.0.0']);
    assert.deepEqual(await differences(progress, ends), []);
  });

  it('names the tags that lack, but not signatures of what is not mirrored', async () => {
    const progress = await mirrored('a/behind', ['1.0.0', '1.0.1'], ['1.0.0']);
    const lacking = await differences(progress, ends);
    assert.equal(lacking.length, 1);
    assert.ok(lacking[0]?.includes('1.0.1'));
    assert.ok(!lacking[0]?.includes('.sig'));
  });

  it('does not wait for what is excluded', async () => {
    const progress = await mirrored('a/excluded', ['1.0.0', '1.0.1'], ['1.0.0'], ['1$']);
    assert.deepEqual(await differences(progress, ends), []);
  });

  it('waits where the function has not told the destination yet', async () => {
    const progress = await mirrored('a/waiting', ['1.0.0'], []);
    assert.equal((await differences({ ...progress, destination: undefined }, ends)).length, 1);
  });
});

describe('verifyAll', () => {
  it('reads back what is equal', async () => {
    const progress = await mirrored('b/equal', ['1.0.0'], ['1.0.0']);
    const { lines, problems } = await verifyAll([progress], ends);
    assert.deepEqual(problems, []);
    assert.equal(lines.length, 1);
  });

  it('tells a missing tag and a moved one', async () => {
    const progress = await mirrored('b/moved', ['1.0.0', '1.0.1', '1.0.2'], ['1.0.0', '1.0.2']);
    const other = buildRelease({ ...line, repository: 'b/moved' }, '9.9.9', 'other');
    const target = storeTarget(destination.store);
    for (const blob of other.blobs) await target.putBlob('b/moved', blob);
    await target.putManifest('b/moved', other.root, '1.0.2');
    const { problems } = await verifyAll([progress], ends);
    assert.equal(
      problems.filter((problem) => problem.includes('1.0.1 is not at the destination')).length,
      1,
    );
    assert.equal(
      problems.filter((problem) => problem.includes(`1.0.2 is ${other.root.digest}`)).length,
      1,
    );
  });

  it('finds referrers by their tag at one side and by the API at the other', async () => {
    const repository = 'b/referred';
    const progress = await mirrored(repository, [], []);
    const at = { repository, kind: 'referred' } as const;
    source.set({ referrers: 'absent' });
    await putRelease(storeTarget(source.store), at, '1.0.0', 's');
    await putRelease(storeTarget(destination.store), at, '1.0.0', 's');
    const fallback = destination.store.tags(repository).find((tag) => tag.startsWith('sha256-'));
    destination.store.deleteTag(repository, fallback!);
    assert.deepEqual((await verifyAll([progress], ends)).problems, []);
    destination.set({ referrers: 'absent' });
    const { problems } = await verifyAll([progress], ends);
    destination.set({ referrers: 'api' });
    source.set({ referrers: 'api' });
    assert.equal(problems.length, 1);
    assert.ok(problems[0]?.includes('referrer'));
  });

  it('tells a blob that is gone', async () => {
    const progress = await mirrored('b/torn', ['1.0.0'], ['1.0.0']);
    const { blobs } = buildRelease({ ...line, repository: 'b/torn' }, '1.0.0', 's');
    destination.store.deleteBlob('b/torn', blobs[0]!.digest);
    const { problems } = await verifyAll([progress], ends);
    assert.ok(problems.some((problem) => problem.includes(blobs[0]!.digest)));
  });
});
