import { eventVariable } from '../../../functions/subscriber/cloud-run-job.ts';
import { encodeHeartbeat } from '../../../functions/contract/heartbeat.ts';
import { runEntry } from '../../flow/entry.ts';
import type { LogLine } from '../../stand-ins/child.ts';
import { TOPICS } from '../../stand-ins/pubsub/lanes.ts';
import type { AnswerFault } from '../../stand-ins/registry/fault-rule.ts';
import { PROJECT, type Deployment, type DeploymentOptions } from '../../flow/subscriber-rig.ts';
import { until } from '../../until.ts';
import type { Series } from './promql.ts';

/** One row of the table of alerts in infra/README.md, and how its situation is brought about. */
export interface Situation {
  /** Title of the alert, `prod` being the cluster. */
  readonly alert: string;
  /** When it fires. */
  readonly situation: string;
  /** What it looks at. */
  readonly sees: string;
  /** The service, where the situation is one of its own lines. */
  readonly deployment?: DeploymentOptions;
  /** Brings the situation about, until its lines are there. */
  readonly happens?: (deployment: Deployment) => Promise<void>;
  /** What the job does in it, after that. */
  readonly job?: (deployment: Deployment) => Promise<readonly LogLine[]>;
  /** Figures of Google's own that no stand-in has: metric → series. Pub/Sub's are read there otherwise. */
  readonly figures?: Readonly<Record<string, readonly Series[]>>;
  /** Without a heartbeat among the lines. */
  readonly silent?: true;
}

const pushes = 'pubsub_googleapis_com:subscription_push_request_count';

/** Pushes of a lane that were answered so. Default: that of live changes. */
export function pushed(
  responseClass: string,
  responseCode: string,
  value: number,
  lane = 'events',
): Series {
  return {
    labels: {
      project_id: 'my-project',
      monitored_resource: 'pubsub_subscription',
      subscription_id: `imagerepo-mirror-${lane}`,
      response_class: responseClass,
      response_code: responseCode,
    },
    value,
  };
}

function subscription(name: string, value: number): Series {
  return {
    labels: {
      project_id: 'my-project',
      monitored_resource: 'pubsub_subscription',
      subscription_id: name,
    },
    value,
  };
}

/** A sign of life of a cluster, by the lane of live changes. */
export async function alive({ publish, lines }: Deployment, cluster = 'prod'): Promise<void> {
  await publish(encodeHeartbeat({ cluster, watched: 3, refused: 0 }, new Date()));
  await until(() => lines.some((line) => line['cluster'] === cluster));
}

/** Publishes an event about a repository and waits for the line of its delivery. */
async function delivered(
  deployment: Deployment,
  data: Parameters<Deployment['event']>[1] = {},
  repository = 'org/app',
): Promise<void> {
  const before = deployment.eventLines().length;
  await deployment.publish(deployment.event(repository, data));
  await until(() => deployment.eventLines().length > before);
}

/** Has the source answer so, always. */
function answers(
  { registries }: Deployment,
  path: RegExp,
  answer: Omit<AnswerFault, 'kind'>,
): ReturnType<typeof registries.source.faults.add> {
  const effect = { kind: 'answer', ...answer } as const;
  return registries.source.faults.add({ path, times: Infinity, effect });
}

/** Runs the job to its end, for this deployment. */
async function ranByJob(
  { registries, pubsub }: Deployment,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<readonly LogLine[]> {
  const { stdout } = await runEntry('functions/job.ts', args, {
    LOCAL: 'true',
    DESTINATION_REGISTRY: `${registries.destination.host}/m`,
    DESTINATION_LAYOUT: 'path',
    DEAD_LETTER_TOPIC: TOPICS.deadLetter,
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: pubsub.host,
    CLOUD_RUN_JOB: 'imagerepo-mirror-job',
    TASK_MAX_RETRIES: '0',
    CLOUD_RUN_TASK_ATTEMPT: '0',
    ...env,
  });
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as LogLine);
}

const BACKLOG = 'backlog';

/** A drain of what was published to a topic of its own. */
async function drained(
  deployment: Deployment,
  ...events: readonly Parameters<Deployment['publish']>[0][]
): Promise<readonly LogLine[]> {
  await deployment.admin.createTopic(BACKLOG);
  await deployment.admin.createSubscription(BACKLOG, BACKLOG);
  for (const event of events) await deployment.publish(event, BACKLOG);
  return ranByJob(deployment, ['--drain', BACKLOG, '--drain-idle', '2s']);
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** Values of a page that no registry writes. */
const ENDLESS = 3_000_000;

export const SITUATIONS: readonly Situation[] = [
  {
    alert: 'tags failed for good',
    situation: 'a tag cannot be mirrored and repeating cannot help (its source lacks a blob)',
    sees: 'lines `tag`, `outcome` failed, a permanent `code`',
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      await registries.push('org/app', '1.0');
      answers(deployment, /\/blobs\/sha256/, {
        status: 404,
        errors: [{ code: 'BLOB_UNKNOWN', message: 'x' }],
      });
      await delivered(deployment);
    },
  },
  {
    alert: 'repositories failed for good',
    situation:
      'a whole repository cannot be mirrored and repeating cannot help (its list has no end)',
    sees: 'lines `event`, `decision` acknowledge, a permanent `code` but SOURCE_LOST',
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      await registries.push('org/app', '1.0');
      // A page of more values than any registry's.
      const text = `{"name":"org/app","tags":["1.0"],"more":[${'0,'.repeat(ENDLESS)}0]}`;
      answers(deployment, /\/tags\/list/, {
        status: 200,
        body: { contentType: 'application/json', text },
      });
      await delivered(deployment);
    },
  },
  {
    alert: 'a source that had tags is not there',
    situation: 'the source answers 404 for a repository in which Flux found tags',
    sees: 'lines `event`, `announcedTags`',
    happens: async (deployment: Deployment): Promise<void> => {
      await delivered(deployment, { tagCount: 3 }, 'org/hidden');
    },
  },
  {
    alert: 'tags or repositories have been failing for an hour',
    situation:
      'credentials have expired (401 at the list), a registry is down or limits, for an hour',
    sees: 'lines `event`, `decision` retry, with a `code` or beside lines `tag`, `outcome` failed, in every half hour',
    deployment: { backoffFactor: 100 },
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      await registries.push('org/app', '1.0');
      answers(deployment, /\/tags\/list/, {
        status: 401,
        errors: [{ code: 'UNAUTHORIZED', message: 'x' }],
      });
      await delivered(deployment);
    },
  },
  {
    alert: 'tags differ from their source and may not be moved',
    situation: 'a tag moved at its source, and policy or immutability forbids following',
    sees: 'lines `tag`, `outcome` drifted',
    deployment: { env: { ON_DRIFT: 'report', VERIFY_TAGS: 'all' } },
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      await registries.push('org/app', '1.0', 'one');
      await delivered(deployment);
      await registries.push('org/app', '1.0', 'another');
      await delivered(deployment, { revision: '2' });
    },
  },
  {
    alert: 'the brake holds tags',
    situation: 'more tags of a repository are missing than MAX_MISSING_TAGS',
    sees: 'lines `event`, `held` above 0',
    deployment: { env: { MAX_MISSING_TAGS: '1' } },
    happens: async (deployment: Deployment): Promise<void> => {
      for (const tag of ['1.0', '1.1', '1.2']) await deployment.registries.push('org/app', tag);
      await delivered(deployment);
    },
  },
  {
    alert: 'changes take longer than 15 min to be mirrored',
    situation: 'changes are mirrored late, also as batches, continuations or by the job',
    sees: 'lines `event`, `lagSeconds`',
    happens: async (deployment: Deployment): Promise<void> => {
      await deployment.registries.push('org/app', '1.0');
      await delivered(deployment, { scanTime: new Date(Date.now() - HOUR_MS).toISOString() });
    },
  },
  {
    alert: 'events ended as dead letters',
    situation: 'an event that can never succeed, or failed 100 times, was put aside',
    sees: "Pub/Sub's `num_undelivered_messages` of the dead-letter subscription",
    deployment: { env: { ALLOWED_SOURCES: 'ghcr.io/my-org/*' } },
    happens: async (deployment: Deployment): Promise<void> => {
      await delivered(deployment);
    },
  },
  {
    alert: 'events wait longer than 60 min',
    situation: 'the oldest event of a lane, or of Flux, is not done for an hour',
    sees: "Pub/Sub's `oldest_unacked_message_age`",
    figures: {
      'pubsub_googleapis_com:subscription_oldest_unacked_message_age': [
        subscription('imagerepo-mirror-bulk', 3700),
      ],
    },
  },
  {
    alert: 'an execution of the job failed',
    situation: 'an execution ended with another code than 0 after its last attempt',
    sees: "Cloud Run's `completed_execution_count`, `result` failed",
    figures: {
      'run_googleapis_com:job_completed_execution_count': [
        {
          labels: {
            project_id: 'my-project',
            monitored_resource: 'cloud_run_job',
            job_name: 'imagerepo-mirror-job',
            result: 'failed',
          },
          value: 1,
        },
      ],
    },
  },
  {
    alert: 'pushes are refused',
    situation: 'Pub/Sub may not call the service, or the service does not answer',
    sees: "Pub/Sub's `push_request_count` of a service but 429, less the lines `event` that asked for redelivery",
    // One service does not answer; the other takes signs of life, and hides nothing by it.
    happens: async (deployment: Deployment): Promise<void> => {
      await deployment.bulk.close();
      for (let n = 0; n < 20; n++) await alive(deployment);
      await deployment.publish(deployment.event('org/app'), 'bulk');
      const bulk = (): number =>
        deployment.pubsub.view.subscriptions().find(({ name }) => name.endsWith('/bulk'))?.nacked ??
        0;
      await until(() => bulk() >= 3);
    },
  },
  {
    alert: 'the bridge of prod has been silent for 15 min',
    situation: 'the bridge of a cluster is dead, leads nowhere, may not publish, or never came',
    sees: 'lines `heartbeat` of the cluster, or none',
    silent: true,
    // The sign of life of another cluster is none of this one.
    happens: (deployment: Deployment) => alive(deployment, 'another'),
  },
];

/** Healthy work, each with what may look like trouble. */
export const HEALTHY: readonly (Omit<Situation, 'alert' | 'sees'> & {
  /** It happens once: what must hold for longer than its lines are looked at does not fire. */
  readonly isMomentary?: boolean;
})[] = [
  {
    situation: 'a change is mirrored, and the next event finds all of it there',
    happens: async (deployment: Deployment): Promise<void> => {
      await deployment.registries.push('org/app', '1.0');
      await delivered(deployment);
      await delivered(deployment, { reason: 'resync' });
    },
    figures: {
      [pushes]: [pushed('ack', 'success', 2)],
      'pubsub_googleapis_com:subscription_oldest_unacked_message_age': [
        subscription('imagerepo-mirror-events', 12),
      ],
      'pubsub_googleapis_com:subscription_num_undelivered_messages': [
        subscription('imagerepo-mirror-dead-letter', 0),
        subscription('imagerepo-mirror-bulk', 4000),
      ],
    },
  },
  {
    situation: 'a backfill is at its limit of instances: nine of ten pushes are answered 429',
    figures: {
      [pushes]: [
        pushed('remote_server_4xx', 'resource_exhausted', 900),
        pushed('remote_server_4xx', '429', 100),
        pushed('ack', 'success', 100),
      ],
    },
  },
  {
    situation: 'one tag of many fails once, and is mirrored when the rest goes on',
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries, eventLines } = deployment;
      for (const tag of ['1.0', '1.1', '1.2']) await registries.push('org/app', tag, tag);
      const fault = answers(deployment, /\/manifests\/1\.1$/, { status: 503 });
      await delivered(deployment);
      fault.remove();
      await until(() => eventLines({ decision: 'acknowledge' }).length === 1);
      await deployment.settled();
    },
  },
  {
    situation: 'a large repository is mirrored in batches, from a source that limits requests',
    deployment: { env: { BATCH_TAGS: '2' } },
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      for (let n = 0; n < 7; n++) await registries.push('org/app', `1.${n}`, `image ${n}`);
      registries.source.faults.add({
        path: /\/blobs\//,
        times: 4,
        effect: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
      });
      await delivered(deployment, { tagCount: 7 });
      await deployment.settled();
      await deployment.requireMirrored('org/app');
    },
  },
  {
    // The ended delivery may have asked to be delivered again.
    situation: 'a service is deployed anew, and its instance ends while it copies',
    isMomentary: true,
    happens: async (deployment: Deployment): Promise<void> => {
      const { registries } = deployment;
      await registries.push('org/app', '1.0');
      const stalled = registries.source.faults.add({
        path: /\/blobs\//,
        times: Infinity,
        effect: { kind: 'stall', at: 'head' },
      });
      await deployment.publish(deployment.event('org/app'));
      await until(() => stalled.struck > 0);
      const [instance] = deployment.events.instances;
      if (instance === undefined) throw new Error('no instance copies');
      stalled.remove();
      await deployment.events.stop(instance);
      await deployment.settled();
      await deployment.requireMirrored('org/app');
    },
  },
  {
    situation: 'the job mirrors what was handed to it',
    job: async (deployment: Deployment): Promise<readonly LogLine[]> => {
      await deployment.registries.push('org/big', '1.0');
      const event = deployment.event('org/big');
      const lines = await ranByJob(deployment, [], { EVENT: eventVariable(event) });
      await deployment.requireMirrored('org/big');
      return lines;
    },
  },
  {
    situation: 'a drain mirrors events, the older ones of an object by the newest',
    job: async (deployment: Deployment): Promise<readonly LogLine[]> => {
      await deployment.registries.push('org/app', '1.0');
      const now = Date.now();
      const lines = await drained(
        deployment,
        deployment.event('org/app', { revision: '1' }, new Date(now - 2000)),
        deployment.event('org/app', { revision: '2' }, new Date(now - 1000)),
        deployment.event('org/empty', { tagCount: 0 }),
      );
      await deployment.requireMirrored('org/app');
      return lines;
    },
  },
  {
    situation: 'a change is mirrored within 14 of the 15 minutes that it may take',
    happens: async (deployment: Deployment): Promise<void> => {
      await deployment.registries.push('org/app', '1.0');
      await delivered(deployment, {
        scanTime: new Date(Date.now() - 14 * MINUTE_MS).toISOString(),
      });
    },
  },
  {
    situation: 'the source has no repository, and Flux never found tags in it',
    happens: async (deployment: Deployment): Promise<void> => {
      await delivered(deployment, { tagCount: 0 }, 'org/empty');
    },
  },
];
