import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { describeSearches } from './report.ts';
import { skippedTests, type RunnerEvent } from './skipped.ts';

describe('the report of real servers', () => {
  it('names what was found with version and path, and last what was not', () => {
    const lines = describeSearches(
      [
        { name: 'kube-apiserver', remedy: 'build it' },
        { name: 'docker-registry', path: '/usr/bin/docker-registry', version: '2.8.2' },
      ],
      [{ name: 'crane', path: '/opt/crane', version: '0.22.1' }],
    );
    assert.deepEqual(lines, [
      'real server: docker-registry 2.8.2 (/usr/bin/docker-registry)',
      'real tool: crane 0.22.1 (/opt/crane)',
      'not found: kube-apiserver (build it)',
    ]);
  });
});

describe('the report of skipped tests', () => {
  it('counts them by the reason, those of a suite as they are written', async () => {
    const skip = 'thing not found: apt-get install thing';
    const suite = { skip, file: fileURLToPath(import.meta.url), details: { type: 'suite' } };
    const events: readonly RunnerEvent[] = [
      // The suite of the first describe in this file has one test.
      { type: 'test:pass', data: { ...suite, line: 9 } },
      { type: 'test:pass', data: { skip } },
      { type: 'test:pass', data: { skip: 'no such machine' } },
      { type: 'test:pass', data: {} },
      { type: 'test:start', data: { skip } },
    ];
    const lines: string[] = [];
    for await (const line of skippedTests(Readable.from(events))) lines.push(line);
    assert.deepEqual(lines, [
      'skipped 2 tests: thing not found: apt-get install thing\n',
      'skipped 1 tests: no such machine\n',
    ]);
  });
});
