import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

import type { RegistryStore } from '../registry/store.ts';
import { RegistryClient, type RegistryClientOptions } from '../verifier/registry-client.ts';
import type { BuiltBlob, BuiltImage, BuiltManifest } from './image.ts';

/** Where built images are put. */
export interface ImageTarget {
  putBlob(repository: string, blob: BuiltBlob): Promise<void>;
  /** Without a tag the manifest is filed by its digest. */
  putManifest(repository: string, manifest: BuiltManifest, tag?: string): Promise<void>;
  close(): void;
}

/** Puts images straight into the store of a registry of this process. */
export function storeTarget(store: RegistryStore): ImageTarget {
  return {
    putBlob: (repository, blob) => {
      store.putBlob(repository, blob.bytes, blob.digest);
      return Promise.resolve();
    },
    putManifest: (repository, manifest, tag) => {
      store.putManifest(repository, manifest, tag);
      return Promise.resolve();
    },
    close: () => undefined,
  };
}

/** Pushes images to any registry (OCI Distribution 1.1, "Push"). */
export function httpTarget(options: RegistryClientOptions): ImageTarget {
  const client = new RegistryClient(options);
  return {
    putBlob: (repository, blob) => pushBlob(client, repository, blob),
    putManifest: (repository, manifest, tag) => pushManifest(client, repository, manifest, tag),
    close: () => {
      client.close();
    },
  };
}

/** Puts blobs, then children, then the root under its tag. */
export async function putImage(
  target: ImageTarget,
  repository: string,
  image: BuiltImage,
  tag?: string,
): Promise<void> {
  for (const blob of image.blobs) await target.putBlob(repository, blob);
  for (const child of image.children) await target.putManifest(repository, child);
  await target.putManifest(repository, image.root, tag);
}

async function pushBlob(
  client: RegistryClient,
  repository: string,
  blob: BuiltBlob,
): Promise<void> {
  const head = await client.send({ method: 'HEAD', repository, path: `blobs/${blob.digest}` });
  head.resume();
  if (head.statusCode === 200) return;
  const begun = await client.send({ method: 'POST', repository, path: 'blobs/uploads/' });
  const refusal = await text(begun);
  const location = begun.headers.location;
  if (begun.statusCode !== 202 || location === undefined) {
    throw new Error(`the upload to ${repository} was refused: ${begun.statusCode ?? 0} ${refusal}`);
  }
  const put = await client.send({
    method: 'PUT',
    repository,
    path: `${location}${location.includes('?') ? '&' : '?'}digest=${blob.digest}`,
    headers: { 'content-type': 'application/octet-stream' },
    body: blob.bytes,
  });
  await requireCreated(put, blob.digest);
}

async function pushManifest(
  client: RegistryClient,
  repository: string,
  manifest: BuiltManifest,
  tag: string | undefined,
): Promise<void> {
  const put = await client.send({
    method: 'PUT',
    repository,
    path: `manifests/${tag ?? manifest.digest}`,
    headers: { 'content-type': manifest.mediaType },
    body: manifest.bytes,
  });
  await requireCreated(put, `${repository}:${tag ?? manifest.digest}`);
}

async function requireCreated(put: IncomingMessage, what: string): Promise<void> {
  const answer = await text(put);
  if (put.statusCode !== 201)
    throw new Error(`${what} was refused: ${put.statusCode ?? 0} ${answer}`);
}
