import { createPrivateKey, sign, type KeyObject } from 'node:crypto';
import { digestOf } from '../registry/digest.ts';
import * as types from '../registry/media-types.ts';
import {
  buildLayer,
  buildManifest,
  descriptorOf,
  jsonBlob,
  type BuiltBlob,
  type BuiltImage,
  type BuiltManifest,
} from './image.ts';
import { randomBytesOf } from './random.ts';

const CHART_TYPE = 'application/vnd.cncf.helm.chart.content.v1.tar+gzip';
const SIMPLE_SIGNING_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json';
/** DER of a PKCS #8 Ed25519 key up to the 32 bytes of its seed (RFC 8410, section 7). */
const ED25519_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** The two-byte config of artifacts that need none (OCI Image 1.1, "Guidance for an Empty Descriptor"). */
export const EMPTY_BLOB: BuiltBlob = jsonBlob({});

/** A Helm chart as an OCI artifact with an `artifactType` and an empty config. */
export function buildChart(name: string, version: string): BuiltImage {
  const chart = buildLayer(
    [
      { path: `${name}/` },
      {
        path: `${name}/Chart.yaml`,
        bytes: Buffer.from(`apiVersion: v2\nname: ${name}\nversion: ${version}\n`),
      },
      { path: `${name}/values.yaml`, bytes: Buffer.from('replicas: 2\n') },
    ],
    'helm package',
  );
  const root = buildManifest(types.OCI_MANIFEST, {
    artifactType: 'application/vnd.cncf.helm.chart.v1',
    config: descriptorOf(EMPTY_BLOB, types.OCI_EMPTY),
    layers: [descriptorOf(chart, CHART_TYPE)],
    annotations: {
      'org.opencontainers.image.title': name,
      'org.opencontainers.image.version': version,
    },
  });
  return { root, children: [], blobs: [chart, EMPTY_BLOB] };
}

/** The tag under which a digest's signature is found: `sha256-<hex>.sig` (cosign, signature specification). */
export function signatureTag(digest: string): string {
  return `${digest.replace(':', '-')}.sig`;
}

/** A signature as cosign writes it: a "simple signing" document as layer, signed by the seed's key. */
export function buildSignature(repository: string, subject: string, seed: string): BuiltImage {
  const payload = jsonBlob({
    critical: {
      identity: { 'docker-reference': repository },
      image: { 'docker-manifest-digest': subject },
      type: 'cosign container image signature',
    },
    optional: null,
  });
  const config = jsonBlob({
    architecture: '',
    created: '0001-01-01T00:00:00Z',
    os: '',
    rootfs: { type: 'layers', diff_ids: [payload.digest] },
    config: {},
  });
  const signature = sign(null, payload.bytes, signingKey(seed)).toString('base64');
  const root = buildManifest(types.OCI_MANIFEST, {
    config: descriptorOf(config, types.OCI_CONFIG),
    layers: [
      {
        ...descriptorOf(payload, SIMPLE_SIGNING_TYPE),
        annotations: { 'dev.cosignproject.cosign/signature': signature },
      },
    ],
  });
  return { root, children: [], blobs: [payload, config] };
}

/** A bill of materials that refers to an image by `subject` (OCI Image 1.1, "Associated artifacts"). */
export function buildReferrer(subject: BuiltManifest, seed: string): BuiltImage {
  const document = jsonBlob({
    spdxVersion: 'SPDX-2.3',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: subject.digest,
    documentNamespace: `https://example.com/spdx/${digestOf(seed).slice(7, 23)}`,
    packages: [],
  });
  const root = buildManifest(types.OCI_MANIFEST, {
    artifactType: 'application/spdx+json',
    config: descriptorOf(EMPTY_BLOB, types.OCI_EMPTY),
    layers: [descriptorOf(document, 'application/spdx+json')],
    subject: descriptorOf(subject, subject.mediaType),
  });
  return { root, children: [], blobs: [document, EMPTY_BLOB] };
}

/** The tag of the fallback index: `sha256-<hex>` (OCI Distribution 1.1, "Referrers Tag Schema"). */
export function fallbackTag(digest: string): string {
  return digest.replace(':', '-');
}

/** The fallback index of these referrers, which must be in the registry before it. */
export function buildFallbackIndex(referrers: readonly BuiltImage[]): BuiltImage {
  const root = buildManifest(types.OCI_INDEX, {
    manifests: referrers.map(({ root: manifest }) => {
      const { artifactType } = JSON.parse(manifest.bytes.toString('utf8')) as {
        readonly artifactType: string;
      };
      return { ...descriptorOf(manifest, manifest.mediaType), artifactType };
    }),
  });
  return { root, children: referrers.map((referrer) => referrer.root), blobs: [] };
}

function signingKey(seed: string): KeyObject {
  const der = Buffer.concat([ED25519_PREFIX, randomBytesOf(`key/${seed}`, 32)]);
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
}
