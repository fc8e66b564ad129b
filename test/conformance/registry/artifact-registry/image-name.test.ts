import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { repositoryOf } from '../../../stand-ins/registry/artifact-registry/image-name.ts';
import { ask, start } from '../loopback.ts';

describe('image name', () => {
  it('begins with project and repository', () => {
    assert.equal(repositoryOf('project/repository/team/app'), 'project/repository');
  });

  for (const [name, path, status, code] of [
    ['lacks an image', 'p/r', 400, 'NAME_INVALID'],
    ['names a repository that was not created', 'p/other/app', 404, 'NAME_UNKNOWN'],
    ['breaks the grammar', 'p/r/App', 400, 'NAME_INVALID'],
  ] as const) {
    it(`is refused where it ${name}`, async (t) => {
      const registry = await start(t, {
        personality: 'artifact-registry',
        repositories: ['p/r'],
      });
      const answer = await ask(registry.url, 'POST', `/v2/${path}/blobs/uploads/`, { body: '' });
      assert.deepEqual([answer.status, answer.codes], [status, [code]]);
    });
  }
});
