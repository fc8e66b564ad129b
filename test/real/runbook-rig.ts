import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { PubSub, type Subscription } from '@google-cloud/pubsub';
import { parse } from 'yaml';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import { eventOf, type MirrorEvent, type MirrorRequest } from '../../functions/contract/event.ts';
import type { LogLine } from '../stand-ins/child.ts';
import { startKubernetes, type LocalKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { startRunFront, type RunFront } from '../stand-ins/cloud-run/front.ts';
import { startInstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { imageRepository, type Wanted } from '../bridge/objects.ts';
import { runEntry, startEntry, type Ended } from '../flow/entry.ts';
import { startRegistries, tagsOf, type Registries } from '../functions/registries.ts';
import { matchesFilter } from '../infra/terraform/logging-filter.ts';
import { evaluatePromql } from '../infra/terraform/promql.ts';
import { entryOfJob, entryOfService, type LogEntry } from '../infra/terraform/watching.ts';
import {
  startProgramShell,
  type ProgramCall,
  type ProgramEnded,
  type Programs,
  type ProgramShell,
} from './runbook-programs.ts';
import { makeScratch } from './servers/scratch.ts';

// Nothing of Google Cloud is to be looked for.
process.env['METADATA_SERVER_DETECTION'] = 'none';

/** Rigs so far: each has a project of its own, since one emulator serves many. */
let rigs = 0;
const REGION = 'europe-west1';
/** What the page calls the topics, their subscriptions and the job: the default `name` of the module. */
const NAME = 'imagerepo-mirror';
export const EVENTS = `${NAME}-events`;
export const BULK = `${NAME}-bulk`;
export const DEAD_LETTER = `${NAME}-dead-letter`;

/**
 * Acknowledgement deadline of the dead letters, seconds: the shortest that Pub/Sub takes. The module's is
 * 60 s, which the runbook's first step costs whoever follows it.
 */
const DEAD_LETTER_DEADLINE_SECONDS = 10;

/** The repository that the page names, below the mirror's own path. */
export const REPOSITORY = 'my-org/app';
const root = fileURLToPath(new URL('../..', import.meta.url));

/** An installation whose cloud is this machine, and a shell with its programs. */
export interface RunbookRig {
  readonly registries: Registries;
  readonly kubernetes: LocalKubernetes;
  readonly shell: ProgramShell;
  /** What the page says that its reader has set. */
  readonly env: Readonly<Record<string, string>>;
  /** Lines of the job's runs, in order. */
  readonly jobLines: readonly LogLine[];
  /** Lines of the service of entry `event`, with these fields. */
  readonly eventLines: (fields?: Readonly<Record<string, unknown>>) => readonly LogLine[];
  /** Deploys the service anew with these variables; the job has them too. */
  readonly deploy: (env?: Readonly<Record<string, string>>) => Promise<void>;
  /** Starts a bridge that watches the cluster; it replays nothing. */
  readonly startBridge: () => Promise<void>;
  /** Makes or changes the ImageRepository `app`, as Flux's scan does. */
  readonly scanned: (wanted: Wanted) => void;
  readonly publish: (message: MirrorEvent | EncodedEvent, topic?: string) => Promise<void>;
  readonly event: (repository: string, data?: Partial<MirrorRequest>) => MirrorEvent;
  /** Messages that the dead-letter subscription has now, all of them handed back. */
  readonly deadLetters: () => Promise<readonly EncodedEvent[]>;
  /** Waits until so many dead letters are there, not held by anyone. */
  readonly untilDeadLetters: (count: number) => Promise<readonly EncodedEvent[]>;
  /** Waits until a condition holds; the test's own timeout is the limit. */
  readonly until: (holds: () => boolean) => Promise<void>;
  /** Whether the destination has exactly the source's tags. */
  readonly isMirrored: (repository: string) => boolean;
  /** Runs one command of the page. */
  readonly run: (command: string) => Promise<Required<ProgramEnded>>;
  readonly close: () => Promise<void>;
}

/** Starts it on a Pub/Sub, the stand-in's or Google's emulator. */
export async function startRunbookRig(host: string): Promise<RunbookRig> {
  const projectId = `runbooks-${++rigs}`;
  const registries = await startRegistries({ seeded: false });
  const kubernetes = await startKubernetes();
  const scratch = await makeScratch('runbook-rig');
  const kubeconfig = join(scratch.path, 'kubeconfig');
  await kubernetes.kubeconfig(kubeconfig);
  const admin = new PubSub({ apiEndpoint: host, projectId, emulatorMode: true });
  const { source, destination } = registries;
  const lines: LogLine[] = [];
  const jobLines: LogLine[] = [];
  /** When each message of the lane of changes was published, milliseconds since 1970. */
  const published = new Map<string, number>();
  const common = {
    GOOGLE_CLOUD_PROJECT: projectId,
    PUBSUB_EMULATOR_HOST: host,
    METADATA_SERVER_DETECTION: 'none',
    DESTINATION_LAYOUT: 'path',
    BULK_TOPIC: BULK,
  };
  const cluster = { ...common, KUBECONFIG: kubeconfig, CLUSTER_NAME: 'prod' };
  let mirror: Readonly<Record<string, string>> = {};
  let front: RunFront | undefined;
  let bridge: { readonly child: ChildProcess; readonly ended: Promise<Ended> } | undefined;

  await makeTopics(admin, projectId);

  async function deploy(env: Readonly<Record<string, string>> = {}): Promise<void> {
    mirror = {
      ...common,
      LOCAL: 'true',
      DESTINATION_REGISTRY: `${destination.host}/m`,
      DEAD_LETTER_TOPIC: DEAD_LETTER,
      ...env,
    };
    const before = front;
    const variables = mirror;
    front = await startRunFront({
      start: async () =>
        startInstanceProcess({
          command: ['functions/serve.ts'],
          env: variables,
          onLine: (line) => lines.push(line),
        }),
    });
    for (const lane of [EVENTS, BULK]) {
      await admin.subscription(lane).modifyPushConfig({
        pushEndpoint: front.url,
        noWrapper: { writeMetadata: true },
      });
    }
    // A revision that goes answers what it has, or it would be delivered once more.
    while (before !== undefined && before.inFlight > 0) await delay(20);
    await before?.close();
  }

  async function job(args: readonly string[]): Promise<ProgramEnded> {
    // The page's runs wait for a minute before they call a subscription empty.
    const sooner = args.includes('--drain') ? ['--drain-idle=2s'] : [];
    const ended = await runEntry('functions/job.ts', [...args, ...sooner], {
      ...mirror,
      CLOUD_RUN_JOB: 'mirror',
    });
    for (const raw of ended.stdout.split('\n')) {
      if (raw.startsWith('{')) jobLines.push(JSON.parse(raw) as LogLine);
    }
    return { code: ended.code ?? 1, stderr: ended.stderr };
  }

  /** Messages that a pull subscription has now, with their handles. */
  async function pull(name: string, maxMessages: number): Promise<readonly Received[]> {
    const { receivedMessages = [] } = await call<{ receivedMessages?: readonly Received[] }>(
      admin.subscription(name),
      'pull',
      { maxMessages, returnImmediately: true },
    );
    return receivedMessages;
  }

  async function deadLetters(): Promise<readonly EncodedEvent[]> {
    const received = await pull(DEAD_LETTER, 100);
    const ackIds = received.map(({ ackId }) => ackId);
    if (ackIds.length > 0) {
      await call(admin.subscription(DEAD_LETTER), 'modifyAckDeadline', {
        ackIds,
        ackDeadlineSeconds: 0,
      });
    }
    return received.map(({ message: { attributes, data } }) => ({
      attributes,
      data: Buffer.from(data),
    }));
  }

  /** Age of the oldest event of the lane of changes that is not done; undefined: none waits. */
  function oldestAgeSeconds(): number | undefined {
    const done = new Set(
      lines.flatMap(({ entry, decision, messageId }) =>
        entry === 'event' && decision !== 'retry' ? [String(messageId)] : [],
      ),
    );
    const since = [...published].filter(([id]) => !done.has(id)).map(([, ms]) => ms);
    return since.length === 0 ? undefined : (Date.now() - Math.min(...since)) / 1000;
  }

  const backfills = new Map<string, Promise<Ended>>();
  const programs: Programs = {
    gcloud: gcloudOf({
      projectId,
      admin,
      pull,
      job,
      entries: () => [...lines.map(entryOfService), ...jobLines.map(entryOfJob)],
      deleteTag: (repository, tag) => destination.store.deleteTag(`m/${repository}`, tag),
    }),
    // Managed Service for Prometheus, as far as the page asks it.
    curl: ({ flags }) => {
      const [, query = ''] = /^query=(.*)$/.exec(flags['data-urlencode'] ?? '') ?? [];
      assert.equal(flags['H'], 'Authorization: Bearer an-access-token');
      const age = oldestAgeSeconds();
      const labels = { monitored_resource: 'pubsub_subscription', subscription_id: EVENTS };
      const name = 'pubsub_googleapis_com:subscription_oldest_unacked_message_age';
      const samples = new Map([[name, age === undefined ? [] : [{ labels, value: age }]]]);
      const result = evaluatePromql(query, samples).map(({ labels: metric, value }) => ({
        metric,
        value: [Date.now() / 1000, String(value)],
      }));
      const data = { resultType: 'vector', result };
      return { code: 0, stdout: `${JSON.stringify({ status: 'success', data })}\n` };
    },
    kubectl: async ({ words, flags }) => {
      const [verb = '', kind = '', name = ''] = words;
      if (verb === 'annotate' && kind === 'imagerepository') {
        return annotate(kubernetes, flags['n'] ?? '', name, words.slice(3), 'overwrite' in flags);
      }
      if (flags['k'] === 'infra/kubernetes/backfill') {
        const { jobName, args, env } = backfillJob(projectId);
        if (verb === 'delete') {
          const deleted = backfills.delete(jobName);
          return { code: deleted || 'ignore-not-found' in flags ? 0 : 1 };
        }
        assert.equal(verb, 'apply');
        if (backfills.has(jobName)) return { code: 0, stdout: `job.batch/${jobName} unchanged\n` };
        backfills.set(
          jobName,
          runEntry('bridge/main.ts', args, {
            ...cluster,
            ...env,
            KUBERNETES_SERVICE_HOST: '127.0.0.1',
          }),
        );
        return { code: 0, stdout: `job.batch/${jobName} created\n` };
      }
      const ran = await backfills.get((verb === 'wait' ? kind : (words[1] ?? '')).slice(4));
      assert.ok(ran !== undefined, `kubectl ${words.join(' ')} is not known here`);
      assert.equal(flags['n'], NAME);
      if (verb === 'wait') return { code: ran.code === 0 ? 0 : 1 };
      assert.equal(verb, 'logs');
      return { code: 0, stdout: ran.stdout + ran.stderr };
    },
    npm: async ({ args }) => {
      assert.deepEqual(args.slice(0, 3), ['run', 'bridge', '--']);
      // A laptop has a kubeconfig; of the installation it knows what the command says.
      const { code, stdout, stderr } = await runEntry('bridge/main.ts', args.slice(3), {
        KUBECONFIG: kubeconfig,
        PUBSUB_EMULATOR_HOST: host,
        DESTINATION_LAYOUT: 'path',
      });
      return { code: code ?? 1, stdout, stderr };
    },
  };
  const shell = await startProgramShell(programs);
  const env = { PROJECT: projectId, REGION };
  return {
    registries,
    kubernetes,
    shell,
    env,
    jobLines,
    eventLines: (fields = {}) =>
      lines.filter(
        (line) =>
          line['entry'] === 'event' &&
          Object.entries(fields).every(([name, value]) => line[name] === value),
      ),
    deploy,
    startBridge: async () => {
      const started = startEntry(
        'bridge/main.ts',
        [
          `--topic=${EVENTS}`,
          '--enable-leader-election=false',
          '--replay-on-start=false',
          '--metrics-addr=0',
          '--health-addr=0',
        ],
        cluster,
      );
      bridge = started;
      const { child } = started;
      if (child.stdout !== null) createInterface({ input: child.stdout }).resume();
      while (kubernetes.openWatches === 0) {
        assert.equal(child.exitCode, null, 'the bridge ended');
        await delay(20);
      }
    },
    scanned: (wanted) => {
      const annotations = annotationsOf(kubernetes, 'flux-system', 'app');
      const made = imageRepository('app', { image: `${source.host}/${REPOSITORY}`, ...wanted });
      kubernetes.put({ ...made, metadata: { ...made.metadata, annotations } });
    },
    publish: async (message, topic = EVENTS) => {
      const { attributes, data } = 'attributes' in message ? message : encodeEvent(message);
      const id = await admin.topic(topic).publishMessage({ attributes: { ...attributes }, data });
      if (topic === EVENTS) published.set(id, Date.now());
    },
    event: (repository, data = {}) =>
      eventOf(
        {
          imageRepository: { namespace: 'flux-system', name: 'app', uid: repository },
          image: `${source.host}/${repository}`,
          revision: '1',
          tagCount: 1,
          scanTime: new Date().toISOString(),
          exclusionList: [],
          reason: 'changed',
          ...data,
        },
        { clusterName: 'prod', time: new Date() },
      ),
    deadLetters,
    untilDeadLetters: async (count) => {
      for (;;) {
        const found = await deadLetters();
        if (found.length >= count) return found;
        await delay(100);
      }
    },
    until: async (holds) => {
      while (!holds()) await delay(20);
    },
    isMirrored: (repository) =>
      JSON.stringify(tagsOf(destination, `m/${repository}`)) ===
      JSON.stringify(tagsOf(source, repository)),
    run: (command) => shell.run(command, env),
    close: async () => {
      bridge?.child.kill('SIGTERM');
      await bridge?.ended;
      await shell.close();
      await Promise.all(backfills.values());
      await admin.close();
      await front?.close();
      await kubernetes.close();
      await registries.close();
      await scratch.remove();
    },
  };
}

/** A message as the API gives it. */
interface Received {
  readonly ackId: string;
  readonly message: {
    readonly attributes: Readonly<Record<string, string>>;
    readonly data: Uint8Array;
  };
}

/** The topics and subscriptions of the module, by its names. */
async function makeTopics(admin: PubSub, projectId: string): Promise<void> {
  const messageRetentionDuration = { seconds: 7 * 24 * 3600 };
  for (const name of [EVENTS, BULK, DEAD_LETTER]) {
    await admin.createTopic({ name, messageRetentionDuration });
  }
  for (const lane of [EVENTS, BULK]) {
    await admin.createSubscription(lane, lane, {
      // Nobody listens before the service is deployed.
      pushConfig: { pushEndpoint: 'http://127.0.0.1:9/', noWrapper: { writeMetadata: true } },
      ackDeadlineSeconds: 600,
      retryPolicy: { minimumBackoff: { seconds: 1 }, maximumBackoff: { seconds: 2 } },
      deadLetterPolicy: {
        deadLetterTopic: `projects/${projectId}/topics/${DEAD_LETTER}`,
        maxDeliveryAttempts: 100,
      },
    });
  }
  await admin.createSubscription(DEAD_LETTER, DEAD_LETTER, {
    ackDeadlineSeconds: DEAD_LETTER_DEADLINE_SECONDS,
  });
}

/** A call that the client's streams have no method for. */
async function call<T>(subscription: Subscription, method: string, request: object): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    subscription.request<T>(
      {
        client: 'SubscriberClient',
        method,
        reqOpts: { subscription: subscription.name, ...request },
        gaxOpts: { timeout: 10_000 },
      },
      (error, answer) => {
        if (error === null) resolve(answer as T);
        else reject(error);
      },
    );
  });
}

/** What gcloud works on here. */
interface CloudParts {
  readonly projectId: string;
  readonly admin: PubSub;
  readonly pull: (name: string, limit: number) => Promise<readonly Received[]>;
  readonly job: (args: readonly string[]) => Promise<ProgramEnded>;
  readonly entries: () => readonly LogEntry[];
  readonly deleteTag: (repository: string, tag: string) => boolean;
}

/** gcloud, as far as the page uses it; what it does not know fails. */
function gcloudOf(parts: CloudParts): (call: ProgramCall) => Promise<ProgramEnded> {
  const { projectId, admin, pull, job } = parts;
  const ok = { code: 0 };
  const commands: Readonly<
    Record<
      string,
      (
        name: string,
        flags: Readonly<Record<string, string>>,
      ) => ProgramEnded | Promise<ProgramEnded>
    >
  > = {
    'auth print-access-token': () => ({ code: 0, stdout: 'an-access-token\n' }),
    'pubsub subscriptions pull': async (name, { limit = '1' }) => {
      const received = await pull(name, Number(limit));
      const rows = received.map(({ message: { attributes } }) =>
        ['message:', '  attributes:']
          .concat(Object.entries(attributes).map(([key, value]) => `    ${key}: ${value}`))
          .join('\n'),
      );
      return { code: 0, stdout: rows.map((row) => `---\n${row}\n`).join('') };
    },
    'pubsub subscriptions seek': async (name, { time, snapshot }) => {
      const to = time === undefined ? snapshot : new Date(time);
      assert.ok(to !== undefined);
      await admin.subscription(name).seek(to);
      return ok;
    },
    'pubsub snapshots create': async (name, { subscription = '' }) => {
      await admin.subscription(subscription).createSnapshot(name);
      return ok;
    },
    'pubsub snapshots delete': async (name) => {
      await admin.snapshot(name).delete();
      return ok;
    },
    'run jobs execute': async (name, { args = '', wait, region }) => {
      assert.deepEqual([name, wait, region], [`${NAME}-job`, 'true', REGION]);
      return job(args.split(','));
    },
    'logging read': (filter, { format = '' }) => {
      const [, columns = ''] = /^(?:table|value)\((.*)\)$/.exec(format) ?? [];
      const fields = columns.split(/,\s*/).map((field) => field.replace('jsonPayload.', ''));
      const rows = parts
        .entries()
        .filter((entry) => matchesFilter(filter, entry))
        .map(({ jsonPayload }) => fields.map((field) => String(jsonPayload[field])).join('  '));
      return { code: 0, stdout: [fields.join('  '), ...rows, ''].join('\n') };
    },
    'artifacts docker tags delete': (name) => {
      const at = `${REGION}-docker.pkg.dev/${projectId}/mirror/ghcr.io/`;
      assert.ok(name.startsWith(at), name);
      const [repository = '', tag = ''] = name.slice(at.length).split(':');
      return { code: parts.deleteTag(repository, tag) ? 0 : 1 };
    },
  };
  return async ({ words, flags }) => {
    const known = Object.keys(commands).find((one) => words.join(' ').startsWith(one));
    if (known === undefined) throw new Error('gcloud does not know this here');
    if (!/^(auth|artifacts)/.test(known)) assert.equal(flags['project'], projectId);
    const name = words.slice(known.split(' ').length).join(' ');
    return (await commands[known]?.(name, flags)) ?? ok;
  };
}

function annotationsOf(
  kubernetes: LocalKubernetes,
  namespace: string,
  name: string,
): Readonly<Record<string, string>> {
  const { annotations } = (kubernetes.get(namespace, name)?.metadata ?? {}) as {
    readonly annotations?: Readonly<Record<string, string>>;
  };
  return annotations ?? {};
}

/** `kubectl annotate`: what is there already is changed only with `--overwrite`. */
function annotate(
  kubernetes: LocalKubernetes,
  namespace: string,
  name: string,
  pairs: readonly string[],
  overwrite: boolean,
): ProgramEnded {
  const object = kubernetes.get(namespace, name);
  if (object === undefined) return { code: 1, stderr: `imagerepositories "${name}" not found\n` };
  const before = annotationsOf(kubernetes, namespace, name);
  const added = Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=');
      return [pair.slice(0, at), pair.slice(at + 1)];
    }),
  );
  const taken = Object.keys(added).find((key) => key in before && before[key] !== added[key]);
  if (!overwrite && taken !== undefined) {
    return { code: 1, stderr: `--overwrite is false but found the annotation ${taken}\n` };
  }
  kubernetes.put({
    ...object,
    metadata: { ...object.metadata, annotations: { ...before, ...added } },
  });
  return { code: 0, stdout: `imagerepository/${name} annotated\n` };
}

/** The backfill's Job as its manifests say, its placeholders filled in as they ask for. */
function backfillJob(projectId: string): {
  readonly jobName: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
} {
  const folder = join(root, 'infra/kubernetes/backfill');
  const job = parse(readFileSync(join(folder, 'job.yaml'), 'utf8')) as {
    readonly metadata: { readonly name: string };
    readonly spec: {
      readonly template: {
        readonly spec: { readonly containers: readonly { readonly args: readonly string[] }[] };
      };
    };
  };
  const kustomization = parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')) as {
    readonly configMapGenerator: readonly { readonly literals: readonly string[] }[];
  };
  const literals = kustomization.configMapGenerator.flatMap((one) => one.literals);
  const filledIn: Readonly<Record<string, string>> = {
    ...Object.fromEntries(literals.map((one) => one.split('=') as [string, string])),
    GOOGLE_CLOUD_PROJECT: projectId,
    CLUSTER_NAME: 'prod',
  };
  const [container] = job.spec.template.spec.containers;
  const [entry, ...args] = container?.args ?? [];
  assert.equal(entry, '/app/bridge.js');
  return {
    jobName: job.metadata.name,
    args: args.map((arg) =>
      arg.replaceAll(/\$\((\w+)\)/g, (_, name: string) => filledIn[name] ?? ''),
    ),
    env: { ...filledIn, DESTINATION_LAYOUT: 'path' },
  };
}
