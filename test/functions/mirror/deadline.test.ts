import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
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
