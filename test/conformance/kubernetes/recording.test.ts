import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { readRecording } from '../../stand-ins/kubernetes/recording.ts';

const object = '{"metadata":{"name":"a"}}';

describe('a recording', () => {
  it('is read by scenarios, without bookmarks', () => {
    const text = [
      `{"type":"BOOKMARK","object":${object}}`,
      '{"scenario":"one","at":"2026-01-01T00:00:00Z"}',
      `{"type":"ADDED","object":${object}}`,
      `{"type":"BOOKMARK","object":${object}}`,
      '',
      '{"scenario":"two"}',
      `{"type":"DELETED","object":${object}}`,
    ].join('\n');
    assert.deepEqual(
      readRecording(text).map(({ name, events }) => [name, events.map(({ type }) => type)]),
      [
        ['one', ['ADDED']],
        ['two', ['DELETED']],
      ],
    );
  });

  it('of Flux has fifteen scenarios and 83 changes', async () => {
    const file = new URL('../../data/flux-watch.ndjson', import.meta.url);
    const scenarios = readRecording(await readFile(file, 'utf8'));
    assert.equal(scenarios.length, 15);
    assert.equal(scenarios.flatMap(({ events }) => events).length, 83);
  });

  for (const text of ['[]', '{"type":"OTHER"}', `{"type":"ADDED","object":${object}}`, '{']) {
    it(`is refused: ${text}`, () => {
      assert.throws(() => readRecording(text), Error);
    });
  }
});
