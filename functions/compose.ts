import { openCredentials } from './auth/credentials.ts';
import { googleHosts, googleTokens, type GoogleTokens } from './auth/google.ts';
import { SYSTEM_TIMING, type PlaceObserver, type Timing } from './concurrency.ts';
import type { MirrorConfig, SubscriberConfig } from './config.ts';
import { parseDestinationRegistry, type RepositoryName } from './contract/destination.ts';
import { BlobCopier } from './mirror/copy-blob.ts';
import { ReferrersSupport } from './mirror/referrers-support.ts';
import { PresenceCache } from './mirror/presence-cache.ts';
import { mirrorRepository } from './mirror/mirror-repository.ts';
import { parseBackupTag } from './mirror/backup-tag.ts';
import type { MirrorOptions } from './mirror/options.ts';
import { platformsOf } from './mirror/platforms.ts';
import { TagTurns } from './mirror/tag-turns.ts';
import { comparesBy } from './mirror/verification.ts';
import { readCertificates, requireDockerConfig } from './option-files.ts';
import type { JsonCall } from './registry/json-call.ts';
import {
  createRegistries,
  type Registries,
  type RegistriesOptions,
} from './registry/registries.ts';
import type { AdmissionRules } from './subscriber/admission.ts';
import type { EndableProcess } from './subscriber/delivery-deadline.ts';
import type { DoWork } from './subscriber/execute-event.ts';
import { cloudRunJob, type CloudRunJob, type JsonApi } from './subscriber/cloud-run-job.ts';
import { matchesImage } from './subscriber/image-pattern.ts';
import { logWholeIndexes } from './subscriber/log-lines.ts';
import { queueClient, type QueueClient } from './pubsub/client.ts';
import { topicPublisher, type TopicPublisher } from './pubsub/publisher.ts';
import { createSubscriber, type Subscriber } from './subscriber/subscriber.ts';
import type { Logger } from './telemetry/logger.ts';
import { meteredLogger } from './telemetry/metered-logger.ts';
import { otlpMetrics, type OtlpMetrics } from './telemetry/otlp.ts';
import { requestTally, type RequestTally } from './telemetry/request-tally.ts';
import { watchdog } from './watchdog.ts';

/** The engine of a process with its registries. */
export interface Engine {
  readonly rules: AdmissionRules;
  readonly doWork: DoWork;
  /** What is logged with it is counted where metrics are exported. */
  readonly logger: Logger;
  /** Writes and sends what was counted, now and then; call it at the end of every event. */
  flush(): Promise<void>;
  /** What is under way or waits, in words; empty where nothing is. */
  openWork(): readonly string[];
  /** Small JSON calls with the process's Google token. */
  readonly googleApi: JsonApi;
  /** Writes and sends what was counted, and ends all connections. */
  close(): Promise<void>;
}

/** The Cloud Run service of a process. */
export interface Service {
  readonly subscriber: Subscriber;
  /** Writes and sends what is still held, and ends all connections. */
  close(): Promise<void>;
}

/** What differs between the entries. */
export interface EngineOptions {
  /** Tell what would be done and change nothing. Default false. */
  readonly dryRun?: boolean;
  /** Of exported metrics: Cloud Run's name of the service or job. Default `imagerepo-mirror`. */
  readonly serviceName?: string;
  /** Write lines of entry `requests`. Default true. */
  readonly countRequests?: boolean;
  /** The time of all that waits. Default: the machine's. */
  readonly timing?: Timing | undefined;
  /** 0 … 1, for jitter. Default: `Math.random`. */
  readonly random?: (() => number) | undefined;
  /** Opens what requests to registries go through. Default: the network. */
  readonly openTransport?: RegistriesOptions['openTransport'];
  /** Is told of every pause that a registry asked for. Default: nobody. */
  readonly onPause?: RegistriesOptions['onPause'];
  /** Is told of the places that transfers wait for and hold. Default: nobody. */
  readonly placeObserver?: PlaceObserver | undefined;
  /** The process's Google identity. Default: the metadata server's, or Application Default Credentials. */
  readonly googleTokens?: GoogleTokens | undefined;
}

/** Wires the engine: credentials by host, registries, the pool of blobs. */
export function composeEngine(
  config: MirrorConfig,
  plainLogger: Logger,
  options: EngineOptions = {},
): Engine {
  const { timing = SYSTEM_TIMING } = options;
  const clock = (): number => timing.now();
  const tokens = options.googleTokens ?? googleTokens();
  const otlp = otlpOf(config, options.serviceName ?? 'imagerepo-mirror', plainLogger, tokens);
  const logger =
    otlp === undefined
      ? plainLogger
      : meteredLogger(plainLogger, (fields) => {
          otlp.record(fields);
        });
  const requests = requestTally(logger, clock);
  const registries = registriesOf(config, logger, tokens, requests, options);
  const { random, placeObserver } = options;
  const pool = new BlobCopier({
    presence: new PresenceCache(clock),
    timing,
    random,
    placeObserver,
  });
  const referrersSupport = new ReferrersSupport();
  const tagTurns = new TagTurns(clock);
  const { host } = parseDestinationRegistry(config.destinationRegistry);
  const mirrorOptions = mirrorOptionsOf(config, options.dryRun ?? false);

  const doWork: DoWork = async (work) => {
    const { admission, deadline, offload, observer } = work;
    const [{ source }, deadlineAtMs] = [admission, deadline.endsAtMs];
    const end = watchdog.begin(`mirror ${source.host}/${source.path}`);
    return mirrorRepository(
      work.event.data,
      {
        source: registries.source(source, {
          deadlineAtMs,
          insecure: admission.insecure || isHttpSource(source, config),
        }),
        destination: registries.destination(
          { host, path: admission.destinationPath },
          { deadlineAtMs, insecure: config.insecureDestination || isLoopback(host) },
        ),
        pool,
        referrersSupport,
        tagTurns,
        clock,
        deadline,
        offload,
        observer: {
          ...observer,
          onWholeIndexes: (refusing) => {
            logWholeIndexes(logger, refusing);
          },
          onBytes: (count) => {
            watchdog.moved();
            observer?.onBytes?.(count);
          },
        },
      },
      mirrorOptions,
      work.signal,
    ).finally(end);
  };
  return {
    rules: config,
    doWork,
    logger,
    flush: async () => {
      requests.flush();
      await otlp?.flush();
    },
    openWork: () => [
      ...pool.openWork(),
      ...(tagTurns.size === 0 ? [] : [`${tagTurns.size} tags whose push is under way`]),
      ...registries.openWork(),
    ],
    googleApi: googleApi(registries.callJson, tokens),
    close: async () => {
      if (options.countRequests !== false) requests.finish();
      await otlp?.close();
      registries.close();
    },
  };
}

/** Wires the service: the engine, the topics, the job. */
export function composeService(
  config: SubscriberConfig,
  logger: Logger,
  end: EndableProcess,
  serviceName: string,
): Service {
  const engine = composeEngine(config, logger, { serviceName });
  const queue = queueClient(config.projectId);
  const subscriber = createSubscriber({
    rules: engine.rules,
    limits: {
      batchTags: config.batchTags,
      jobThresholdBytes: config.jobThresholdBytes,
      deadlineMs: config.deadlineSeconds * 1000,
    },
    acceptFluxEvents: config.acceptFluxEvents,
    projectId: config.projectId,
    doWork: engine.doWork,
    verification: config,
    bulk: publisherOf(queue, config.bulkTopic),
    deadLetters: publisherOf(queue, config.deadLetterTopic),
    handOff: handOffOf(config, engine.googleApi),
    flush: async () => engine.flush(),
    end,
    logger: engine.logger,
    timing: SYSTEM_TIMING,
  });
  return {
    subscriber,
    close: async () => {
      await engine.close();
      await queue.close();
    },
  };
}

/** A publisher to a topic; undefined where none is configured. */
export function publisherOf(
  queue: QueueClient,
  topic: string | undefined,
): TopicPublisher | undefined {
  return topic === undefined ? undefined : topicPublisher(queue, topic);
}

function otlpOf(
  { otlpEndpoint, projectId }: MirrorConfig,
  serviceName: string,
  logger: Logger,
  tokens: GoogleTokens,
): OtlpMetrics | undefined {
  if (otlpEndpoint === undefined) return undefined;
  return otlpMetrics({
    endpoint: otlpEndpoint,
    accessToken: async () => tokens.accessToken(),
    projectId,
    serviceName,
    logger,
    clock: SYSTEM_TIMING.now,
  });
}

function handOffOf(config: SubscriberConfig, api: JsonApi): CloudRunJob | undefined {
  const { job, runApiEndpoint } = config;
  return job === undefined ? undefined : cloudRunJob(api, runApiEndpoint, job, comparesBy(config));
}

function registriesOf(
  config: MirrorConfig,
  logger: Logger,
  tokens: GoogleTokens,
  requests: RequestTally,
  { timing, random, openTransport, onPause, placeObserver }: EngineOptions,
): Registries {
  const isGoogle = googleHosts(config.googleRegistryHosts);
  const { dockerConfigFile, sourceCaFile } = config;
  if (dockerConfigFile !== undefined) requireDockerConfig(dockerConfigFile, config, logger);
  const { host } = parseDestinationRegistry(config.destinationRegistry);
  return createRegistries({
    credentials: openCredentials({
      destinationHost: host,
      isAllowedSource: (source) => isAllowedSource(source, config),
      isGoogle,
      googleTokens: tokens,
      dockerConfigFile,
    }),
    isGoogle,
    googleTokens: tokens,
    privateHosts: [...config.privateHosts, ...config.namedHosts, host],
    loopback: config.local,
    sourceCaCertificates: sourceCaFile === undefined ? undefined : readCertificates(sourceCaFile),
    onExchange: (exchange) => {
      watchdog.moved();
      requests.add(exchange);
    },
    timing,
    random,
    openTransport,
    onPause,
    placeObserver,
  });
}

function isAllowedSource({ host, path }: RepositoryName, config: MirrorConfig): boolean {
  return (
    config.namedHosts.includes(host) ||
    config.allowedSources.some((pattern) => matchesImage(pattern, `${host}/${path}`))
  );
}

/** Loopback is spoken to over http where the operator named it, and in local mode. */
function isHttpSource({ host }: RepositoryName, config: MirrorConfig): boolean {
  return isLoopback(host) && (config.local || config.namedHosts.includes(host));
}

function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/.test(host);
}

function mirrorOptionsOf(config: MirrorConfig, dryRun: boolean): MirrorOptions {
  return {
    tagWorkers: config.tagWorkers,
    dryRun,
    onDrift: config.onDrift,
    backupTag: config.backupTag === '' ? undefined : parseBackupTag(config.backupTag),
    platforms: platformsOf(config.platforms),
    referrers: config.referrers,
    maxMissingTags: config.maxMissingTags,
    verifyTags: config.verifyTags,
    resyncVerify: config.resyncVerify,
    mutableTags: config.mutableTags,
    selection: config.selection,
  };
}

function googleApi(call: JsonCall, tokens: GoogleTokens): JsonApi {
  return {
    call: async (method, url, body, signal) => {
      const token = await tokens.accessToken();
      const headers = { authorization: `Bearer ${token}` };
      return call({ method, url: url.href, headers, body }, signal);
    },
  };
}
