import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  buildChart,
  buildFallbackIndex,
  buildReferrer,
  buildSignature,
  EMPTY_BLOB,
  fallbackTag,
  signatureTag,
} from '../../stand-ins/images/artifact.ts';
import { isTag } from '../../stand-ins/registry/names.ts';
import { readManifest } from '../../stand-ins/registry/manifest.ts';
import { OCI_EMPTY, OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';

const CHART = buildChart('podinfo', '1.0.0');

describe('artifact', () => {
  it('has a type of its own and an empty config', () => {
    const { blobs, artifactType } = readManifest(OCI_MANIFEST, CHART.root.bytes);
    assert.equal(artifactType, 'application/vnd.cncf.helm.chart.v1');
    assert.equal(blobs[0]?.mediaType, OCI_EMPTY);
    assert.equal(
      EMPTY_BLOB.digest,
      'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    );
  });
});

describe('signature', () => {
  it('names its subject and is found by it', () => {
    const { digest } = CHART.root;
    const signature = buildSignature('org/app', digest, 'seed');
    const payload = JSON.parse(signature.blobs[0]?.bytes.toString() ?? '') as {
      critical: { image: Record<string, string> };
    };
    assert.equal(payload.critical.image['docker-manifest-digest'], digest);
    const layer = readManifest(OCI_MANIFEST, signature.root.bytes).blobs[1];
    assert.match(
      layer?.annotations?.['dev.cosignproject.cosign/signature'] ?? '',
      /^[\w+/]{86}==$/,
    );
    assert.equal(signatureTag(digest), `sha256-${digest.slice(7)}.sig`);
    assert.ok(isTag(signatureTag(digest)));
    assert.equal(buildSignature('org/app', digest, 'seed').root.digest, signature.root.digest);
  });
});

describe('referrer', () => {
  it('refers by subject, and is listed in the fallback index', () => {
    const referrer = buildReferrer(CHART.root, 'seed');
    assert.equal(
      readManifest(OCI_MANIFEST, referrer.root.bytes).subject?.digest,
      CHART.root.digest,
    );
    const index = buildFallbackIndex([referrer]);
    const [listed] = readManifest(index.root.mediaType, index.root.bytes).children;
    assert.equal(listed?.digest, referrer.root.digest);
    assert.equal(listed.artifactType, 'application/spdx+json');
    assert.equal(fallbackTag(CHART.root.digest), `sha256-${CHART.root.digest.slice(7)}`);
  });
});
