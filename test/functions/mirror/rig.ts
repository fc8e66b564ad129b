import { SYSTEM_TIMING, type Timing } from '../../../functions/concurrency.ts';
import { BlobCopier } from '../../../functions/mirror/copy-blob.ts';
import { NO_DEADLINE, type Deadline } from '../../../functions/mirror/deadline.ts';
import type { Offload } from '../../../functions/mirror/offload.ts';
import { MirrorError } from '../../../functions/errors.ts';
import { ReferrersSupport } from '../../../functions/mirror/referrers-support.ts';
import { PresenceCache } from '../../../functions/mirror/presence-cache.ts';
import { mirrorRepository, type MirrorWish } from '../../../functions/mirror/mirror-repository.ts';
import type { MirrorObserver } from '../../../functions/mirror/report-builder.ts';
import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';
import type { TagRecord } from '../../../functions/mirror/outcome.ts';
import type { DestinationRepository, SourceRepository } from '../../../functions/mirror/ports.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { entriesOf } from '../../../functions/mirror/fallback-index.ts';
import { referrersTag } from '../../../functions/oci/referrer-tags.ts';
import { TagTurns } from '../../../functions/mirror/tag-turns.ts';
import { FakeDestination, FakeSource } from './fakes.ts';
import type { Image } from './images.ts';

/** One process: what lives longer than an event, and a clock that only a test moves. */
export class Rig {
  nowMs = 1_000_000;
  readonly clock = (): number => this.nowMs;
  readonly presence = new PresenceCache(this.clock);
  readonly referrersSupport = new ReferrersSupport();
  /** Its own clock, the machine's timers; no back-off. */
  readonly timing: Timing = { ...SYSTEM_TIMING, now: this.clock };
  readonly pool = new BlobCopier({
    presence: this.presence,
    timing: this.timing,
    random: () => 0,
  });
  readonly tagTurns = new TagTurns(this.clock);
  source = new FakeSource();
  destination = new FakeDestination();
  readonly #checks: (() => void)[] = [];

  /** @param source what it has under its tags; @param destination what is there already */
  constructor(
    source: Readonly<Record<string, Image>> = {},
    destination: Readonly<Record<string, Image>> = {},
  ) {
    for (const [tag, image] of Object.entries(source)) this.source.tag(tag, image);
    for (const [tag, image] of Object.entries(destination)) this.destination.tag(tag, image);
  }

  /** Works between other registries than its own. */
  use(source: FakeSource, destination: FakeDestination): void {
    this.source = source;
    this.destination = destination;
  }

  /** Makes every chunk take its time on one link that all streams share. */
  slowLink(bytesPerSecond: number): void {
    this.destination.onChunk = async (sizeBytes) => {
      this.nowMs += (sizeBytes * 1000) / bytesPerSecond;
      for (const check of this.#checks) check();
      // The other streams get their turn.
      await new Promise((resolve) => setImmediate(resolve));
    };
  }

  /** A delivery that began now: in the last ninth no blob starts, at the end its signal aborts. */
  delivery(wholeMs: number): { readonly deadline: Deadline; readonly signal: AbortSignal } {
    const startAtMs = this.nowMs;
    const end = new AbortController();
    const lastStart = new AbortController();
    this.#checks.push(() => {
      const passedMs = this.nowMs - startAtMs;
      if (passedMs >= (wholeMs * 8) / 9) lastStart.abort();
      if (passedMs >= wholeMs) end.abort(new MirrorError('DEADLINE_EXCEEDED', 'the test says so'));
    });
    return {
      signal: end.signal,
      deadline: {
        lastStart: lastStart.signal,
        earlyUntilMs: startAtMs + wholeMs / 3,
        endsAtMs: startAtMs + wholeMs,
      },
    };
  }

  async mirror(
    wish: Partial<MirrorWish> = {},
    more: {
      readonly options?: Partial<MirrorOptions>;
      readonly source?: SourceRepository;
      readonly destination?: DestinationRepository;
      readonly deadline?: Deadline;
      readonly offload?: Offload;
      readonly observer?: MirrorObserver;
      readonly signal?: AbortSignal;
    } = {},
  ): Promise<MirrorReport> {
    const { offload, observer } = more;
    return mirrorRepository(
      { reason: 'changed', exclusionList: [], ...wish },
      {
        source: more.source ?? this.source,
        destination: more.destination ?? this.destination,
        pool: this.pool,
        referrersSupport: this.referrersSupport,
        tagTurns: this.tagTurns,
        clock: this.clock,
        deadline: more.deadline ?? NO_DEADLINE,
        ...(offload === undefined ? {} : { offload }),
        ...(observer === undefined ? {} : { observer }),
      },
      { ...MIRROR_OPTIONS, mutableTags: '', referrers: false, ...more.options },
      more.signal ?? new AbortController().signal,
    );
  }
}

/** Outcomes by tag. */
export function outcomes(report: MirrorReport): Readonly<Record<string, string>> {
  return Object.fromEntries(report.records.map(({ tag, outcome }) => [tag, outcome]));
}

/** The record of a tag. */
export function recordOf(report: MirrorReport, tag: string): TagRecord {
  const record = report.records.find((candidate) => candidate.tag === tag);
  if (record === undefined) throw new Error(`no record of ${tag}`);
  return record;
}

/** Digests in the destination's list of referrers under a tag, in their order. */
export function fallbackOf(subject: string, { destination }: Rig): readonly string[] {
  const index = destination.tags.get(referrersTag(subject));
  return index === undefined ? [] : entriesOf(index).map((entry) => entry.digest);
}

/** Whether all of these are at the destination. */
export function has({ destination }: Rig, ...images: readonly Image[]): boolean {
  return images.every(({ manifest }) => destination.manifests.has(manifest.digest));
}

/** An offload that writes down what it is asked. */
export function offloading(
  limits: { readonly jobThresholdBytes: number; readonly batchTags: number },
  answers: {
    readonly handOff?: 'taken' | 'declined' | 'broken';
    readonly fanOut?: 'taken' | 'declined';
  } = {},
): { readonly offload: Offload; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    offload: {
      ...limits,
      handOff: (reason, tags) => {
        const { handOff = 'taken' } = answers;
        if (handOff === 'broken') return Promise.reject(new MirrorError('HAND_OFF_FAILED', 'no'));
        asked.push(`handOff ${reason} ${tags?.join(',') ?? 'event'}`);
        return Promise.resolve(handOff);
      },
      fanOut: (tags) => {
        asked.push(`fanOut ${tags.join(',')}`);
        return Promise.resolve(answers.fanOut ?? 'taken');
      },
    },
  };
}
