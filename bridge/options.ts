import { DESTINATION_LAYOUTS } from '../functions/contract/destination.ts';
import { choice, duration, flag, integer, list, text } from '../functions/options/option.ts';
import { requireLabelSelector } from './kubernetes/label-selector.ts';

/** A topic's id, or its full name (Pub/Sub resource names: 3 to 255 characters). */
const TOPIC = /^(projects\/[^/\s]+\/topics\/)?[a-zA-Z][\w.~+%-]{2,254}$/;

/** What may stand between the slashes of an event's source. */
const CLUSTER_NAME = /^[\w.~-]{1,100}$/;
/** Letters, digits and hyphens, with a domain before a colon where the project has one. */
const PROJECT = /^([a-z0-9.-]+:)?[a-z0-9-]+$/i;

/** Every option of the bridge; those that Flux's controllers have too bear their names and defaults. */
export const bridgeOptions = {
  kubeconfig: text({
    flag: '--kubeconfig',
    env: 'KUBECONFIG',
    placeholder: 'FILE[:FILE]',
    sentence:
      'Access to the API server; several files, separated by colons, are united as kubectl does. Unset: the service account of the pod, else ~/.kube/config.',
  }),
  watchAllNamespaces: flag({
    flag: '--watch-all-namespaces',
    env: 'WATCH_ALL_NAMESPACES',
    default: true,
    sentence: 'Watch ImageRepositories of all namespaces; false: of RUNTIME_NAMESPACE alone.',
  }),
  runtimeNamespace: text({
    env: 'RUNTIME_NAMESPACE',
    placeholder: 'NAMESPACE',
    sentence:
      'Namespace of the Lease, and the one watched with --watch-all-namespaces=false. Unset: that of the service account or of the kubeconfig.',
  }),
  watchLabelSelector: text({
    flag: '--watch-label-selector',
    env: 'WATCH_LABEL_SELECTOR',
    placeholder: 'SELECTOR',
    default: '',
    sentence:
      'Watch only objects with these labels, such as sharding.fluxcd.io/key=shard1, !sharding.fluxcd.io/key or tier notin (dev,test).',
    check: requireLabelSelector,
  }),
  enableLeaderElection: flag({
    flag: '--enable-leader-election',
    env: 'ENABLE_LEADER_ELECTION',
    default: false,
    sentence: 'Publish only while holding the Lease, so that several replicas can run.',
  }),
  leaseDurationMs: duration({
    flag: '--leader-election-lease-duration',
    env: 'LEADER_ELECTION_LEASE_DURATION',
    default: '35s',
    // The two times below are shorter.
    max: '168h',
    sentence:
      'How long a standby waits after the last renewal that it saw before it takes over. It then publishes what changed while it stood by, and everything else as on a start.',
  }),
  renewDeadlineMs: duration({
    flag: '--leader-election-renew-deadline',
    env: 'LEADER_ELECTION_RENEW_DEADLINE',
    default: '30s',
    sentence: 'How long the leader tries to renew before it steps down.',
  }),
  retryPeriodMs: duration({
    flag: '--leader-election-retry-period',
    env: 'LEADER_ELECTION_RETRY_PERIOD',
    default: '5s',
    sentence: 'Time between two looks at the Lease.',
  }),
  releaseOnCancel: flag({
    flag: '--leader-election-release-on-cancel',
    env: 'LEADER_ELECTION_RELEASE_ON_CANCEL',
    default: true,
    sentence: 'Give the Lease up on shutdown, so that a standby need not wait for its end.',
  }),
  metricsAddr: text({
    flag: '--metrics-addr',
    env: 'METRICS_ADDR',
    placeholder: '[HOST]:PORT',
    default: ':8080',
    sentence: 'Where /metrics is served. Port 0: any free one, named in the log. 0 alone: nowhere.',
    check: requireAddress,
  }),
  healthAddr: text({
    flag: '--health-addr',
    env: 'HEALTH_ADDR',
    placeholder: '[HOST]:PORT',
    default: ':9440',
    sentence: 'Where /healthz and /readyz are served. As --metrics-addr.',
    check: requireAddress,
  }),
  logLevel: choice({
    flag: '--log-level',
    env: 'LOG_LEVEL',
    choices: ['trace', 'debug', 'info', 'error'],
    default: 'info',
    sentence: 'Mildest level that is logged; trace says as much as debug.',
  }),
  logEncoding: choice({
    flag: '--log-encoding',
    env: 'LOG_ENCODING',
    choices: ['json', 'console'],
    default: 'json',
    sentence: 'json: one object a line with the keys of Flux and of Cloud Logging.',
  }),
  concurrent: integer({
    flag: '--concurrent',
    env: 'CONCURRENT',
    default: 4,
    min: 1,
    max: 64,
    sentence: 'Publish requests under way at once, each of up to 100 events.',
  }),
  project: text({
    flag: '--project',
    env: 'GOOGLE_CLOUD_PROJECT',
    placeholder: 'PROJECT',
    sentence: 'Project of topics named without one. Unset: that of the credentials.',
    check: (value) => {
      if (!PROJECT.test(value)) throw new Error(`wants a project's id, not '${value}'`);
    },
  }),
  topic: text({
    flag: '--topic',
    env: 'TOPIC',
    placeholder: 'TOPIC',
    default: 'events',
    sentence: 'Topic for changes, resyncs and follow-ups, as an id or projects/P/topics/T.',
    check: requireTopic,
  }),
  bulkTopic: text({
    flag: '--bulk-topic',
    env: 'BULK_TOPIC',
    placeholder: 'TOPIC',
    default: 'bulk',
    sentence:
      'Topic for the replay on start and for --once, apart so that a fresh tag never waits.',
    check: requireTopic,
  }),
  clusterName: text({
    flag: '--cluster-name',
    env: 'CLUSTER_NAME',
    placeholder: 'NAME',
    default: 'kubernetes',
    sentence: 'Names this cluster in the source of every event.',
    check: (value) => {
      if (!CLUSTER_NAME.test(value)) {
        throw new Error(`wants 1 to 100 letters, digits, '.', '_', '~' or '-', not '${value}'`);
      }
    },
  }),
  destinationLayout: choice({
    flag: '--destination-layout',
    env: 'DESTINATION_LAYOUT',
    choices: DESTINATION_LAYOUTS,
    default: 'host-path',
    sentence:
      'Layout that the subscriber is set to. With path or name two images can have one destination; the newer object is then not published.',
  }),
  resyncIntervalMs: duration({
    flag: '--resync-interval',
    env: 'RESYNC_INTERVAL',
    default: '12h',
    sentence:
      'Publish every object once in this time, each at its own moment, since a moved tag changes no revision. 0: never.',
  }),
  followUpMs: duration({
    flag: '--follow-up',
    env: 'FOLLOW_UP',
    default: '10m',
    sentence: 'Publish once more this long after a change, since signatures follow later. 0: not.',
  }),
  replayOnStart: flag({
    flag: '--replay-on-start',
    env: 'REPLAY_ON_START',
    default: true,
    sentence:
      'Publish every object once on start, and when a replica takes over; false: what changed while no replica ran waits for the resync.',
  }),
  replayRate: integer({
    flag: '--replay-rate',
    env: 'REPLAY_RATE',
    default: 20,
    min: 0,
    max: 10_000,
    sentence:
      'Events a second of replay, resync and --once; changes are not held back. 0: no limit.',
  }),
  dryRun: flag({
    flag: '--dry-run',
    env: 'DRY_RUN',
    default: false,
    sentence:
      'Log what would be published, publish nothing, write no Kubernetes Events and no Lease.',
  }),
  once: flag({
    flag: '--once',
    env: 'ONCE',
    default: false,
    sentence:
      'Publish an event for every selected ImageRepository to the bulk topic, wait until all are accepted, and exit.',
  }),
  names: list({
    flag: '--name',
    env: 'NAMES',
    placeholder: 'NAMESPACE/NAME',
    sentence: 'With --once: only this object, even if it is suspended or disabled.',
    item: objectName,
  }),
  tags: list({
    flag: '--tags',
    env: 'TAGS',
    placeholder: 'TAG[,TAG]',
    sentence: 'With --once and --name: mirror exactly these tags.',
    item: tagNames,
  }),
  timeoutMs: duration({
    flag: '--timeout',
    env: 'TIMEOUT',
    default: '5m',
    max: '168h',
    sentence:
      'With --once: how long it goes on while the API server or Pub/Sub is away or busy, or credentials are missing; counted anew for the list and for each request.',
  }),
  verify: choice({
    flag: '--verify',
    env: 'VERIFY',
    choices: ['mutable', 'all', 'none'],
    default: 'mutable',
    sentence: 'With --once: which tags that exist at the destination are compared with the source.',
  }),
} as const;

/** A namespaced name. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

function objectName(value: string): ObjectName {
  const [namespace = '', name = '', ...rest] = value.split('/');
  const label = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/;
  if (!label.test(namespace) || !label.test(name) || rest.length > 0) {
    throw new Error(`wants NAMESPACE/NAME, not '${value}'`);
  }
  return { namespace, name };
}

/** OCI Distribution 1.1, "Pulling manifests": the grammar of a tag. */
function tagNames(value: string): readonly string[] {
  const tags = value.split(',');
  for (const tag of tags) {
    if (!/^\w[\w.-]{0,127}$/.test(tag)) throw new Error(`wants tags, not '${tag}'`);
  }
  return tags;
}

function requireTopic(value: string): void {
  if (!TOPIC.test(value)) {
    throw new Error(`wants a topic's id or projects/PROJECT/topics/TOPIC, not '${value}'`);
  }
}

function requireAddress(value: string): void {
  if (value === '0') return;
  const port = /^(?:[\w.-]*|\[[0-9a-fA-F:]+\]):(\d{1,5})$/.exec(value)?.[1];
  if (port === undefined || Number(port) > 65_535) {
    throw new Error(`wants HOST:PORT or :PORT, not '${value}'`);
  }
}
