import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { readJobConfig } from '../../functions/config.ts';
import { MirrorError } from '../../functions/errors.ts';

const destination = ['--destination-registry', 'r.example/m'];

describe('job options', () => {
  const refused: readonly [name: string, argv: readonly string[], field: string][] = [
    ['nothing to do', destination, '--image'],
    ['two things to do', [...destination, '--image', 'alpine', '--drain', 'sub'], '--drain'],
    ['a tag without an image', [...destination, '--drain', 'sub', '--tag', 'x'], '--tag'],
    [
      'a topic without a subscription',
      [...destination, '--image', 'a', '--republish', 'top'],
      '--republish',
    ],
    [
      'a filter without a topic',
      [...destination, '--drain', 'sub', '--filter', 'code=X'],
      '--filter',
    ],
    ['a malformed filter', [...destination, '--drain', 'sub', '--filter', 'x'], '--filter'],
    ['a document of a drain', [...destination, '--drain', 'sub', '-o', 'json'], '--output'],
    ['a malformed subscription', [...destination, '--drain', 'a b'], '--drain'],
  ];
  for (const [name, argv, field] of refused) {
    it(`refuse ${name}`, () => {
      assert.throws(
        () => readJobConfig(argv, {}),
        (error) =>
          error instanceof MirrorError && error.code === 'OPTION_INVALID' && error.field === field,
      );
    });
  }

  it('need no destination to republish', () => {
    const config = readJobConfig(['--drain', 'dead', '--republish', 'events'], {});
    assert.deepEqual([config.drain, config.republish], ['dead', 'events']);
  });

  it('verify all that --image names, and what the service would of an event', () => {
    const images = readJobConfig([...destination, '--image', 'alpine'], {});
    assert.deepEqual([images.verify, images.verifyTags], [undefined, 'mutable']);
    const said = readJobConfig([...destination, '--image', 'alpine', '--verify', 'none'], {});
    assert.deepEqual([said.verify, said.verifyTags], ['none', 'none']);
  });
});
