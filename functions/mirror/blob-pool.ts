import type { Readable } from 'node:stream';

import { Fault, toFault } from '../fault.ts';
import { UNKNOWN_SIZE } from '../oci/descriptor.ts';
import { decideStart, type Deadline } from './deadline.ts';
import { Flight } from './flight.ts';
import type { Knowledge } from './knowledge.ts';
import { Pace } from './pace.ts';
import type {
  BlobArrival,
  Clock,
  Descriptor,
  DestinationRepository,
  SourceRepository,
} from './ports.ts';
import { backOff, defaultBackOff, mayRestart, type BackOff } from './restart.ts';
import { SMALL_BLOB_BYTES, StreamLanes, type LaneWidths, type Turn } from './stream-lanes.ts';

/** A blob that is to be at a destination. */
export interface BlobWish {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  readonly blob: Descriptor;
  /** The event that wishes; events take turns. */
  readonly turn: Turn;
  readonly deadline: Deadline;
  /**
   * Set by self-healing: what was learnt before this mark is not believed, and the bytes are sent
   * whatever a probe says.
   */
  readonly missedAtMark?: number;
  /** Told the bytes that this wish sends, as they go. */
  readonly onBytes?: (count: number) => void;
  /** Told, perhaps more than once, that its bytes are being sent, or that another's are waited for. */
  readonly onUnderWay?: () => void;
}

/** How a wish was fulfilled. */
export interface BlobResult {
  /** `known`: it took no request, or another's transfer brought it. */
  readonly arrival: BlobArrival | 'known';
  /** Bytes sent for this wish; another's transfer counts for the other. */
  readonly bytesUploaded: number;
}

/** What others of the process do is joined so often before a failure is taken as one's own. */
const MAX_JOINED_FAILURES = 3;

interface Transfer {
  readonly flight: Flight<BlobResult>;
  readonly destination: string;
  readonly source: string;
}

/**
 * Brings blobs to destinations for all tags and events of the process: every digest once at a time
 * per destination host (single flight), other repositories of that host mount it, and at most 16
 * streams run.
 */
export class BlobPool {
  readonly knowledge: Knowledge;
  readonly #lanes: StreamLanes;
  readonly #pace: Pace;
  readonly #transfers = new Map<string, Transfer>();
  readonly #backOff: BackOff;
  /** Bytes that each stream still has to send. */
  readonly #inFlight = new Set<{ leftBytes: number }>();

  constructor(options: {
    readonly knowledge: Knowledge;
    readonly clock: Clock;
    readonly lanes?: LaneWidths;
    readonly backOff?: BackOff;
  }) {
    this.knowledge = options.knowledge;
    this.#lanes = new StreamLanes(options.lanes);
    this.#pace = new Pace(options.clock);
    this.#backOff = options.backOff ?? defaultBackOff;
  }

  /**
   * Makes a blob be at the destination. Who waits for a transfer that fails tries it next, unless
   * the failure is permanent and would be its own.
   * @throws Fault of the ports; `SOURCE_INCOMPLETE`, `ABORTED`, `DEADLINE_EXCEEDED`, `DELIVERY_TOO_SHORT`
   */
  async bring(wish: BlobWish, signal: AbortSignal): Promise<BlobResult> {
    const { destination, blob } = wish;
    const key = `${destination.host} ${blob.digest}`;
    for (let joinedFailures = 0; ;) {
      if (this.knowledge.hasBlob(destination, blob.digest, wish.missedAtMark)) return KNOWN;
      const running = this.#transfers.get(key);
      if (running === undefined) return this.#lead(key, wish, signal);
      wish.onUnderWay?.();
      const ending = await running.flight.join(signal);
      if (ending.ok) {
        if (running.destination !== destination.name) continue;
        if (ending.mine) return ending.value;
        if (wish.missedAtMark === undefined) return KNOWN;
        continue;
      }
      const own = running.source === wish.source.name && running.destination === destination.name;
      joinedFailures += 1;
      if (own && ending.fault.disposition === 'permanent') throw ending.fault;
      if (joinedFailures >= MAX_JOINED_FAILURES && ending.fault.code !== 'ABORTED') {
        throw ending.fault;
      }
    }
  }

  async #lead(key: string, wish: BlobWish, signal: AbortSignal): Promise<BlobResult> {
    const flight = new Flight(async (shared) => {
      try {
        return await this.#transfer(wish, shared);
      } finally {
        this.#transfers.delete(key);
      }
    });
    this.#transfers.set(key, {
      flight,
      destination: wish.destination.name,
      source: wish.source.name,
    });
    const ending = await flight.join(signal);
    if (!ending.ok) throw ending.fault;
    return ending.value;
  }

  /** One upload, begun again from its first byte where that can help. */
  async #transfer(wish: BlobWish, signal: AbortSignal): Promise<BlobResult> {
    const { source, deadline } = wish;
    if (deadline.untilLastStartMs() <= 0) throw tooLate();
    const blob = await sized(source, wish.blob, signal);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#upload(wish, blob, signal);
      } catch (error) {
        const fault = toFault(error, 'copy blob');
        if (signal.aborted || !mayRestart(fault, attempt, deadline.untilEndMs())) throw fault;
        await backOff(this.#backOff(attempt + 1), signal);
      }
    }
  }

  async #upload(wish: BlobWish, blob: Descriptor, signal: AbortSignal): Promise<BlobResult> {
    const { destination, source } = wish;
    const mountFrom = this.knowledge.otherHolder(destination, blob.digest);
    let stream: Stream | undefined;
    try {
      const arrival = await destination.uploadBlob(
        blob,
        async (inner) => {
          stream = await this.#startStream(wish, blob, inner);
          wish.onUnderWay?.();
          return open(source, blob, inner);
        },
        {
          ...(mountFrom === undefined ? {} : { mountFrom }),
          ...(wish.missedAtMark === undefined ? {} : { force: true }),
          onBytes: (count) => {
            stream?.sent(count);
            wish.onBytes?.(count);
          },
        },
        signal,
      );
      this.knowledge.addBlob(destination, blob.digest);
      return { arrival, bytesUploaded: arrival === 'uploaded' ? blob.sizeBytes : 0 };
    } finally {
      stream?.end();
    }
  }

  async #startStream(wish: BlobWish, blob: Descriptor, signal: AbortSignal): Promise<Stream> {
    const { deadline, turn } = wish;
    const { sizeBytes } = blob;
    const inFlight = { leftBytes: sizeBytes };
    const giveBack = await this.#lanes.take(
      {
        turn,
        sizeBytes,
        decide: () =>
          decideStart({
            sizeBytes,
            inFlightBytes: [...this.#inFlight].map(({ leftBytes }) => leftBytes),
            bytesPerSecond: this.#pace.bytesPerSecond(),
            untilLastStartMs: deadline.untilLastStartMs(),
            untilEndMs: deadline.untilEndMs(),
            wholeMs: deadline.wholeMs,
          }),
        onStart: () => {
          this.#inFlight.add(inFlight);
        },
      },
      signal,
    );
    return this.#streamOf(inFlight, giveBack);
  }

  /** A stream that was let in, with all its bytes still to go. */
  #streamOf(inFlight: { leftBytes: number }, giveBack: () => void): Stream {
    const large = inFlight.leftBytes >= SMALL_BLOB_BYTES;
    if (large) this.#pace.started();
    return {
      sent: (count) => {
        inFlight.leftBytes = Math.max(0, inFlight.leftBytes - count);
        if (large && this.#pace.sent(count)) this.#lanes.look();
      },
      end: () => {
        this.#inFlight.delete(inFlight);
        if (large) this.#pace.ended();
        giveBack();
        // Who waits in the other lane may have waited for this one.
        this.#lanes.look();
      },
    };
  }
}

interface Stream {
  readonly sent: (count: number) => void;
  readonly end: () => void;
}

const KNOWN: BlobResult = { arrival: 'known', bytesUploaded: 0 };

/** Schema 1 names layers by digest only: their size is asked before the first byte. */
async function sized(
  source: SourceRepository,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<Descriptor> {
  if (blob.sizeBytes !== UNKNOWN_SIZE) return blob;
  const sizeBytes = await source.blobSize(blob.digest, signal);
  if (sizeBytes === undefined) throw incomplete(source, blob);
  return { ...blob, sizeBytes };
}

async function open(
  source: SourceRepository,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<Readable> {
  const stream = await source.openBlob(blob, 0, signal);
  if (stream === undefined) throw incomplete(source, blob);
  return stream;
}

function tooLate(): Fault {
  return new Fault('DEADLINE_EXCEEDED', 'too late in this delivery to start a blob', {
    operation: 'copy blob',
  });
}

function incomplete(source: SourceRepository, blob: Descriptor): Fault {
  return new Fault('SOURCE_INCOMPLETE', `${source.name} lacks the blob ${blob.digest}`, {
    operation: 'get blob',
    side: 'source',
    digests: [blob.digest],
  });
}
