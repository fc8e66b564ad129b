import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  readUploadPath,
  uploadPath,
} from '../../../stand-ins/registry/artifact-registry/upload-path.ts';
import { UploadSession } from '../../../stand-ins/registry/upload-session.ts';

describe('upload path', () => {
  it('names project, repository and upload, not the image', () => {
    const session = new UploadSession('p/r/team/app', true);
    const path = uploadPath(session);
    assert.equal(path, `/artifacts-uploads/namespaces/p/repositories/r/uploads/${session.id}`);
    assert.deepEqual(readUploadPath(path), { pool: 'p/r', id: session.id });
  });

  it('is no other path', () => {
    assert.equal(readUploadPath('/v2/p/r/app/blobs/uploads/x'), undefined);
  });
});
