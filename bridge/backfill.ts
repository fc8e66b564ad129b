import { eventOf, type MirrorEvent } from '../functions/contract/event.ts';
import { toMirrorError, type MirrorError } from '../functions/errors.ts';
import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { attempt, type AttemptOptions } from './attempts.ts';
import { sleep, type BackoffRange } from './backoff.ts';
import type { BridgeConfig } from './config.ts';
import { DestinationClaims } from './destination-claims.ts';
import { objectFields, type ImageRepository } from './flux/image-repository.ts';
import { listImageRepositories, type ListOptions } from './flux/lister.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import { createPacer } from './pacer.ts';
import { MAX_BATCH, type EventPublisher } from './publisher.ts';
import { publishableOf, requestOf } from './request.ts';

/** The API server, Pub/Sub and the log; waits are given by tests alone. */
export interface BackfillParts {
  readonly apiServer: ApiServer;
  readonly publisher: EventPublisher;
  readonly logger: Logger;
  /** Default: see {@link BackoffRange}. */
  readonly backoff?: BackoffRange;
  /** Default: see {@link AttemptOptions}. */
  readonly tellMs?: number;
  /** How often progress is told, ms. Default 5000. */
  readonly progressMs?: number;
}

/** How many objects came to what. */
interface TransferStats {
  published: number;
  skipped: number;
  /** Of what was made no event, and of what was not accepted. */
  failed: number;
  /** `namespace/name` of those among them that cannot be read. */
  readonly malformed: string[];
  /** Events that were not accepted. */
  refused: number;
}

/** A person looks on. */
const PROGRESS_MS = 5000;

/**
 * Publishes an event for every selected object to the bulk lane, at the replay rate, and waits
 * until all are accepted: the backfill.
 * @returns the exit code: 0 everything was accepted; 1 something failed, was not found, or the
 *   signal came before the end
 * @throws MirrorError `OPTION_INVALID` when the namespace to list is unknown
 */
export async function backfill(
  config: BridgeConfig,
  parts: BackfillParts,
  signal: AbortSignal,
): Promise<number> {
  const { logger } = parts;
  const stats: TransferStats = { published: 0, skipped: 0, failed: 0, malformed: [], refused: 0 };
  const patience = { ...parts, timeoutMs: config.timeoutMs, signal };
  let found: Found;
  try {
    const missing = await attempt('credentials that may publish', patience, () =>
      // It publishes to no other, and a laptop may not be told of the other.
      parts.publisher.missingPermissions(['bulk']),
    );
    for (const sentence of missing) logger.error(`cannot publish: ${sentence}`);
    if (missing.length > 0) return 1;
    found = await listed(listOptions(config, parts), patience);
  } catch (error) {
    const fault = toMirrorError(error, 'backfill');
    if (fault.code === 'OPTION_INVALID') throw fault;
    if (!signal.aborted) logger.error('nothing was published', { error: fault });
    return 1;
  }
  const events = eventsOf(found, config, logger, stats);
  await publishAll(events, config, parts, stats, patience);
  const left = events.length - stats.published;
  const untried = left - stats.refused;
  const { published, skipped, failed, malformed } = stats;
  const verb = config.dryRun ? 'would publish' : 'published';
  const unread = malformed.length > 0 ? ` (malformed: ${malformed.join(', ')})` : '';
  const rest = untried > 0 ? `, ${untried} not tried` : '';
  logger.info(`${verb} ${published} events; ${skipped} skipped, ${failed} failed${unread}${rest}`, {
    ...{ published, skipped, failed, malformed, untried },
  });
  return failed > 0 || left > 0 ? 1 : 0;
}

/** What is in the cluster. */
interface Found {
  readonly objects: readonly ImageRepository[];
  /** `namespace/name` of those that cannot be read. */
  readonly malformed: readonly string[];
}

/** All objects; a list that fails midway begins anew. */
function listed(options: ListOptions, patience: AttemptOptions): Promise<Found> {
  return attempt('the list of ImageRepositories', patience, async (signal) => {
    const objects: ImageRepository[] = [];
    const add = (object: ImageRepository): unknown => objects.push(object);
    const { malformed } = await listImageRepositories(options, add, signal);
    return { objects, malformed };
  });
}

function listOptions(config: BridgeConfig, parts: BackfillParts): ListOptions {
  const { apiServer, logger } = parts;
  const own = config.runtimeNamespace ?? apiServer.namespace;
  const namespace = config.watchAllNamespaces
    ? undefined
    : (own ?? refuseOption('RUNTIME_NAMESPACE', 'is not set'));
  return { apiServer, namespace, labelSelector: config.watchLabelSelector, logger };
}

/** The events of the selected objects; what is passed over is told and counted. */
function eventsOf(
  { objects, malformed }: Found,
  config: BridgeConfig,
  logger: Logger,
  stats: TransferStats,
): readonly MirrorEvent[] {
  const claims = new DestinationClaims(config.destinationLayout);
  const named = new Set(config.names.map(({ namespace, name }) => `${namespace}/${name}`));
  for (const object of objects) {
    claims.enter(object, named.has(`${object.namespace}/${object.name}`));
  }
  const events: MirrorEvent[] = [];
  for (const object of objects) {
    const isNamed = named.delete(`${object.namespace}/${object.name}`);
    if (config.names.length > 0 && !isNamed) continue;
    const made = eventFor(object, isNamed, claims, config);
    if ('event' in made) {
      events.push(made.event);
    } else if ('skipped' in made) {
      logger.info(`skipped: ${made.skipped}`, objectFields(object));
      stats.skipped += 1;
    } else {
      logger.error(made.failed, objectFields(object));
      stats.failed += 1;
    }
  }
  for (const label of malformed) {
    if (config.names.length > 0 && !named.delete(label)) continue;
    stats.malformed.push(label);
    stats.failed += 1;
  }
  for (const label of named) {
    logger.error(`there is no ImageRepository ${label}`);
    stats.failed += 1;
  }
  return events;
}

type Made =
  { readonly event: MirrorEvent } | { readonly skipped: string } | { readonly failed: string };

function eventFor(
  object: ImageRepository,
  isNamed: boolean,
  claims: DestinationClaims,
  config: BridgeConfig,
): Made {
  const refuse = (words: string): Made => (isNamed ? { failed: words } : { skipped: words });
  const refusal = claims.refusalOf(object);
  if (refusal !== undefined) return { failed: refusal.message };
  const publishable = publishableOf(object);
  if (object.deleting) return refuse('it is being deleted');
  if (publishable === undefined) return refuse('it has not been scanned yet');
  if (!publishable.settings.enabled && !isNamed)
    return { skipped: 'it is disabled; --name publishes it' };
  if (object.suspended && !isNamed) return { skipped: 'it is suspended; --name publishes it' };
  const tags = config.tags.flat();
  const request = requestOf(publishable, {
    reason: 'requested',
    verify: config.verify,
    tags: tags.length === 0 ? undefined : tags,
  });
  return { event: eventOf(request, { clusterName: config.clusterName, time: new Date() }) };
}

async function publishAll(
  events: readonly MirrorEvent[],
  config: BridgeConfig,
  parts: BackfillParts,
  stats: TransferStats,
  patience: AttemptOptions,
): Promise<void> {
  const { signal } = patience;
  const { progressMs = PROGRESS_MS } = parts;
  const now = (): number => performance.now();
  const pacer = createPacer(config.replayRate, now());
  let toldAtMs = now();
  let done = 0;
  while (done < events.length && !signal.aborted) {
    const count = Math.min(MAX_BATCH, pacer.available(now()));
    if (count === 0) {
      await sleep(pacer.waitMs(now()), signal);
      continue;
    }
    const batch = events.slice(done, done + count);
    pacer.spend(batch.length);
    done += batch.length;
    // Nobody accepts anything any more: the rest would wait as long in vain.
    if (!(await publishBatch(batch, parts, stats, patience))) return;
    if (now() - toldAtMs >= progressMs) {
      toldAtMs = now();
      parts.logger.info(`progress: ${done} of ${events.length} events`, { ...stats });
    }
  }
}

/**
 * Publishes events until all are accepted, those apart that can never be.
 * @returns false where they were not, within the time there is
 */
async function publishBatch(
  batch: readonly MirrorEvent[],
  parts: BackfillParts,
  stats: TransferStats,
  patience: AttemptOptions,
): Promise<boolean> {
  let left = batch;
  const fail = (event: MirrorEvent, fault: MirrorError): void => {
    stats.failed += 1;
    stats.refused += 1;
    tellFailure(event, fault, parts.logger);
  };
  try {
    await attempt('Pub/Sub to accept events', patience, async () => {
      const outcomes = await parts.publisher.publish('bulk', left);
      const again: MirrorEvent[] = [];
      let refusal: MirrorError | undefined;
      left.forEach((event, index) => {
        const fault = outcomes[index];
        if (fault === undefined) stats.published += 1;
        else if (fault.disposition === 'permanent') fail(event, fault);
        else {
          again.push(event);
          refusal = fault;
        }
      });
      left = again;
      if (refusal !== undefined) throw refusal;
    });
    return true;
  } catch (error) {
    for (const event of left) fail(event, toMirrorError(error, 'backfill'));
    return false;
  }
}

function tellFailure(event: MirrorEvent, fault: MirrorError, logger: Logger): void {
  logger.error('not published', { ...objectFields(event.data.imageRepository), error: fault });
}
