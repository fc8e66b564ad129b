import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildRelease, putRelease, type ReleaseLine } from '../../stand-ins/images/release.ts';
import { storeTarget } from '../../stand-ins/images/target.ts';
import { verifyRepository } from '../../stand-ins/verifier/verifier.ts';
import { start } from '../registry/loopback.ts';

const KINDS: readonly (readonly [ReleaseLine['kind'], number])[] = [
  ['image', 1],
  ['docker-image', 1],
  ['multi-platform', 1],
  ['chart', 1],
  ['signed', 2],
  ['referred', 2],
];

describe('release', () => {
  for (const [kind, tags] of KINDS) {
    it(`of kind ${kind} can be pulled whole, with ${tags} tag(s)`, async (t) => {
      const registry = await start(t);
      const line = { repository: 'demo/app', kind };
      const written = await putRelease(storeTarget(registry.store), line, '1.0.0', 'seed');
      assert.equal(written.length, tags);
      assert.equal(written[0], '1.0.0');
      const { repository } = line;
      const report = await verifyRepository({ url: registry.url, repository });
      assert.deepEqual(report.problems, []);
      assert.deepEqual(
        report.tags.map(({ tag }) => tag),
        [...written].sort(),
      );
    });
  }

  it('shares its base with every other of the seed, and adds one layer to the last', () => {
    const line = { repository: 'demo/app', kind: 'image' } as const;
    const digests = (repository: string, version: string): ReadonlySet<string> =>
      new Set(
        buildRelease({ ...line, repository }, version, 'seed').blobs.map(({ digest }) => digest),
      );
    const first = digests('demo/app', '1.0.0');
    const shared = (other: ReadonlySet<string>): number =>
      [...first].filter((digest) => other.has(digest)).length;
    assert.equal(first.size, 4);
    assert.equal(shared(digests('demo/app', '1.0.1')), 2);
    assert.equal(shared(digests('demo/other', '1.0.0')), 1);
  });
});
