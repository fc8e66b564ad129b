import { Readable } from 'node:stream';

import {
  abortError,
  backoffMs,
  raceSignal,
  settledWithin,
  SingleFlight,
  sleep,
  type PlaceObserver,
  type Timing,
} from '../concurrency.ts';
import { MirrorError, isMirrorError, toMirrorError } from '../errors.ts';
import { embeddedBytes, UNKNOWN_SIZE } from '../oci/descriptor.ts';
import type { Deadline } from './deadline.ts';
import { pathOf, type PresenceCache } from './presence-cache.ts';
import type {
  BlobArrival,
  Descriptor,
  DestinationRepository,
  MountSource,
  SourceRepository,
} from './ports.ts';
import { mayRestart, pauseMsOf, RESTART_BACKOFF } from './restart.ts';
import { UploadScheduler, type LaneWidths } from './upload-scheduler.ts';

/** A blob that is to be at a destination. */
export interface BlobWish {
  readonly source: SourceRepository;
  readonly destination: DestinationRepository;
  readonly blob: Descriptor;
  /** The event that wishes; streams are shared out fairly among events. */
  readonly event: object;
  readonly deadline: Deadline;
  /**
   * Set by self-healing: what was learnt before this version is not believed, and the bytes are sent
   * whatever a probe says.
   */
  readonly missedAtVersion?: number;
  /** Told the bytes that this wish sends, as they go. */
  readonly onBytes?: (count: number) => void;
  /**
   * Told, perhaps more than once, that its bytes are being sent, that there is a stream for them once the
   * destination wants them, or that another's are waited for.
   */
  readonly onUnderWay?: () => void;
}

/** How a wish was fulfilled. */
export interface BlobResult {
  /** `known`: it took no request, or another's transfer brought it. */
  readonly arrival: BlobArrival | 'known';
  /** Bytes sent for this wish; another's transfer counts for the other. */
  readonly bytesUploaded: number;
}

/** Options of {@link BlobCopier}. */
export interface BlobCopierOptions {
  readonly presence: PresenceCache;
  readonly timing: Timing;
  /** Default: 8 small and 8 large streams. */
  readonly lanes?: LaneWidths | undefined;
  /** 0 … 1, for jitter. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Is told of the places that transfers wait for and hold. Default: nobody. */
  readonly placeObserver?: PlaceObserver | undefined;
}

/** Longest wait for a blob that another source's transfer is bringing to the same host. */
const OTHERS_MS = 60_000;
/** Such a wait ends earlier where no byte has moved for this long, and the destination is not what is waited for. */
const OTHERS_STALL_MS = 10_000;
/** Failures of a joined transfer that may have been those of its leader alone, before a wish takes one as its own. */
const MAX_JOINED_FAILURES = 3;

/** A transfer that others of its host may wait for. */
interface Lead {
  readonly source: string;
  readonly ended: Promise<void>;
  /**
   * When a byte last moved; before that, when the source answered, or its turn began. Undefined: the
   * destination is asked, which whoever waits would have to wait for as well.
   */
  movedAtMs: number | undefined;
  /** What the source has given; while bytes of it lie ready, the destination is what is waited for. */
  bytes: Readable | undefined;
}

/**
 * Brings blobs to destinations for all tags and events of the process.
 *
 * Wishes of one source repository and one destination repository for one blob, described alike,
 * share a transfer. A wish of another repository for a blob that is on its way to the same host waits
 * while its bytes move, at most a minute where the sources differ, and then mounts it or brings it
 * itself; nobody is told the fault of another's source, nor of another's manifest.
 */
export class BlobCopier {
  readonly presence: PresenceCache;
  readonly #timing: Timing;
  readonly #random: () => number;
  readonly #scheduler: UploadScheduler;
  readonly #observer: PlaceObserver | undefined;
  readonly #flights = new SingleFlight<BlobResult>();
  /** Uploads whose bytes flow or have flown, by transfer. */
  readonly #flows = new Map<string, Upload>();
  /** By host and digest, in the order of beginning. */
  readonly #leads = new Map<string, Set<Lead>>();
  /** Wishes that are not fulfilled yet, by transfer. */
  readonly #wishes = new Map<string, Set<BlobWish>>();

  constructor({ presence, timing, lanes, random, placeObserver }: BlobCopierOptions) {
    this.presence = presence;
    this.#timing = timing;
    this.#random = random ?? Math.random;
    this.#observer = placeObserver;
    this.#scheduler = new UploadScheduler(lanes, placeObserver);
  }

  /** What is under way or waits, in words; empty where nothing is. */
  openWork(): readonly string[] {
    const streams = this.#scheduler.load;
    return [
      ...[...this.#wishes.keys()].map((key) => `blob ${key}`),
      ...(this.#flights.size === 0 ? [] : [`${this.#flights.size} shared transfers`]),
      ...[...this.#leads.keys()].map((key) => `transfer to ${key}`),
      ...(streams === 0 ? [] : [`${streams} streams of blobs`]),
    ];
  }

  /**
   * Makes a blob be at the destination.
   * @throws MirrorError of the ports; `SOURCE_INCOMPLETE`, `ABORTED`, `DEADLINE_EXCEEDED` (too late to
   *   begin, or cut), `DELIVERY_TOO_SHORT` (begun early in the delivery and cut by its deadline)
   */
  async copy(wish: BlobWish, signal: AbortSignal): Promise<BlobResult> {
    const key = keyOf(wish);
    const { presence } = this;
    for (let joinedFailures = 0; ;) {
      requireRunning(signal);
      if (presence.hasBlob(wish.destination, wish.blob.digest, wish.missedAtVersion)) return KNOWN;
      const joined = this.#flights.has(key);
      if (joined) wish.onUnderWay?.();
      try {
        const { value, first } = await this.#take(key, wish, signal);
        return first ? value : KNOWN;
      } catch (error) {
        const fault = toMirrorError(error, 'copy blob');
        if (signal.aborted || !joined || !isOfLeader(fault)) throw fault;
        joinedFailures += 1;
        if (joinedFailures >= MAX_JOINED_FAILURES) throw fault;
      }
    }
  }

  /** Joins or begins the transfer of a key, and leaves it where it has not begun at the last start. */
  async #take(
    key: string,
    wish: BlobWish,
    signal: AbortSignal,
  ): Promise<{ readonly value: BlobResult; readonly first: boolean }> {
    const { lastStart, earlyUntilMs } = wish.deadline;
    const tooLate = new AbortController();
    let cutFlowAtMs = Number.POSITIVE_INFINITY;
    const onLastStart = (): void => {
      if (!this.#flows.has(key)) tooLate.abort(lateError());
    };
    const onCut = (): void => {
      cutFlowAtMs = this.#flows.get(key)?.flowsSinceMs ?? Number.POSITIVE_INFINITY;
    };
    if (lastStart.aborted) onLastStart();
    lastStart.addEventListener('abort', onLastStart);
    signal.addEventListener('abort', onCut);
    const wishes = this.#wishes.get(key) ?? new Set();
    this.#wishes.set(key, wishes.add(wish));
    try {
      const own = AbortSignal.any([signal, tooLate.signal]);
      return await this.#flights.run(key, own, async (shared) =>
        this.#observed(async () => this.#transfer(key, wish, shared)),
      );
    } catch (error) {
      const cut = signal.aborted && isMirrorError(abortError(signal), 'DEADLINE_EXCEEDED');
      throw cut && cutFlowAtMs <= earlyUntilMs ? tooShortError(wish.blob) : error;
    } finally {
      lastStart.removeEventListener('abort', onLastStart);
      signal.removeEventListener('abort', onCut);
      wishes.delete(wish);
      if (wishes.size === 0 && this.#wishes.get(key) === wishes) this.#wishes.delete(key);
    }
  }

  #observed<T>(work: () => Promise<T>): Promise<T> {
    return this.#observer === undefined ? work() : this.#observer.transfer(work);
  }

  /** One upload, begun again from its first byte where that can help. */
  async #transfer(key: string, wish: BlobWish, signal: AbortSignal): Promise<BlobResult> {
    const { destination, source } = wish;
    const { digest } = wish.blob;
    const hostKey = `${destination.host} ${digest}`;
    // No turn passes between the last look for others and the own entry, so that two never begin at once.
    const others = this.#others(hostKey, wish);
    for (let wait = others(signal); wait !== undefined; wait = others(signal)) await wait;
    const { promise: ended, resolve: end } = Promise.withResolvers<undefined>();
    const lead: Lead = { source: source.name, ended, movedAtMs: undefined, bytes: undefined };
    const leads = this.#leads.get(hostKey) ?? new Set();
    this.#leads.set(hostKey, leads.add(lead));
    try {
      const blob = await sized(source, wish.blob, signal);
      return await this.#uploadWithRestarts(key, wish, blob, lead, signal);
    } finally {
      end(undefined);
      leads.delete(lead);
      if (leads.size === 0) this.#leads.delete(hostKey);
    }
  }

  /**
   * Another repository's bytes for this host are on their way: they are waited for, and mounted,
   * while they move; those of the same source to their end, others a bounded time. Where blobs are
   * mounted from the source, nobody's are.
   * @returns asks for the next wait; undefined: there is nobody to wait for
   */
  #others(
    hostKey: string,
    { source, destination, missedAtVersion }: BlobWish,
  ): (signal: AbortSignal) => Promise<void> | undefined {
    const giveUpAtMs = this.#timing.now() + OTHERS_MS;
    const tried = new Set<Lead>();
    return (signal) => {
      if (missedAtVersion !== undefined || this.presence.mounts(source, destination))
        return undefined;
      const lead = [...(this.#leads.get(hostKey) ?? [])].find((other) => !tried.has(other));
      if (lead === undefined) return undefined;
      tried.add(lead);
      return lead.source === source.name
        ? raceSignal(lead.ended, signal)
        : this.#waitForLead(lead, giveUpAtMs, signal);
    };
  }

  async #waitForLead(lead: Lead, giveUpAtMs: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      const nowMs = this.#timing.now();
      const hasReady = lead.bytes !== undefined && lead.bytes.readableLength > 0;
      const movedAtMs = hasReady ? nowMs : (lead.movedAtMs ?? nowMs);
      const untilMs = Math.min(giveUpAtMs, movedAtMs + OTHERS_STALL_MS);
      const leftMs = untilMs - nowMs;
      if (leftMs <= 0 || (await settledWithin(this.#timing, lead.ended, leftMs, signal))) return;
    }
  }

  async #uploadWithRestarts(
    key: string,
    wish: BlobWish,
    blob: Descriptor,
    lead: Lead,
    signal: AbortSignal,
  ): Promise<BlobResult> {
    const { destination, missedAtVersion } = wish;
    const pauses = { count: 0 };
    for (let attempt = 1; ;) {
      if (this.presence.hasBlob(destination, blob.digest, missedAtVersion)) return KNOWN;
      const upload = new Upload(blob, pauses);
      lead.movedAtMs = undefined;
      try {
        return await this.#upload(key, wish, upload, lead, signal);
      } catch (error) {
        // Another brought it to the host while this one waited for a stream.
        if (error === MOUNTABLE) continue;
        const fault = toMirrorError(error, 'copy blob');
        lead.bytes = undefined;
        if (signal.aborted) throw fault;
        if (await this.#waitsOut(fault, wish, pauses, signal, upload.hasFlowed)) continue;
        if (!mayRestart(fault, attempt, upload.unansweredMs(this.#timing.now()))) throw fault;
        attempt += 1;
        await sleep(this.#timing, backoffMs(RESTART_BACKOFF, attempt - 1, this.#random()), signal);
      }
    }
  }

  /** Waits, without a place, while the source wants no request. False: not for this fault, or not any more. */
  async #waitsOut(
    fault: MirrorError,
    { deadline }: BlobWish,
    pauses: { count: number },
    signal: AbortSignal,
    hasFlowed = false,
  ): Promise<boolean> {
    const leftMs = deadline.endsAtMs - this.#timing.now();
    // Who only found the host closed has asked nothing; bytes that flowed are sent once more.
    if (fault.status !== undefined || hasFlowed) pauses.count += 1;
    const pauseMs = pauseMsOf(fault, pauses.count, leftMs, this.#random());
    if (pauseMs === undefined) return false;
    await sleep(this.#timing, pauseMs, signal);
    return true;
  }

  async #upload(
    key: string,
    wish: BlobWish,
    upload: Upload,
    lead: Lead,
    signal: AbortSignal,
  ): Promise<BlobResult> {
    const { source, destination } = wish;
    const { blob } = upload;
    const force = wish.missedAtVersion !== undefined;
    const mountFrom = this.#mountSource(wish);
    const isOfSource = source.host === destination.host || mountFrom?.origin !== undefined;
    const expected = this.#scheduler.expect(blob);
    if (expected.hasPlace) this.#tellUnderWay(key);
    try {
      const arrival = await destination.uploadBlob(
        blob,
        async (inner) => {
          expected.end();
          return this.#open(key, wish, upload, lead, mountFrom, inner);
        },
        {
          mountFrom,
          force,
          onBytes: (count) => {
            const nowMs = this.#timing.now();
            upload.sent(count, nowMs);
            // After the last byte the destination is what is waited for.
            lead.movedAtMs = upload.isSent ? undefined : nowMs;
            wish.onBytes?.(count);
          },
        },
        signal,
      );
      this.presence.addBlob(destination, blob.digest);
      if (mountFrom !== undefined && arrival !== 'present' && !force) {
        const mounted = arrival === 'mounted';
        if (isOfSource) this.presence.setMounts(source, destination, mounted);
        else this.presence.setMountsWithin(destination.host, mounted);
      }
      return { arrival, bytesUploaded: arrival === 'uploaded' ? blob.sizeBytes : 0 };
    } finally {
      expected.end();
      this.#endFlow(key, upload);
    }
  }

  #tellUnderWay(key: string): void {
    for (const { onUnderWay } of this.#wishes.get(key) ?? []) onUnderWay?.();
  }

  /**
   * Where to mount a blob from: its source, where that is on the destination's host; another repository of
   * that host that is known to hold it; its source, where both are Google's. Undefined: from nowhere.
   */
  #mountSource({ source, destination, blob }: BlobWish): MountSource | undefined {
    // What has no size, as in schema 1, is not mounted from its source.
    const isSized = blob.sizeBytes !== UNKNOWN_SIZE;
    if (isSized && source.host === destination.host) return { path: pathOf(source) };
    const path = this.presence.otherHolder(destination, blob.digest);
    if (path !== undefined) return { path };
    const areGoogle = source.google && destination.google;
    return isSized && areGoogle ? { path: pathOf(source), origin: source.host } : undefined;
  }

  /**
   * Opens the source's bytes in this blob's turn. While the source wants no request, the stream is
   * others' to have: the place is given back, and taken anew after the pause.
   */
  async #open(
    key: string,
    wish: BlobWish,
    upload: Upload,
    lead: Lead,
    mountFrom: MountSource | undefined,
    signal: AbortSignal,
  ): Promise<Readable> {
    const { destination, source, event, missedAtVersion } = wish;
    const { blob } = upload;
    const { sizeBytes } = blob;
    const [sourceHost = ''] = source.name.split('/', 1);
    lead.movedAtMs = this.#timing.now();
    for (;;) {
      upload.place = await this.#scheduler.acquire({ event, sourceHost, sizeBytes }, signal);
      if (missedAtVersion === undefined && this.#cameMeanwhile(destination, blob, mountFrom)) {
        throw MOUNTABLE;
      }
      upload.flowsSinceMs = this.#timing.now();
      lead.movedAtMs = upload.flowsSinceMs;
      this.#flows.set(key, upload);
      this.#tellUnderWay(key);
      try {
        lead.bytes = await open(source, blob, signal);
        // It may have waited long for the source; now it has an answer.
        lead.movedAtMs = this.#timing.now();
        return lead.bytes;
      } catch (error) {
        this.#endFlow(key, upload);
        if (signal.aborted || !isMirrorError(error)) throw error;
        if (!(await this.#waitsOut(error, wish, upload.pauses, signal))) throw error;
      }
    }
  }

  #endFlow(key: string, upload: Upload): void {
    upload.place();
    if (this.#flows.get(key) === upload) this.#flows.delete(key);
  }

  #cameMeanwhile(
    destination: DestinationRepository,
    { digest }: Descriptor,
    mountFrom: MountSource | undefined,
  ): boolean {
    if (this.presence.hasBlob(destination, digest)) return true;
    const mayAskAnother = mountFrom === undefined || mountFrom.origin !== undefined;
    return mayAskAnother && this.presence.otherHolder(destination, digest) !== undefined;
  }
}

/** One try to send a blob. */
class Upload {
  readonly blob: Descriptor;
  /** Pauses that the source has asked for, of all tries. */
  readonly pauses: { count: number };
  /** Gives back the place that is held while bytes flow. */
  place: () => void = () => undefined;
  /** When it took its place, ms since 1970. */
  flowsSinceMs = 0;
  #sentBytes = 0;
  #sentAtMs: number | undefined;

  constructor(blob: Descriptor, pauses: { count: number }) {
    this.blob = blob;
    this.pauses = pauses;
  }

  /** Bytes were taken. After the last one nothing flows: the answer is waited for without a place. */
  sent(count: number, nowMs: number): void {
    this.#sentBytes += count;
    if (this.#sentBytes < this.blob.sizeBytes) return;
    this.#sentAtMs ??= nowMs;
    this.place();
  }

  get isSent(): boolean {
    return this.#sentAtMs !== undefined;
  }

  /** Whether bytes have flowed. */
  get hasFlowed(): boolean {
    return this.#sentBytes > 0;
  }

  /** How long the destination has said nothing since it took the last byte; undefined: it did not. */
  unansweredMs(nowMs: number): number | undefined {
    return this.#sentAtMs === undefined ? undefined : nowMs - this.#sentAtMs;
  }
}

const KNOWN: BlobResult = { arrival: 'known', bytesUploaded: 0 };

/** Thrown through an upload that is not needed any more: the blob is there, or can be mounted. */
const MOUNTABLE = new Error('the blob came meanwhile');

/**
 * Wishes of one key are for the very same bytes, from the same place to the same place, and described
 * alike: another manifest may say another size of them, or embed what the registry lacks.
 */
function keyOf({ source, destination, blob, missedAtVersion }: BlobWish): string {
  const { digest, sizeBytes } = blob;
  const described = `${sizeBytes}${embeddedBytes(blob) === undefined ? '' : ' embedded'}`;
  const key = `${source.name} ${destination.name} ${digest} ${described}`;
  return missedAtVersion === undefined ? key : `${key} again`;
}

/** @throws MirrorError the signal's, where it is aborted */
function requireRunning(signal: AbortSignal): void {
  if (signal.aborted) throw abortError(signal);
}

/** What a leader's own deadline brought about, and says nothing of the blob. */
function isOfLeader(fault: MirrorError): boolean {
  return isMirrorError(fault, 'ABORTED', 'DEADLINE_EXCEEDED', 'DELIVERY_TOO_SHORT', 'RATE_LIMITED');
}

/** Where a manifest tells no size, the source is asked before the first byte. */
async function sized(
  source: SourceRepository,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<Descriptor> {
  if (blob.sizeBytes !== UNKNOWN_SIZE) return blob;
  const sizeBytes = (await source.blobSize(blob.digest, signal)) ?? embeddedBytes(blob)?.length;
  if (sizeBytes === undefined) throw incomplete(source, blob);
  return { ...blob, sizeBytes };
}

async function open(
  source: SourceRepository,
  blob: Descriptor,
  signal: AbortSignal,
): Promise<Readable> {
  const stream = await source.openBlob(blob, 0, signal);
  if (stream !== undefined) return stream;
  // The manifest may embed what the registry lacks.
  const embedded = embeddedBytes(blob);
  if (embedded === undefined) throw incomplete(source, blob);
  return Readable.from([embedded]);
}

function lateError(): MirrorError {
  return new MirrorError('DEADLINE_EXCEEDED', 'too late in this delivery to start a blob', {
    operation: 'copy blob',
  });
}

function tooShortError({ digest, sizeBytes }: Descriptor): MirrorError {
  return new MirrorError(
    'DELIVERY_TOO_SHORT',
    `a blob of ${sizeBytes} bytes, begun early, was cut by the deadline`,
    { operation: 'copy blob', digests: [digest] },
  );
}

function incomplete(source: SourceRepository, blob: Descriptor): MirrorError {
  return new MirrorError('SOURCE_INCOMPLETE', `${source.name} lacks the blob ${blob.digest}`, {
    operation: 'get blob',
    side: 'source',
    digests: [blob.digest],
  });
}
