// What the products look up, and refuse, before they make or change something.
import { partsOf, type Cloud } from './cloud.ts';
import { isObject, listAt, objectAt, textAt, type Json } from './json.ts';
import { invalid, notFound, Refusal } from './refusal.ts';

/** Refuses a duration that is not within these, in seconds. */
export function requireSeconds(resource: Json, field: string, least: number, most: number): void {
  const text = textAt(resource, field);
  if (text === '') return;
  const seconds = Number(/^([0-9]+)s$/.exec(text)?.[1]);
  if (!(seconds >= least && seconds <= most)) throw invalid(`${field}: ${least}s to ${most}s.`);
}

/** The container that takes requests. @throws {Refusal} 400 where there is none */
export function firstContainer(template: Json): Json {
  const [container] = listAt(template, 'containers');
  if (container === undefined) throw invalid('template.containers: at least one.');
  return container;
}

/** What Cloud Run looks up before it starts anything: account, image, secrets, key. */
export function requireContainers(template: Json, name: string, cloud: Cloud): void {
  const { projects = '', locations = '' } = partsOf(name);
  const account = textAt(template, 'serviceAccount');
  cloud.requireAccount(account);
  const image = textAt(firstContainer(template), 'image');
  if (/@sha256:0{64}$/.test(image)) throw notFound(`Image '${image}'`);
  const [host = '', project = '', repository = ''] = image.split('/');
  if (project !== projects) {
    const location = host
      .replace(/^docker\.(.*)\.rep\.pkg\.dev$/, '$1')
      .replace('-docker.pkg.dev', '');
    const agent = `serviceAccount:${cloud.agentOf(projects, 'run.googleapis.com')}`;
    const pulls = `artifactregistry/projects/${project}/locations/${location}/repositories/${repository}`;
    if (!cloud.grants(pulls, agent, 'roles/artifactregistry.reader')) {
      throw new Refusal('PERMISSION_DENIED', `${agent} may not pull ${image}.`);
    }
  }
  cloud.requireKey(textAt(template, 'encryptionKey'), projects, 'run.googleapis.com', locations);
  for (const volume of listAt(template, 'volumes')) {
    const secret = `secretmanager/projects/${projects}/secrets/${textAt(objectAt(volume, 'secret'), 'secret')}`;
    cloud.get(secret);
    if (![...cloud.resources.keys()].some((other) => other.startsWith(`${secret}/versions/`))) {
      throw invalid(`${secret} has no version.`);
    }
    const member = `serviceAccount:${account}`;
    if (!cloud.grants(secret, member, 'roles/secretmanager.secretAccessor')) {
      throw new Refusal('PERMISSION_DENIED', `${member} may not read ${secret}.`);
    }
  }
}

/** Where a replication keeps a secret: `automatic`, or regions. */
export function locationsOf(replication: unknown): string {
  const userManaged = isObject(replication) ? replication['userManaged'] : undefined;
  if (!isObject(userManaged)) return 'automatic';
  return listAt(userManaged, 'replicas')
    .map((replica) => textAt(replica, 'location'))
    .join(' ');
}

/**
 * Cloud Monitoring refuses a condition on a metric that it does not know. It knows a log-based metric some
 * minutes after it was made: here never, so that nothing may count on it.
 * https://docs.cloud.google.com/logging/docs/logs-based-metrics/troubleshooting
 */
export function requireMetric(condition: Json): void {
  for (const kind of ['conditionThreshold', 'conditionAbsent']) {
    const filter = textAt(objectAt(condition, kind), 'filter');
    const type = /metric\.type="(logging\.googleapis\.com\/user\/[^"]+)"/.exec(filter)?.[1];
    if (type !== undefined) {
      throw new Refusal('NOT_FOUND', `Cannot find metric that matches type = "${type}".`);
    }
  }
  const promql = objectAt(condition, 'conditionPrometheusQueryLanguage');
  const query = textAt(promql, 'query');
  if (query.includes('logging_googleapis_com') && promql['disableMetricValidation'] !== true) {
    throw new Refusal('NOT_FOUND', `Cannot find a metric of ${query}.`);
  }
}

/** https://cloud.google.com/monitoring/api/ref_v3/rest/v3/projects.alertPolicies#documentation */
export function requireDocumentation(documentation: Json): void {
  if (Buffer.byteLength(textAt(documentation, 'content')) > 8192)
    throw invalid('documentation.content: 8192 characters.');
  if (textAt(documentation, 'subject').length > 255)
    throw invalid('documentation.subject: 255 characters.');
  const links = listAt(documentation, 'links');
  if (links.length > 3) throw invalid('documentation.links: 3.');
  for (const link of links) {
    if (textAt(link, 'displayName').length > 63)
      throw invalid('links.display_name: 63 characters.');
    if (textAt(link, 'url').length > 2083) throw invalid('links.url: 2083 characters.');
  }
}
