import { describe, it } from 'node:test';

import type { Descriptor } from '../../../functions/mirror/ports.ts';
import {
  enterIndex,
  ManifestLimit,
  descend,
  graphPathFrom,
} from '../../../functions/mirror/graph-limits.ts';
import { OCI_MANIFEST } from './images.ts';
import { thrown } from '../../faults.ts';

const MAX_MANIFESTS = 1000;

const MAX_INDEX_DEPTH = 4;

function descriptors(count: number, prefix = 'child'): readonly Descriptor[] {
  return Array.from({ length: count }, (_none, index) => ({
    mediaType: OCI_MANIFEST,
    digest: `sha256:${prefix}${index}`,
    sizeBytes: 1,
  }));
}

describe('ManifestLimit', () => {
  it('counts each digest once', () => {
    const budget = new ManifestLimit();
    budget.count(descriptors(MAX_MANIFESTS));
    budget.count(descriptors(MAX_MANIFESTS));
  });

  it('guard graph-size: lets a tag reach 1,000 manifests over all its indexes', () => {
    const budget = new ManifestLimit();
    enterIndex(graphPathFrom('sha256:top', budget), descriptors(MAX_MANIFESTS));
    thrown(() => {
      budget.count(descriptors(1, 'one more'));
    }, 'GRAPH_TOO_LARGE');
  });
});

describe('enterIndex', () => {
  it('guard index-depth: goes 4 levels deep', () => {
    let walk = graphPathFrom('sha256:top', new ManifestLimit());
    for (let level = 1; level < MAX_INDEX_DEPTH; level += 1) {
      enterIndex(walk, []);
      walk = descend(walk, `sha256:level${level}`);
    }
    enterIndex(walk, []);
    thrown(() => {
      enterIndex(descend(walk, 'sha256:too deep'), []);
    }, 'INDEX_TOO_DEEP');
  });

  it('guard index-cycle: refuses an index that contains itself', () => {
    const walk = descend(graphPathFrom('sha256:child0', new ManifestLimit()), 'sha256:between');
    thrown(() => {
      enterIndex(walk, descriptors(1));
    }, 'MANIFEST_INVALID');
  });
});
