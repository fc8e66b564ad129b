import { getEventListeners } from 'node:events';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import { eventOf, type MirrorEvent } from '../../functions/contract/event.ts';
import { Random } from '../random.ts';
import { Broker, type Topic } from './broker.ts';
import { disturberOf } from './disturbance.ts';
import { Judge, type Situation } from './judge.ts';
import { Network, type ExchangeRecord } from './network.ts';
import { SimulatedProcess, type Cloud } from './process.ts';
import { scenarioOf, type MessagePlan, type Scenario, type WorldPlan } from './scenario.ts';
import { Scheduler, type Ending } from './scheduler.ts';
import { World } from './world.ts';

/** How long a process believes where a blob lies at the destination (functions/mirror/presence-cache.ts). */
const BELIEVED_MS = 15 * 60_000;

/** What became of one schedule. */
export interface RunResult {
  readonly seed: number;
  readonly theme: string;
  /** One sentence each; none: the run is right. */
  readonly findings: readonly string[];
  readonly situations: ReadonlyMap<Situation, number>;
  readonly steps: number;
  readonly exchanges: number;
  /** Equal where two runs took the same steps. */
  readonly fingerprint: number;
  /** Where it was asked for. */
  readonly trace: readonly string[];
}

/** Options of {@link runSeed}. */
export interface RunOptions {
  /** Keeps every step. Default false. */
  readonly tracing?: boolean;
}

/**
 * Longest time in which nothing moves although work waits: the transport's idle limit, and the
 * longest back-off (8 s) with what a step may be late.
 */
const STALL_MS = 75_000;
/** Small blobs whose bytes a process has on their way at once. */
const SMALL_PLACES = 8;
/** Bytes that may be sent for one that is needed, beside those that were cut from outside. */
const MAX_WASTE = 1.2;
/** Processes that do all of the work once more at the end. */
const MENDERS = 2;
/** Where no event may mirror to. */
const FORBIDDEN_DESTINATION = 'forbidden/app';
/** An upload that others of its process need not wait for takes at least so long. */
const WAITED_MS = 10_000;

/** Runs one schedule and judges it. Never throws. */
export async function runSeed(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const run = new Run(seed, options.tracing === true);
  const onUnhandled = (reason: unknown): void => {
    run.judge.find(`a rejection that nobody handles: ${textOf(reason)}`);
  };
  process.on('unhandledRejection', onUnhandled);
  try {
    await run.play();
  } catch (error) {
    run.judge.find(`the simulation itself failed: ${textOf(error)}`);
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
  return run.result();
}

class Run implements Cloud {
  readonly scenario: Scenario;
  readonly network: Network;
  readonly judge: Judge;
  readonly random: Random;
  readonly #seed: number;
  readonly #scheduler: Scheduler;
  readonly #world: World;
  readonly #broker: Broker;
  readonly #processes = new Map<Topic, SimulatedProcess[]>();
  readonly #all: SimulatedProcess[] = [];
  #worldSteps = 0;
  #jobs = 0;
  #jobsUnderWay = 0;
  /** Images of events that are somebody's to look after: they went to the dead letters. */
  readonly #buried: string[] = [];
  #forbiddenBuried = 0;
  /** Blobs that the destination's clean-up took. */
  readonly #collected = new Set<string>();

  constructor(seed: number, tracing: boolean) {
    this.#seed = seed;
    // Plan and order draw from sources of their own: a change of one leaves the other as it was.
    this.scenario = scenarioOf(new Random(seed * 2));
    this.random = new Random(seed * 2 + 1);
    const { slackMs, pace, rules } = this.scenario;
    this.#scheduler = new Scheduler(this.random, slackMs, tracing);
    this.judge = new Judge(this.scenario, () => this.#scheduler.now);
    const disturber = disturberOf(rules, this.random);
    this.network = new Network(this.#scheduler, this.random, disturber, pace, this.judge);
    this.#world = new World(this.scenario, this.judge.onTag, () => this.#scheduler.now);
    this.judge.judges(this.#world);
    for (const registry of this.#world.registries.values()) this.network.add(registry);
    this.#broker = new Broker(
      this.#scheduler,
      this.random,
      (topic) => this.#processes.get(topic) ?? [],
    );
  }

  async play(): Promise<void> {
    this.#broker.onMovedOn = () => {
      this.judge.saw('follow-on executed by another process');
    };
    this.#open();
    const ending = await this.#untilEnded();
    if (!this.#judgeEnding(ending, 'the work')) return;
    this.#judgeOutcome();
    this.network.disturber.stop();
    this.#world.restore();
    await this.#mend();
    this.#judgeLeaks();
  }

  result(): RunResult {
    return {
      seed: this.#seed,
      theme: this.scenario.theme,
      findings: this.judge.findings,
      situations: this.judge.situations,
      steps: this.#scheduler.steps,
      exchanges: this.network.records.length,
      fingerprint: this.#scheduler.fingerprint,
      trace: this.#scheduler.trace,
    };
  }

  publish(topic: Topic, encoded: EncodedEvent, publisher: string): void {
    const { continuation } = JSON.parse(encoded.data.toString('utf8')) as {
      readonly continuation?: number;
    };
    this.judge.saw(continuation === undefined ? 'batch published' : 'continuation published');
    this.#broker.publish(topic, encoded, this.random.pick([0, 1, 50, 2_000]), publisher);
  }

  bury(encoded: EncodedEvent): void {
    this.judge.saw('dead letter');
    const { image, destination } = JSON.parse(encoded.data.toString('utf8')) as {
      readonly image: string;
      readonly destination?: string;
    };
    if (destination === FORBIDDEN_DESTINATION) this.#forbiddenBuried += 1;
    else this.#buried.push(image);
  }

  /** An execution of the job: a process of its own that tries up to three times. */
  startJob(event: MirrorEvent): void {
    this.#jobs += 1;
    this.#jobsUnderWay += 1;
    const name = `job${this.#jobs}`;
    this.#scheduler.after(
      2_000,
      'world',
      `start ${name}`,
      () => {
        void this.#runJob(name, event).finally(() => {
          this.#jobsUnderWay -= 1;
        });
      },
      true,
    );
  }

  async #runJob(name: string, event: MirrorEvent): Promise<void> {
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const task = this.#start(`${name}.${attempt}`);
      const { report, fault } = await task.doAll(event);
      const unfinished = fault?.disposition === 'transient' || (report?.unfinished.length ?? 0) > 0;
      if (!unfinished) return;
      await new Promise<void>((resolve) => {
        this.#scheduler.after(5_000, 'world', `${name} again`, resolve, true);
      });
    }
    this.#buried.push(event.data.image);
  }

  #start(name: string): SimulatedProcess {
    const process = new SimulatedProcess(name, this);
    this.#all.push(process);
    return process;
  }

  #open(): void {
    for (const topic of ['live', 'bulk'] as const) {
      const processes = Array.from({ length: this.scenario.processes }, (_none, index) =>
        this.#start(`${topic}${index + 1}`),
      );
      this.#processes.set(topic, processes);
    }
    for (const message of this.scenario.messages) {
      this.#worldStep(message.atMs, `event of source ${message.source}`, () => {
        this.#broker.publish(message.topic, encodeEvent(this.#eventOf(message)), 0);
      });
    }
    for (const plan of this.scenario.world) {
      this.#worldStep(plan.atMs, plan.kind, () => {
        this.#happens(plan);
      });
    }
  }

  #worldStep(delayMs: number, label: string, action: () => void): void {
    this.#worldSteps += 1;
    this.#scheduler.after(
      delayMs,
      'world',
      label,
      () => {
        this.#worldSteps -= 1;
        action();
      },
      true,
    );
  }

  #happens(plan: WorldPlan): void {
    switch (plan.kind) {
      case 'move':
        this.#world.push(plan.source, plan.tag, plan.image);
        if (this.#broker.underWay > 0) this.judge.saw('tag moved while work is under way');
        return;
      case 'remove-tag':
        this.#world.removeTag(plan.source, plan.tag);
        return;
      case 'push':
        this.#world.pushToDestination(plan.source, plan.tag, plan.image);
        return;
      case 'collect-garbage':
        for (const blob of this.#world.destination.collectGarbage()) this.#collected.add(blob);
        return;
      case 'terminate':
      case 'kill':
        this.#replace(plan.topic, plan.kind);
    }
  }

  /** A process ends and another takes its place. */
  #replace(topic: Topic, how: 'terminate' | 'kill'): void {
    const processes = this.#processes.get(topic) ?? [];
    const process = this.random.pick(processes.filter(({ isOpen }) => isOpen));
    processes.push(this.#start(`${topic}${processes.length + 1}`));
    if (how === 'kill') process.kill();
    else process.terminate();
  }

  #eventOf(message: MessagePlan): MirrorEvent {
    const { source, reason, verify, tags, isForbidden = false } = message;
    const { host, path } = this.scenario.sources[source]!;
    const time = new Date(this.#scheduler.now);
    return eventOf(
      {
        imageRepository: { namespace: 'flux', name: `app${source}`, uid: `uid-${source}` },
        image: `${host}/${path}`,
        revision: `r${message.atMs}`,
        tagCount: 1,
        scanTime: time.toISOString(),
        exclusionList: [],
        reason,
        ...(verify === undefined ? {} : { verify }),
        ...(tags === undefined ? {} : { tags }),
        ...(isForbidden ? { destination: FORBIDDEN_DESTINATION } : {}),
      },
      { clusterName: 'simulation', time },
    );
  }

  #untilEnded(): Promise<Ending> {
    return this.#scheduler.run(
      () => this.#worldSteps === 0 && this.#broker.open === 0 && this.#jobsUnderWay === 0,
      () => this.#broker.underWay + this.#jobsUnderWay > 0,
      STALL_MS,
    );
  }

  #judgeEnding(ending: Ending, what: string): boolean {
    switch (ending.kind) {
      case 'ended':
        return true;
      case 'hang':
        this.judge.find(`${what} hangs: ${this.#openWork()}`);
        return false;
      case 'stall':
        this.judge.find(
          `${what} stands still for ${ending.idleMs} ms until ${ending.next}: ${this.#openWork()}`,
        );
        return false;
      case 'endless':
        this.judge.find(`${what} does not end: ${this.#openWork()}`);
        return false;
    }
  }

  #openWork(): string {
    const work = this.#all
      .filter(({ isAlive }) => isAlive)
      .flatMap((process) => process.openWork().map((open) => `${process.name}: ${open}`));
    const exchanges = this.network.records
      .filter(({ end }) => end === 'open')
      .map(({ number, method, kind }) => `#${number} ${method} ${kind}`);
    return [...work, ...exchanges].slice(0, 8).join('; ');
  }

  /** What the events came to, before anything is mended. */
  #judgeOutcome(): void {
    for (const id of this.#broker.exhausted) this.judge.find(`${id} was delivered too often`);
    const forbidden = this.scenario.messages.filter(
      ({ isForbidden }) => isForbidden === true,
    ).length;
    if (this.#forbiddenBuried < forbidden) this.judge.find('a forbidden event was not put aside');
    this.#judgeFaults();
    this.#judgeBytes();
    this.#judgeSinglePosts();
    for (const [index, source] of this.scenario.sources.entries()) {
      for (const tag of Object.keys(source.tags)) this.#judgeTag(index, tag);
    }
  }

  /** A tag that every event asked for is there, or somebody was told why it is not. */
  #judgeTag(index: number, tag: string): void {
    const source = this.scenario.sources[index]!;
    const wished = this.scenario.messages.some(
      ({ source: of, tags, isForbidden }) =>
        of === index && isForbidden !== true && (tags === undefined || tags.includes(tag)),
    );
    const wasRemoved = this.#world.versionsOf(index, tag).includes(undefined);
    if (!wished || wasRemoved) return;
    const there = this.#world.destination.repositories
      .get(this.#world.destinationPath(source))
      ?.tags.get(tag);
    if (there !== undefined) return;
    const told = this.judge.executions.some(
      ({ source: of, report }) =>
        of === index &&
        report?.records.some(
          ({ tag: named, fault, outcome }) =>
            named === tag &&
            (outcome === 'lost' || outcome === 'held' || fault?.disposition === 'permanent'),
        ) === true,
    );
    const buried = this.#buried.includes(`${source.host}/${source.path}`);
    if (!told && !buried) this.judge.find(`${source.host}/${source.path}:${tag} was lost silently`);
  }

  /** Nobody is told another's fault; where nothing went wrong, nothing fails. */
  #judgeFaults(): void {
    for (const { source, report, fault, process } of this.judge.executions) {
      const { host, path, healthy, lacks } = this.scenario.sources[source]!;
      const name = `${host}/${path}`;
      const faults = [
        ...(fault === undefined ? [] : [fault]),
        ...(report?.records ?? []).flatMap((record) => record.fault ?? []),
      ];
      for (const one of faults) {
        if (healthy && one.code !== 'PUBLISH_FAILED') {
          this.judge.find(
            `${name} is healthy and failed in ${process}: ${one.code} ${one.message}`,
          );
        }
        if (
          one.code === 'SOURCE_INCOMPLETE' &&
          (lacks.length === 0 || !one.message.includes(name))
        ) {
          this.judge.find(`${name} was told another's fault: ${one.message}`);
        }
        if (one.side === 'source' && one.url !== undefined && !this.#isAt(one.url, host)) {
          this.judge.find(`${name} was told another's fault: ${one.code} of ${one.url}`);
        }
      }
    }
  }

  #isAt(url: string, host: string): boolean {
    return URL.canParse(url) && this.network.registryAt(new URL(url).host).traits.host === host;
  }

  /** Bytes are sent about once; what faults and ends destroyed, and a clean-up took, is no waste. */
  #judgeBytes(): void {
    const uploads = new Map<string, ExchangeRecord[]>();
    let [sentBytes, destroyedBytes, neededBytes] = [0, 0, 0];
    for (const exchange of this.network.records) {
      if (exchange.kind !== 'upload' || exchange.takenBytes === 0) continue;
      sentBytes += exchange.takenBytes;
      if (exchange.status !== 201) {
        const isUntaken = exchange.method === 'POST' && exchange.status !== 0;
        if (isUntaken || this.#isDestroyed(exchange)) destroyedBytes += exchange.takenBytes;
        continue;
      }
      const { object = '', process } = exchange;
      const key = `${process} ${object}`;
      // What was learnt long ago is not believed any more: nobody knows where to mount from.
      const others = (uploads.get(key) ?? []).filter(
        ({ endedAtMs = Infinity }) => exchange.sentAtMs - endedAtMs < BELIEVED_MS,
      );
      // A source that is slow is waited for a bounded time, and then both of them send.
      const anew =
        this.#collected.has(object) ||
        this.#isDisturbed(exchange) ||
        others.every((one) => isSlowBeside(one, exchange));
      if (anew) neededBytes += exchange.sizeBytes;
      uploads.set(key, [...others, exchange]);
    }
    if (sentBytes - destroyedBytes > MAX_WASTE * neededBytes) {
      this.judge.find(
        `${sentBytes} bytes were sent for ${neededBytes} (${destroyedBytes} destroyed)`,
      );
    }
  }

  /**
   * A host that was seen to take no blobs with their POSTs is sent no more of them, but for those that were
   * under way then: as many as there are places for small blobs.
   */
  #judgeSinglePosts(): void {
    const untaken = new Map<string, number>();
    for (const { kind, method, status, process, host } of this.network.records) {
      if (kind !== 'upload' || method !== 'POST') continue;
      if (status === 201) this.judge.saw('blob sent with its POST');
      if (status !== 202 && status !== 405) continue;
      this.judge.saw('blob sent in vain with its POST');
      const key = `${process} at ${host}`;
      const count = (untaken.get(key) ?? 0) + 1;
      untaken.set(key, count);
      if (count === SMALL_PLACES + 1) {
        this.judge.find(`${key} goes on to send blobs with POSTs that are not taken`);
      }
    }
  }

  /**
   * Whether an upload without success was cut by a fault: its own, one of the download that fed it, a
   * pause that this one's host asked for meanwhile, or the end of its delivery or process.
   */
  #isDestroyed(exchange: ExchangeRecord): boolean {
    const { disturbance, process, path, object, sentAtMs, endedAtMs = Infinity } = exchange;
    const dead = this.#all.some(({ name, isAlive }) => name === process && !isAlive);
    if (disturbance !== undefined || exchange.signal.aborted || dead) return true;
    const source = this.scenario.sources.find((one) => this.#world.destinationPath(one) === path);
    return this.network.records.some((other) => {
      if (other.process !== process || other.host !== source?.host) return false;
      if (other.disturbance === undefined || (other.endedAtMs ?? Infinity) < sentAtMs) return false;
      return other.sentAtMs <= endedAtMs && (other.object === object || other.status === 429);
    });
  }

  /** Whether something went wrong with this blob in its process, or that process gave up mounting. */
  #isDisturbed({ process, object }: ExchangeRecord): boolean {
    return this.network.records.some((other) => {
      if (other.process !== process) return false;
      if (other.kind === 'start' && other.object === undefined) return true;
      return other.object === object && other.disturbance !== undefined;
    });
  }

  /** With nothing in the way any more, all is made equal, quickly. */
  async #mend(): Promise<void> {
    const alive = this.#all
      .filter(({ isOpen, name }) => isOpen && !name.startsWith('job'))
      .sort((one, other) => other.workCount - one.workCount)
      .slice(0, MENDERS);
    const events = this.scenario.sources.flatMap(({ tags }, source) =>
      Object.keys(tags).length === 0
        ? []
        : [
            this.#eventOf({
              atMs: 0,
              topic: 'live',
              source,
              reason: 'requested',
              verify: 'all',
              tags: undefined,
            }),
          ],
    );
    // Those that worked most, so that what they still hold comes to light.
    for (const process of alive) {
      const ended: boolean[] = [];
      for (const event of events) {
        void process.doAll(event).then(() => ended.push(true));
      }
      const ending = await this.#scheduler.run(
        () => ended.length === events.length,
        () => true,
        STALL_MS,
      );
      if (!this.#judgeEnding(ending, `mending by ${process.name}`)) return;
    }
    if (alive.length > 0) this.#judgeEquality();
  }

  #judgeEquality(): void {
    for (const [index, source] of this.scenario.sources.entries()) {
      const here = this.#world.sourceRegistry(index).repository(source.path);
      const path = this.#world.destinationPath(source);
      const there = this.#world.destination.repository(path);
      for (const [tag, digest] of here.tags) {
        // A signature's or referrer's tag: owed where its image has a tag on both sides.
        const follows = tag.startsWith('sha256-');
        if (follows && (!this.scenario.referrers || !isSignature(tag))) continue;
        if (follows && !(reaches(here.tags, tag) && reaches(there.tags, tag))) continue;
        const mirrored = there.tags.get(tag);
        if (mirrored === undefined) this.judge.find(`${path}:${tag} is missing in the end`);
        else if (mirrored !== digest && this.scenario.onDrift === 'overwrite') {
          this.judge.find(`${path}:${tag} is another in the end`);
        }
      }
      for (const [tag, digest] of there.tags) {
        const missing = this.#world.destination.missing(path, digest);
        if (missing.length > 0)
          this.judge.find(`${path}:${tag} lacks ${missing.length} parts in the end`);
      }
    }
  }

  /** All that was taken is given back. */
  #judgeLeaks(): void {
    for (const process of this.#all.filter(({ isAlive }) => isAlive)) {
      for (const open of process.openWork()) this.judge.find(`${process.name} keeps ${open}`);
      for (const violation of process.violations) this.judge.find(`${process.name}: ${violation}`);
    }
    const alive = new Set(this.#all.filter(({ isAlive }) => isAlive).map(({ name }) => name));
    const signals = new Set<AbortSignal>();
    for (const { end, number, method, kind, process, signal } of this.network.records) {
      if (!alive.has(process)) continue;
      if (end === 'open') this.judge.find(`the exchange #${number} ${method} ${kind} is left open`);
      signals.add(signal);
    }
    for (const { process, signal } of this.judge.executions) {
      if (alive.has(process)) signals.add(signal);
    }
    const listeners = [...signals].reduce(
      (sum, signal) => sum + getEventListeners(signal, 'abort').length,
      0,
    );
    if (listeners > 0) this.judge.find(`${listeners} listeners are left at signals`);
    const timers = this.#scheduler.timersPending;
    if (timers.length > 0) this.judge.find(`timers are left: ${timers.slice(0, 3).join(', ')}`);
  }
}

/**
 * Whether another source's upload of a blob was so slow that this one was right not to wait for its
 * end: others are waited for while their bytes move, and a bounded time at most.
 */
function isSlowBeside(other: ExchangeRecord, exchange: ExchangeRecord): boolean {
  if (other.path === exchange.path) return false;
  return (other.answeredAtMs ?? Infinity) - other.sentAtMs > WAITED_MS;
}

function isSignature(tag: string): boolean {
  return tag.endsWith('.sig');
}

/** Whether a tag of the list has the digest that a signature tag spells. */
function reaches(tags: ReadonlyMap<string, string>, signature: string): boolean {
  const subject = signature.replace('-', ':').replace(/\.sig$/, '');
  return [...tags.values()].includes(subject);
}

function textOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
