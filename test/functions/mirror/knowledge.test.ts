import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Knowledge, pathOf } from '../../../functions/mirror/knowledge.ts';
import { FakeDestination } from './fakes.ts';

const BELIEVED_MS = 15 * 60_000;

const DIGEST = `sha256:${'d'.repeat(64)}`;

describe('Knowledge', () => {
  const one = new FakeDestination('p/r/one', 'pkg.dev');
  const two = new FakeDestination('p/r/two', 'pkg.dev');
  const far = new FakeDestination('p/r/one', 'far.pkg.dev');

  it('knows which repository of which host has a blob', () => {
    const knowledge = new Knowledge(() => 0);
    knowledge.addBlob(one, DIGEST);
    assert.equal(knowledge.hasBlob(one, DIGEST), true);
    assert.equal(knowledge.hasBlob(two, DIGEST), false);
    assert.equal(knowledge.hasBlob(far, DIGEST), false);
    assert.equal(knowledge.otherHolder(two, DIGEST), 'p/r/one');
    assert.equal(knowledge.otherHolder(one, DIGEST), undefined);
    assert.equal(knowledge.otherHolder(far, DIGEST), undefined);
  });

  it('forgets a blob that proved to be missing, there only', () => {
    const knowledge = new Knowledge(() => 0);
    knowledge.addBlob(one, DIGEST);
    knowledge.addBlob(two, DIGEST);
    knowledge.forgetBlob(one, DIGEST);
    assert.equal(knowledge.hasBlob(one, DIGEST), false);
    assert.equal(knowledge.hasBlob(two, DIGEST), true);
    knowledge.forgetBlob(far, DIGEST);
  });

  it('tells what was learnt after a mark', () => {
    const knowledge = new Knowledge(() => 0);
    knowledge.addBlob(one, DIGEST);
    const mark = knowledge.mark();
    assert.equal(knowledge.hasBlob(one, DIGEST, mark), false);
    knowledge.addBlob(one, DIGEST);
    assert.equal(knowledge.hasBlob(one, DIGEST, mark), true);
  });

  it('believes for a while only', () => {
    let nowMs = 0;
    const knowledge = new Knowledge(() => nowMs);
    knowledge.addBlob(one, DIGEST);
    knowledge.addManifest(one.name, DIGEST);
    nowMs = BELIEVED_MS;
    assert.equal(knowledge.hasBlob(one, DIGEST), false);
    assert.equal(knowledge.otherHolder(two, DIGEST), undefined);
    assert.equal(knowledge.hasManifest(one.name, DIGEST), false);
  });

  it('lets a complete map supersede what was learnt before it was asked for', () => {
    let nowMs = 0;
    const knowledge = new Knowledge(() => nowMs);
    knowledge.addManifest('repository', 'before');
    nowMs = 10;
    knowledge.addManifest('repository', 'after');
    knowledge.supersedeManifests('repository', 10);
    assert.equal(knowledge.hasManifest('repository', 'before'), false);
    assert.equal(knowledge.hasManifest('repository', 'after'), true);
    knowledge.forgetManifest('repository', 'after');
    assert.equal(knowledge.hasManifest('repository', 'after'), false);
  });

  it('keeps a bounded number of facts, the newest', () => {
    const knowledge = new Knowledge(() => 0);
    for (let index = 0; index <= 100_000; index += 1) knowledge.addBlob(one, `blob ${index}`);
    assert.equal(knowledge.hasBlob(one, 'blob 0'), false);
    assert.equal(knowledge.hasBlob(one, 'blob 1'), true);
    assert.equal(knowledge.hasBlob(one, 'blob 100000'), true);
  });

  it('bounds manifests too', () => {
    const knowledge = new Knowledge(() => 0);
    for (let index = 0; index < 100_000; index += 1) knowledge.addManifest('old', `m ${index}`);
    knowledge.addManifest('new', 'one more');
    assert.equal(knowledge.hasManifest('old', 'm 0'), false);
    assert.equal(knowledge.hasManifest('new', 'one more'), true);
  });

  it('remembers who keeps lists of referrers', () => {
    const knowledge = new Knowledge(() => 0);
    assert.equal(knowledge.acknowledges('pkg.dev'), undefined);
    knowledge.setAcknowledges('pkg.dev', true);
    assert.equal(knowledge.acknowledges('pkg.dev'), true);
  });
});

describe('pathOf', () => {
  it('is the name below the host', () => {
    assert.equal(pathOf(new FakeDestination('p/r/app', 'pkg.dev')), 'p/r/app');
  });
});
