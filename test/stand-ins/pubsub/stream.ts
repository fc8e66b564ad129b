import type { Consumer, Delivery } from './consumer.ts';
import { sizeOf } from './message.ts';
import type { Refusal } from './refusal.ts';

/** The other end of a stream. */
export interface StreamPeer {
  readonly send: (deliveries: readonly Delivery[]) => void;
  readonly fail: (reason: Refusal) => void;
}

/** What the first request of a stream says of it. */
export interface StreamSettings {
  readonly ackDeadlineMs: number;
  /** Most messages outstanding on the stream; 0 or less: no limit. */
  readonly maxOutstandingMessages: number;
  /** The stream gets no more while this many bytes are outstanding on it; 0 or less: no limit. */
  readonly maxOutstandingBytes: number;
}

/** Most bytes of messages in one answer, below the 20 MB that clients take. */
const MAX_BATCH_BYTES = 10_000_000;

/** A StreamingPull: gets messages as long as its flow control allows. */
export class Stream implements Consumer {
  /** How long a delivery may take; a later request may change it. */
  ackDeadlineMs: number;
  readonly #settings: StreamSettings;
  readonly #peer: StreamPeer;
  readonly #outstanding = new Map<string, number>();
  #outstandingBytes = 0;
  #batch: Delivery[] = [];

  constructor(settings: StreamSettings, peer: StreamPeer) {
    this.ackDeadlineMs = settings.ackDeadlineMs;
    this.#settings = settings;
    this.#peer = peer;
  }

  hasRoom(): boolean {
    const { maxOutstandingMessages: messages, maxOutstandingBytes: bytes } = this.#settings;
    return (
      (messages <= 0 || this.#outstanding.size < messages) &&
      (bytes <= 0 || this.#outstandingBytes < bytes)
    );
  }

  accept(delivery: Delivery): void {
    const bytes = sizeOf(delivery.message);
    this.#outstanding.set(delivery.ackId, bytes);
    this.#outstandingBytes += bytes;
    this.#batch.push(delivery);
  }

  flush(): void {
    let batch: Delivery[] = [];
    let bytes = 0;
    for (const delivery of this.#batch) {
      const size = sizeOf(delivery.message);
      if (batch.length > 0 && bytes + size > MAX_BATCH_BYTES) {
        this.#peer.send(batch);
        batch = [];
        bytes = 0;
      }
      batch.push(delivery);
      bytes += size;
    }
    if (batch.length > 0) this.#peer.send(batch);
    this.#batch = [];
  }

  ended(ackId: string): void {
    this.#outstandingBytes -= this.#outstanding.get(ackId) ?? 0;
    this.#outstanding.delete(ackId);
  }

  dismiss(reason: Refusal): void {
    this.#peer.fail(reason);
  }
}
