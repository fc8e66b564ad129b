import { createHash } from 'node:crypto';
import { buffer, text } from 'node:stream/consumers';
import { algorithmOf, finishDigest } from '../registry/digest.ts';
import { manifestDigest } from '../registry/manifest.ts';
import { MANIFEST_TYPES } from '../registry/media-types.ts';
import { partsOf, type Part } from './manifest-parts.ts';
import { RegistryClient, type RegistryClientOptions } from './registry-client.ts';

/** What a tag leads to, read and hashed. */
export interface TagReport {
  readonly tag: string;
  /** Computed over the bytes; empty where the tag could not be read. */
  readonly digest: string;
  /** Manifests below the tag's own, each once. */
  readonly children: number;
  /** Distinct blobs. */
  readonly blobs: number;
  /** Bytes of the distinct blobs. */
  readonly bytes: number;
  /** One sentence each; none: the tag can be pulled and every byte is right. */
  readonly problems: readonly string[];
}

/** What a repository holds, read and hashed. */
export interface RepositoryReport {
  readonly repository: string;
  readonly tags: readonly TagReport[];
  /** Distinct blobs of all tags. */
  readonly blobs: number;
  /** Bytes of the distinct blobs of all tags. */
  readonly bytes: number;
  /** Problems of all tags, each with its tag in front. */
  readonly problems: readonly string[];
}

/** What is read. */
export interface VerifyOptions extends RegistryClientOptions {
  readonly repository: string;
  /** Default: every tag of the repository's list. */
  readonly tags?: readonly string[];
}

/** How a part was found: its size, or what is wrong with it. */
interface Finding {
  readonly sizeBytes: number;
  readonly problems: readonly string[];
}

/** Tags read at the same time; with their blobs far below what any registry limits. */
const CONCURRENT_TAGS = 4;

/** Reads a repository as a puller would: every tag, every manifest, every blob, all of them hashed. */
export async function verifyRepository(options: VerifyOptions): Promise<RepositoryReport> {
  const client = new RegistryClient(options);
  try {
    const reader = new RepositoryReader(client, options.repository);
    const tags = options.tags ?? (await listTags(client, options.repository));
    const reports: TagReport[] = [];
    const waiting = [...tags];
    async function work(): Promise<void> {
      for (let tag = waiting.shift(); tag !== undefined; tag = waiting.shift()) {
        reports.push(await reader.readTag(tag));
      }
    }
    await Promise.all(Array.from({ length: CONCURRENT_TAGS }, work));
    reports.sort((a, b) => (a.tag < b.tag ? -1 : 1));
    const { blobs, bytes } = await reader.totals();
    return {
      repository: options.repository,
      tags: reports,
      blobs,
      bytes,
      problems: reports.flatMap(({ tag, problems }) =>
        problems.map((problem) => `${tag}: ${problem}`),
      ),
    };
  } finally {
    client.close();
  }
}

/**
 * All tags of a repository, all pages; none where it is not there.
 * @throws Error for any other refusal
 */
export async function listTags(
  client: RegistryClient,
  repository: string,
): Promise<readonly string[]> {
  const tags: string[] = [];
  let path: string | undefined = 'tags/list';
  while (path !== undefined) {
    const response = await client.send({ method: 'GET', repository, path });
    const body = await text(response);
    if (response.statusCode === 404) return tags;
    if (response.statusCode !== 200) {
      throw new Error(`listing ${repository} was answered ${response.statusCode ?? 0}: ${body}`);
    }
    tags.push(...((JSON.parse(body) as { readonly tags: readonly string[] | null }).tags ?? []));
    path = /<([^>]+)>; *rel="?next"?/.exec(String(response.headers['link'] ?? ''))?.[1];
  }
  return tags;
}

/** Reads the tags of one repository; what several of them share is read once. */
class RepositoryReader {
  readonly #client: RegistryClient;
  readonly #repository: string;
  readonly #blobs = new Map<string, Promise<Finding>>();

  constructor(client: RegistryClient, repository: string) {
    this.#client = client;
    this.#repository = repository;
  }

  async readTag(tag: string): Promise<TagReport> {
    const problems: string[] = [];
    const manifests = new Set<string>();
    const blobs = new Map<string, Part>();
    let digest = '';
    let bytes = 0;
    try {
      const root = await this.#readManifest(tag, undefined, problems);
      digest = root?.digest ?? '';
      if (root !== undefined) await this.#walk(root.bytes, problems, manifests, blobs);
      for (const blob of blobs.values()) {
        const finding = await this.#blob(blob);
        problems.push(...finding.problems);
        bytes += finding.sizeBytes;
      }
    } catch (error) {
      // A connection that broke, a manifest that is no JSON: the tag cannot be pulled.
      problems.push(error instanceof Error ? error.message : String(error));
    }
    return { tag, digest, children: manifests.size, blobs: blobs.size, bytes, problems };
  }

  async totals(): Promise<{ readonly blobs: number; readonly bytes: number }> {
    const settled = await Promise.allSettled(this.#blobs.values());
    const findings = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
    return {
      blobs: findings.length,
      bytes: findings.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    };
  }

  async #walk(
    bytes: Buffer,
    problems: string[],
    manifests: Set<string>,
    blobs: Map<string, Part>,
  ): Promise<void> {
    const parts = partsOf(bytes);
    for (const blob of parts.blobs) blobs.set(blob.digest, blob);
    for (const child of parts.manifests) {
      if (manifests.has(child.digest)) continue;
      manifests.add(child.digest);
      const read = await this.#readManifest(child.digest, child, problems);
      if (read !== undefined) await this.#walk(read.bytes, problems, manifests, blobs);
    }
  }

  async #readManifest(
    reference: string,
    expected: Part | undefined,
    problems: string[],
  ): Promise<{ readonly bytes: Buffer; readonly digest: string } | undefined> {
    const response = await this.#client.send({
      method: 'GET',
      repository: this.#repository,
      path: `manifests/${reference}`,
      headers: { accept: MANIFEST_TYPES.join(', ') },
    });
    const bytes = await buffer(response);
    if (response.statusCode !== 200) {
      problems.push(`manifest ${reference} was answered ${response.statusCode ?? 0}`);
      return undefined;
    }
    const mediaType = (response.headers['content-type'] ?? '').split(';')[0] ?? '';
    const digest = manifestDigest(mediaType, bytes, algorithmOf(expected?.digest ?? ''));
    const announced = response.headers['docker-content-digest'];
    if (announced !== undefined && expected === undefined && announced !== digest) {
      problems.push(`manifest ${reference} is ${digest}, announced as ${String(announced)}`);
    }
    if (expected !== undefined) problems.push(...differences(expected, digest, bytes.length));
    if (expected !== undefined && expected.mediaType !== mediaType) {
      problems.push(`manifest ${reference} came as ${mediaType}, not ${expected.mediaType}`);
    }
    return { bytes, digest };
  }

  #blob(blob: Part): Promise<Finding> {
    const known = this.#blobs.get(blob.digest);
    if (known !== undefined) return known;
    const finding = this.#readBlob(blob);
    this.#blobs.set(blob.digest, finding);
    return finding;
  }

  async #readBlob(blob: Part): Promise<Finding> {
    const response = await this.#client.send({
      method: 'GET',
      repository: this.#repository,
      path: `blobs/${blob.digest}`,
    });
    if (response.statusCode !== 200) {
      response.resume();
      return {
        sizeBytes: 0,
        problems: [`blob ${blob.digest} was answered ${response.statusCode ?? 0}`],
      };
    }
    const hash = createHash(algorithmOf(blob.digest));
    let sizeBytes = 0;
    try {
      for await (const chunk of response) {
        sizeBytes += (chunk as Buffer).length;
        hash.update(chunk as Buffer);
      }
    } catch {
      return { sizeBytes, problems: [`blob ${blob.digest} broke off after ${sizeBytes} bytes`] };
    }
    const digest = finishDigest(hash, algorithmOf(blob.digest));
    return { sizeBytes, problems: differences(blob, digest, sizeBytes) };
  }
}

function differences(expected: Part, digest: string, sizeBytes: number): readonly string[] {
  const wrongSize = expected.sizeBytes !== undefined && expected.sizeBytes !== sizeBytes;
  return [
    ...(digest === expected.digest ? [] : [`${expected.digest} has the bytes of ${digest}`]),
    ...(wrongSize ? [`${expected.digest} has ${sizeBytes} bytes, not ${expected.sizeBytes}`] : []),
  ];
}
