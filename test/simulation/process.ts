import { composeEngine, type Engine } from '../../functions/compose.ts';
import { readSubscriberConfig } from '../../functions/config.ts';
import type { PlaceObserver, Timing } from '../../functions/concurrency.ts';
import type { EncodedEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { MirrorError, toMirrorError } from '../../functions/errors.ts';
import { NO_DEADLINE } from '../../functions/mirror/deadline.ts';
import { admit } from '../../functions/subscriber/admission.ts';
import { processEnd } from '../../functions/subscriber/delivery-deadline.ts';
import type { CloudRunJob } from '../../functions/subscriber/cloud-run-job.ts';
import { Redelivery } from '../../functions/subscriber/decision.ts';
import { createSubscriber, type Subscriber } from '../../functions/subscriber/subscriber.ts';
import type { DoWork, Work } from '../../functions/subscriber/execute-event.ts';
import type { Logger } from '../../functions/telemetry/logger.ts';
import type { Random } from '../random.ts';
import { strictPlaces } from '../strict-places.ts';
import type { PushedMessage, Receiver, Topic, Verdict } from './broker.ts';
import type { Execution, Judge } from './judge.ts';
import type { Network } from './network.ts';
import { GOOGLE_TOKEN } from './registry.ts';
import type { Scenario } from './scenario.ts';
import { MIRROR_OPTIONS } from '../mirror-options.ts';

/** What all processes of a run share. */
export interface Cloud {
  readonly scenario: Scenario;
  readonly network: Network;
  readonly judge: Judge;
  readonly random: Random;
  publish(topic: Topic, encoded: EncodedEvent, publisher: string): void;
  bury(encoded: EncodedEvent): void;
  startJob(event: MirrorEvent): void;
}

const GOOGLE_TOKENS = { accessToken: () => Promise.resolve(GOOGLE_TOKEN) };

/** Time between SIGTERM and SIGKILL (Cloud Run, "Container runtime contract"), milliseconds. */
const KILL_AFTER_MS = 10_000;

/** One instance of the service, or one task of the job: the engine as it is composed, and its end. */
export class SimulatedProcess implements Receiver {
  readonly name: string;
  readonly died: Promise<unknown>;
  readonly #cloud: Cloud;
  readonly #engine: Engine;
  readonly #places = strictPlaces();
  readonly #held = { start: 0, body: 0 };
  readonly #subscriber: Subscriber;
  readonly #clock: () => number;
  readonly #end: ReturnType<typeof processEnd>;
  #die: (reason: undefined) => void = () => undefined;
  #state: 'open' | 'ending' | 'dead' = 'open';
  #deliveries = 0;
  /** Events that it executed. */
  workCount = 0;

  constructor(name: string, cloud: Cloud) {
    this.name = name;
    this.#cloud = cloud;
    const { scenario, network } = cloud;
    const isAlive = (): boolean => this.isAlive;
    const timing = network.scheduler.timing(name, isAlive);
    const clock = (): number => timing.now();
    this.#clock = clock;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
    this.#engine = this.#compose(timing, isAlive);
    this.#end = processEnd(clock);
    this.#subscriber = createSubscriber({
      verification: MIRROR_OPTIONS,
      rules: this.#engine.rules,
      limits: {
        batchTags: scenario.batchTags,
        jobThresholdBytes: scenario.jobThresholdBytes,
        deadlineMs: scenario.deadlineMs,
      },
      acceptFluxEvents: false,
      projectId: undefined,
      doWork: this.#doWork,
      bulk: { publish: async (message) => this.#publish('bulk', message) },
      deadLetters: { publish: async (message) => this.#publish('dead', message) },
      handOff: this.#handOff(),
      flush: async () => this.#engine.flush(),
      end: this.#end,
      logger: this.#engine.logger,
      timing,
    });
  }

  /** The engine as the service composes it; only time, chance, network and identity are the run's. */
  #compose(timing: Timing, isAlive: () => boolean): Engine {
    const { scenario, network, random } = this.#cloud;
    const { destinationHost, tagWorkers, onDrift, referrers, registries } = scenario;
    const config = readSubscriberConfig([], {
      DESTINATION_REGISTRY: `${destinationHost}/project/mirror`,
      TAG_WORKERS: String(tagWorkers),
      ON_DRIFT: onDrift,
      REFERRERS: String(referrers),
    });
    // Google's token is for sources that the operator names.
    const namedHosts = registries.filter(({ google }) => google).map(({ host }) => host);
    let opened = 0;
    return composeEngine({ ...config, namedHosts }, this.#logger(), {
      timing,
      random: () => random.next(),
      placeObserver: this.#countingPlaces(),
      googleTokens: GOOGLE_TOKENS,
      openTransport: () => {
        // Opened in this order: source, destination, other APIs.
        opened += 1;
        const side = opened === 1 ? 'source' : 'destination';
        return network.transport({ name: this.name, isAlive }, side);
      },
    });
  }

  /** Counts what is held of each kind, beside the rule. */
  #countingPlaces(): PlaceObserver {
    const places = this.#places;
    const held = this.#held;
    return {
      transfer: async (work) => places.transfer(work),
      waits: (kind) => {
        const wish = places.waits(kind);
        return {
          taken: () => {
            held[kind] += 1;
            wish.taken();
          },
          freed: () => {
            held[kind] -= 1;
            wish.freed();
          },
        };
      },
    };
  }

  get isAlive(): boolean {
    return this.#state !== 'dead';
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  /** What is under way or held, in words; empty where nothing is. */
  openWork(): readonly string[] {
    const { held } = this.#places;
    return [...this.#engine.openWork(), ...(held === 0 ? [] : [`${held} places`])];
  }

  /** What broke the rule that nothing waits for a body's place while it holds one. */
  get violations(): readonly string[] {
    return this.#places.violations.filter((violation) => !violation.includes('waits for a start'));
  }

  /** What the delivery's end meets: who waits for a stream, and for a start. */
  #sawDeadline(): void {
    const { judge } = this.#cloud;
    const open = this.#engine.openWork();
    judge.saw('deadline while work is under way');
    const count = (pattern: RegExp): number =>
      open.reduce((sum, text) => sum + Number(pattern.exec(text)?.[1] ?? 0), 0);
    const { body, start } = this.#held;
    if (count(/^(\d+) streams/) > body) judge.saw('deadline while blobs wait for a stream');
    if (count(/^(\d+) requests/) > start) judge.saw('deadline while requests wait for a start');
  }

  async handle({ id, attempt, encoded }: PushedMessage): Promise<Verdict> {
    this.#deliveries += 1;
    try {
      await this.#subscriber.handle(
        {
          message: {
            attributes: encoded.attributes,
            data: encoded.data.toString('base64'),
            messageId: id,
          },
          deliveryAttempt: attempt,
        },
        { arrivedAtMs: this.#clock() },
      );
      return 'ack';
    } catch (error) {
      if (!(error instanceof Redelivery)) this.#cloud.judge.find(`${this.name}: ${String(error)}`);
      return 'nack';
    } finally {
      this.#deliveries -= 1;
    }
  }

  /** SIGTERM; the process is killed 10 s later where it has not ended before. */
  terminate(): void {
    if (!this.isOpen) return;
    this.#state = 'ending';
    this.#end.tell();
    if (this.#deliveries > 0) this.#cloud.judge.saw('SIGTERM while work is under way');
    this.#cloud.network.scheduler.after(KILL_AFTER_MS, 'world', `kill ${this.name}`, () => {
      if (this.#deliveries > 0) this.#cloud.judge.find(`${this.name} did not end within 10 s`);
      this.kill();
    });
  }

  /** SIGKILL: nothing of it happens any more. */
  kill(): void {
    if (!this.isAlive) return;
    if (this.#deliveries > 0) this.#cloud.judge.saw('killed while work is under way');
    this.#state = 'dead';
    const own = ` ${this.name} `;
    this.#cloud.network.scheduler.forget((label) => `${label} `.includes(own));
    this.#die(undefined);
  }

  /** Does an event's work without a deadline and without giving any of it away. */
  async doAll(event: MirrorEvent): Promise<Execution> {
    const admission = admit(event, this.#engine.rules);
    let execution: Execution | undefined;
    const { signal } = new AbortController();
    try {
      await this.#execute({ event, admission, deadline: NO_DEADLINE, signal }, (begun) => {
        execution = begun;
      });
    } catch {
      // It is in the execution.
    }
    if (execution === undefined) throw new Error('nothing was executed');
    return execution;
  }

  readonly #doWork: DoWork = async (work) => this.#execute(work);

  async #execute(
    work: Work,
    onBegun: (execution: Execution) => void = () => undefined,
  ): ReturnType<DoWork> {
    const { judge, scenario } = this.#cloud;
    const { admission, signal } = work;
    const onAbort = (): void => {
      this.#sawDeadline();
    };
    // Before the engine listens, so that what waits still waits.
    signal.addEventListener('abort', onAbort, { once: true });
    const source = scenario.sources.findIndex(
      ({ host, path }) => host === admission.source.host && path === admission.source.path,
    );
    const execution: Execution = {
      process: this.name,
      source,
      path: admission.destinationPath,
      signal,
    };
    onBegun(execution);
    judge.begins(execution);
    this.workCount += 1;
    try {
      const report = await this.#engine.doWork(work);
      execution.report = report;
      return report;
    } catch (error) {
      execution.fault = toMirrorError(error, 'mirror repository');
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
      judge.ends(execution);
    }
  }

  /** A publish takes a while, and seldom fails although the message is there. */
  async #publish(topic: 'bulk' | 'dead', message: EncodedEvent): Promise<void> {
    const { network, random } = this.#cloud;
    const fails = random.chance(0.02);
    const arrives = !fails || random.chance(0.5);
    await this.#pass(`publish to ${topic}`);
    if (arrives && topic === 'bulk') this.#cloud.publish('bulk', message, this.name);
    if (arrives && topic === 'dead') this.#cloud.bury(message);
    if (fails) throw new MirrorError('PUBLISH_FAILED', 'the topic does not answer');
    network.scheduler.note(`published to ${topic}`);
  }

  #pass(what: string): Promise<void> {
    const { network } = this.#cloud;
    return new Promise((resolve) => {
      network.scheduler.after(network.latencyMs(), 'arrival', `${what} of ${this.name}`, () => {
        if (this.isAlive) resolve();
      });
    });
  }

  #handOff(): CloudRunJob | undefined {
    if (this.#cloud.scenario.jobThresholdBytes < 0) return undefined;
    return {
      start: async (event) => {
        const fails = this.#cloud.random.chance(0.05);
        await this.#pass('hand-off');
        if (fails) throw new MirrorError('HAND_OFF_FAILED', 'the job could not be started');
        this.#cloud.startJob(event);
        this.#cloud.judge.saw('handed off');
        return 'started';
      },
    };
  }

  /** Lines go into the trace. */
  #logger(): Logger {
    const { scheduler } = this.#cloud.network;
    const line = (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      const { error, decision: said } = fields;
      const code = error instanceof MirrorError ? ` ${error.code}: ${error.message}` : '';
      const decision = typeof said === 'string' ? ` [${said}]` : '';
      scheduler.note(`${this.name} says: ${message}${decision}${code}`);
    };
    const logger: Logger = {
      log: (_severity, message, fields) => {
        line(message, fields);
      },
      debug: () => undefined,
      info: line,
      notice: line,
      warning: line,
      error: line,
      child: () => logger,
    };
    return logger;
  }
}
