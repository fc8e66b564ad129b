import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_LAYER_GZIP,
  OCI_MANIFEST,
} from '../../stand-ins/registry/media-types.ts';
import {
  findDistribution,
  findDockerRegistry,
  startDockerRegistry,
} from '../../real/servers/docker-registry.ts';
import { required, skipUnless, type Search } from '../../real/servers/found.ts';
import { ask, manifestOf, pushBlob, start, type Answered } from './loopback.ts';

type Step = (url: string) => Promise<Answered>;

const NAME = 'team/app';
const CONFIG = Buffer.from('{"os":"linux","architecture":"amd64"}');
const LAYER = Buffer.from('the bytes of a layer');
const MANIFEST = manifestOf(CONFIG, [LAYER]);
const DIGEST = digestOf(LAYER);

function listOf(mediaType: string, childType: string, child: Buffer): Buffer {
  const platform = { os: 'linux', architecture: 'amd64' };
  const descriptor = {
    mediaType: childType,
    digest: digestOf(child),
    size: child.length,
    platform,
  };
  return Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests: [descriptor] }));
}

const DOCKER_IMAGE = Buffer.from(
  MANIFEST.toString()
    .replace(OCI_MANIFEST, DOCKER_MANIFEST)
    .replace('oci.image.config', 'x.config'),
);

function put(reference: string, mediaType: string, body: Buffer): Step {
  return (url) =>
    ask(url, 'PUT', `/v2/${NAME}/manifests/${reference}`, {
      headers: { 'content-type': mediaType },
      body,
    });
}

function get(path: string, headers: Readonly<Record<string, string>> = {}): Step {
  return (url) => ask(url, 'GET', `/v2/${NAME}/${path}`, { headers });
}

function post(query: string, repository = NAME): Step {
  return (url) => ask(url, 'POST', `/v2/${repository}/blobs/uploads/${query}`, { body: '' });
}

/** An upload's last request, under a digest that the bytes may not have. */
function upload(digest: string): Step {
  return async (url) => {
    const location = (await post('')(url)).headers.location ?? '';
    const joint = location.includes('?') ? '&' : '?';
    return ask(url, 'PUT', `${location}${joint}digest=${digest}`, { body: LAYER });
  };
}

/** What both are asked, in this order: later steps build on earlier ones. */
const STEPS: Readonly<Record<string, Step>> = {
  'the ping': (url) => ask(url, 'GET', '/v2/'),
  'tags of an unknown repository': get('tags/list'),
  'an unknown blob': get(`blobs/${DIGEST}`),
  'a malformed digest': get('blobs/sha256:abc'),
  'a manifest without its blobs': put('v1', OCI_MANIFEST, MANIFEST),
  'an upload': (url) => pushBlob(url, NAME, LAYER),
  'another upload': (url) => pushBlob(url, NAME, CONFIG),
  'an upload under another digest': upload(digestOf('other')),
  'tags of a repository with blobs': get('tags/list'),
  'a mount without from': post(`?mount=${DIGEST}`),
  'a mount from itself': post(`?mount=${DIGEST}&from=${NAME}`),
  'a mount from nowhere': post(`?mount=${DIGEST}&from=no/where`),
  'a mount from another': post(`?mount=${DIGEST}&from=${NAME}`, 'team/other'),
  'a single POST': (url) =>
    ask(url, 'POST', `/v2/${NAME}/blobs/uploads/?digest=${DIGEST}`, { body: LAYER }),
  'a manifest': put('v1', OCI_MANIFEST, MANIFEST),
  'a Docker manifest': put('d1', DOCKER_MANIFEST, DOCKER_IMAGE),
  'a manifest under another digest': put(DIGEST, OCI_MANIFEST, MANIFEST),
  'no JSON': put('v2', OCI_MANIFEST, Buffer.from('{')),
  'no manifest type': put('v2', 'application/json', MANIFEST),
  'another manifest type': put('v2', OCI_INDEX, MANIFEST),
  'an index without its child': put(
    'i',
    OCI_INDEX,
    listOf(OCI_INDEX, OCI_MANIFEST, Buffer.from('nowhere')),
  ),
  'an index': put('i', OCI_INDEX, listOf(OCI_INDEX, OCI_MANIFEST, MANIFEST)),
  'an index of blobs': put('b', OCI_INDEX, listOf(OCI_INDEX, OCI_LAYER_GZIP, LAYER)),
  'a list': put('l', DOCKER_LIST, listOf(DOCKER_LIST, DOCKER_MANIFEST, DOCKER_IMAGE)),
  'a manifest, accepted': get('manifests/v1', { accept: OCI_MANIFEST }),
  'a manifest, anything accepted': get('manifests/v1', { accept: '*/*' }),
  'a manifest, nothing accepted': get('manifests/v1'),
  'a manifest by digest': get(`manifests/${digestOf(MANIFEST)}`, { accept: OCI_MANIFEST }),
  'a list, only its child accepted': get('manifests/l', { accept: DOCKER_MANIFEST }),
  'an unknown manifest': get('manifests/none', { accept: OCI_MANIFEST }),
  'a blob': get(`blobs/${DIGEST}`),
  'a part of a blob': get(`blobs/${DIGEST}`, { range: 'bytes=3-5' }),
  'an upload in sha512': upload(digestOf(LAYER, 'sha512')),
  'a blob in sha512': get(`blobs/${digestOf(LAYER, 'sha512')}`),
  'the end of a blob': get(`blobs/${DIGEST}`, { range: 'bytes=-2' }),
  'past the end of a blob': get(`blobs/${DIGEST}`, { range: 'bytes=99-' }),
  'a page of tags': get('tags/list?n=1&last=b'),
  'the last page of tags': get('tags/list?n=9&last=d1'),
  'a page of no number': get('tags/list?n=x'),
  'a repository outside the grammar': (url) => ask(url, 'GET', '/v2/Upper/tags/list'),
  'a mount of no digest': post('?mount=latest'),
  'a tag outside the grammar': put('-v1', OCI_MANIFEST, MANIFEST),
  'the rest of a blob': get(`blobs/${DIGEST}`, { range: 'bytes=3-' }),
};

/** What of an answer must be the same: status, codes, digests named, and the headers clients read. */
function essence({ status, headers, body }: Answered): unknown {
  const text = body.toString();
  const isError = status >= 400 && text.startsWith('{');
  return {
    status,
    codes: isError
      ? (JSON.parse(text) as { errors: { code: string }[] }).errors.map(({ code }) => code)
      : [],
    // Which digests an incomplete manifest's refusal names, and as what.
    details: text.includes('MANIFEST_BLOB_UNKNOWN')
      ? (JSON.parse(text) as { errors: { detail: unknown }[] }).errors.map(({ detail }) => detail)
      : [],
    body: status < 300 ? text.trim() : '',
    digest: headers['docker-content-digest'],
    contentRange: headers['content-range'],
    link: headers['link'],
    mediaType: status < 300 ? headers['content-type']?.split(';')[0] : undefined,
    location: status === 201 ? new URL(headers.location ?? '').pathname : undefined,
    range: headers.range,
  };
}

/** What a step came to, or how its connection broke. */
async function answer(run: Step, url: string): Promise<unknown> {
  return run(url).then(essence, (error: unknown) => (error as NodeJS.ErrnoException).code);
}

/**
 * The versions, and the steps that they answer otherwise than the stand-in: version 2 lists tags in
 * no order and without pages, and breaks off where a range begins after the end; version 3 takes no
 * blobs into an index.
 */
const VERSIONS: readonly (readonly [string, Search, readonly string[]])[] = [
  [
    'distribution 2',
    findDockerRegistry(),
    ['past the end of a blob', 'a page of tags', 'the last page of tags', 'a page of no number'],
  ],
  ['distribution 3', findDistribution(), ['an index of blobs']],
];

for (const [name, search, otherwise] of VERSIONS) {
  describe(`the plain registry and ${name}`, { skip: skipUnless(search) }, () => {
    it('answer alike', async (t) => {
      const real = await startDockerRegistry(required(search));
      t.after(() => real.stop());
      const own = await start(t);
      for (const [step, run] of Object.entries(STEPS)) {
        const [ours, theirs] = [await answer(run, own.url), await answer(run, real.url)];
        if (!otherwise.includes(step)) assert.deepEqual(ours, theirs, `${name}: ${step}`);
      }
    });
  });
}
