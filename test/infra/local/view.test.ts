import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  bytesInWords,
  createView,
  tableLines,
  type RepositoryRow,
} from '../../../infra/local/view.ts';

const row: RepositoryRow = {
  image: 'ghcr.io/org/app',
  revision: '3921220339',
  sourceTags: 12,
  destinationTags: 11,
  lastOutcome: '1 copied',
  movedBytes: 2048,
  lagSeconds: 1.25,
};

describe('tableLines', () => {
  it('pads every column to its widest cell', () => {
    const [head = '', first = '', second = ''] = tableLines([
      row,
      { ...row, image: 'a/b', lagSeconds: undefined },
    ]);
    assert.equal(head.indexOf('revision'), first.indexOf('3921220339'));
    assert.equal(second.indexOf('3921220339'), first.indexOf('3921220339'));
    assert.ok(second.endsWith('-'));
  });
});

describe('tableLines on a terminal of 80 columns', () => {
  const wide: RepositoryRow = {
    ...row,
    image: '127.0.0.1:38601/demo/payments-with-a-long-name',
    lastOutcome: '2 copied, 1 retagged, 130 skipped',
    movedBytes: 131_072_000,
  };

  it('keep the lag, and what tells the images apart', () => {
    const [head = '', line = ''] = tableLines([wide], 79);
    for (const one of [head, line]) assert.ok(one.length <= 79, one);
    assert.ok(head.endsWith('lag'));
    assert.ok(line.endsWith('1.3 s'));
    assert.match(line, /^….*long-name /);
    assert.match(line, / 12 +11 +2 copied/);
  });

  it('cut nothing that fits', () => {
    assert.deepEqual(tableLines([row], 79), tableLines([row]));
  });
});

describe('createView', () => {
  it('writes a line per change where there is no terminal', () => {
    const written: string[] = [];
    const view = createView({ write: (text) => written.push(text) });
    view.show(row);
    view.note('new tag 1.0.1');
    view.close();
    assert.equal(written.length, 2);
    assert.ok(written[0]?.includes('tags 12 → 11'));
    assert.ok(!written.join('').includes('\u001b'));
  });

  it('redraws its table in place on a terminal', async () => {
    const written: string[] = [];
    const view = createView({ isTTY: true, columns: 60, write: (text) => written.push(text) });
    view.show(row);
    await sleep(300);
    view.show({ ...row, destinationTags: 12 });
    view.close();
    assert.equal(written.length, 2);
    assert.ok(written[1]?.startsWith('\u001b[3A'));
    for (const line of written.join('').split('\n')) assert.ok(line.length <= 70);
  });
});

describe('bytesInWords', () => {
  for (const [sizeBytes, words] of [
    [0, '0 B'],
    [812, '812 B'],
    [1024, '1.0 KiB'],
    [1_363_149, '1.3 MiB'],
    [5 * 1024 ** 4, '5.0 TiB'],
  ] as const) {
    it(`writes ${sizeBytes} as ${words}`, () => {
      assert.equal(bytesInWords(sizeBytes), words);
    });
  }
});
