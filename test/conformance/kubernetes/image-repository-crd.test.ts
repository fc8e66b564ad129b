import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';

import { parse } from 'yaml';

import {
  imageRepositoryCrd,
  imageRepositorySchema,
} from '../../stand-ins/kubernetes/image-repository-crd.ts';
import { readRecording } from '../../stand-ins/kubernetes/recording.ts';
import { conform, violations } from '../../stand-ins/kubernetes/schema.ts';

describe('the CustomResourceDefinition of ImageRepositories', () => {
  it('is the same in the manifest for real API servers', async () => {
    const file = new URL('../../../infra/kubernetes/crd/imagerepositories.yaml', import.meta.url);
    assert.deepEqual(
      parse(await readFile(file, 'utf8')),
      JSON.parse(JSON.stringify(imageRepositoryCrd)),
    );
  });

  it('allows every object that Flux was recorded to write, and changes none', async () => {
    const file = new URL('../../data/flux-watch.ndjson', import.meta.url);
    for (const { name, events } of readRecording(await readFile(file, 'utf8'))) {
      for (const { object } of events) {
        const { metadata: _metadata, ...content } = object;
        assert.deepEqual(violations(content, imageRepositorySchema, ''), [], name);
        assert.deepEqual(conform(content, imageRepositorySchema), content, name);
      }
    }
  });
});
