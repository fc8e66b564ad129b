import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ReferrersSupport } from '../../../functions/mirror/referrers-support.ts';
import { failing, FakeSource } from './fakes.ts';
import { NEVER as never, rejection } from '../../faults.ts';

const digests = ['sha256:a', 'sha256:b', 'sha256:c'];

describe('ReferrersSupport', () => {
  it('asks a host without the API once', async () => {
    const source = new FakeSource();
    const first = new ReferrersSupport();
    const answers = await Promise.all(digests.map((digest) => first.ask(source, digest, never)));
    assert.deepEqual(answers, ['unsupported', 'unsupported', 'unsupported']);
    assert.equal(await first.ask(source, 'sha256:d', never), 'unsupported');
    assert.equal(source.count('source listReferrers'), 1);
  });

  it('asks the others after the first was answered, and together', async () => {
    const source = new FakeSource();
    source.referrersApi = true;
    const first = new ReferrersSupport();
    const answers = await Promise.all(digests.map((digest) => first.ask(source, digest, never)));
    assert.deepEqual(answers, [[], [], []]);
    assert.equal(source.count('source listReferrers'), 3);
    assert.equal(source.mostActive, 2);
    await Promise.all(digests.map((digest) => first.ask(source, digest, never)));
    assert.equal(source.mostActive, 3);
  });

  it('lets the others ask, and together, when the first question failed', async () => {
    const source = new FakeSource();
    source.before.push(failing('source listReferrers', 'TIMEOUT'));
    const first = new ReferrersSupport();
    const asked = await Promise.allSettled(
      digests.map((digest) => first.ask(source, digest, never)),
    );
    assert.ok(asked.every(({ status }) => status === 'rejected'));
    assert.equal(source.count('source listReferrers'), 3);
    assert.equal(source.mostActive, 2);
  });

  it('goes on after another’s first question failed', async () => {
    const source = new FakeSource();
    source.referrersApi = true;
    source.before.push(failing('source listReferrers', 'NETWORK', 1));
    const first = new ReferrersSupport();
    const [failed, ...others] = digests.map((digest) => first.ask(source, digest, never));
    await rejection(failed ?? Promise.resolve(), 'NETWORK');
    assert.deepEqual(await Promise.all(others), [[], []]);
  });
});
