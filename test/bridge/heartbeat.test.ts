import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Heartbeats } from '../../bridge/heartbeat.ts';
import { heartbeatOf, type Heartbeat } from '../../functions/contract/heartbeat.ts';
import { MirrorError } from '../../functions/errors.ts';
import { createLogger } from '../../functions/telemetry/logger.ts';

const HEARTBEAT_INTERVAL_MS = 300_000;

/** Heartbeats whose clock, leadership and publisher the test has in hand. */
function started(): {
  readonly heartbeats: Heartbeats;
  readonly sent: (Heartbeat | undefined)[];
  readonly lines: string[];
  nowMs: number;
  leading: boolean;
  fault: MirrorError | undefined;
} {
  const sent: (Heartbeat | undefined)[] = [];
  const lines: string[] = [];
  const state = { nowMs: 0, leading: true, fault: undefined as MirrorError | undefined };
  const heartbeats = new Heartbeats({
    publisher: {
      publishMessage: (lane, { attributes }) => {
        assert.equal(lane, 'events');
        sent.push(heartbeatOf(attributes));
        return Promise.resolve(state.fault);
      },
    },
    figures: () => ({ cluster: 'prod', watched: 3, refused: 1 }),
    isLeading: () => state.leading,
    logger: createLogger({ write: (line) => lines.push(line) }),
    now: () => state.nowMs,
  });
  return Object.assign(state, { heartbeats, sent, lines });
}

describe('heartbeats', () => {
  it('are published at once, then every 5 minutes', async () => {
    const bridge = started();
    for (const [nowMs, expected] of [
      [0, 1],
      [HEARTBEAT_INTERVAL_MS - 1, 1],
      [HEARTBEAT_INTERVAL_MS, 2],
    ] as const) {
      bridge.nowMs = nowMs;
      bridge.heartbeats.tick();
      await bridge.heartbeats.idle(60_000);
      assert.equal(bridge.sent.length, expected);
    }
    assert.deepEqual(bridge.sent[0], { cluster: 'prod', watched: 3, refused: 1 });
  });

  it('are not those of a standby, and come as soon as it leads', async () => {
    const bridge = started();
    bridge.leading = false;
    bridge.heartbeats.tick();
    assert.equal(bridge.sent.length, 0);
    bridge.leading = true;
    bridge.heartbeats.tick();
    await bridge.heartbeats.idle(60_000);
    assert.equal(bridge.sent.length, 1);
  });

  it('come again after half a minute where Pub/Sub took none, and say so', async () => {
    const bridge = started();
    bridge.fault = new MirrorError('PUBLISH_FAILED', 'the topic is not there');
    bridge.heartbeats.tick();
    await bridge.heartbeats.idle(60_000);
    assert.match(bridge.lines.join(''), /WARNING.*the topic is not there/);
    bridge.fault = undefined;
    bridge.nowMs = 29_999;
    bridge.heartbeats.tick();
    bridge.nowMs = 30_000;
    bridge.heartbeats.tick();
    await bridge.heartbeats.idle(60_000);
    assert.equal(bridge.sent.length, 2);
  });

  it('are one at a time', () => {
    const bridge = started();
    bridge.heartbeats.tick();
    bridge.heartbeats.tick();
    assert.equal(bridge.sent.length, 1);
  });
});
