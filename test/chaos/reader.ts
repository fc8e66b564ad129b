import { createHash } from 'node:crypto';

import { partsOf } from '../stand-ins/verifier/manifest-parts.ts';
import type { LocalRegistry } from '../stand-ins/registry/registry.ts';

/** Digests that each tag of the source has ever had. */
export type TagHistory = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * Looks at every visible tag of a repository as a puller would and says what is wrong: something
 * that it references is not there or has other bytes, or its digest never stood under that tag at
 * the source. It looks into the store, so no fault on the way can hide or feign anything.
 */
export class Reader {
  readonly #registry: LocalRegistry;
  readonly #repository: string;
  readonly #history: TagHistory;
  /** Contents that were hashed already; they are never changed in place. */
  readonly #hashed = new WeakSet();
  readonly findings = new Set<string>();
  looks = 0;

  constructor(registry: LocalRegistry, repository: string, history: TagHistory) {
    this.#registry = registry;
    this.#repository = repository;
    this.#history = history;
  }

  look(): void {
    this.looks += 1;
    const { store } = this.#registry;
    for (const tag of store.tags(this.#repository)) {
      const digest = store.digestOfTag(this.#repository, tag) ?? '';
      const known = this.#history.get(tag);
      const merged = /^sha256-[0-9a-f]{64}$/.test(tag);
      if (!merged && known?.has(digest) !== true) {
        this.findings.add(`${tag} has ${digest}, which the source never had under it`);
      }
      this.#lookAt(tag, digest);
    }
  }

  /** Looks again and again until `stop`; every turn of the event loop lets the others work. */
  start(): { stop(): void } {
    let running = true;
    const again = (): void => {
      if (!running) return;
      this.look();
      setTimeout(again, 1);
    };
    again();
    return {
      stop: () => {
        running = false;
      },
    };
  }

  #lookAt(tag: string, digest: string): void {
    const { store } = this.#registry;
    const manifest = store.manifest(this.#repository, digest);
    if (manifest === undefined) {
      this.findings.add(`${tag} leads to ${digest}, which is not there`);
      return;
    }
    this.#hash(tag, digest, manifest, manifest.bytes);
    const { manifests, blobs } = partsOf(manifest.bytes);
    for (const child of manifests) this.#lookAt(tag, child.digest);
    for (const blob of blobs) {
      const content = store.blob(this.#repository, blob.digest);
      if (content === undefined) {
        this.findings.add(`${tag} needs ${blob.digest}, which is not there`);
        continue;
      }
      this.#hash(tag, blob.digest, content, ...content.read(0, content.sizeBytes));
    }
  }

  #hash(tag: string, digest: string, content: object, ...chunks: readonly Uint8Array[]): void {
    if (this.#hashed.has(content)) return;
    this.#hashed.add(content);
    const hash = createHash('sha256');
    for (const chunk of chunks) hash.update(chunk);
    const actual = `sha256:${hash.digest('hex')}`;
    if (actual !== digest)
      this.findings.add(`${tag} needs ${digest}, which has the bytes of ${actual}`);
  }
}
