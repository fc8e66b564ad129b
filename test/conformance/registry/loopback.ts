import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { buffer } from 'node:stream/consumers';
import type { TestContext } from 'node:test';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import { OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import {
  startRegistry,
  type LocalRegistry,
  type RegistryOptions,
} from '../../stand-ins/registry/registry.ts';

/** What a registry has answered. */
export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Body as JSON. */
  readonly json: unknown;
  /** Codes of an error document. */
  readonly codes: readonly string[];
}

/** What is sent. */
export interface Asked {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer | string;
}

/** Starts a registry that ends with the test. */
export async function start(t: TestContext, options: RegistryOptions = {}): Promise<LocalRegistry> {
  const registry = await startRegistry(options);
  t.after(() => registry.close());
  return registry;
}

/** Sends one request over a connection of its own; a broken connection rejects with its code. */
export function ask(
  base: string,
  method: string,
  path: string,
  { headers = {}, body }: Asked = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
    const outgoing = httpRequest(
      new URL(path, base),
      { method, agent: false, headers: { ...headers, ...length } },
      (message) => {
        buffer(message).then((bytes) => {
          resolve(answered(message.statusCode ?? 0, message.headers, bytes));
        }, reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

function answered(status: number, headers: IncomingHttpHeaders, body: Buffer): Answered {
  const json = (): unknown => JSON.parse(body.toString('utf8'));
  return {
    status,
    headers,
    body,
    get json() {
      return json();
    },
    get codes() {
      const { errors = [] } = json() as { errors?: readonly { code: string }[] };
      return errors.map(({ code }) => code);
    },
  };
}

/** Uploads a blob by POST and PUT. */
export async function pushBlob(
  base: string,
  repository: string,
  bytes: Buffer,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answered> {
  const begun = await ask(base, 'POST', `/v2/${repository}/blobs/uploads/`, { headers, body: '' });
  const location = begun.headers.location ?? '';
  const joint = location.includes('?') ? '&' : '?';
  return ask(base, 'PUT', `${location}${joint}digest=${digestOf(bytes)}`, { headers, body: bytes });
}

/** A manifest of these blobs, the first of which is the config. */
export function manifestOf(
  config: Buffer,
  layers: readonly Buffer[],
  more: Readonly<Record<string, unknown>> = {},
): Buffer {
  const describe = (bytes: Buffer, mediaType: string): unknown => ({
    mediaType,
    digest: digestOf(bytes),
    size: bytes.length,
  });
  return Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: describe(config, OCI_CONFIG),
      layers: layers.map((layer) => describe(layer, OCI_LAYER_GZIP)),
      ...more,
    }),
  );
}

/** Puts a small image straight into the store; the digest of its manifest. */
export function storeImage(
  registry: LocalRegistry,
  repository: string,
  tag: string | undefined,
  seed = tag ?? 'untagged',
): string {
  const config = Buffer.from(JSON.stringify({ seed }));
  const layer = Buffer.from(`layer of ${seed}`);
  registry.store.putBlob(repository, config);
  registry.store.putBlob(repository, layer);
  const bytes = manifestOf(config, [layer]);
  return registry.store.putManifest(repository, { mediaType: OCI_MANIFEST, bytes }, tag).digest;
}
