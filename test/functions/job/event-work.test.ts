import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault } from '../../../functions/fault.ts';
import { executeEvent } from '../../../functions/job/event-work.ts';
import type { Work } from '../../../functions/subscriber/work.ts';
import { sampleEvent, sampleRecord, sampleReport } from '../subscriber/samples.ts';
import { workParts } from './work-parts.ts';

describe('work on an event', () => {
  it('is done by the rules of the service, and given to nobody else', async () => {
    const works: Work[] = [];
    const parts = workParts((work) => {
      works.push(work);
      work.observer?.onRecord?.(sampleRecord());
      return sampleReport([sampleRecord()]);
    });
    const result = await executeEvent(sampleEvent(), parts);
    assert.equal(result.decision.action, 'acknowledge');
    assert.equal(works[0]?.delegation, undefined);
    assert.equal(works[0]!.admission.destinationPath, 'm/ghcr.io/stefanprodan/podinfo');
    assert.deepEqual(
      parts.lines.map(({ entry }) => entry),
      ['tag', 'event'],
    );
  });

  it('never throws', async () => {
    const failing = workParts(() => {
      throw new Fault('SERVER_ERROR', 'x');
    });
    assert.equal((await executeEvent(sampleEvent(), failing)).decision.action, 'retry');
    const forbidden = workParts(() => sampleReport());
    const inside = sampleEvent({ image: 'r.example/m/x' });
    assert.equal((await executeEvent(inside, forbidden)).decision.action, 'dead-letter');
  });

  it('never continues: it has the time that it needs', async () => {
    const late = sampleRecord({ outcome: 'failed', fault: new Fault('ABORTED', 'x') });
    const parts = workParts(() => sampleReport([late], { progressed: true }));
    assert.equal((await executeEvent(sampleEvent(), parts)).decision.action, 'retry');
  });
});
