import { partsOf, type Cloud } from './cloud.ts';
import { listAt, objectAt, textAt, type Json } from './json.ts';
import { invalid } from './refusal.ts';
import {
  firstContainer,
  locationsOf,
  requireContainers,
  requireDocumentation,
  requireMetric,
  requireSeconds,
} from './rules.ts';

/** One kind of resource: where it lives, how it is made, what the product adds and refuses. */
export interface Collection {
  /** Prefix of the endpoint's path, and of the store's names. */
  readonly product: string;
  /** Names, with `*` for one segment. */
  readonly names: string;
  /** How a creation says the new id: by PUT on its name, in the query, in the body's field, or not at all. */
  readonly id: 'put' | { readonly query: string } | { readonly field: string } | 'given';
  /** The field of a body that holds the resource, where it is wrapped. */
  readonly wrapped?: string;
  /** Whether changes are long-running operations. */
  readonly operations?: 'google.longrunning' | 'compute';
  /** Product name that the response of an operation is typed as. */
  readonly type?: string;
  /** Sets what the product sets, after a creation or an update. @throws {Refusal} on what it refuses. */
  readonly fill: (resource: Json, name: string, cloud: Cloud) => void;
}

const NOW = '2026-11-01T12:00:00.000000Z';

/** Defaults of a NAT, in seconds. https://cloud.google.com/nat/docs/timeouts */
const NAT_TIMEOUTS = [
  ['udpIdleTimeoutSec', 30],
  ['icmpIdleTimeoutSec', 30],
  ['tcpEstablishedIdleTimeoutSec', 1200],
  ['tcpTransitoryIdleTimeoutSec', 30],
  ['tcpTimeWaitTimeoutSec', 120],
] as const;

const COLLECTIONS: readonly Collection[] = [
  {
    product: 'pubsub',
    names: 'projects/*/topics/*',
    id: 'put',
    wrapped: 'topic',
    fill(topic, name, cloud) {
      topic['name'] = name;
      topic['state'] = 'ACTIVE';
      const { projects = '' } = partsOf(name);
      cloud.use(projects, 'pubsub.googleapis.com');
      cloud.requireKey(textAt(topic, 'kmsKeyName'), projects, 'pubsub.googleapis.com');
      requireSeconds(topic, 'messageRetentionDuration', 600, 31 * 86_400);
    },
  },
  {
    product: 'pubsub',
    names: 'projects/*/subscriptions/*',
    id: 'put',
    wrapped: 'subscription',
    fill(subscription, name, cloud) {
      subscription['name'] = name;
      subscription['state'] = 'ACTIVE';
      if (textAt(subscription, 'topic') !== '_deleted-topic_') {
        cloud.get(`pubsub/${textAt(subscription, 'topic')}`);
      }
      cloud.use(partsOf(name)['projects'] ?? '', 'pubsub.googleapis.com');
      const deadline = Number(subscription['ackDeadlineSeconds'] ?? 10);
      if (deadline < 10 || deadline > 600) throw invalid('ack_deadline_seconds: 10 to 600.');
      subscription['ackDeadlineSeconds'] = deadline;
      subscription['messageRetentionDuration'] ??= '604800s';
      // Without a policy it expires; with an empty one never.
      subscription['expirationPolicy'] ??= { ttl: '2678400s' };
      requireSeconds(subscription, 'messageRetentionDuration', 600, 31 * 86_400);
      const dead = objectAt(subscription, 'deadLetterPolicy');
      if (dead['deadLetterTopic'] !== undefined) {
        cloud.get(`pubsub/${textAt(dead, 'deadLetterTopic')}`);
        const attempts = Number(dead['maxDeliveryAttempts'] ?? 5);
        if (attempts < 5 || attempts > 100) throw invalid('max_delivery_attempts: 5 to 100.');
      }
      const push = objectAt(subscription, 'pushConfig');
      const endpoint = textAt(push, 'pushEndpoint');
      if (endpoint !== '' && !endpoint.startsWith('https://'))
        throw invalid('pushEndpoint: https.');
      cloud.requireAccount(textAt(objectAt(push, 'oidcToken'), 'serviceAccountEmail'));
    },
  },
  {
    product: 'artifactregistry',
    names: 'projects/*/locations/*/repositories/*',
    id: { query: 'repository_id' },
    operations: 'google.longrunning',
    type: 'google.devtools.artifactregistry.v1.Repository',
    fill(repository, name, cloud) {
      const { projects = '', locations = '', repositories = '' } = partsOf(name);
      const key = textAt(repository, 'kmsKeyName');
      cloud.use(projects, 'artifactregistry.googleapis.com');
      cloud.requireKey(key, projects, 'artifactregistry.googleapis.com', locations);
      const scanning = objectAt(repository, 'vulnerabilityScanningConfig');
      Object.assign(repository, {
        name,
        createTime: NOW,
        updateTime: NOW,
        mode: repository['mode'] ?? 'STANDARD_REPOSITORY',
        sizeBytes: '0',
        registryUri: `${locations}-docker.pkg.dev/${projects}/${repositories}`,
        vulnerabilityScanningConfig: {
          enablementConfig: scanning['enablementConfig'] ?? 'INHERITED',
          enablementState: 'SCANNING_DISABLED',
          enablementStateReason: 'API containerscanning.googleapis.com is not enabled.',
        },
      });
    },
  },
  {
    product: 'run',
    names: 'projects/*/locations/*/services/*',
    id: { query: 'serviceId' },
    operations: 'google.longrunning',
    type: 'google.cloud.run.v2.Service',
    fill(service, name, cloud) {
      fillWorkload(service, name, cloud);
      const { projects = '', locations = '', services = '' } = partsOf(name);
      requireContainers(objectAt(service, 'template'), name, cloud);
      const uri = `https://${services}-${cloud.numberOf(projects)}.${locations}.run.app`;
      const container = firstContainer(objectAt(service, 'template'));
      container['startupProbe'] ??= {
        timeoutSeconds: 240,
        periodSeconds: 240,
        failureThreshold: 1,
        tcpSocket: { port: 8080 },
      };
      Object.assign(service, {
        uri,
        urls: [uri],
        traffic: service['traffic'] ?? [
          { type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100 },
        ],
        trafficStatuses: [{ type: 'TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST', percent: 100 }],
        latestReadyRevision: `${name}/revisions/${services}-00001-abc`,
        latestCreatedRevision: `${name}/revisions/${services}-00001-abc`,
      });
    },
  },
  {
    product: 'run',
    names: 'projects/*/locations/*/jobs/*',
    id: { query: 'jobId' },
    operations: 'google.longrunning',
    type: 'google.cloud.run.v2.Job',
    fill(job, name, cloud) {
      fillWorkload(job, name, cloud);
      requireContainers(objectAt(objectAt(job, 'template'), 'template'), name, cloud);
    },
  },
  {
    product: 'logging',
    names: 'projects/*/metrics/*',
    id: { field: 'name' },
    fill(metric, name) {
      const id = textAt(metric, 'name');
      const descriptor = objectAt(metric, 'metricDescriptor');
      const { projects = '' } = partsOf(name);
      metric['createTime'] = NOW;
      metric['updateTime'] = NOW;
      // STRING is the default of the enum, so it is not written.
      for (const label of listAt(descriptor, 'labels')) {
        if (label['valueType'] === 'STRING') delete label['valueType'];
      }
      descriptor['name'] =
        `projects/${projects}/metricDescriptors/logging.googleapis.com/user/${id}`;
      descriptor['type'] = `logging.googleapis.com/user/${id}`;
      metric['metricDescriptor'] = descriptor;
    },
  },
  {
    product: 'monitoring',
    names: 'projects/*/alertPolicies/*',
    id: 'given',
    fill(policy, name) {
      policy['name'] = name;
      policy['creationRecord'] ??= { mutateTime: NOW, mutatedBy: 'tester' };
      policy['enabled'] ??= true;
      requireDocumentation(objectAt(policy, 'documentation'));
      listAt(policy, 'conditions').forEach((condition, index) => {
        condition['name'] ??= `${name}/conditions/${index}`;
        requireMetric(condition);
      });
    },
  },
  {
    product: 'monitoring',
    names: 'projects/*/dashboards/*',
    id: 'given',
    fill(dashboard, name, cloud) {
      dashboard['name'] = name.replace(
        /^projects\/[^/]+/,
        `projects/${cloud.numberOf(partsOf(name)['projects'] ?? '')}`,
      );
      dashboard['etag'] = cloud.nextNumber();
    },
  },
  {
    product: 'monitoring',
    names: 'projects/*/notificationChannels/*',
    id: 'given',
    fill(channel, name) {
      channel['name'] = name;
    },
  },
  {
    product: 'secretmanager',
    names: 'projects/*/secrets/*',
    id: { query: 'secretId' },
    fill(secret, name, cloud) {
      const { projects = '', secrets = '' } = partsOf(name);
      secret['name'] = `projects/${cloud.numberOf(projects)}/secrets/${secrets}`;
      secret['createTime'] = NOW;
      const made = JSON.stringify(
        cloud.resources.get(`secretmanager/${name}`)?.['replication'] ?? secret['replication'],
      );
      // `customerManagedEncryption` may be another later, where it lies may not.
      if (locationsOf(JSON.parse(made)) !== locationsOf(secret['replication']))
        throw invalid('replication: it cannot be changed.');
      const replication = objectAt(secret, 'replication');
      for (const replica of listAt(objectAt(replication, 'userManaged'), 'replicas')) {
        const key = textAt(objectAt(replica, 'customerManagedEncryption'), 'kmsKeyName');
        cloud.requireKey(
          key,
          projects,
          'secretmanager.googleapis.com',
          textAt(replica, 'location'),
        );
      }
    },
  },
  {
    product: 'iam',
    names: 'projects/*/serviceAccounts/*',
    id: { field: 'accountId' },
    wrapped: 'serviceAccount',
    fill(account, name, cloud) {
      const { projects = '', serviceAccounts = '' } = partsOf(name);
      if (!/^[a-z][a-z0-9-]{4,28}[a-z0-9]@/.test(serviceAccounts)) {
        throw invalid(`account_id: 6 to 30 lower-case letters, digits and hyphens: ${name}`);
      }
      account['name'] = name;
      account['email'] = serviceAccounts;
      account['projectId'] = projects;
      account['uniqueId'] ??= cloud.nextNumber();
    },
  },
  {
    product: 'kms',
    names: 'projects/*/locations/*/keyRings/*/cryptoKeys/*',
    id: { query: 'cryptoKeyId' },
    fill(key, name) {
      key['name'] = name;
      key['purpose'] = 'ENCRYPT_DECRYPT';
    },
  },
  {
    product: 'compute',
    names: 'projects/*/regions/*/addresses/*',
    id: { field: 'name' },
    operations: 'compute',
    fill(address, name, cloud) {
      fillCompute(address, name, cloud, 'addresses');
      Object.assign(address, {
        address: '203.0.113.7',
        addressType: 'EXTERNAL',
        networkTier: 'PREMIUM',
        status: 'RESERVED',
        ipVersion: 'IPV4',
      });
    },
  },
  {
    product: 'compute',
    names: 'projects/*/regions/*/routers/*',
    id: { field: 'name' },
    operations: 'compute',
    fill(router, name, cloud) {
      fillCompute(router, name, cloud, 'routers');
      router['network'] = fullUrl(textAt(router, 'network'), partsOf(name), 'networks');
      for (const nat of listAt(router, 'nats')) {
        // https://cloud.google.com/compute/docs/reference/rest/v1/routers
        nat['type'] ??= 'PUBLIC';
        nat['endpointTypes'] ??= ['ENDPOINT_TYPE_VM'];
        nat['autoNetworkTier'] ??= 'PREMIUM';
        for (const [timeout, seconds] of NAT_TIMEOUTS) nat[timeout] ??= seconds;
        for (const subnetwork of listAt(nat, 'subnetworks')) {
          subnetwork['name'] = fullUrl(textAt(subnetwork, 'name'), partsOf(name), 'subnetworks');
        }
      }
    },
  },
  {
    product: 'container',
    names: 'projects/*/locations/*/clusters/*',
    id: 'put',
    fill(cluster, name) {
      const { locations = '', clusters = '' } = partsOf(name);
      Object.assign(cluster, { name: clusters, location: locations, status: 'RUNNING' });
    },
  },
  {
    product: 'storage',
    names: 'b/*',
    id: { field: 'name' },
    fill(bucket, name, cloud) {
      Object.assign(bucket, {
        kind: 'storage#bucket',
        id: textAt(bucket, 'name'),
        selfLink: `https://www.googleapis.com/storage/v1/${name}`,
        location: textAt(bucket, 'location').toUpperCase(),
        locationType: 'region',
        storageClass: 'STANDARD',
        projectNumber: bucket['projectNumber'] ?? cloud.nextNumber(),
        timeCreated: NOW,
        updated: NOW,
        softDeletePolicy: bucket['softDeletePolicy'] ?? {
          retentionDurationSeconds: '604800',
          effectiveTime: NOW,
        },
      });
    },
  },
];

/** The API of a product, as projects enable it. */
export function apiOf(product: string): string {
  return `${product === 'kms' ? 'cloudkms' : product}.googleapis.com`;
}

/** The kind of resource that a product has under this name, if any. */
export function collectionOf(product: string, path: string): Collection | undefined {
  return COLLECTIONS.find((one) => one.product === product && matches(one.names, path));
}

function matches(names: string, path: string): boolean {
  const pattern = names.split('/');
  const segments = path.split('/');
  return (
    pattern.length === segments.length &&
    pattern.every((segment, at) => segment === '*' || segment === segments[at])
  );
}

function fillWorkload(workload: Json, name: string, cloud: Cloud): void {
  Object.assign(workload, {
    name,
    uid: cloud.nextNumber(),
    generation: '1',
    observedGeneration: '1',
    createTime: NOW,
    updateTime: NOW,
    launchStage: workload['launchStage'] ?? 'GA',
    terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED', lastTransitionTime: NOW },
    etag: cloud.nextNumber(),
  });
}

function fillCompute(resource: Json, name: string, cloud: Cloud, kind: string): void {
  const { regions = '', projects = '' } = partsOf(name);
  Object.assign(resource, {
    id: resource['id'] ?? cloud.nextNumber(),
    kind: `compute#${kind.replace(/(e?s)$/, '')}`,
    creationTimestamp: NOW,
    region: `https://www.googleapis.com/compute/v1/projects/${projects}/regions/${regions}`,
    selfLink: `https://www.googleapis.com/compute/v1/${name}`,
    labelFingerprint: 'abcd1234',
  });
}

function fullUrl(text: string, parts: Readonly<Record<string, string>>, kind: string): string {
  if (text.startsWith('https://')) return text;
  const base = 'https://www.googleapis.com/compute/v1/';
  if (text.startsWith('projects/')) return base + text;
  const { projects = '', regions = '' } = parts;
  const scope = kind === 'networks' ? 'global' : `regions/${regions}`;
  return `${base}projects/${projects}/${scope}/${kind}/${text}`;
}
