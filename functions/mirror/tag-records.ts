import type { ErrorCode } from '../errors.ts';
import {
  isUnfinished,
  leftAsideReason,
  MIRRORED,
  OUTCOMES,
  type Outcome,
  type OutcomeCounts,
  type TagRecord,
} from './outcome.ts';

/** So many records of a kind are kept and logged; the others are counted. */
export const FIRST_OF_A_KIND = 20;

/** Records that differ by their tags alone. */
export interface RecordKind {
  readonly outcome: Outcome;
  readonly reason: string;
  readonly code: ErrorCode | undefined;
  /** How many there were, those that are kept included. */
  readonly count: number;
}

/** Counts records by kind: outcome, reason and fault code, of which there are few. */
export class KindCounts {
  readonly #kinds = new Map<string, { -readonly [Name in keyof RecordKind]: RecordKind[Name] }>();

  /** Counts a record. @returns how many of its kind there are now */
  add({ outcome, reason, fault }: Pick<TagRecord, 'outcome' | 'reason' | 'fault'>): number {
    const code = fault?.code;
    const key = `${outcome} ${reason} ${code ?? ''}`;
    const kind = this.#kinds.get(key) ?? { outcome, reason, code, count: 0 };
    this.#kinds.set(key, kind);
    kind.count += 1;
    return kind.count;
  }

  /** In the order in which they came up. */
  get kinds(): readonly RecordKind[] {
    return [...this.#kinds.values()];
  }
}

/** The records of one event: the first of each kind, and what all of them come to. */
export class TagRecords {
  readonly #kinds = new KindCounts();
  readonly #first: TagRecord[] = [];
  readonly #unfinished = new Set<string>();
  readonly #counts = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<
    Outcome,
    number
  >;
  #interrupted = false;
  #followers = 0;
  #leftAside = 0;
  #platformsLeftOut = 0;

  /** Takes a record. */
  add(record: TagRecord): void {
    const { outcome, tag, fault, subject } = record;
    this.#counts[outcome] += 1;
    if (this.#kinds.add(record) <= FIRST_OF_A_KIND) this.#first.push(record);
    this.#platformsLeftOut += record.platformsLeftOut ?? 0;
    if (subject !== undefined && MIRRORED.has(outcome)) this.#followers += 1;
    if (leftAsideReason(record) !== undefined) this.#leftAside += 1;
    if (!isUnfinished(record)) return;
    this.#unfinished.add(tag);
    this.#interrupted ||= fault?.code === 'DEADLINE_EXCEEDED' || fault?.code === 'ABORTED';
  }

  /** The first {@link FIRST_OF_A_KIND} of each kind, in the order in which they came. */
  get first(): readonly TagRecord[] {
    return this.#first;
  }

  get kinds(): readonly RecordKind[] {
    return this.#kinds.kinds;
  }

  get counts(): OutcomeCounts {
    return { ...this.#counts };
  }

  /** Tags that failed transiently, each once. */
  get unfinished(): readonly string[] {
    return [...this.#unfinished];
  }

  /** Whether unfinished tags are so because the delivery's time was over. */
  get interrupted(): boolean {
    return this.#interrupted;
  }

  /** Of the skipped ones: those that are not at the destination. */
  get leftAside(): number {
    return this.#leftAside;
  }

  /** Children of indexes that were left out for their platforms. */
  get platformsLeftOut(): number {
    return this.#platformsLeftOut;
  }

  /** Signatures and referrers that came to the destination. */
  get followers(): number {
    return this.#followers;
  }
}
