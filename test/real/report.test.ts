import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { describeSearches } from './report.ts';

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
