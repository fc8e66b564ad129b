import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Fault, type FaultCode } from '../../../functions/fault.ts';
import { executeEvent } from '../../../functions/job/event-work.ts';
import { parseImagePattern } from '../../../functions/subscriber/image-pattern.ts';
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

  const forbidden: readonly (readonly [
    guard: string,
    data: Parameters<typeof sampleEvent>[0],
    code: FaultCode,
  ])[] = [
    ['allowed-sources', { image: 'quay.io/x/y' }, 'SOURCE_FORBIDDEN'],
    ['source-in-destination', { image: 'r.example/m/x' }, 'SOURCE_FORBIDDEN'],
    ['allowed-destinations', { destination: 'elsewhere' }, 'DESTINATION_FORBIDDEN'],
  ];
  for (const [guard, data, code] of forbidden) {
    it(`guard ${guard}: is admitted as a pushed event is`, async () => {
      const works: Work[] = [];
      const { engine, ...parts } = workParts((work) => {
        works.push(work);
        return sampleReport();
      });
      const allowedSources = ['ghcr.io/*', 'r.example/*'].map(parseImagePattern);
      const rules = { ...engine.rules, allowedSources };
      const { fault } = await executeEvent(sampleEvent(data), {
        ...parts,
        engine: { ...engine, rules },
      });
      assert.equal(fault?.code, code);
      assert.deepEqual(works, []);
    });
  }

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
