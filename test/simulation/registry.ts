import { digestOf } from '../functions/mirror/images.ts';

/** How a registry behaves all the time; what happens now and then is a disturbance. */
export interface RegistryTraits {
  readonly host: string;
  /** Artifact Registry: digests in the tag list, sessions that are capabilities, Google's tokens. */
  readonly google: boolean;
  /** Whether `POST ?mount=` without another repository finds what the repository has. */
  readonly mountProbe: boolean;
  /** Refuses to be asked for any mount. */
  readonly refusesMounts: boolean;
  /** A blob that comes with its POST: stored, dropped for a session, or refused. */
  readonly singlePost: 'honoured' | 'ignored' | 'refused';
  /** Reading needs a token of a realm. */
  readonly realm: boolean;
  readonly range: 'honoured' | 'ignored' | 'wrong';
  readonly referrers: 'api' | 'absent' | 'lying';
  /** Answers a manifest with a subject with `OCI-Subject` and lists it. */
  readonly keepsReferrers: boolean;
  /** Blobs come from another origin. */
  readonly redirectsBlobs: boolean;
  /** Refuses manifests whose parts are missing. */
  readonly checksParts: boolean;
  /** Tags on a page; undefined: all. */
  readonly pageSize: number | undefined;
}

/** Who asks, for what is watched. */
export interface Client {
  /** Name of the process; `world` for what the world itself does. */
  readonly process: string;
}

/** A request as it arrives, its body whole. */
export interface Arrival {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What is answered. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** A manifest as it is kept. */
export interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly storedAtMs: number;
}

/** One repository: what is in it, by digest and by tag. */
export interface Repository {
  readonly blobs: Set<string>;
  readonly manifests: Map<string, StoredManifest>;
  readonly tags: Map<string, string>;
}

/** A tag as somebody pushed it. */
export interface TagPush {
  readonly host: string;
  readonly path: string;
  readonly tag: string;
  readonly digest: string;
  readonly before: string | undefined;
  readonly client: Client;
}

/** All bytes that exist, by digest: registries keep digests only. */
export type Contents = Map<string, Buffer>;

interface Document {
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config?: { readonly digest: string; readonly mediaType?: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly { readonly digest: string }[];
  readonly subject?: { readonly digest: string };
}

const UPLOADS = /^\/v2\/(.+)\/blobs\/uploads\/(.*)$/;
const SESSION = /^\/uploads\/(.+)\/(\d+)$/;
const BLOB = /^\/v2\/(.+)\/blobs\/(sha256:[0-9a-f]{64})$/;
const STORED_BLOB = /^\/store\/(.+)\/(sha256:[0-9a-f]{64})$/;
const MANIFEST = /^\/v2\/(.+)\/manifests\/([^/]+)$/;
const TAGS = /^\/v2\/(.+)\/tags\/list$/;
const REFERRERS = /^\/v2\/(.+)\/referrers\/(sha256:[0-9a-f]{64})$/;

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';

/** A registry in a few maps (OCI Distribution 1.1), with Artifact Registry's ways where it is one. */
export class SimulatedRegistry {
  readonly traits: RegistryTraits;
  readonly repositories = new Map<string, Repository>();
  readonly #contents: Contents;
  readonly #onTag: (push: TagPush) => void;
  readonly #now: () => number;
  readonly #sessions = new Map<string, string>();
  #sessionCount = 0;
  #tokenCount = 0;
  readonly #tokens = new Set<string>();

  /** @param onTag told of every tag that is pushed, at the moment in which it is */
  constructor(
    traits: RegistryTraits,
    contents: Contents,
    onTag: (push: TagPush) => void,
    now: () => number,
  ) {
    this.traits = traits;
    this.#contents = contents;
    this.#onTag = onTag;
    this.#now = now;
  }

  /** Origin that blobs come from where {@link RegistryTraits.redirectsBlobs}. */
  get storeHost(): string {
    return `store-of-${this.traits.host}`;
  }

  get realmHost(): string {
    return `realm-of-${this.traits.host}`;
  }

  repository(path: string): Repository {
    const known = this.repositories.get(path);
    if (known !== undefined) return known;
    const made: Repository = { blobs: new Set(), manifests: new Map(), tags: new Map() };
    this.repositories.set(path, made);
    return made;
  }

  /** Forgets all tokens: whoever presents one is refused once. */
  expireTokens(): void {
    this.#tokens.clear();
  }

  /** Puts a manifest as anybody might, watched. */
  putManifest(
    path: string,
    reference: string,
    bytes: Buffer,
    mediaType: string,
    client: Client,
  ): string {
    const repository = this.repository(path);
    const digest = digestOf(bytes);
    this.#contents.set(digest, bytes);
    repository.manifests.set(digest, { bytes, mediaType, storedAtMs: this.#now() });
    if (!reference.startsWith('sha256:')) {
      const before = repository.tags.get(reference);
      repository.tags.set(reference, digest);
      const { host } = this.traits;
      this.#onTag({ host, path, tag: reference, digest, before, client });
    }
    return digest;
  }

  /** Digests that a manifest needs and the repository lacks, whatever depth; empty: it is complete. */
  missing(path: string, digest: string): readonly string[] {
    const repository = this.repositories.get(path);
    const manifest = repository?.manifests.get(digest);
    if (repository === undefined || manifest === undefined) return [digest];
    const { blobs, children } = partsOf(manifest.bytes);
    return [
      ...blobs.filter((blob) => !repository.blobs.has(blob)),
      ...children.flatMap((child) => this.missing(path, child)),
    ];
  }

  /** Removes the blobs and manifests that no tag reaches, as a registry's own clean-up does. */
  collectGarbage(): readonly string[] {
    const collected: string[] = [];
    for (const repository of this.repositories.values()) {
      const reached = new Set<string>();
      const reach = (digest: string): void => {
        if (reached.has(digest)) return;
        reached.add(digest);
        const manifest = repository.manifests.get(digest);
        if (manifest === undefined) return;
        const { blobs, children } = partsOf(manifest.bytes);
        for (const part of [...blobs, ...children]) reach(part);
      };
      for (const digest of repository.tags.values()) reach(digest);
      for (const [digest, { bytes }] of repository.manifests) {
        const subject = documentOf(bytes).subject?.digest;
        if (subject !== undefined && reached.has(subject)) reach(digest);
      }
      for (const blob of [...repository.blobs]) {
        if (!reached.has(blob) && repository.blobs.delete(blob)) collected.push(blob);
      }
      for (const digest of [...repository.manifests.keys()]) {
        if (!reached.has(digest)) repository.manifests.delete(digest);
      }
    }
    return collected;
  }

  /** Answers a request. */
  handle(arrival: Arrival, client: Client): Reply {
    const { method, url, headers } = arrival;
    if (url.host === this.realmHost) return this.#issueToken();
    const path = url.pathname;
    const stored = STORED_BLOB.exec(path);
    if (stored !== null) return this.#getBlob(stored[1]!, stored[2]!, arrival, false);
    const session = SESSION.exec(path);
    if (session !== null) return this.#finishUpload(session[2]!, arrival);
    if (!this.#mayPass(headers)) return this.#challenge(path);
    if (path === '/v2/') return reply(200);
    const tags = TAGS.exec(path);
    if (tags !== null) return this.#listTags(tags[1]!, url);
    const upload = UPLOADS.exec(path);
    if (upload !== null) return this.#startUpload(upload[1]!, arrival);
    const blob = BLOB.exec(path);
    if (blob !== null)
      return this.#getBlob(blob[1]!, blob[2]!, arrival, this.traits.redirectsBlobs);
    const manifest = MANIFEST.exec(path);
    if (manifest !== null) {
      return method === 'PUT'
        ? this.#putManifest(manifest[1]!, manifest[2]!, arrival, client)
        : this.#getManifest(manifest[1]!, manifest[2]!, arrival);
    }
    const referrers = REFERRERS.exec(path);
    if (referrers !== null) return this.#listReferrers(referrers[1]!, referrers[2]!);
    return refusal(404, 'NOT_FOUND');
  }

  #mayPass(headers: Arrival['headers']): boolean {
    const presented = headers['authorization'];
    if (this.traits.google) return presented === `Bearer ${GOOGLE_TOKEN}`;
    if (!this.traits.realm) return true;
    return presented !== undefined && this.#tokens.has(presented.replace(/^Bearer /, ''));
  }

  #challenge(path: string): Reply {
    const name = /^\/v2\/(.+)\/(?:tags|manifests|blobs|referrers)\//.exec(path)?.[1];
    const scope = name === undefined ? '' : `,scope="repository:${name}:pull"`;
    const realm = `https://${this.realmHost}/token`;
    return refusal(401, 'UNAUTHORIZED', {
      'www-authenticate': `Bearer realm="${realm}",service="${this.traits.host}"${scope}`,
    });
  }

  #issueToken(): Reply {
    this.#tokenCount += 1;
    const token = `token-${this.#tokenCount}`;
    this.#tokens.add(token);
    return json(200, { token, expires_in: 300 });
  }

  #listTags(path: string, url: URL): Reply {
    const repository = this.repositories.get(path);
    if (repository === undefined || (repository.tags.size === 0 && !this.traits.google)) {
      return refusal(404, 'NAME_UNKNOWN');
    }
    const all = [...repository.tags.keys()].sort();
    if (this.traits.google) return json(200, googleList(path, repository, all));
    const last = url.searchParams.get('last');
    const from = last === null ? 0 : all.findIndex((tag) => tag > last);
    const size = this.traits.pageSize ?? all.length;
    const page = from === -1 ? [] : all.slice(from, from + size);
    const more = from !== -1 && from + size < all.length;
    const next = `/v2/${path}/tags/list?n=${size}&last=${page.at(-1) ?? ''}`;
    return json(200, { name: path, tags: page }, more ? { link: `<${next}>; rel="next"` } : {});
  }

  #getManifest(path: string, reference: string, { method }: Arrival): Reply {
    const repository = this.repositories.get(path);
    const isTag = !reference.startsWith('sha256:');
    const digest = isTag ? repository?.tags.get(reference) : reference;
    const manifest = digest === undefined ? undefined : repository?.manifests.get(digest);
    if (digest === undefined || manifest === undefined) return refusal(404, 'MANIFEST_UNKNOWN');
    const { bytes, mediaType } = manifest;
    const headers = {
      'content-type': mediaType,
      'content-length': String(bytes.length),
      'docker-content-digest': digest,
    };
    return reply(200, headers, method === 'HEAD' ? undefined : bytes);
  }

  #putManifest(path: string, reference: string, arrival: Arrival, client: Client): Reply {
    const { body, headers } = arrival;
    const digest = digestOf(body);
    if (reference.startsWith('sha256:') && reference !== digest) {
      return refusal(400, 'DIGEST_INVALID');
    }
    const repository = this.repository(path);
    const { blobs, children } = partsOf(body);
    const missing = [
      ...blobs.filter((blob) => !repository.blobs.has(blob)),
      ...children.filter((child) => !repository.manifests.has(child)),
    ];
    if (this.traits.checksParts && missing.length > 0) {
      const errors = missing.map((part) => ({
        code: 'MANIFEST_BLOB_UNKNOWN',
        message: 'a part is unknown',
        detail: { digest: part },
      }));
      return json(404, { errors });
    }
    this.putManifest(path, reference, body, headers['content-type'] ?? '', client);
    const subject = documentOf(body).subject?.digest;
    return reply(201, {
      'docker-content-digest': digest,
      ...(subject !== undefined && this.traits.keepsReferrers ? { 'oci-subject': subject } : {}),
    });
  }

  #getBlob(path: string, digest: string, arrival: Arrival, redirects: boolean): Reply {
    const bytes = this.#contents.get(digest);
    const there = this.repositories.get(path)?.blobs.has(digest) === true;
    if (!there || bytes === undefined) return refusal(404, 'BLOB_UNKNOWN');
    const { method, headers } = arrival;
    if (redirects && method === 'GET') {
      return reply(307, { location: `https://${this.storeHost}/store/${path}/${digest}` });
    }
    const from = /^bytes=(\d+)-/.exec(headers['range'] ?? '')?.[1];
    if (method === 'GET' && from !== undefined && this.traits.range !== 'ignored') {
      const start = this.traits.range === 'wrong' ? 0 : Number(from);
      const range = `bytes ${start}-${bytes.length - 1}/${bytes.length}`;
      const headers = { 'content-range': range, 'content-length': String(bytes.length - start) };
      return reply(206, headers, bytes.subarray(start));
    }
    const whole = { 'content-length': String(bytes.length), 'docker-content-digest': digest };
    return reply(200, whole, method === 'HEAD' ? undefined : bytes);
  }

  #startUpload(path: string, { url, body }: Arrival): Reply {
    const { refusesMounts, singlePost } = this.traits;
    const mount = url.searchParams.get('mount');
    if (mount !== null && refusesMounts) return refusal(400, 'NAME_INVALID');
    const digest = url.searchParams.get('digest');
    if (digest !== null && singlePost === 'refused') return refusal(405, 'UNSUPPORTED');
    if (digest !== null && singlePost === 'honoured') {
      return this.#putBlob(path, digest, body);
    }
    if (mount !== null && this.#mount(path, mount, url.searchParams.get('from'))) {
      return reply(201, { 'docker-content-digest': mount });
    }
    this.#sessionCount += 1;
    const id = String(this.#sessionCount);
    this.#sessions.set(id, path);
    return reply(202, { location: `/uploads/${path}/${id}` });
  }

  #mount(path: string, digest: string, from: string | null): boolean {
    const own = this.repositories.get(path)?.blobs.has(digest) === true;
    if (own && this.traits.mountProbe) return true;
    if (from === null || from === path) return false;
    if (this.repositories.get(from)?.blobs.has(digest) !== true) return false;
    this.repository(path).blobs.add(digest);
    return true;
  }

  #finishUpload(id: string, { url, body }: Arrival): Reply {
    const path = this.#sessions.get(id);
    if (path === undefined) return refusal(404, 'BLOB_UPLOAD_UNKNOWN');
    const stored = this.#putBlob(path, url.searchParams.get('digest') ?? '', body);
    if (stored.status === 201) this.#sessions.delete(id);
    return stored;
  }

  #putBlob(path: string, digest: string, body: Buffer): Reply {
    const wanted = this.#contents.get(digest);
    if (wanted?.equals(body) !== true) return refusal(400, 'DIGEST_INVALID');
    this.repository(path).blobs.add(digest);
    return reply(201, { 'docker-content-digest': digest });
  }

  #listReferrers(path: string, subject: string): Reply {
    const { referrers } = this.traits;
    if (referrers === 'absent') return refusal(404, 'NOT_FOUND');
    if (referrers === 'lying') return json(200, { hello: 'world' });
    const manifests = [...(this.repositories.get(path)?.manifests ?? [])]
      .filter(([, { bytes }]) => documentOf(bytes).subject?.digest === subject)
      .map(([digest, { bytes, mediaType }]) => ({ mediaType, digest, size: bytes.length }));
    return {
      ...json(200, { schemaVersion: 2, mediaType: OCI_INDEX, manifests }),
      headers: { 'content-type': OCI_INDEX },
    };
  }
}

/** Token of the one Google identity. */
export const GOOGLE_TOKEN = 'ya29.simulation';

/** What a manifest names. */
export function partsOf(bytes: Buffer): {
  readonly blobs: readonly string[];
  readonly children: readonly string[];
} {
  const { config, layers = [], manifests = [] } = documentOf(bytes);
  return {
    blobs: [...(config === undefined ? [] : [config]), ...layers].map(({ digest }) => digest),
    children: manifests.map(({ digest }) => digest),
  };
}

const documents = new WeakMap<Buffer, Document>();

function documentOf(bytes: Buffer): Document {
  const known = documents.get(bytes);
  if (known !== undefined) return known;
  const document = JSON.parse(bytes.toString('utf8')) as Document;
  documents.set(bytes, document);
  return document;
}

function googleList(path: string, repository: Repository, tags: readonly string[]): object {
  const manifest = Object.fromEntries(
    [...repository.manifests].map(([digest, { bytes, mediaType, storedAtMs }]) => [
      digest,
      {
        imageSizeBytes: String(bytes.length),
        mediaType,
        tag: tags.filter((tag) => repository.tags.get(tag) === digest),
        timeCreatedMs: '0',
        timeUploadedMs: String(storedAtMs),
      },
    ]),
  );
  return { child: [], manifest, name: path, tags };
}

function reply(
  status: number,
  headers: Reply['headers'] = {},
  body: Buffer = Buffer.alloc(0),
): Reply {
  return { status, headers, body };
}

function json(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: Buffer.from(JSON.stringify(value)),
  };
}

/** An error in OCI's form. */
export function refusal(
  status: number,
  code: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return json(status, { errors: [{ code, message: code.toLowerCase() }] }, headers);
}
