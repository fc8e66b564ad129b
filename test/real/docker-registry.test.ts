import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it, type TestContext } from 'node:test';

import { hasCause } from '../faults.ts';
import {
  basicAccount,
  findDistribution,
  findDockerRegistry,
  startDockerRegistry,
  type DockerRegistry,
  type DockerRegistryOptions,
} from './servers/docker-registry.ts';
import { required, skipUnless, type Search } from './servers/found.ts';
import { startTokenServer } from './servers/token-server.ts';
import { findDigestReaders } from './servers/tools.ts';

interface Pushed {
  readonly layer: Buffer;
  readonly layerDigest: string;
  readonly manifest: string;
  readonly manifestDigest: string;
}

const manifestType = 'application/vnd.oci.image.manifest.v1+json';
const repository = 'team/app';

const registries: readonly (readonly [string, Search])[] = [
  ['docker-registry', findDockerRegistry()],
  ['distribution', findDistribution()],
];

for (const [name, search] of registries) {
  describe(`a real ${name}`, { skip: skipUnless(search) }, () => {
    it('gives back the manifest and the blob that were pushed, byte for byte', async (t) => {
      const registry = await start(t, search);
      const pushed = await pushImage(registry, 'v1');

      const manifest = await fetch(`${registry.url}/v2/${repository}/manifests/v1`, {
        headers: { accept: manifestType },
      });
      assert.equal(manifest.headers.get('docker-content-digest'), pushed.manifestDigest);
      assert.equal(await manifest.text(), pushed.manifest);
      const blob = await fetch(`${registry.url}/v2/${repository}/blobs/${pushed.layerDigest}`);
      assert.deepEqual(Buffer.from(await blob.arrayBuffer()), pushed.layer);
    });

    it('refuses a blob whose bytes do not have the digest', async (t) => {
      const registry = await start(t, search);
      const response = await pushBlob(registry, Buffer.from('other bytes'), digest('some bytes'));
      assert.equal(response.status, 400);
      assert.equal(await firstCode(response), 'DIGEST_INVALID');
    });

    it('refuses a manifest whose blobs are not there', async (t) => {
      const registry = await start(t, search);
      const { manifest } = imageOf(Buffer.from('never pushed'));
      const response = await putManifest(registry, 'v1', manifest);
      assert.equal(response.status, 400);
      assert.equal(await firstCode(response), 'MANIFEST_BLOB_UNKNOWN');
    });

    it('deletes a manifest only where deletes are allowed', async (t) => {
      for (const [deletes, status] of [
        [false, 405],
        [true, 202],
      ] as const) {
        const registry = await start(t, search, { deletes });
        const { manifestDigest } = await pushImage(registry, 'v1');
        const path = `${registry.url}/v2/${repository}/manifests/${manifestDigest}`;
        const response = await fetch(path, { method: 'DELETE' });
        await response.arrayBuffer();
        assert.equal(response.status, status);
      }
    });

    it('asks for an account where it has Basic authentication', async (t) => {
      const registry = await start(t, search, { access: { kind: 'basic' } });
      assert.equal((await fetch(`${registry.url}/v2/`)).status, 401);
      const { username, password } = basicAccount;
      assert.equal((await pinged(registry, basic(username, password))).status, 200);
      assert.equal((await pinged(registry, basic(username, 'wrong'))).status, 401);
    });

    it('starts empty and is gone after its stop', async (t) => {
      const first = await start(t, search);
      await pushImage(first, 'v1');
      await first.stop();
      await assert.rejects(fetch(`${first.url}/v2/`), hasCause('ECONNREFUSED'));
      const second = await start(t, search);
      const list = await fetch(`${second.url}/v2/${repository}/tags/list`);
      assert.equal(list.status, 404);
      await list.arrayBuffer();
    });
  });
}

describe(
  'a real distribution with token authentication',
  { skip: skipUnless(findDistribution()) },
  () => {
    it('lets anybody pull and only the account push', async (t) => {
      const tokenServer = await startTokenServer(basicAccount);
      t.after(() => tokenServer.stop());
      const registry = await start(t, findDistribution(), {
        access: { kind: 'token', tokenServer },
      });

      const challenge = (await fetch(`${registry.url}/v2/`)).headers.get('www-authenticate') ?? '';
      assert.ok(challenge.startsWith(`Bearer realm="${tokenServer.realm}"`), challenge);

      const { username, password } = basicAccount;
      const scope = `repository:${repository}:pull,push`;
      const anonymous = await askToken(tokenServer.realm, scope);
      const known = await askToken(tokenServer.realm, scope, basic(username, password));
      assert.equal((await startUpload(registry, anonymous)).status, 401);
      assert.equal((await startUpload(registry, known)).status, 202);
      assert.deepEqual(tokenServer.requests, [
        { scopes: [scope], username: '' },
        { scopes: [scope], username },
      ]);
    });

    it('refuses a token that somebody else has signed', async (t) => {
      const [own, foreign] = await Promise.all([
        startTokenServer(basicAccount),
        startTokenServer(basicAccount),
      ]);
      t.after(() => Promise.all([own.stop(), foreign.stop()]));
      const registry = await start(t, findDistribution(), {
        access: { kind: 'token', tokenServer: own },
      });
      const scope = `repository:${repository}:pull,push`;
      const { username, password } = basicAccount;
      const token = await askToken(foreign.realm, scope, basic(username, password));
      assert.equal((await startUpload(registry, token)).status, 401);
    });

    it('gives nobody a token where anonymous pulls are off', async (t) => {
      const tokenServer = await startTokenServer({ ...basicAccount, anonymousPull: false });
      t.after(() => tokenServer.stop());
      const response = await fetch(`${tokenServer.realm}?scope=repository:${repository}:pull`);
      await response.arrayBuffer();
      assert.equal(response.status, 401);
    });
  },
);

describe('readers of digests that are not ours', () => {
  const readers = findDigestReaders();
  const skip = readers.length === 0 ? 'neither skopeo nor crane nor regctl found' : false;
  it(
    'agree with the registry about a tag',
    { skip: skip || skipUnless(findDockerRegistry()) },
    async (t) => {
      const registry = await start(t, findDockerRegistry());
      const { manifestDigest } = await pushImage(registry, 'v1');
      for (const reader of readers) {
        const found = await reader.digestOf(`${registry.host}/${repository}:v1`);
        assert.equal(found, manifestDigest, reader.name);
      }
    },
  );

  it(
    'fail for a tag that is not there',
    { skip: skip || skipUnless(findDockerRegistry()) },
    async (t) => {
      const registry = await start(t, findDockerRegistry());
      for (const reader of readers) {
        await assert.rejects(
          reader.digestOf(`${registry.host}/${repository}:v1`),
          Error,
          reader.name,
        );
      }
    },
  );
});

async function start(
  t: TestContext,
  search: Search,
  options: DockerRegistryOptions = {},
): Promise<DockerRegistry> {
  const registry = await startDockerRegistry(required(search), options);
  t.after(() => registry.stop());
  return registry;
}

function digest(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function imageOf(layer: Buffer): { readonly config: Buffer; readonly manifest: string } {
  const diffIds = [digest(layer)];
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  );
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: manifestType,
    config: {
      mediaType: 'application/vnd.oci.image.config.v1+json',
      digest: digest(config),
      size: config.length,
    },
    layers: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar',
        digest: digest(layer),
        size: layer.length,
      },
    ],
  });
  return { config, manifest };
}

async function pushImage(registry: DockerRegistry, tag: string): Promise<Pushed> {
  const layer = randomBytes(64 * 1024);
  const { config, manifest } = imageOf(layer);
  for (const blob of [layer, config]) {
    assert.equal((await pushBlob(registry, blob, digest(blob))).status, 201);
  }
  assert.equal((await putManifest(registry, tag, manifest)).status, 201);
  return { layer, layerDigest: digest(layer), manifest, manifestDigest: digest(manifest) };
}

/** OCI Distribution 1.1, "POST then PUT". */
async function pushBlob(
  registry: DockerRegistry,
  bytes: Buffer,
  expected: string,
): Promise<Response> {
  const started = await startUpload(registry);
  const location = new URL(started.headers.get('location') ?? '', registry.url);
  location.searchParams.set('digest', expected);
  return fetch(location, { method: 'PUT', body: new Uint8Array(bytes) });
}

async function startUpload(registry: DockerRegistry, token?: string): Promise<Response> {
  const response = await fetch(`${registry.url}/v2/${repository}/blobs/uploads/`, {
    method: 'POST',
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  });
  await response.arrayBuffer();
  return response;
}

function putManifest(registry: DockerRegistry, tag: string, manifest: string): Promise<Response> {
  return fetch(`${registry.url}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': manifestType },
    body: manifest,
  });
}

async function pinged(registry: DockerRegistry, authorization: string): Promise<Response> {
  const response = await fetch(`${registry.url}/v2/`, { headers: { authorization } });
  await response.arrayBuffer();
  return response;
}

async function askToken(realm: string, scope: string, authorization?: string): Promise<string> {
  const url = new URL(realm);
  url.searchParams.set('scope', scope);
  const response = await fetch(
    url,
    authorization === undefined ? {} : { headers: { authorization } },
  );
  const { token } = (await response.json()) as { readonly token: string };
  return token;
}

async function firstCode(response: Response): Promise<string | undefined> {
  const { errors } = (await response.json()) as { readonly errors: readonly { code: string }[] };
  return errors[0]?.code;
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}
