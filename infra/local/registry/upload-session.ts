import { createHash, randomUUID, type Hash } from 'node:crypto';
import { discardedContent, memoryContent, type Content } from './content.ts';
import { digestOf, finishDigest, type DigestAlgorithm } from './digest.ts';
import { RegistryRefusal } from './refusal.ts';

/** An upload between its POST and its closing PUT. Hashes as the bytes come. */
export class UploadSession {
  readonly id = randomUUID();
  readonly repository: string;
  readonly #chunks: Buffer[] | undefined;
  #hash: Hash;
  #algorithm: DigestAlgorithm;
  #sizeBytes = 0;
  #patches = 0;

  constructor(repository: string, keepBytes: boolean) {
    this.repository = repository;
    this.#chunks = keepBytes ? [] : undefined;
    this.#algorithm = 'sha256';
    this.#hash = createHash(this.#algorithm);
  }

  /** Bytes received so far. */
  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** PATCHes received so far. */
  get patches(): number {
    return this.#patches;
  }

  /** Counts a PATCH. */
  countPatch(): void {
    this.#patches++;
  }

  /** Chooses the algorithm to hash with; without effect once bytes came. */
  hashWith(algorithm: DigestAlgorithm): void {
    if (this.#sizeBytes > 0) return;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
  }

  /** Takes the next bytes. */
  append(chunk: Buffer): void {
    this.#sizeBytes += chunk.length;
    this.#hash.update(chunk);
    this.#chunks?.push(chunk);
  }

  /**
   * The bytes as a blob, with the digest they have.
   * @throws RegistryRefusal `DIGEST_INVALID` where they were hashed in another algorithm and not kept
   */
  finish(algorithm: DigestAlgorithm): { readonly content: Content; readonly digest: string } {
    const chunks = this.#chunks;
    if (algorithm !== this.#algorithm && chunks === undefined) {
      throw new RegistryRefusal(400, 'DIGEST_INVALID', `the upload was hashed with sha256`);
    }
    return {
      content: chunks === undefined ? discardedContent(this.#sizeBytes) : memoryContent(...chunks),
      digest:
        algorithm === this.#algorithm
          ? finishDigest(this.#hash.copy(), algorithm)
          : digestOf(chunks ?? [], algorithm),
    };
  }
}

/** The uploads that are under way. */
export class UploadSessions {
  readonly #sessions = new Map<string, UploadSession>();
  readonly #keepBytes: boolean;

  constructor(keepBytes: boolean) {
    this.#keepBytes = keepBytes;
  }

  /** Begins an upload to a repository. */
  begin(repository: string): UploadSession {
    const session = new UploadSession(repository, this.#keepBytes);
    this.#sessions.set(session.id, session);
    return session;
  }

  /** The upload with this id. */
  get(id: string): UploadSession | undefined {
    return this.#sessions.get(id);
  }

  /** Whether there was such an upload to forget. */
  end(id: string): boolean {
    return this.#sessions.delete(id);
  }

  /** How many uploads are under way: also those that interrupted clients left behind. */
  get size(): number {
    return this.#sessions.size;
  }
}
