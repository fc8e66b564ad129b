import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { fromNow, NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import { imageWith } from './images.ts';
import { recordOf, Rig } from './rig.ts';

describe('work without a deadline', () => {
  it('goes on however slow the link is, and is cut by its process alone', async () => {
    const rig = new Rig();
    rig.slowLink(1);
    rig.source.tag('v1', imageWith('v1', 2, 1024 * 1024));
    assert.equal(recordOf(await rig.mirror({}, { deadline: NO_DEADLINE }), 'v1').outcome, 'copied');

    const end = new AbortController();
    rig.source.tag('v2', imageWith('v2', 1, 1024 * 1024));
    rig.destination.before.push((call) => {
      if (call.startsWith('destination commit'))
        end.abort(new MirrorError('DEADLINE_EXCEEDED', 'x'));
    });
    const report = await rig.mirror({}, { deadline: NO_DEADLINE, signal: end.signal });
    assert.equal(recordOf(report, 'v2').fault?.code, 'DEADLINE_EXCEEDED');
  });
});

describe('a deadline from now', () => {
  const deadline = { ...NO_DEADLINE, earlyUntilMs: 300, endsAtMs: 900 };

  it('is early for a third of what is left, and never for less than before', () => {
    assert.equal(fromNow(deadline, 600).earlyUntilMs, 700);
    assert.deepEqual(fromNow(deadline, 0), deadline);
  });

  it('is the same where it is none, or never early', () => {
    for (const same of [
      NO_DEADLINE,
      { ...deadline, earlyUntilMs: -Infinity },
      { ...deadline, endsAtMs: Infinity },
    ]) {
      assert.equal(fromNow(same, 600), same);
    }
  });
});
