import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bytesOf } from '../../stand-ins/registry/content.ts';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { RegistryRefusal } from '../../stand-ins/registry/refusal.ts';
import { UploadSession, UploadSessions } from '../../stand-ins/registry/upload-session.ts';

describe('upload session', () => {
  it('hashes as the bytes come, in either algorithm', () => {
    const session = new UploadSession('a', true);
    session.append(Buffer.from('ab'));
    session.append(Buffer.from('c'));
    assert.equal(session.sizeBytes, 3);
    assert.equal(session.finish('sha256').digest, digestOf('abc'));
    assert.equal(session.finish('sha512').digest, digestOf('abc', 'sha512'));
    assert.equal(bytesOf(session.finish('sha256').content).toString(), 'abc');
  });

  it('keeps nothing but hashes and size where it is told to', () => {
    const session = new UploadSession('a', false);
    session.hashWith('sha512');
    session.append(Buffer.from('abc'));
    const { content, digest, canonical } = session.finish('sha512');
    assert.deepEqual(
      [content.sizeBytes, digest, canonical],
      [3, digestOf('abc', 'sha512'), digestOf('abc')],
    );
    assert.throws(() => content.read(0, 1));
  });

  it('cannot hash afterwards what it did not keep', () => {
    const session = new UploadSession('a', false);
    session.append(Buffer.from('abc'));
    session.hashWith('sha512');
    assert.throws(() => session.finish('sha512'), RegistryRefusal);
  });

  it('is found until it ends', () => {
    const sessions = new UploadSessions(true);
    const session = sessions.begin('a');
    session.countPatch();
    assert.equal(sessions.get(session.id)?.patches, 1);
    assert.equal(sessions.size, 1);
    assert.ok(sessions.end(session.id));
    assert.ok(!sessions.end(session.id));
    assert.equal(sessions.get(session.id), undefined);
  });
});
