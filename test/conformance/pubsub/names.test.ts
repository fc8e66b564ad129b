import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  projectOf,
  requireProject,
  requireResourceName,
  shortNameOf,
} from '../../stand-ins/pubsub/names.ts';

describe('resource names', () => {
  const valid = [
    'projects/p/topics/abc',
    'projects/my-project/topics/Events-2_a.b~c+d%e',
    `projects/p/topics/a${'b'.repeat(254)}`,
    'projects/p/topics/good',
  ];
  for (const name of valid) {
    it(`takes ${name.slice(0, 50)}`, () => {
      requireResourceName(name, 'topics');
    });
  }

  const invalid = [
    ['shorter than 3 characters', 'projects/p/topics/ab'],
    ['longer than 255 characters', `projects/p/topics/a${'b'.repeat(255)}`],
    ['beginning with a digit', 'projects/p/topics/1abc'],
    ['beginning with goog', 'projects/p/topics/google-events'],
    ['with a character out of the grammar', 'projects/p/topics/a b c'],
    ['of another kind', 'projects/p/subscriptions/abc'],
    ['without a project', 'projects//topics/abc'],
    ['with another root', 'project/p/topics/abc'],
    ['with more parts', 'projects/p/topics/abc/def'],
    ['that is short', 'abc'],
    ['that is empty', ''],
  ] as const;
  for (const [what, name] of invalid) {
    it(`refuses a name ${what}`, () => {
      assert.throws(
        () => {
          requireResourceName(name, 'topics');
        },
        { name: 'Refusal', status: 'INVALID_ARGUMENT' },
      );
    });
  }

  it('takes a project, and refuses what is none', () => {
    requireProject('projects/p');
    for (const name of ['p', 'projects/', 'projects/p/topics']) {
      assert.throws(
        () => {
          requireProject(name);
        },
        { name: 'Refusal', status: 'INVALID_ARGUMENT' },
      );
    }
  });

  it('tells project and short name', () => {
    assert.equal(projectOf('projects/p/topics/abc'), 'projects/p');
    assert.equal(shortNameOf('projects/p/topics/abc'), 'abc');
  });
});
