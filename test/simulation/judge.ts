import type { MirrorError } from '../../functions/errors.ts';
import type { MirrorReport } from '../../functions/mirror/report.ts';
import type { ExchangeRecord, NetworkWatch } from './network.ts';
import type { TagPush } from './registry.ts';
import type { Scenario } from './scenario.ts';
import type { World } from './world.ts';

/** How old the answer may be that a push relies on (README, "Limits"), milliseconds. */
const RACE_MS = 5_000;

/** Situations in which faults have hidden: a campaign is to reach each of them. */
export const SITUATIONS = [
  'two events in one process',
  'two events of one destination in one process',
  'transfer of two events failed',
  'upload aborted',
  'upload broken',
  'blob sent with its POST',
  'blob sent in vain with its POST',
  'upload throttled while its body flows',
  'deadline while work is under way',
  'deadline while blobs wait for a stream',
  'deadline while requests wait for a start',
  'SIGTERM while work is under way',
  'killed while work is under way',
  'download resumed with a range',
  'download resumed from the beginning',
  'download resumed under congestion',
  'tag moved while work is under way',
  'tag overwritten',
  'tag pushed by another between look and push',
  'batch published',
  'continuation published',
  'follow-on executed by another process',
  'handed off',
  'dead letter',
] as const;

/** See {@link SITUATIONS}. */
export type Situation = (typeof SITUATIONS)[number];

/** One execution of an event, from the engine's call to its report. */
export interface Execution {
  readonly process: string;
  /** Number of the source. */
  readonly source: number;
  readonly signal: AbortSignal;
  /** Path of its destination. */
  readonly path: string;
  report?: MirrorReport;
  fault?: MirrorError;
}

/** Who put a tag's present digest, and when. */
interface Placed {
  readonly digest: string;
  readonly atMs: number;
  readonly exchange: ExchangeRecord | undefined;
}

/**
 * Watches a run and says what is wrong with it; also counts the situations that occurred, since a
 * campaign that never reaches a situation proves nothing about it.
 */
export class Judge implements NetworkWatch {
  readonly findings: string[] = [];
  readonly situations = new Map<Situation, number>();
  readonly executions: Execution[] = [];
  readonly #scenario: Scenario;
  readonly #now: () => number;
  #world!: World;
  readonly #placed = new Map<string, Placed>();
  /** Last answer to a question for a tag, by process, host, path and tag. */
  readonly #looks = new Map<string, ExchangeRecord>();
  readonly #underWay = new Set<Execution>();
  /** 429 answers by process and host. */
  readonly #throttlings = new Map<string, number>();

  constructor(scenario: Scenario, now: () => number) {
    this.#scenario = scenario;
    this.#now = now;
  }

  /** A registry was pushed a tag. */
  readonly onTag = (push: TagPush): void => {
    if (push.host === this.#scenario.destinationHost) this.#judgePush(push);
  };

  judges(world: World): void {
    this.#world = world;
  }

  find(finding: string): void {
    const readable = finding.replace(/sha256:([0-9a-f]{7})[0-9a-f]+/g, 'sha256:$1');
    if (this.findings.length < 20) this.findings.push(readable);
  }

  saw(situation: Situation): void {
    this.situations.set(situation, (this.situations.get(situation) ?? 0) + 1);
  }

  begins(execution: Execution): void {
    this.executions.push(execution);
    this.#underWay.add(execution);
    const others = [...this.#underWay].filter(({ process }) => process === execution.process);
    if (others.length > 1) this.saw('two events in one process');
    if (others.some((other) => other !== execution && other.path === execution.path)) {
      this.saw('two events of one destination in one process');
    }
  }

  ends(execution: Execution): void {
    this.#underWay.delete(execution);
  }

  onAnswer(exchange: ExchangeRecord): void {
    const { status } = exchange;
    if (status === 429) {
      const key = `${exchange.process} ${exchange.url.host}`;
      this.#throttlings.set(key, (this.#throttlings.get(key) ?? 0) + 1);
    }
    if (exchange.kind === 'upload' && exchange.disturbance?.kind === 'throttled-late') {
      this.saw('upload throttled while its body flows');
    }
    if (exchange.resumes) {
      if (status === 206) this.saw('download resumed with a range');
      if (status === 200) this.saw('download resumed from the beginning');
      if (this.#congestions(exchange) >= 3) this.saw('download resumed under congestion');
    }
  }

  onEnd(exchange: ExchangeRecord): void {
    const { kind, method, object, status, end } = exchange;
    const isLook = kind === 'manifest' && method !== 'PUT' && object !== undefined;
    if (isLook && end === 'read' && status < 429) {
      this.#looks.set(lookKey(exchange.process, exchange.host, exchange.path, object), exchange);
    }
    if (exchange.end === 'budget' && exchange.kind === 'upload' && exchange.takenBytes > 0) {
      this.find(`an upload was ended by a budget while its bytes moved: #${exchange.number}`);
    }
    if (exchange.end === 'budget' && exchange.kind === 'blob' && exchange.method === 'GET') {
      this.find(`a download was ended by a budget: #${exchange.number}`);
    }
    if (exchange.kind === 'upload' && exchange.end === 'aborted') this.saw('upload aborted');
    if (exchange.kind === 'upload' && exchange.end === 'broken') this.saw('upload broken');
    if (exchange.kind === 'upload' && exchange.status !== 201) this.#sawFailedTransfer(exchange);
  }

  onUnready({ number }: ExchangeRecord): void {
    this.find(`upload #${number} held a start while it waited for its source`);
  }

  /** Times that the process was told by the origin to slow down: three of them close a window of 8. */
  #congestions({ process, url }: ExchangeRecord): number {
    return this.#throttlings.get(`${process} ${url.host}`) ?? 0;
  }

  /** A transfer that failed while several events of its process needed the blob. */
  #sawFailedTransfer({ process, path }: ExchangeRecord): void {
    const waiting = [...this.#underWay].filter(
      (execution) => execution.process === process && execution.path === path,
    );
    if (waiting.length > 1) this.saw('transfer of two events failed');
  }

  #judgePush(push: TagPush): void {
    const { host, path, tag, digest, before, client } = push;
    const key = `${host}/${path}:${tag}`;
    const exchange = client.process === 'world' ? undefined : (client as ExchangeRecord);
    const placed = this.#placed.get(key);
    this.#placed.set(key, { digest, atMs: this.#now(), exchange });
    if (exchange === undefined) return;
    const missing = this.#world.destination.missing(path, digest);
    if (missing.length > 0) {
      this.find(`${key} was visible without ${missing.length} parts (#${exchange.number})`);
    }
    const source = this.#scenario.sources.findIndex(
      (candidate) => this.#world.destinationPath(candidate) === path,
    );
    if (source === -1 || tag.startsWith('sha256-')) return;
    if (before !== undefined && before !== digest) this.saw('tag overwritten');
    const look = this.#lookOf(exchange, this.#scenario.sources[source]!, tag);
    if (placed !== undefined && placed.atMs > (look?.handledAtMs ?? Infinity)) {
      this.saw('tag pushed by another between look and push');
    }
    this.#judgeAge(look, push, exchange);
    if (before === undefined || before === digest) return;
    if (this.#scenario.onDrift === 'report') this.#judgeDrift(push, exchange, placed);
    this.#judgeOrder(source, look, push, exchange, placed);
  }

  /** Last look at a tag of a repository by the process of an exchange. */
  #lookOf(
    { process }: ExchangeRecord,
    { host, path }: { readonly host: string; readonly path: string },
    tag: string,
  ): ExchangeRecord | undefined {
    return this.#looks.get(lookKey(process, host, path, tag));
  }

  /** The source was asked at most 5 s before the push was sent. */
  #judgeAge(
    look: ExchangeRecord | undefined,
    { path, tag }: TagPush,
    exchange: ExchangeRecord,
  ): void {
    if (look === undefined) {
      this.find(`${path}:${tag} was pushed without a look at the source (#${exchange.number})`);
      return;
    }
    const ageMs = exchange.sentAtMs - (look.endedAtMs ?? 0);
    if (ageMs > RACE_MS) {
      this.find(
        `${path}:${tag} was pushed ${ageMs} ms after the last look at the source, #${look.number} (#${exchange.number})`,
      );
    }
  }

  /** `ON_DRIFT=report` moves no tag that its last look could have seen. */
  #judgeDrift(
    { host, path, tag, before }: TagPush,
    exchange: ExchangeRecord,
    placed: Placed | undefined,
  ): void {
    const look = this.#lookOf(exchange, { host, path }, tag);
    const inRace =
      look !== undefined &&
      placed !== undefined &&
      (look.handledAtMs ?? 0) <= placed.atMs &&
      exchange.sentAtMs - (look.endedAtMs ?? 0) <= RACE_MS;
    if (!inRace)
      this.find(`report moved ${path}:${tag} from ${short(before)} (#${exchange.number})`);
  }

  /** No older digest replaces a newer one, but in the race that the README states. */
  #judgeOrder(
    source: number,
    look: ExchangeRecord | undefined,
    { path, tag, digest, before }: TagPush,
    exchange: ExchangeRecord,
    placed: Placed | undefined,
  ): void {
    const versions = this.#world.versionsOf(source, tag);
    const mine = versions.lastIndexOf(digest);
    const theirs = versions.lastIndexOf(before);
    if (mine === -1 || theirs === -1 || mine >= theirs) return;
    const other = placed?.exchange;
    const answeredAtMs = other?.status === 201 ? other.answeredAtMs : undefined;
    const knewBetter = answeredAtMs !== undefined && answeredAtMs <= exchange.sentAtMs;
    if (other?.process === exchange.process && knewBetter) {
      this.find(
        `${path}:${tag} went back from #${other.number} to an older digest by #${exchange.number} of the same process`,
      );
      return;
    }
    const ageMs = exchange.sentAtMs - (look?.endedAtMs ?? 0);
    if (ageMs > RACE_MS)
      this.find(`${path}:${tag} went back to an older digest (#${exchange.number})`);
  }
}

function lookKey(process: string, host: string, path: string, reference: string): string {
  return `${process} ${host}/${path}:${reference}`;
}

function short(digest: string | undefined): string {
  return digest?.slice(7, 19) ?? 'nothing';
}
