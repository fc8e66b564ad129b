import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { PresenceCache, pathOf } from '../../../functions/mirror/presence-cache.ts';
import { FakeDestination, FakeSource } from './fakes.ts';

const BELIEVED_MS = 15 * 60_000;

const DIGEST = `sha256:${'d'.repeat(64)}`;

describe('PresenceCache', () => {
  const one = new FakeDestination('p/r/one', 'pkg.dev');
  const two = new FakeDestination('p/r/two', 'pkg.dev');
  const far = new FakeDestination('p/r/one', 'far.pkg.dev');

  it('knows which repository of which host has a blob', () => {
    const presence = new PresenceCache(() => 0);
    presence.addBlob(one, DIGEST);
    assert.equal(presence.hasBlob(one, DIGEST), true);
    assert.equal(presence.hasBlob(two, DIGEST), false);
    assert.equal(presence.hasBlob(far, DIGEST), false);
    assert.equal(presence.otherHolder(two, DIGEST), 'p/r/one');
    assert.equal(presence.otherHolder(one, DIGEST), undefined);
    assert.equal(presence.otherHolder(far, DIGEST), undefined);
  });

  it('forgets a blob that proved to be missing, there only', () => {
    const presence = new PresenceCache(() => 0);
    presence.addBlob(one, DIGEST);
    presence.addBlob(two, DIGEST);
    presence.forgetBlob(one, DIGEST);
    assert.equal(presence.hasBlob(one, DIGEST), false);
    assert.equal(presence.hasBlob(two, DIGEST), true);
    presence.forgetBlob(far, DIGEST);
  });

  it('tells what was learnt after a version', () => {
    const presence = new PresenceCache(() => 0);
    presence.addBlob(one, DIGEST);
    const version = presence.version();
    assert.equal(presence.hasBlob(one, DIGEST, version), false);
    presence.addBlob(one, DIGEST);
    assert.equal(presence.hasBlob(one, DIGEST, version), true);
  });

  it('believes for a while only', () => {
    let nowMs = 0;
    const presence = new PresenceCache(() => nowMs);
    presence.addBlob(one, DIGEST);
    presence.addManifest(one.name, DIGEST);
    nowMs = BELIEVED_MS - 1;
    assert.equal(presence.hasBlob(one, DIGEST), true);
    nowMs = BELIEVED_MS;
    assert.equal(presence.hasBlob(one, DIGEST), false);
    assert.equal(presence.otherHolder(two, DIGEST), undefined);
    assert.equal(presence.hasManifest(one.name, DIGEST), false);
  });

  it('lets a complete map supersede what was learnt before it was asked for', () => {
    let nowMs = 0;
    const presence = new PresenceCache(() => nowMs);
    presence.addManifest('repository', 'before');
    nowMs = 10;
    presence.addManifest('repository', 'after');
    presence.supersedeManifests('repository', 10);
    assert.equal(presence.hasManifest('repository', 'before'), false);
    assert.equal(presence.hasManifest('repository', 'after'), true);
    presence.forgetManifest('repository', 'after');
    assert.equal(presence.hasManifest('repository', 'after'), false);
  });

  it('keeps a bounded number of facts, the newest', () => {
    const presence = new PresenceCache(() => 0);
    for (let index = 0; index <= 100_000; index += 1) presence.addBlob(one, `blob ${index}`);
    assert.equal(presence.hasBlob(one, 'blob 0'), false);
    assert.equal(presence.hasBlob(one, 'blob 1'), true);
    assert.equal(presence.hasBlob(one, 'blob 100000'), true);
    // What is learnt again is no fact more, and the newest.
    presence.addBlob(one, 'blob 1');
    presence.forgetBlob(one, 'blob 3');
    for (const digest of ['new', 'newer', 'newest']) presence.addBlob(one, digest);
    assert.deepEqual(
      ['blob 1', 'blob 2', 'blob 4', 'blob 5'].map((digest) => presence.hasBlob(one, digest)),
      [true, false, false, true],
    );
    presence.addManifest(one.name, DIGEST);
    assert.equal(presence.hasBlob(one, 'blob 5'), false);
    assert.equal(presence.hasManifest(one.name, DIGEST), true);
  });

  it('bounds manifests too', () => {
    const presence = new PresenceCache(() => 0);
    for (let index = 0; index < 100_000; index += 1) presence.addManifest('old', `m ${index}`);
    presence.addManifest('old', 'm 7');
    presence.forgetManifest('old', 'm 7');
    presence.addManifest('old', 'm 7');
    assert.equal(presence.hasManifest('old', 'm 0'), true);
    presence.addManifest('new', 'one more');
    assert.equal(presence.hasManifest('old', 'm 0'), false);
    assert.equal(presence.hasManifest('new', 'one more'), true);
  });

  it('remembers what is true of one host, repository or pair of them', () => {
    const presence = new PresenceCache(() => 0);
    const source = new FakeSource();
    presence.setImmutable(one.name);
    presence.setMounts(source, one, true);
    assert.deepEqual(
      [one, two].map(({ name }) => presence.isImmutable(name)),
      [true, false],
    );
    assert.deepEqual(
      [one, two].map((there) => presence.mounts(source, there)),
      [true, false],
    );
    assert.equal(presence.wantsWholeIndexes(one.host), false);
    assert.deepEqual(
      [1, 2].map(() => presence.setWantsWholeIndexes(one.host)),
      [true, false],
    );
    assert.deepEqual(
      [one, far].map(({ host }) => presence.wantsWholeIndexes(host)),
      [true, false],
    );
  });

  it('takes what another repository holds for mountable until a mount from one brought nothing', () => {
    const presence = new PresenceCache(() => 0);
    presence.addBlob(one, 'a');
    assert.equal(presence.isMountable(two, 'a'), true);
    assert.equal(presence.isMountable(two, 'b'), false);
    presence.setMountsWithin(two.host, false);
    assert.equal(presence.isMountable(two, 'a'), false);
    presence.setMountsWithin(two.host, true);
    assert.equal(presence.isMountable(two, 'a'), true);
  });

  it('asks a host that wanted whole indexes again after an hour, which is no news', () => {
    let nowMs = 0;
    const presence = new PresenceCache(() => nowMs);
    presence.setWantsWholeIndexes(one.host);
    nowMs = 60 * 60_000 - 1;
    assert.equal(presence.wantsWholeIndexes(one.host), true);
    nowMs += 1;
    assert.equal(presence.wantsWholeIndexes(one.host), false);
    assert.equal(presence.setWantsWholeIndexes(one.host), false);
    assert.equal(presence.wantsWholeIndexes(one.host), true);
  });

  it('believes for a while that a host has no lists under tags: at a page, or two errors', () => {
    let nowMs = 0;
    const presence = new PresenceCache(() => nowMs);
    const refused = (there: FakeDestination, code: ErrorCode): boolean =>
      presence.refusedReferrersTag(there, new MirrorError(code, 'strange'));
    const refusing = (): readonly boolean[] =>
      [one, two, far].map((there) => presence.refusesReferrersTags(there));
    assert.equal(refused(one, 'SERVER_ERROR'), false);
    assert.deepEqual(refusing(), [false, false, false]);
    assert.equal(refused(two, 'SERVER_ERROR'), true);
    assert.deepEqual(refusing(), [true, true, false]);
    nowMs = BELIEVED_MS;
    assert.deepEqual(refusing(), [false, false, false]);
    presence.setAnswersReferrersTags(one);
    assert.equal(refused(two, 'RESPONSE_INVALID'), false);
    assert.equal(refused(far, 'RESPONSE_INVALID'), true);
    assert.deepEqual(refusing(), [false, false, true]);
  });

  it('believes of one repository alone that its account may not read lists under tags', () => {
    const presence = new PresenceCache(() => 0);
    presence.setAnswersReferrersTags(one);
    for (const [code, status] of [
      ['FORBIDDEN', undefined],
      ['UNAUTHORIZED', undefined],
      ['RESPONSE_INVALID', 403],
    ] as const) {
      const refused = [one, two].map((there) =>
        presence.refusedReferrersTag(there, new MirrorError(code, 'no right', { status })),
      );
      assert.deepEqual(refused, [false, true]);
    }
    const refusing = [one, two].map((there) => presence.refusesReferrersTags(there));
    assert.deepEqual(refusing, [false, true]);
  });

  it('remembers who keeps lists of referrers', () => {
    const presence = new PresenceCache(() => 0);
    assert.equal(presence.keepsReferrersList('pkg.dev'), undefined);
    presence.setAcknowledges('pkg.dev', true);
    assert.equal(presence.keepsReferrersList('pkg.dev'), true);
  });
});

describe('pathOf', () => {
  it('is the name below the host', () => {
    assert.equal(pathOf(new FakeDestination('p/r/app', 'pkg.dev')), 'p/r/app');
  });
});
