import type { BlobResult } from './copy-blob.ts';
import { NO_BLOBS, type BlobCounts } from './outcome.ts';

/** Counts what one tag moved. */
export class TransferStats {
  #uploaded = 0;
  #mounted = 0;
  #present = 0;
  #bytesUploaded = 0;
  #bytesSaved = 0;
  #progressed = false;
  #leftOut = 0;
  #leavesForeignLayers = false;

  /**
   * Counts a blob.
   * @param sizeBytes as its descriptor says; -1 where that tells none
   */
  blob({ arrival, bytesUploaded }: BlobResult, sizeBytes: number): void {
    this.#bytesUploaded += bytesUploaded;
    if (arrival !== 'uploaded') this.#bytesSaved += Math.max(0, sizeBytes);
    this.#progressed ||= arrival === 'uploaded' || arrival === 'mounted';
    if (arrival === 'uploaded') this.#uploaded += 1;
    else if (arrival === 'mounted') this.#mounted += 1;
    else this.#present += 1;
  }

  /** Counts a pushed manifest. */
  push(): void {
    this.#progressed = true;
  }

  /**
   * Counts what was brought once more since the registry said that it is missing: no progress until it
   * takes the manifest, or a registry that goes on saying so would be sent it for ever.
   */
  heal(healing: TransferStats): void {
    this.#uploaded += healing.#uploaded;
    this.#mounted += healing.#mounted;
    this.#present += healing.#present;
    this.#bytesUploaded += healing.#bytesUploaded;
    this.#bytesSaved += healing.#bytesSaved;
    this.#leftOut += healing.#leftOut;
    this.#leavesForeignLayers ||= healing.#leavesForeignLayers;
  }

  /** Counts children of an index below the tag's own that were left out for their platforms. */
  leaveOut(count: number): void {
    this.#leftOut += count;
  }

  get leftOut(): number {
    return this.#leftOut;
  }

  /** A manifest names layers at third parties' URLs, which are not copied. */
  leaveForeignLayers(): void {
    this.#leavesForeignLayers = true;
  }

  get leavesForeignLayers(): boolean {
    return this.#leavesForeignLayers;
  }

  get bytesUploaded(): number {
    return this.#bytesUploaded;
  }

  /** Bytes of blobs that this tag needed and that others had brought, or that were there. */
  get bytesSaved(): number {
    return this.#bytesSaved;
  }

  /** Whether anything lasting was done: a blob brought, a manifest pushed. */
  get progressed(): boolean {
    return this.#progressed;
  }

  get blobs(): BlobCounts {
    if (this.#uploaded + this.#mounted + this.#present === 0) return NO_BLOBS;
    return { uploaded: this.#uploaded, mounted: this.#mounted, present: this.#present };
  }
}
