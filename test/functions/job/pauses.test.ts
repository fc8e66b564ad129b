import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Pauses } from '../../../functions/job/pauses.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';

const host = 'registry.example:5000';

function setting(): {
  readonly pauses: Pauses;
  readonly lines: string[];
  readonly pause: (seconds: number) => void;
  readonly pass: (seconds: number) => void;
} {
  const lines: string[] = [];
  let nowMs = 60_000;
  const logger = createLogger({ encoding: 'console', write: (line) => lines.push(line) });
  const pauses = new Pauses(logger, () => nowMs);
  return {
    pauses,
    lines,
    pause: (seconds) => {
      pauses.note({ side: 'source', host, untilMs: nowMs + seconds * 1000 });
    },
    pass: (seconds) => {
      nowMs += seconds * 1000;
    },
  };
}

describe('pauses', () => {
  it('say nothing of what is soon over', () => {
    const { lines, pause, pass } = setting();
    for (let times = 0; times < 4; times += 1) {
      pause(10);
      pass(60);
    }
    assert.deepEqual(lines, []);
    pause(10.001);
    assert.equal(lines.length, 1);
  });

  it('name host, side, wait and end of a long one, once for all requests that it holds', () => {
    const { lines, pause } = setting();
    pause(1100);
    pause(1100);
    pause(1101);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? '',
      /registry\.example:5000 \(source\) asks for a pause of 1100 s, until 1970-01-01T00:19:20/,
    );
  });

  it('add up short ones that follow each other within 2 s', () => {
    const { lines, pause, pass } = setting();
    pause(8);
    pass(10.001);
    pause(8);
    assert.equal(lines.length, 0);
    pass(10);
    pause(8);
    assert.equal(lines.length, 1);
  });

  it('say again that a wait grows', () => {
    const { lines, pause } = setting();
    pause(30);
    pause(40);
    assert.equal(lines.length, 1);
    pause(40.001);
    assert.equal(lines.length, 2);
  });

  it('end a run with RATE_LIMITED while one lasts, else with DEADLINE_EXCEEDED', () => {
    const { pauses, pause, pass } = setting();
    pause(30);
    const { code, retryAfterMs } = pauses.timeoutError();
    assert.deepEqual([code, retryAfterMs], ['RATE_LIMITED', 30_000]);
    pass(30);
    assert.equal(pauses.timeoutError().code, 'DEADLINE_EXCEEDED');
  });
});
