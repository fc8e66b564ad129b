import { createHash, randomUUID, type Hash } from 'node:crypto';
import { discardedContent, memoryContent, type Content } from './content.ts';
import { digestOf, finishDigest, type DigestAlgorithm } from './digest.ts';
import { RegistryRefusal } from './refusal.ts';

/** What an upload became. */
export interface FinishedUpload {
  readonly content: Content;
  /** In the algorithm that was asked for. */
  readonly digest: string;
  /** In sha256, under which registries file what comes under another algorithm. */
  readonly canonical: string;
}

/** An upload between its POST and its closing PUT. Hashes as the bytes come. */
export class UploadSession {
  readonly id = randomUUID();
  readonly repository: string;
  readonly #chunks: Buffer[] | undefined;
  readonly #hashes = new Map<DigestAlgorithm, Hash>([['sha256', createHash('sha256')]]);
  /** PATCHes received so far. */
  patches = 0;
  #sizeBytes = 0;

  constructor(repository: string, keepBytes: boolean) {
    this.repository = repository;
    this.#chunks = keepBytes ? [] : undefined;
  }

  /** Bytes received so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Hashes with this algorithm too; without effect once bytes came. */
  hashWith(algorithm: DigestAlgorithm): void {
    if (this.#sizeBytes > 0 || this.#hashes.has(algorithm)) return;
    this.#hashes.set(algorithm, createHash(algorithm));
  }

  /** Takes the next bytes. */
  append(chunk: Buffer): void {
    this.#sizeBytes += chunk.length;
    for (const hash of this.#hashes.values()) hash.update(chunk);
    this.#chunks?.push(chunk);
  }

  /**
   * The bytes as a blob, with the digest they have.
   * @throws RegistryRefusal `DIGEST_INVALID` where they were not hashed so and not kept
   */
  finish(algorithm: DigestAlgorithm): FinishedUpload {
    const chunks = this.#chunks;
    return {
      content: chunks === undefined ? discardedContent(this.#sizeBytes) : memoryContent(...chunks),
      digest: this.#digest(algorithm),
      canonical: this.#digest('sha256'),
    };
  }

  #digest(algorithm: DigestAlgorithm): string {
    const hash = this.#hashes.get(algorithm);
    if (hash !== undefined) return finishDigest(hash.copy(), algorithm);
    if (this.#chunks !== undefined) return digestOf(this.#chunks, algorithm);
    throw new RegistryRefusal(400, 'DIGEST_INVALID', 'the upload was hashed with sha256 alone');
  }
}
