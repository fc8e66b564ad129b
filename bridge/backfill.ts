import { eventOf, type MirrorEvent } from '../functions/contract/event.ts';
import { toFault, type Fault } from '../functions/fault.ts';
import { refuseOption } from '../functions/options/option.ts';
import type { Logger } from '../functions/telemetry/logger.ts';
import { backoff, type BackoffRange } from './backoff.ts';
import type { BridgeConfig } from './config.ts';
import { DestinationClaims } from './destination-claims.ts';
import { enterClaim, evaluate, isScanned, type EvaluationContext } from './evaluation.ts';
import type { ImageRepository } from './flux/image-repository.ts';
import { listImageRepositories } from './flux/lister.ts';
import type { ApiServer } from './kubernetes/api-server.ts';
import { objectFields } from './log-fields.ts';
import { createPacer } from './pacer.ts';
import { MAX_BATCH, type EventPublisher } from './publisher.ts';
import { requestOf } from './request.ts';
import { sleep } from './sleep.ts';

/** What {@link backfill} works with. */
export interface BackfillParts {
  readonly apiServer: ApiServer;
  readonly publisher: EventPublisher;
  readonly logger: Logger;
  /** Default: see {@link BackoffRange}. */
  readonly backoff?: BackoffRange;
}

/** How many objects came to what. */
interface Tally {
  published: number;
  skipped: number;
  failed: number;
}

/** Tries of one batch before it counts as failed: some 20 s with waits of 0.75 s, doubled. */
const MAX_TRIES = 6;
/** Progress is told this often. */
const PROGRESS_MS = 5000;

/**
 * Publishes an event for every selected object to the bulk lane, at the replay rate, and waits
 * until all are accepted: the backfill.
 * @returns the exit code: 0 everything was accepted; 1 something failed, was not found, or the
 *   signal came before the end
 * @throws Fault `OPTION_INVALID` when the namespace to list is unknown
 */
export async function backfill(
  config: BridgeConfig,
  parts: BackfillParts,
  signal: AbortSignal,
): Promise<number> {
  const { logger } = parts;
  const tally: Tally = { published: 0, skipped: 0, failed: 0 };
  const missing = await parts.publisher.missingPermissions();
  for (const sentence of missing) logger.error(`cannot publish: ${sentence}`);
  if (missing.length > 0) return 1;
  const objects: ImageRepository[] = [];
  try {
    await listImageRepositories(
      listOptions(config, parts),
      (object) => objects.push(object),
      signal,
    );
  } catch (error) {
    if (signal.aborted) return 1;
    logger.error('cannot list ImageRepositories', { error: toFault(error, 'backfill') });
    return 1;
  }
  const events = eventsOf(objects, config, logger, tally);
  await publishAll(events, config, parts, tally, signal);
  const left = events.length - tally.published;
  const { published, skipped, failed } = tally;
  const verb = config.dryRun ? 'would publish' : 'published';
  logger.info(`${verb} ${published} events; ${skipped} skipped, ${failed} failed`, { ...tally });
  return failed > 0 || left > 0 ? 1 : 0;
}

function listOptions(
  config: BridgeConfig,
  parts: BackfillParts,
): Parameters<typeof listImageRepositories>[0] {
  const { apiServer, logger } = parts;
  const own = config.runtimeNamespace ?? apiServer.namespace;
  const namespace = config.watchAllNamespaces
    ? undefined
    : (own ?? refuseOption('RUNTIME_NAMESPACE', 'is not set'));
  return { apiServer, namespace, labelSelector: config.watchLabelSelector, logger };
}

/** The events of the selected objects; what is passed over is told and counted. */
function eventsOf(
  objects: readonly ImageRepository[],
  config: BridgeConfig,
  logger: Logger,
  tally: Tally,
): readonly MirrorEvent[] {
  const context = { claims: new DestinationClaims(), layout: config.destinationLayout };
  for (const object of objects) enterClaim(object, context);
  const named = new Set(config.names.map(({ namespace, name }) => `${namespace}/${name}`));
  const events: MirrorEvent[] = [];
  for (const object of objects) {
    const isNamed = named.delete(`${object.namespace}/${object.name}`);
    if (config.names.length > 0 && !isNamed) continue;
    const made = eventFor(object, isNamed, context, config);
    if ('event' in made) {
      events.push(made.event);
    } else if ('skipped' in made) {
      logger.info(`skipped: ${made.skipped}`, objectFields(object));
      tally.skipped += 1;
    } else {
      logger.error(made.failed, objectFields(object));
      tally.failed += 1;
    }
  }
  for (const label of named) {
    logger.error(`there is no ImageRepository ${label}`);
    tally.failed += 1;
  }
  return events;
}

type Made =
  { readonly event: MirrorEvent } | { readonly skipped: string } | { readonly failed: string };

function eventFor(
  object: ImageRepository,
  isNamed: boolean,
  context: EvaluationContext,
  config: BridgeConfig,
): Made {
  const refuse = (words: string): Made => (isNamed ? { failed: words } : { skipped: words });
  const evaluation = evaluate(object, context);
  if (evaluation.refusal !== undefined) return { failed: evaluation.refusal.message };
  const { settings } = evaluation;
  if (object.deleting) return refuse('it is being deleted');
  if (!isScanned(object)) return refuse('it has not been scanned yet');
  if (!settings.enabled && !isNamed) return { skipped: 'it is disabled; --name publishes it' };
  if (object.suspended && !isNamed) return { skipped: 'it is suspended; --name publishes it' };
  const tags = config.tags.flat();
  const request = requestOf(object, settings, {
    reason: 'requested',
    verify: config.verify,
    ...(tags.length === 0 ? {} : { tags }),
  });
  return { event: eventOf(request, { clusterName: config.clusterName, time: new Date() }) };
}

async function publishAll(
  events: readonly MirrorEvent[],
  config: BridgeConfig,
  parts: BackfillParts,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
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
    await publishBatch(batch, parts, tally, signal);
    if (now() - toldAtMs >= PROGRESS_MS) {
      toldAtMs = now();
      parts.logger.info(`progress: ${done} of ${events.length} events`, { ...tally });
    }
  }
}

async function publishBatch(
  batch: readonly MirrorEvent[],
  parts: BackfillParts,
  tally: Tally,
  signal: AbortSignal,
): Promise<void> {
  const wait = backoff(parts.backoff);
  let left = batch;
  for (let tries = 1; left.length > 0; tries += 1) {
    const outcomes = await parts.publisher.publish('bulk', left);
    const again: MirrorEvent[] = [];
    left.forEach((event, index) => {
      const fault = outcomes[index];
      if (fault === undefined) tally.published += 1;
      else if (fault.disposition === 'permanent' || tries === MAX_TRIES || signal.aborted) {
        tally.failed += 1;
        tellFailure(event, fault, parts.logger);
      } else again.push(event);
    });
    left = again;
    if (left.length > 0) await sleep(wait.next(), signal);
  }
}

function tellFailure(event: MirrorEvent, fault: Fault, logger: Logger): void {
  logger.error('not published', { ...objectFields(event.data.imageRepository), error: fault });
}
