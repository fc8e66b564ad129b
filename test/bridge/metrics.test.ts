import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BRIDGE_METRICS, createMetrics, type MetricEntry } from '../../bridge/metrics.ts';

const readings = {
  queueDepth: () => ({ change: 2, replay: 7 }),
  oldestUnpublishedSeconds: () => 1.5,
  watchedObjects: () => 42,
  refusedObjects: () => ({ AnnotationInvalid: 3 }),
};

describe('createMetrics', () => {
  it('exports every metric of the catalogue with its help and type', async () => {
    const metrics = createMetrics(readings);
    metrics.published.inc({ reason: 'changed' });
    metrics.leader.set({ name: 'lease' }, 1);
    const text = await metrics.text();
    for (const { name, type, help } of Object.values<MetricEntry>(BRIDGE_METRICS)) {
      assert.ok(text.includes(`# TYPE ${name} ${type}`), name);
      assert.ok(text.includes(`# HELP ${name} ${help}`), name);
    }
  });

  it('exports nothing of its own that the catalogue has not', async () => {
    const text = await createMetrics(readings).text();
    const known = new Set(Object.values<MetricEntry>(BRIDGE_METRICS).map(({ name }) => name));
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name = '']) => name);
    assert.deepEqual(
      names.filter((name) => !/^(process|nodejs)_/.test(name) && !known.has(name)),
      [],
    );
    assert.ok(names.includes('process_resident_memory_bytes'));
  });

  it('reads gauges when it is asked', async () => {
    const text = await createMetrics(readings).text();
    assert.match(text, /^imagerepo_mirror_bridge_queue_depth\{urgency="replay"\} 7$/m);
    assert.match(text, /^imagerepo_mirror_bridge_oldest_unpublished_event_age_seconds 1.5$/m);
    assert.match(text, /^imagerepo_mirror_bridge_watched_objects 42$/m);
    const refused = /^imagerepo_mirror_bridge_refused_objects\{reason="AnnotationInvalid"\} 3$/m;
    assert.match(text, refused);
  });

  it('follows the conventions of Prometheus', () => {
    for (const { name, type } of Object.values<MetricEntry>(BRIDGE_METRICS)) {
      assert.match(name, /^[a-z][a-z0-9_]*$/);
      assert.equal(name.endsWith('_total'), type === 'counter', name);
      if (type === 'histogram') assert.match(name, /_seconds$/);
    }
  });

  it('lets two live side by side', async () => {
    const [one, two] = [createMetrics(readings), createMetrics(readings)];
    one.published.inc({ reason: 'changed' });
    assert.doesNotMatch(await two.text(), /events_published_total\{/);
  });
});
