import assert from 'node:assert/strict';
import { it } from 'node:test';

import { startImageSource } from '../../../infra/local/image-source.ts';
import { challengedAuthorization } from '../../stand-ins/verifier/authorization.ts';
import { verifyRepository } from '../../stand-ins/verifier/verifier.ts';

it('the local source has whole images and gets new releases, each repository in its turn', async () => {
  const source = await startImageSource();
  try {
    const seen = new Set<string>();
    for (const _image of source.images) {
      const { image, tag } = await source.release();
      seen.add(image);
      const report = await verifyRepository({
        url: source.url,
        authorization: challengedAuthorization(),
        repository: image.slice(image.indexOf('/') + 1),
      });
      assert.deepEqual(report.problems, []);
      assert.ok(report.tags.some((found) => found.tag === tag));
    }
    assert.deepEqual([...seen].sort(), [...source.images].sort());
  } finally {
    await source.close();
  }
});
