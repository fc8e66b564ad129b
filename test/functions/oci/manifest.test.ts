import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { isMirrorError, type ErrorCode } from '../../../functions/errors.ts';
import { UNKNOWN_SIZE, type Descriptor } from '../../../functions/oci/descriptor.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import {
  blobsOf,
  manifestDigest,
  mayHaveDigest,
  MAX_MANIFEST_BYTES,
  parseManifest,
  parseReferrers,
} from '../../../functions/oci/manifest.ts';
import {
  DOCKER_SCHEMA1,
  DOCKER_SCHEMA1_SIGNED,
  OCI_INDEX,
  OCI_MANIFEST,
} from '../../../functions/oci/media-types.ts';
import { thrown } from '../../faults.ts';

const OCI_ARTIFACT = 'application/vnd.oci.artifact.manifest.v1+json';
const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';
const DOCKER_LIST = 'application/vnd.docker.distribution.manifest.list.v2+json';
const MAX_LAYERS = 2000;
const MAX_CHILDREN = 1000;
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';
const FOREIGN_TYPE = 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip';

interface Written {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function written(text: string, mediaType: string): Written {
  return { mediaType, digest: digestOf(Buffer.from(text)), size: text.length };
}

function bytesOf(document: unknown): Buffer {
  return Buffer.from(JSON.stringify(document));
}

function read({ mediaType, digest, size }: Written): Descriptor {
  return { mediaType, digest, sizeBytes: size };
}

const CONFIG = written('config', 'application/vnd.oci.image.config.v1+json');
const LAYER = written('layer', LAYER_TYPE);
const IMAGE = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: CONFIG, layers: [LAYER] };
const CHILD = written('child', OCI_MANIFEST);
const INDEX = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [CHILD] };

function refuses(code: ErrorCode, document: unknown, contentType: string | undefined): void {
  thrown(() => parseManifest(bytesOf(document), contentType), code);
}

describe('manifest', () => {
  it('reads an image of either family', () => {
    for (const mediaType of [OCI_MANIFEST, DOCKER_MANIFEST]) {
      const manifest = parseManifest(bytesOf({ ...IMAGE, mediaType }), mediaType);
      assert.equal(manifest.kind, 'image');
      assert.equal(manifest.mediaType, mediaType);
      assert.deepEqual(manifest.config, read(CONFIG));
      assert.deepEqual(manifest.layers, [read(LAYER)]);
      assert.equal(manifest.artifactType, CONFIG.mediaType);
      assert.deepEqual(blobsOf(manifest), [read(CONFIG), read(LAYER)]);
    }
  });

  it('goes by the type that it is announced as, where its own is that of no manifest or missing', () => {
    for (const mediaType of [undefined, 'application/json']) {
      const { mediaType: read } = parseManifest(bytesOf({ ...IMAGE, mediaType }), DOCKER_MANIFEST);
      assert.equal(read, DOCKER_MANIFEST);
    }
  });

  it('reads an image without layers, an empty config and a subject', () => {
    const empty = written('{}', 'application/vnd.oci.empty.v1+json');
    const manifest = parseManifest(
      bytesOf({
        ...IMAGE,
        artifactType: 'application/vnd.example',
        config: empty,
        layers: [],
        subject: CHILD,
        annotations: { a: 'b', c: 1 },
      }),
      OCI_MANIFEST,
    );
    assert.deepEqual(manifest.layers, []);
    assert.deepEqual(manifest.subject, read(CHILD));
    assert.equal(manifest.artifactType, 'application/vnd.example');
    assert.deepEqual(manifest.annotations, { a: 'b' });
  });

  it('refuses a document that nests deeper than a stack, and reads one that nests elsewhere', () => {
    const nested = (depth: number): Buffer => {
      const text = JSON.stringify({ ...INDEX, extra: 0 });
      return Buffer.from(text.replace('0}', `${'['.repeat(depth)}${']'.repeat(depth)}}`));
    };
    assert.equal(parseManifest(nested(9_000), OCI_INDEX).children.length, 1);
    thrown(() => parseManifest(nested(1_000_000), OCI_INDEX), 'MANIFEST_INVALID');
  });

  it('counts a blob once, however often it is named', () => {
    const manifest = parseManifest(bytesOf({ ...IMAGE, layers: [LAYER, LAYER] }), OCI_MANIFEST);
    assert.deepEqual(manifest.layers, [read(LAYER)]);
  });

  it('guard foreign-layers: keeps foreign layers apart', () => {
    const foreign = { ...written('far', FOREIGN_TYPE), urls: ['http://169.254.169.254/'] };
    const manifest = parseManifest(
      bytesOf({ ...IMAGE, mediaType: DOCKER_MANIFEST, layers: [foreign, LAYER] }),
      DOCKER_MANIFEST,
    );
    assert.deepEqual(manifest.layers, [read(LAYER)]);
    assert.deepEqual(manifest.foreignLayers, [{ ...read(foreign), hasUrls: true }]);
    assert.ok(!blobsOf(manifest).some(({ digest }) => digest === foreign.digest));
  });

  it('takes a layer of a foreign type without URLs as one like any: its bytes are at the source', () => {
    for (const urls of [undefined, null, []]) {
      const layer = { ...written('here', FOREIGN_TYPE), urls };
      const manifest = parseManifest(bytesOf({ ...IMAGE, layers: [layer, LAYER] }), OCI_MANIFEST);
      assert.deepEqual(manifest.layers, [read(layer), read(LAYER)]);
      assert.deepEqual(manifest.foreignLayers, []);
    }
    const mirrored = { ...LAYER, urls: ['https://example.com/layer'] };
    const manifest = parseManifest(bytesOf({ ...IMAGE, layers: [mirrored] }), OCI_MANIFEST);
    assert.deepEqual(manifest.layers, [{ ...read(LAYER), hasUrls: true }]);
  });

  const images: readonly (readonly [string, object])[] = [
    ['no layers', { layers: undefined }],
    ['null for no layers', { layers: null }],
    ['other kinds’ lists that are null', { manifests: null, fsLayers: null, blobs: null }],
    ['a history and a subject that are null', { history: null, subject: null }],
    ['a mediaType that is null', { mediaType: null }],
    ['no schema version', { schemaVersion: undefined }],
    ['a schema version as text', { schemaVersion: '2' }],
    ['no media type of a layer', { layers: [{ ...LAYER, mediaType: '' }] }],
    ['empty lists of other kinds', { manifests: [], fsLayers: [], blobs: [] }],
    ['a history', { history: [{ a: 1 }] }],
  ];
  for (const [name, change] of images) {
    it(`reads an image with ${name}`, () => {
      const { mediaType } = parseManifest(bytesOf({ ...IMAGE, ...change }), OCI_MANIFEST);
      assert.equal(mediaType, OCI_MANIFEST);
    });
  }

  const nameless = { mediaType: undefined };
  const loud = { mediaType: `${OCI_MANIFEST.toUpperCase()};charset=utf-8` };
  const schema1 = { schemaVersion: 1, fsLayers: [{ blobSum: LAYER.digest }] };
  const nulls = { config: null, layers: null, annotations: null };
  const liberal: readonly (readonly [string, unknown, string | undefined, string])[] = [
    ['null for no manifests', { ...INDEX, manifests: null }, OCI_INDEX, OCI_INDEX],
    ['null for no blobs', { mediaType: OCI_ARTIFACT, blobs: null }, OCI_ARTIFACT, OCI_ARTIFACT],
    ['an index with null for an image’s fields', { ...INDEX, ...nulls }, OCI_INDEX, OCI_INDEX],
    [
      'a schema version as text, where nothing names the type',
      { ...IMAGE, ...nameless, schemaVersion: '2' },
      'text/plain',
      OCI_MANIFEST,
    ],
    [
      'a mediaType with parameters, in another case',
      { ...IMAGE, ...loud },
      'application/json',
      OCI_MANIFEST,
    ],
    [
      'a mediaType with parameters under an announcement with others',
      { ...INDEX, mediaType: `${OCI_INDEX}; charset=utf-8` },
      `${DOCKER_LIST.toUpperCase()} ; q=1`,
      OCI_INDEX,
    ],
    ['an image that nothing names', { ...IMAGE, ...nameless }, 'text/plain', OCI_MANIFEST],
    [
      'an image that nothing names, with an empty list of schema 1',
      { ...IMAGE, ...nameless, fsLayers: [] },
      'text/plain',
      OCI_MANIFEST,
    ],
    ['an image that nothing at all names', { ...IMAGE, ...nameless }, undefined, OCI_MANIFEST],
    ['an index that nothing names', { ...INDEX, ...nameless }, 'application/json', OCI_INDEX],
    ['Docker’s name for OCI’s image', IMAGE, DOCKER_MANIFEST, OCI_MANIFEST],
    ['OCI’s name for Docker’s index', { ...INDEX, mediaType: DOCKER_LIST }, OCI_INDEX, DOCKER_LIST],
    ['a schema 1 document that nothing names', schema1, 'application/octet-stream', DOCKER_SCHEMA1],
    ['a signed one', { ...schema1, signatures: [{}] }, undefined, DOCKER_SCHEMA1_SIGNED],
  ];
  for (const [name, document, contentType, mediaType] of liberal) {
    it(`reads ${name}`, () => {
      assert.equal(parseManifest(bytesOf(document), contentType).mediaType, mediaType);
    });
  }

  it('reads keys in another case as those who pull read them', () => {
    const { mediaType, digest, size } = LAYER;
    const layer = { MediaType: mediaType, Digest: digest, SIZE: size };
    const proper = parseManifest(bytesOf(IMAGE), OCI_MANIFEST);
    const bytes = bytesOf({ schemaversion: 2, Config: CONFIG, Layers: [layer] });
    assert.deepEqual(parseManifest(bytes, OCI_MANIFEST), proper);
    const kelvin = bytesOf({ schemaVersion: 2, config: CONFIG, 'layer\u017f': [layer] });
    assert.deepEqual(parseManifest(kelvin, OCI_MANIFEST).layers, [read(LAYER)]);
    const index = bytesOf({ ...INDEX, manifests: undefined, Manifests: [CHILD] });
    assert.deepEqual(parseManifest(index, OCI_INDEX).children, [read(CHILD)]);
    const noted = { ...IMAGE, Annotations: { Layers: 'x', layers: 'y' } };
    assert.deepEqual(parseManifest(bytesOf(noted), OCI_MANIFEST).annotations, {
      Layers: 'x',
      layers: 'y',
    });
  });

  it('takes an entry of an index without a type as a manifest', () => {
    const entry = { digest: CHILD.digest, size: CHILD.size };
    const { children } = parseManifest(bytesOf({ ...INDEX, manifests: [entry] }), OCI_INDEX);
    assert.deepEqual(
      children.map(({ digest }) => digest),
      [CHILD.digest],
    );
  });

  it('knows no size where none can be read, and a manifest’s type in any spelling', () => {
    for (const size of [undefined, null, -1, 1.5, '5', 2 ** 60, {}]) {
      const odd = { ...IMAGE, config: { ...CONFIG, size }, layers: [{ ...LAYER, size }] };
      const { config, layers } = parseManifest(bytesOf(odd), OCI_MANIFEST);
      const unknown = { sizeBytes: UNKNOWN_SIZE };
      assert.deepEqual(
        [config, layers],
        [{ ...read(CONFIG), ...unknown }, [{ ...read(LAYER), ...unknown }]],
      );
      const mediaType = `${OCI_MANIFEST.toUpperCase()};charset=utf-8`;
      const entry = { ...CHILD, size, mediaType };
      const { children } = parseManifest(bytesOf({ ...INDEX, manifests: [entry] }), OCI_INDEX);
      assert.deepEqual(children, [{ ...read(CHILD), ...unknown, mediaType }]);
    }
  });

  it('reads an empty part, and a type as long as there are', () => {
    const layer = { ...LAYER, size: 0, mediaType: `a/${'b'.repeat(253)}` };
    const manifest = parseManifest(bytesOf({ ...IMAGE, layers: [layer] }), OCI_MANIFEST);
    assert.deepEqual(manifest.layers, [read(layer)]);
  });

  it('reads a list of referrers without those whose digest nobody can read, which it counts', () => {
    const list = (manifests: unknown): Buffer => bytesOf({ ...INDEX, manifests });
    const odd = { ...CHILD, digest: 'blake3:00' };
    const page = { referrers: [read(CHILD)], unread: 2 };
    assert.deepEqual(parseReferrers(list([odd, CHILD, odd])), page);
    assert.deepEqual(parseReferrers(list(null)), { referrers: [], unread: 0 });
    for (const entry of [1, { ...CHILD, digest: 7 }])
      thrown(() => parseReferrers(list([entry])), 'MANIFEST_INVALID');
  });

  it('takes a subject for none that names no digest, and for one whatever else it says', () => {
    const others = { mediaType: 7, size: 'x', platform: 1 };
    for (const [subject, digest] of [
      [null, undefined],
      ['sha256', undefined],
      [[CHILD], undefined],
      [{}, undefined],
      [{ ...CHILD, digest: 'sha256:../x' }, undefined],
      [{ digest: CHILD.digest }, CHILD.digest],
      [{ ...others, digest: CHILD.digest }, CHILD.digest],
    ] as const) {
      for (const [document, type] of [
        [IMAGE, OCI_MANIFEST],
        [INDEX, OCI_INDEX],
        [{ mediaType: OCI_ARTIFACT, blobs: [] }, OCI_ARTIFACT],
      ] as const) {
        const manifest = parseManifest(bytesOf({ ...document, subject }), type);
        assert.equal(manifest.subject?.digest, digest, JSON.stringify(subject));
      }
    }
  });

  it('keeps what a descriptor embeds', () => {
    const data = Buffer.from('config').toString('base64');
    const manifest = parseManifest(
      bytesOf({ ...IMAGE, config: { ...CONFIG, data } }),
      OCI_MANIFEST,
    );
    assert.deepEqual(manifest.config, { ...read(CONFIG), data });
  });

  it('reads an index, nested indexes among its children', () => {
    for (const mediaType of [OCI_INDEX, DOCKER_LIST]) {
      const inner = written('inner', OCI_INDEX);
      const manifest = parseManifest(
        bytesOf({ ...INDEX, mediaType, manifests: [CHILD, inner] }),
        mediaType,
      );
      assert.equal(manifest.kind, 'index');
      assert.deepEqual(manifest.children, [read(CHILD), read(inner)]);
      assert.deepEqual(blobsOf(manifest), []);
    }
  });

  it('reads what an index says of its children: platforms and what describes whom', () => {
    const [arm64, arm] = [
      { os: 'linux', architecture: 'arm64', variant: 'v8' },
      { os: 'linux', architecture: 'arm' },
    ];
    const named = (text: string): Written => written(text, OCI_MANIFEST);
    const [twice, once, before] = [named('a'), named('b'), named('c')];
    const [described, none] = [named('d'), named('e')];
    const { children } = parseManifest(
      bytesOf({
        ...INDEX,
        manifests: [
          { ...twice, platform: arm64 },
          { ...twice, platform: arm },
          { ...once, platform: arm },
          once,
          before,
          { ...before, platform: arm },
          {
            ...described,
            platform: { os: 'unknown', architecture: 'unknown' },
            annotations: { 'vnd.docker.reference.digest': twice.digest },
          },
          {
            ...none,
            platform: { os: 'linux' },
            annotations: { 'vnd.docker.reference.digest': 'x' },
          },
        ],
      }),
      OCI_INDEX,
    );
    assert.deepEqual(children, [
      { ...read(twice), platforms: [arm64, arm] },
      // Named without a platform too: it is for all.
      read(once),
      read(before),
      { ...read(described), describes: twice.digest },
      read(none),
    ]);
  });

  it('takes index entries that are no manifests as blobs (BuildKit cache)', () => {
    const cache = written('cache', 'application/vnd.buildkit.cacheconfig.v0');
    const manifest = parseManifest(bytesOf({ ...INDEX, manifests: [LAYER, cache] }), OCI_INDEX);
    assert.deepEqual(manifest.children, []);
    assert.deepEqual(blobsOf(manifest), [read(LAYER), read(cache)]);
  });

  it('reads an artifact manifest', () => {
    const manifest = parseManifest(
      bytesOf({ mediaType: OCI_ARTIFACT, artifactType: 'a/b', blobs: [LAYER], subject: CHILD }),
      OCI_ARTIFACT,
    );
    assert.equal(manifest.kind, 'artifact');
    assert.deepEqual(manifest.layers, [read(LAYER)]);
    assert.deepEqual(manifest.subject, read(CHILD));
  });

  it('lets the header decide, or the document where the header is no manifest type', () => {
    const bare = { schemaVersion: 2, config: CONFIG, layers: [] };
    assert.equal(
      parseManifest(bytesOf(bare), `${OCI_MANIFEST}; charset=utf-8`).mediaType,
      OCI_MANIFEST,
    );
    for (const none of ['application/json', undefined])
      assert.equal(parseManifest(bytesOf(IMAGE), none).mediaType, OCI_MANIFEST);
  });

  it('guard manifest-type: refuses what neither header nor document calls a manifest', () => {
    const bare = { schemaVersion: 2, config: CONFIG, layers: [] };
    refuses('MANIFEST_UNSUPPORTED', { schemaVersion: 2 }, 'application/json');
    refuses('MANIFEST_UNSUPPORTED', { ...bare, schemaVersion: 3 }, 'text/plain');
    refuses('MANIFEST_UNSUPPORTED', { errors: [] }, undefined);
    refuses('MANIFEST_UNSUPPORTED', { ...bare, mediaType: 'text/html' }, 'text/html');
  });

  it('guard manifest-ambiguous: refuses a document that is two things', () => {
    refuses('MANIFEST_INVALID', { ...INDEX, layers: [LAYER] }, OCI_INDEX);
    refuses('MANIFEST_INVALID', { ...INDEX, config: CONFIG }, OCI_INDEX);
    refuses('MANIFEST_INVALID', { ...INDEX, fsLayers: [{}] }, OCI_INDEX);
    refuses('MANIFEST_INVALID', { ...INDEX, Layers: [LAYER] }, OCI_INDEX);
    refuses('MANIFEST_INVALID', { ...IMAGE, manifests: [CHILD] }, OCI_MANIFEST);
    refuses('MANIFEST_INVALID', { ...IMAGE, fsLayers: [{}] }, OCI_MANIFEST);
    refuses('MANIFEST_INVALID', { ...schema1, layers: [LAYER] }, DOCKER_SCHEMA1);
    refuses('MANIFEST_INVALID', { blobs: [LAYER], manifests: [CHILD] }, OCI_ARTIFACT);
  });

  it('guard manifest-media-type: refuses a type that contradicts its announcement', () => {
    refuses('MANIFEST_INVALID', INDEX, DOCKER_MANIFEST);
    refuses('MANIFEST_INVALID', IMAGE, DOCKER_LIST);
    refuses('MANIFEST_INVALID', IMAGE, OCI_ARTIFACT);
    refuses('MANIFEST_INVALID', { ...INDEX, mediaType: `${OCI_INDEX};a=b` }, DOCKER_MANIFEST);
  });

  it('guard manifest-size: refuses more than 4 MiB unread', () => {
    assert.equal(MAX_MANIFEST_BYTES, 4_194_304);
    const large = Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' ');
    bytesOf(IMAGE).copy(large);
    thrown(() => parseManifest(large, OCI_MANIFEST), 'MANIFEST_TOO_LARGE');
    assert.equal(parseManifest(large.subarray(0, MAX_MANIFEST_BYTES), OCI_MANIFEST).kind, 'image');
  });

  it('guard index-children: refuses more than 1,000 children', () => {
    const most = Array.from({ length: MAX_CHILDREN }, (_, n) => written(`${n}`, OCI_MANIFEST));
    refuses('GRAPH_TOO_LARGE', { ...INDEX, manifests: [...most, CHILD] }, OCI_INDEX);
    const { children } = parseManifest(bytesOf({ ...INDEX, manifests: most }), OCI_INDEX);
    assert.equal(children.length, MAX_CHILDREN);
  });

  it('guard manifest-layers: refuses more than 2,000 layers, in every format', () => {
    const many = Array.from({ length: MAX_LAYERS + 1 }, (_, n) => ({
      ...LAYER,
      digest: `sha256:${n.toString(16).padStart(64, '0')}`,
    }));
    refuses('MANIFEST_TOO_LARGE', { ...IMAGE, layers: many }, OCI_MANIFEST);
    refuses('MANIFEST_TOO_LARGE', { blobs: many }, OCI_ARTIFACT);
    const fsLayers = many.map(({ digest }) => ({ blobSum: digest }));
    refuses('MANIFEST_TOO_LARGE', { schemaVersion: 1, fsLayers }, DOCKER_SCHEMA1);
    const most = { ...IMAGE, layers: many.slice(1) };
    assert.equal(parseManifest(bytesOf(most), OCI_MANIFEST).layers.length, MAX_LAYERS);
  });

  it('guard descriptor-digest: refuses digests that could become paths', () => {
    for (const digest of ['sha256:../../x', 'md5:00', '', `sha256:${'A'.repeat(64)}`]) {
      refuses('DIGEST_INVALID', { ...IMAGE, layers: [{ ...LAYER, digest }] }, OCI_MANIFEST);
      refuses('DIGEST_INVALID', { ...INDEX, manifests: [{ ...CHILD, digest }] }, OCI_INDEX);
      const fsLayers = [{ blobSum: digest }];
      refuses('DIGEST_INVALID', { schemaVersion: 1, fsLayers }, DOCKER_SCHEMA1);
    }
  });

  const malformed: readonly (readonly [string, unknown, string])[] = [
    ['a list', [], OCI_MANIFEST],
    ['null', null, OCI_MANIFEST],
    ['no config', { ...IMAGE, config: undefined }, OCI_MANIFEST],
    ['layers that are no list', { ...IMAGE, layers: {} }, OCI_MANIFEST],
    ['a type that is no text', { ...IMAGE, layers: [{ ...LAYER, mediaType: 1 }] }, OCI_MANIFEST],
    [
      'a type longer than there are',
      { ...IMAGE, layers: [{ ...LAYER, mediaType: `a/${'b'.repeat(254)}` }] },
      OCI_MANIFEST,
    ],
    ['another schema version of schema 1', { schemaVersion: 2, fsLayers: [] }, DOCKER_SCHEMA1],
    ['another schema version', { ...IMAGE, schemaVersion: 1 }, OCI_MANIFEST],
    ['another schema version as text', { ...IMAGE, schemaVersion: '1' }, OCI_MANIFEST],
    ['another schema version of an index', { ...INDEX, schemaVersion: 1 }, OCI_INDEX],
    ['a mediaType that is no text', { ...IMAGE, mediaType: 2 }, OCI_MANIFEST],
    ['no manifests', { schemaVersion: 2 }, OCI_INDEX],
    ['no fsLayers', { schemaVersion: 1 }, DOCKER_SCHEMA1],
  ];
  for (const [name, document, type] of malformed) {
    it(`refuses ${name}`, () => {
      refuses('MANIFEST_INVALID', document, type);
    });
  }

  it('refuses what is no JSON', () => {
    thrown(() => parseManifest(Buffer.from('<html>'), OCI_MANIFEST), 'MANIFEST_INVALID');
  });

  it('gives a manifest or a fault for any bytes and any type', () => {
    const types = fc.constantFrom(
      OCI_MANIFEST,
      OCI_INDEX,
      DOCKER_LIST,
      DOCKER_SCHEMA1,
      OCI_ARTIFACT,
      'application/json',
      undefined,
    );
    const part = fc.oneof(
      fc.constantFrom<unknown>(CONFIG, LAYER, CHILD, null, 1, 'x'),
      fc.jsonValue(),
    );
    const documents = fc.record(
      {
        schemaVersion: fc.constantFrom<unknown>(1, 2, '2'),
        mediaType: types,
        config: part,
        layers: fc.oneof(fc.array(part), part),
        manifests: fc.oneof(fc.array(part), part),
        fsLayers: fc.array(
          fc.record({ blobSum: fc.oneof(fc.constant(LAYER.digest), fc.string()) }),
        ),
        subject: part,
        annotations: part,
      },
      { requiredKeys: [] },
    );
    const texts = fc.oneof(
      fc.string(),
      documents.map((document) => JSON.stringify(document)),
    );
    fc.assert(
      fc.property(texts, types, (text, type) => {
        const bytes = Buffer.from(text);
        try {
          const manifest = parseManifest(bytes, type);
          const parts = [...blobsOf(manifest), ...manifest.children];
          assert.equal(new Set(parts.map(({ digest }) => digest)).size <= parts.length, true);
          assert.ok(parts.every(({ digest }) => /^sha(256|512):[0-9a-f]+$/.test(digest)));
          assert.ok(manifest.children.length === 0 || manifest.kind === 'index');
        } catch (error) {
          assert.ok(isMirrorError(error), String(error));
        }
      }),
      { numRuns: 500 },
    );
  });

  it('tells whether bytes can have a digest, whatever they are', () => {
    const page = Buffer.from('<html>');
    assert.ok(mayHaveDigest(page, digestOf(page)));
    assert.ok(mayHaveDigest(page, digestOf(page, 'sha512')));
    const other = digestOf(Buffer.from('other'));
    const schema1 = ['{"schemaVersion":1}', '{"schemaVersion":1,"signatures":[]}'];
    for (const text of ['<html>', '', 'null', '{}', ...schema1])
      assert.equal(mayHaveDigest(Buffer.from(text), other), false);
  });

  it('digests the bytes as they are', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.equal(manifestDigest(Buffer.from(bytes), OCI_MANIFEST), digestOf(bytes));
      }),
    );
  });
});
