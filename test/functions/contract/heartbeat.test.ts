import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { encodeHeartbeat, heartbeatOf } from '../../../functions/contract/heartbeat.ts';
import { thrown } from '../../faults.ts';

const HEARTBEAT = 'io.imagerepo-mirror.bridge.alive.v1';

const TIME = new Date('2026-11-26T08:00:00Z');
const alive = { cluster: 'prod', watched: 12, refused: 1 };

describe("a bridge's sign of life", () => {
  it('is a CloudEvent of attributes alone, and is read as it was written', () => {
    const { attributes, data } = encodeHeartbeat(alive, TIME);
    assert.equal(data.length, 0);
    assert.equal(attributes['ce-specversion'], '1.0');
    assert.equal(attributes['ce-type'], HEARTBEAT);
    assert.equal(attributes['ce-time'], '2026-11-26T08:00:00.000Z');
    assert.deepEqual(heartbeatOf(attributes), alive);
  });

  it('is nothing else', () => {
    assert.equal(heartbeatOf({}), undefined);
    assert.equal(heartbeatOf({ 'ce-type': 'io.imagerepo-mirror.revision.changed.v1' }), undefined);
  });

  it('takes the longest name and the largest count', () => {
    const most = { cluster: 'x'.repeat(100), watched: 999_999_999, refused: 0 };
    assert.deepEqual(heartbeatOf(encodeHeartbeat(most, TIME).attributes), most);
  });

  it('is refused with the attribute that it lacks', () => {
    const { 'ce-cluster': _cluster, ...attributes } = encodeHeartbeat(alive, TIME).attributes;
    assert.equal(thrown(() => heartbeatOf(attributes), 'EVENT_INVALID').field, 'ce-cluster');
  });

  for (const [name, value] of [
    ['ce-cluster', ''],
    ['ce-cluster', 'a b'],
    ['ce-cluster', 'x'.repeat(101)],
    ['ce-watched', '-1'],
    ['ce-watched', '1e9'],
    ['ce-refused', 'many'],
  ] as const) {
    it(`is refused with ${name} ${JSON.stringify(value).slice(0, 12)}`, () => {
      const { attributes } = encodeHeartbeat(alive, TIME);
      thrown(() => heartbeatOf({ ...attributes, [name]: value }), 'EVENT_INVALID');
    });
  }
});
