import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { progressLine } from '../../../functions/report/progress.ts';

describe('progress', () => {
  it('is drawn on a terminal below the lines, and gone at the end', ({ mock }) => {
    mock.timers.enable({ apis: ['setInterval'] });
    const [drawn, printed]: [string[], string[]] = [[], []];
    let nowMs = 0;
    const progress = progressLine(
      (line) => printed.push(line),
      { isTTY: true, columns: 29, write: (text) => drawn.push(text) },
      () => nowMs,
    );
    progress.tag();
    progress.bytes(3_000_000);
    nowMs = 1000;
    mock.timers.tick(200);
    assert.deepEqual(drawn, ['\r\u001b[2K1 tags, 3.0 MB sent, 3.0 MB/']);
    progress.line('copied');
    assert.deepEqual(printed, ['copied']);
    assert.equal(drawn.at(-1), '\r\u001b[2K');
    progress.end();
    mock.timers.tick(1000);
    assert.equal(drawn.length, 2);
  });

  it('stands in one line where the terminal does not tell its width', ({ mock }) => {
    mock.timers.enable({ apis: ['setInterval'] });
    const drawn: string[] = [];
    const terminal = { isTTY: true, write: (text: string) => drawn.push(text) };
    const progress = progressLine(
      () => undefined,
      terminal,
      () => 0,
    );
    progress.bytes(Number.MAX_SAFE_INTEGER);
    mock.timers.tick(200);
    assert.deepEqual(drawn, ['\r\u001b[2K0 tags, 9007.2 TB sent, 9007199.3 TB/s']);
    progress.end();
    assert.equal(drawn.at(-1), '\r\u001b[2K');
  });

  it('is logged now and then where there is no terminal', ({ mock }) => {
    mock.timers.enable({ apis: ['setInterval'] });
    const logged: string[] = [];
    const drawn: string[] = [];
    const progress = progressLine(
      () => undefined,
      { write: (text) => drawn.push(text) },
      () => 0,
      (text) => logged.push(text),
    );
    progress.tag();
    mock.timers.tick(30_000);
    assert.deepEqual(logged, ['1 tags, 0 B sent, 0 B/s']);
    progress.line('x');
    progress.end();
    assert.deepEqual(drawn, []);
  });
});
