import type { TagRecord } from './outcome.ts';
import type { Clock } from './ports.ts';
import { TagRecords } from './tag-records.ts';
import type { TransferStats } from './transfer-stats.ts';
import {
  buildReport,
  type MirrorReport,
  type Phase,
  type PhaseTime,
  type ReportFacts,
} from './report.ts';

/** Told what happens while it happens. */
export interface MirrorObserver {
  readonly onPhase?: (time: PhaseTime) => void;
  /** A tag is decided; `skipped` ones too. */
  readonly onRecord?: (record: TagRecord) => void;
  /** Bytes sent to the destination, as they go. */
  readonly onBytes?: (count: number) => void;
  /** A destination host takes no index without all its children, whatever `PLATFORMS` says; once a process. */
  readonly onWholeIndexes?: (host: string) => void;
}

/** What a report needs beside the ledger. */
export type ReportBuilderFacts = Omit<
  ReportFacts,
  | 'records'
  | 'phases'
  | 'bytesUploaded'
  | 'bytesSaved'
  | 'blobsUploaded'
  | 'blobsMounted'
  | 'blobsPresent'
  | 'answered'
  | 'progressed'
>;

/** Writes down what becomes of one event's tags. */
export class ReportBuilder {
  readonly #clock: Clock;
  readonly #observer: MirrorObserver;
  readonly #records = new TagRecords();
  readonly #phases: PhaseTime[] = [];
  #bytesUploaded = 0;
  #bytesSaved = 0;
  #blobsUploaded = 0;
  #blobsMounted = 0;
  #blobsPresent = 0;
  #answered = 0;
  #progressed = false;

  constructor(clock: Clock, observer: MirrorObserver) {
    this.#clock = clock;
    this.#observer = observer;
  }

  /** Does the work of a phase and notes how long it took, however it ended. */
  async phase<T>(phase: Phase, work: () => Promise<T>): Promise<T> {
    const startedAtMs = this.#clock();
    try {
      return await work();
    } finally {
      const time = { phase, durationMs: this.#clock() - startedAtMs };
      this.#phases.push(time);
      this.#observer.onPhase?.(time);
    }
  }

  /** A tag is decided. */
  record(record: TagRecord): void {
    this.#records.add(record);
    this.#observer.onRecord?.(record);
  }

  /** Whether a tag failed so far. */
  get hasFailures(): boolean {
    return this.#records.counts.failed > 0;
  }

  /** Adds what a piece of work moved. */
  add({ bytesUploaded, bytesSaved, blobs, progressed }: TransferStats): void {
    this.#bytesUploaded += bytesUploaded;
    this.#bytesSaved += bytesSaved;
    this.#blobsUploaded += blobs.uploaded;
    this.#blobsMounted += blobs.mounted;
    this.#blobsPresent += blobs.present;
    this.#progressed ||= progressed;
  }

  /** Counts tags and subjects that answers of the registries have settled. */
  answer(count = 1): void {
    this.#answered += count;
  }

  /** The report of all that was written down. */
  draw(facts: ReportBuilderFacts): MirrorReport {
    return buildReport({
      ...facts,
      records: this.#records,
      phases: this.#phases,
      bytesUploaded: this.#bytesUploaded,
      bytesSaved: this.#bytesSaved,
      blobsUploaded: this.#blobsUploaded,
      blobsMounted: this.#blobsMounted,
      blobsPresent: this.#blobsPresent,
      answered: this.#answered,
      progressed: this.#progressed,
    });
  }
}
