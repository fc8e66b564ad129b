import type { Content } from './content.ts';
import { memoryContent } from './content.ts';
import { digestOf } from './digest.ts';
import { manifestDigest, readManifest, type ManifestContents } from './manifest.ts';

/** A manifest as it was pushed. */
export interface StoredManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly contents: ManifestContents;
  /** Milliseconds since 1970. */
  readonly uploadedMs: number;
}

interface Repository {
  readonly manifests: Map<string, StoredManifest>;
  readonly tags: Map<string, string>;
}

/**
 * What the registry holds, and the way for tests to look at it and to change it behind the protocol.
 * Manifests and tags belong to a repository; blobs to a pool, which several repositories may share.
 */
export class RegistryStore {
  readonly #repositories = new Map<string, Repository>();
  readonly #pools = new Map<string, Map<string, Content>>();
  readonly #canonical = new Map<string, string>();
  readonly #poolOf: (repository: string) => string;
  readonly #clock: () => number;

  constructor(poolOf: (repository: string) => string, clock: () => number) {
    this.#poolOf = poolOf;
    this.#clock = clock;
  }

  /** Names of the repositories that have manifests, sorted. */
  repositories(): readonly string[] {
    return [...this.#repositories]
      .filter(([, { manifests }]) => manifests.size > 0)
      .map(([name]) => name)
      .sort();
  }

  /** Tags of a repository in the order of their bytes (OCI Distribution 1.1, "Listing Tags"). */
  tags(repository: string): readonly string[] {
    return [...(this.#repositories.get(repository)?.tags.keys() ?? [])].sort();
  }

  /** All manifests of a repository, tagged or not, in the order of their upload. */
  manifests(repository: string): readonly StoredManifest[] {
    return [...(this.#repositories.get(repository)?.manifests.values() ?? [])];
  }

  /** The digest that a tag points at. */
  digestOfTag(repository: string, tag: string): string | undefined {
    return this.#repositories.get(repository)?.tags.get(tag);
  }

  /** A manifest by tag or digest. */
  manifest(repository: string, reference: string): StoredManifest | undefined {
    const found = this.#repositories.get(repository);
    return found?.manifests.get(found.tags.get(reference) ?? reference);
  }

  /** Files a manifest without looking whether its parts are there; with `tag`, points that at it. */
  putManifest(
    repository: string,
    manifest: { readonly mediaType: string; readonly bytes: Buffer; readonly digest?: string },
    tag?: string,
  ): StoredManifest {
    const { mediaType, bytes } = manifest;
    const digest = manifest.digest ?? manifestDigest(mediaType, bytes);
    const { manifests, tags } = this.#repository(repository);
    const stored = manifests.get(digest) ?? {
      digest,
      mediaType,
      bytes,
      contents: readManifest(mediaType, bytes),
      uploadedMs: this.#clock(),
    };
    manifests.set(digest, stored);
    if (tag !== undefined) tags.set(tag, digest);
    return stored;
  }

  /** Points a tag at a manifest of the repository, which must be there. */
  setTag(repository: string, tag: string, digest: string): void {
    const { manifests, tags } = this.#repository(repository);
    if (!manifests.has(digest)) throw new Error(`${repository} has no manifest ${digest}`);
    tags.set(tag, digest);
  }

  /** Whether there was such a tag to remove. The manifest stays. */
  deleteTag(repository: string, tag: string): boolean {
    return this.#repositories.get(repository)?.tags.delete(tag) ?? false;
  }

  /** A blob as seen from a repository. */
  blob(repository: string, digest: string): Content | undefined {
    return this.blobOfPool(this.#poolOf(repository), digest);
  }

  /** The pool in which a repository's blobs are. */
  poolOf(repository: string): string {
    return this.#poolOf(repository);
  }

  /** A blob of a pool. */
  blobOfPool(pool: string, digest: string): Content | undefined {
    return this.#pools.get(pool)?.get(digest);
  }

  /** Says under which sha256 digest a blob with a digest of another algorithm is filed. */
  setCanonical(digest: string, canonical: string): void {
    this.#canonical.set(digest, canonical);
  }

  /** The digest that the registry answers with for a blob: its own unless told otherwise. */
  canonicalOf(digest: string): string {
    return this.#canonical.get(digest) ?? digest;
  }

  /** Digests of all blobs that a repository sees. */
  blobs(repository: string): readonly string[] {
    return [...(this.#pools.get(this.#poolOf(repository))?.keys() ?? [])];
  }

  /** Files a blob under its digest, which is computed where none is given, and returns that. */
  putBlob(repository: string, content: Content | Buffer, digest?: string): string {
    const kept = Buffer.isBuffer(content) ? memoryContent(content) : content;
    const name = digest ?? digestOf(kept.read(0, kept.sizeBytes));
    const pool = this.#poolOf(repository);
    const blobs = this.#pools.get(pool) ?? new Map<string, Content>();
    this.#pools.set(pool, blobs);
    blobs.set(name, kept);
    return name;
  }

  /** Whether there was such a blob to remove. */
  deleteBlob(repository: string, digest: string): boolean {
    return this.#pools.get(this.#poolOf(repository))?.delete(digest) ?? false;
  }

  /** Removes the blobs that no manifest of their pool names and returns their digests. */
  collectGarbage(): readonly string[] {
    const removed: string[] = [];
    for (const [pool, blobs] of this.#pools) {
      const used = this.#blobsInUse(pool);
      for (const digest of blobs.keys()) {
        if (used.has(digest)) continue;
        blobs.delete(digest);
        removed.push(digest);
      }
    }
    return removed;
  }

  /** Forgets everything. */
  clear(): void {
    this.#repositories.clear();
    this.#pools.clear();
    this.#canonical.clear();
  }

  #blobsInUse(pool: string): ReadonlySet<string> {
    const used = new Set<string>();
    for (const [name, { manifests }] of this.#repositories) {
      if (this.#poolOf(name) !== pool) continue;
      for (const { contents } of manifests.values()) {
        // Some indexes list blobs as their manifests (BuildKit's cache).
        for (const { digest } of [...contents.blobs, ...contents.children]) used.add(digest);
      }
    }
    return used;
  }

  #repository(name: string): Repository {
    const found = this.#repositories.get(name) ?? {
      manifests: new Map<string, StoredManifest>(),
      tags: new Map<string, string>(),
    };
    this.#repositories.set(name, found);
    return found;
  }
}
