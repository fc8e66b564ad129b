import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createLogger } from '../../../functions/telemetry/logger.ts';
import { requestTally } from '../../../functions/telemetry/request-tally.ts';

function rig(): {
  stats: ReturnType<typeof requestTally>;
  written: () => string[];
  pass: (ms: number) => void;
} {
  let nowMs = 0;
  let lines: Record<string, unknown>[] = [];
  const logger = createLogger({
    write: (line) => lines.push(JSON.parse(line) as Record<string, unknown>),
  });
  return {
    stats: requestTally(logger, () => nowMs),
    written: () => {
      const texts = lines.map(
        ({ entry, host, side, class: answered, count }) =>
          `${String(entry)} ${String(side)} ${String(host)} ${String(answered)} ${String(count)}`,
      );
      lines = [];
      return texts.sort();
    },
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

describe('request stats', () => {
  it('counts by host, side and class', () => {
    const { stats, written } = rig();
    for (const status of [200, 299, 300, 399, 400, 428, 429, 499, 500, 0]) {
      stats.add({ host: 'a', side: 'source', status });
    }
    stats.add({ host: 'a', side: 'destination', status: 200 });
    stats.flush();
    assert.deepEqual(written(), [
      'requests destination a 2xx 1',
      'requests source a 2xx 2',
      'requests source a 3xx 2',
      'requests source a 429 1',
      'requests source a 4xx 3',
      'requests source a 5xx 1',
      'requests source a none 1',
    ]);
  });

  it('writes at most every 10 s, and loses nothing in between', () => {
    const { stats, written, pass } = rig();
    const add = (): void => {
      stats.add({ host: 'a', side: 'source', status: 200 });
    };
    // Of nothing: that is no line, and keeps none back.
    stats.flush();
    add();
    stats.flush();
    assert.equal(written().length, 1);
    add();
    pass(9_999);
    stats.flush();
    assert.equal(written().length, 0);
    add();
    pass(1);
    stats.flush();
    assert.deepEqual(written(), ['requests source a 2xx 2']);
    add();
    stats.finish();
    assert.deepEqual(written(), ['requests source a 2xx 1']);
    stats.finish();
    assert.deepEqual(written(), []);
  });

  it('tells no more hosts apart than are bounded', () => {
    const { stats, written } = rig();
    for (let n = 0; n < 60; n++) stats.add({ host: `h${n}`, side: 'source', status: 200 });
    stats.finish();
    const lines = written();
    assert.equal(lines.length, 51);
    assert.ok(lines.includes('requests source other 2xx 10'));
  });
});
