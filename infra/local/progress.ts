import { decodeEvent, receivedEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { isMirrorError } from '../../functions/errors.ts';

import type { LogLine } from '../../test/stand-ins/child.ts';
import type { RepositoryRow } from './view.ts';

/** What is known of one image: its newest event, and what the function said of it. */
export interface ImageProgress {
  readonly image: string;
  /** The newest event that was published of it. */
  readonly event: MirrorEvent;
  /** The last outcome in words; empty before the first. */
  readonly lastOutcome: string;
  /** Path of the destination with its registry, once the function has told it. */
  readonly destination: string | undefined;
  readonly sourceTags: number | undefined;
  readonly mirroredTags: number | undefined;
  readonly movedBytes: number;
  readonly lagSeconds: number | undefined;
  /** Codes of faults that no redelivery mends, of the last delivery. */
  readonly failures: readonly string[];
}

/** Follows every image from its events and the functions' log lines. */
export class Progress {
  readonly #images = new Map<string, ImageProgress>();
  #deadLetters = 0;

  /** Every image that an event was published of, by name. */
  get images(): ReadonlyMap<string, ImageProgress> {
    return this.#images;
  }

  /** Messages in the dead-letter topic. */
  get deadLetters(): number {
    return this.#deadLetters;
  }

  /** Takes a message of a lane's topic; tells which image has news. */
  published(message: {
    readonly attributes: Readonly<Record<string, string>>;
    readonly data: Buffer;
  }): string | undefined {
    const event = decoded(message);
    if (event === undefined) return undefined;
    const { image } = event.data;
    const before = this.#images.get(image);
    if (before !== undefined && before.event.time > event.time) return undefined;
    this.#images.set(image, {
      ...(before ?? {
        image,
        lastOutcome: '',
        destination: undefined,
        sourceTags: undefined,
        mirroredTags: undefined,
        movedBytes: 0,
        lagSeconds: undefined,
        failures: [],
      }),
      event,
    });
    return image;
  }

  /** Takes a message of the dead-letter topic. */
  deadLettered(): void {
    this.#deadLetters += 1;
  }

  /** Takes a log line of a function; tells which image has news. */
  logged(line: LogLine): string | undefined {
    const { entry, image } = line;
    if (entry !== 'event' || typeof image !== 'string') return undefined;
    const before = this.#images.get(image);
    if (before === undefined || line['shared'] === true) return undefined;
    const counts = outcomeCounts(line);
    this.#images.set(image, {
      ...before,
      lastOutcome: outcomeInWords(line, counts),
      destination: text(line['destination']) ?? before.destination,
      sourceTags: number(line['sourceTags']) ?? before.sourceTags,
      mirroredTags: number(line['destinationTags']) ?? before.mirroredTags,
      movedBytes: before.movedBytes + (number(line['bytesUploaded']) ?? 0),
      lagSeconds: number(line['lagSeconds']) ?? before.lagSeconds,
      failures: (counts.get('failed') ?? 0) > 0 ? [text(line['code']) ?? 'failed'] : [],
    });
    return image;
  }

  /** An image's row of the view. */
  row(image: string): RepositoryRow | undefined {
    const progress = this.#images.get(image);
    if (progress === undefined) return undefined;
    return {
      image,
      revision: progress.event.data.revision,
      sourceTags: progress.sourceTags ?? progress.event.data.tagCount,
      destinationTags: progress.mirroredTags,
      lastOutcome: progress.lastOutcome === '' ? 'waiting' : progress.lastOutcome,
      movedBytes: progress.movedBytes,
      lagSeconds: progress.lagSeconds,
    };
  }
}

const OUTCOMES = [
  'copied',
  'retagged',
  'overwritten',
  'skipped',
  'drifted',
  'lost',
  'held',
  'failed',
];

function outcomeCounts(line: LogLine): ReadonlyMap<string, number> {
  return new Map(OUTCOMES.map((outcome) => [outcome, number(line[outcome]) ?? 0]));
}

function outcomeInWords(line: LogLine, counts: ReadonlyMap<string, number>): string {
  const parts = [...counts]
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`);
  const decision = text(line['decision']);
  const reason =
    decision === 'acknowledge' ? [] : [`${decision ?? ''}: ${text(line['decisionReason']) ?? ''}`];
  return [...parts, ...reason].join(', ') || 'nothing to do';
}

function decoded(message: {
  readonly attributes: Readonly<Record<string, string>>;
  readonly data: Buffer;
}): MirrorEvent | undefined {
  try {
    return decodeEvent(receivedEvent(message));
  } catch (error) {
    // An event that nobody can read is the subscriber's to refuse.
    if (isMirrorError(error)) return undefined;
    throw error;
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
