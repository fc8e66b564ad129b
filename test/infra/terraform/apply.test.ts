import assert from 'node:assert/strict';
import { cpSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { startGoogleApis, type GoogleApis } from '../../stand-ins/google-apis/google-apis.ts';
import { scratchFolder } from '../scratch.ts';
import { MODULE } from './configuration.ts';
import { missingTerraform, Root, writeRoot } from './terraform.ts';
import { GOLDEN, watchingOf } from './watching.ts';

/**
 * The module, its examples and every optional part, applied with the real provider. It waits for minutes
 * (10 s for an account, 9 s for the APIs, 3 s for a grant), so `npm test` leaves it to a run of its own.
 */
const missing =
  process.env['APPLY_TERRAFORM'] === 'true'
    ? missingTerraform()
    : 'APPLY_TERRAFORM is not true: a step of .ci/run';
const skip = missing ?? false;

const IMAGE = `europe-west1-docker.pkg.dev/my-project/images/imagerepo-mirror@sha256:${'ab'.repeat(32)}`;
const README = readFileSync(new URL('../../../infra/README.md', import.meta.url), 'utf8');
/** What an earlier version made. */
const PREVIOUS = fileURLToPath(new URL('previous', import.meta.url));
const KEY = 'projects/keys/locations/europe-west1/keyRings/r/cryptoKeys/k';
const KEY_OF_EUROPE = 'projects/keys/locations/europe/keyRings/r/cryptoKeys/k';

interface Stage {
  readonly apis: GoogleApis;
  readonly terraform: string;
}

/** A stand-in, and a copy of the module that Terraform may write beside. */
async function stage(t: TestContext): Promise<Stage> {
  const apis = await startGoogleApis();
  t.after(() => apis.close());
  const folder = scratchFolder(t);
  const terraform = join(folder, 'terraform');
  cpSync(MODULE, terraform, { recursive: true });
  return { apis, terraform };
}

async function example({ apis, terraform }: Stage, name: string): Promise<Root> {
  const root = new Root(join(terraform, 'examples', name), apis);
  await root.init();
  return root;
}

/** A root that calls the module with these arguments. */
async function called({ apis, terraform }: Stage, args: object): Promise<Root> {
  const folder = join(terraform, '..', 'root');
  writeRoot(folder, terraform, { ...REQUIRED, ...args });
  const root = new Root(folder, apis);
  await root.init();
  return root;
}

/** Changes the module's arguments of such a root. */
function change(root: Root, { terraform }: Stage, args: object): void {
  writeRoot(root.folder, terraform, { ...REQUIRED, ...args });
}

const REQUIRED = {
  project_id: 'my-project',
  region: 'europe-west1',
  image: IMAGE,
  destination_registry: 'europe-west1-docker.pkg.dev/my-project/mirror',
  allowed_sources: ['ghcr.io/my-org/*'],
};

/** What the operator has made before: keys, repositories, networks, channels, secrets. */
function prepare({ cloud }: GoogleApis): void {
  cloud.enable('keys', 'cloudkms.googleapis.com');
  for (const key of [KEY, `${KEY}2`, KEY_OF_EUROPE, `${KEY_OF_EUROPE}2`])
    cloud.resources.set(`kms/${key}`, { name: key });
  // `gcloud beta services identity create`, as infra/README.md has it.
  for (const product of ['pubsub', 'artifactregistry', 'secretmanager']) {
    cloud.makeAgent('my-project', `${product}.googleapis.com`);
  }
  for (const api of ['artifactregistry', 'secretmanager']) {
    for (const project of ['my-project', 'images-project'])
      cloud.enable(project, `${api}.googleapis.com`);
  }
  const images = 'projects/images-project/locations/europe-west1/repositories/images';
  cloud.resources.set(`artifactregistry/${images}`, { name: images, format: 'DOCKER' });
  cloud.resources.set('secretmanager/projects/my-project/secrets/authorities', {
    name: 'projects/my-project/secrets/authorities',
    replication: { automatic: {} },
  });
  cloud.resources.set('secretmanager/projects/my-project/secrets/authorities/versions/1', {
    state: 'ENABLED',
  });
}

function number(apis: GoogleApis, project: string): string {
  return apis.cloud.numberOf(project);
}

/** A second plan finds nothing to do. */
async function settled(root: Root, ...args: readonly string[]): Promise<void> {
  const { code, output } = await root.plan(...args);
  assert.equal(code, 0, output);
}

/** What Terraform has made, without what it leaves to others: enabled APIs are no resources here. */
function left(apis: GoogleApis): readonly string[] {
  return [...apis.cloud.resources.keys()].filter((name) => !name.includes('/operations/'));
}

/** What gcloud writes beside the image when a build deploys with it. */
function noteDeployment({ cloud }: GoogleApis): void {
  const deployed = [...cloud.resources].filter(([name]) =>
    /^run\/.*\/(services|jobs)\/[^/]+$/.test(name),
  );
  assert.equal(deployed.length, 3);
  for (const [, value] of deployed) {
    const { template } = value as unknown as { template: Record<string, object> };
    template['labels'] = { ...template['labels'], 'client.knative.dev/nonce': 'bbtzrrkdxs' };
    template['annotations'] = {
      ...template['annotations'],
      'client.knative.dev/user-image': IMAGE,
    };
  }
}

/** Filters and PromQL of every line of the dashboard. */
function dashboardQueries({ cloud }: GoogleApis): readonly string[] {
  const [dashboard] = [...cloud.resources].filter(([name]) => name.includes('/dashboards/'));
  assert.ok(dashboard);
  const queries: string[] = [];
  JSON.stringify(dashboard[1], (key, value: unknown) => {
    if (key === 'filter' || key === 'prometheusQuery') queries.push(String(value));
    return value;
  });
  return queries;
}

/** Protected: `destroy` fails and changes nothing. Unprotected: it takes everything. */
async function uninstall(
  root: Root,
  variables: readonly string[],
  before: readonly string[],
): Promise<void> {
  const made = left(root.apis);
  const state = await root.state();
  const changes = root.apis.changes.length;
  const refused = await root.destroy(...variables);
  assert.equal(refused.code, 1);
  assert.match(refused.output, /nothing was deleted/);
  assert.deepEqual(root.apis.changes.slice(changes), [], 'nothing at all was changed');
  assert.deepEqual(left(root.apis), made);
  assert.deepEqual(await root.state(), state);
  const free = [...variables, '-var=deletion_protection=false'];
  await root.apply(...free);
  const destroyed = await root.destroy(...free);
  assert.equal(destroyed.code, 0, destroyed.output);
  assert.deepEqual(left(root.apis), before);
  assert.deepEqual(await root.state(), []);
}

/** Every optional part on. */
function everything(apis: GoogleApis): object {
  const principal = { project_id: 'clusters', project_number: number(apis, 'clusters') };
  return {
    image: IMAGE.replace('my-project', 'images-project'),
    destination_registry: 'europe-docker.pkg.dev/my-project/mirror/below',
    destination_repository: {
      immutable_tags: true,
      vulnerability_scanning: true,
      kms_key_name: KEY_OF_EUROPE,
    },
    destination_readers: ['group:nodes@example.com'],
    labels: { team: 'platform' },
    kms_key_name: KEY,
    allowed_persistence_regions: ['europe-west1'],
    network: {
      network: 'projects/my-project/global/networks/own',
      subnetwork: 'projects/my-project/regions/europe-west1/subnetworks/egress',
    },
    binary_authorization: 'default',
    source_credentials: {},
    source_ca_secret_id: 'authorities',
    source_repositories: ['projects/images-project/locations/europe-west1/repositories/images'],
    mirroring: {
      latest: 20,
      include: ['^v'],
      job_threshold_bytes: 0,
      log_level: 'debug',
      allowed_destinations: { apps: ['team/*'] },
    },
    bridge_principals: {
      a: principal,
      b: principal,
      c: { project_id: 'clusters', annotated: true },
      d: { project_id: 'clusters', annotated: true },
      e: { member: 'group:outside@example.com' },
    },
    accept_flux_events: true,
    flux_event_principals: { a: principal, b: principal },
    runbook_url: 'https://example.com/infra/README.md',
    otlp: true,
  };
}

// Each waits most of its time, so many go at once.
describe('applied with the real provider', { skip, concurrency: 10 }, () => {
  describe('examples', { concurrency: 10 }, () => {
    it('bootstrap: applied in one go, settled, protected, uninstalled', async (t) => {
      const staged = await stage(t);
      const root = await example(staged, 'bootstrap');
      const variables = ['-var=project_id=my-project', '-var=region=europe-west1'];
      const readers = '-var=image_readers=["group:nodes@example.com"]';
      await root.apply(...variables, readers);
      await settled(root, ...variables, readers);
      assert.ok(
        staged.apis.cloud.grants(
          'artifactregistry/projects/my-project/locations/europe-west1/repositories/images',
          'group:nodes@example.com',
          'roles/artifactregistry.reader',
        ),
      );
      // A deployment before the first apply of the module is told that there is no job, and not that it may not look.
      assert.ok(staged.apis.cloud.enabled('my-project').has('run.googleapis.com'));
      assert.ok(
        staged.apis.cloud.grants(
          'resourcemanager/projects/my-project',
          'serviceAccount:imagerepo-mirror-build@my-project.iam.gserviceaccount.com',
          'roles/run.viewer',
        ),
      );
      // Another region, or a second project in the same folder: nothing of the first is touched.
      const made = left(staged.apis);
      const granted = staged.apis.cloud.allGrants();
      for (const elsewhere of ['-var=region=europe-west4', '-var=project_id=other-project']) {
        await assert.rejects(
          root.apply(...variables, readers, elsewhere),
          /This state is of another project/,
        );
        assert.deepEqual(left(staged.apis), made);
        assert.deepEqual(staged.apis.cloud.allGrants(), granted);
      }
      await uninstall(root, [...variables, readers], []);
    });

    it('minimal: applied in one go, settled, protected, uninstalled', async (t) => {
      const staged = await stage(t);
      const root = await example(staged, 'minimal');
      const variables = [
        '-var=project_id=my-project',
        `-var=project_number=${number(staged.apis, 'my-project')}`,
        `-var=image=${IMAGE}`,
      ];
      await root.apply(...variables);
      await settled(root, ...variables);
      const made = `${JSON.stringify(watchingOf(staged.apis), undefined, 2)}\n`;
      if (process.env['UPDATE_GOLDEN'] === 'true') writeFileSync(GOLDEN, made);
      else
        assert.equal(
          readFileSync(GOLDEN, 'utf8'),
          made,
          'UPDATE_GOLDEN=true keeps what is made now',
        );
      const { 'project=': ours, ...others } = Object.groupBy(
        dashboardQueries(staged.apis),
        (query) => (/\bproject(?:_id)?=~?"my-project(?=["|])/.test(query) ? 'project=' : query),
      );
      assert.ok((ours ?? []).length > 20);
      assert.deepEqual(Object.keys(others), [], 'a metrics scope may hold several projects');
      const ofRepository = (ours ?? []).filter((query) => query.includes('Repository"'));
      assert.equal(ofRepository.length, 2);
      for (const query of ofRepository) assert.match(query, /location="europe-west1"/);
      await uninstall(root, variables, []);
    });

    it('keeps the mirrored images where their repository is forgotten as infra/README.md says', async (t) => {
      const staged = await stage(t);
      const root = await called(staged, {});
      await root.apply();
      change(root, staged, { deletion_protection: false });
      await root.apply();
      const forget = /^# terraform (state rm \S+)$/m.exec(README)?.[1]?.split(' ') ?? [];
      const { code, output } = await root.run(forget);
      assert.equal(code, 0, output);
      const destroyed = await root.destroy();
      assert.equal(destroyed.code, 0, destroyed.output);
      assert.deepEqual(left(staged.apis), [
        'artifactregistry/projects/my-project/locations/europe-west1/repositories/mirror',
      ]);
    });

    it('existing: applied in one go, settled, protected, uninstalled', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      const { cloud } = apis;
      for (const api of [
        'artifactregistry',
        'iam',
        'logging',
        'monitoring',
        'pubsub',
        'run',
        'secretmanager',
      ]) {
        cloud.enable('my-project', `${api}.googleapis.com`);
      }
      cloud.enable('registry-project', 'artifactregistry.googleapis.com');
      cloud.enable('cluster-project', 'container.googleapis.com');
      const repository = 'projects/registry-project/locations/europe-west1/repositories/images';
      cloud.resources.set(`artifactregistry/${repository}`, { name: repository, format: 'DOCKER' });
      const cluster = 'projects/cluster-project/locations/europe-west1/clusters/prod';
      cloud.resources.set(`container/${cluster}`, {
        name: 'prod',
        location: 'europe-west1',
        status: 'RUNNING',
        legacyAbac: {},
        networkConfig: {},
        nodePoolDefaults: {},
        shieldedNodes: {},
      });
      const channel = 'projects/my-project/notificationChannels/42';
      cloud.resources.set(`monitoring/${channel}`, {
        name: channel,
        displayName: 'on-call',
        type: 'email',
      });
      const secret = 'projects/my-project/secrets/registry-credentials';
      cloud.resources.set(`secretmanager/${secret}`, {
        name: secret,
        replication: { automatic: {} },
      });
      cloud.resources.set(`secretmanager/${secret}/versions/1`, { state: 'ENABLED' });
      const builder = 'imagerepo-mirror-build@my-project.iam.gserviceaccount.com';
      cloud.resources.set(`iam/projects/my-project/serviceAccounts/${builder}`, { email: builder });
      const before = left(apis);
      const root = await example(staged, 'existing');
      const variables = [
        '-var=project_id=my-project',
        '-var=registry_project_id=registry-project',
        '-var=cluster_project_id=cluster-project',
        '-var=cluster_name=prod',
        '-var=network=projects/my-project/global/networks/shared',
        '-var=subnetwork=projects/my-project/regions/europe-west1/subnetworks/egress',
        `-var=image=${IMAGE}`,
        `-var=build_service_account=${builder}`,
      ];
      await root.apply(...variables);
      await settled(root, ...variables);
      // A deployment by Cloud Build moves the tag; Terraform follows, and is settled again.
      cloud.resources.set(
        'artifactregistry/projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/tags',
        {
          tags: [
            {
              name: `projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/tags/deployed-imagerepo-mirror`,
              version: `projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/versions/sha256:${'cd'.repeat(32)}`,
            },
          ],
        },
      );
      await root.apply(...variables);
      await settled(root, ...variables);
      noteDeployment(apis);
      await settled(root, ...variables);
      cloud.resources.delete(
        'artifactregistry/projects/my-project/locations/europe-west1/repositories/images/packages/imagerepo-mirror/tags',
      );
      await uninstall(root, variables, before);
    });

    it('environments: applied in one go, settled, protected, uninstalled', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      prepare(apis);
      // The dev project's image is prod's, too.
      const images = 'projects/dev-project/locations/europe-west1/repositories/images';
      apis.cloud.enable('dev-project', 'artifactregistry.googleapis.com');
      apis.cloud.resources.set(`artifactregistry/${images}`, { name: images, format: 'DOCKER' });
      const before = left(apis);
      const root = await example(staged, 'environments');
      const variables = ['dev', 'prod'].map(
        (one) =>
          `-var=${one}=${JSON.stringify({
            project_id: `${one}-project`,
            cluster_project_id: `${one}-clusters`,
            cluster_project_number: number(apis, `${one}-clusters`),
          })}`,
      );
      variables.push(`-var=image=${IMAGE.replace('my-project', 'dev-project')}`);
      await root.apply(...variables);
      await settled(root, ...variables);
      await uninstall(root, variables, before);
    });

    it('regions: two installations of a project; removing one keeps the other whole', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      const root = await example(staged, 'regions');
      const clusters = {
        a: { project_id: 'clusters', project_number: number(apis, 'clusters') },
        b: { project_id: 'clusters', project_number: number(apis, 'clusters') },
      };
      const one = { 'europe-west1': { short_name: 'eu-west', bridge_principals: clusters } };
      const both = { ...one, 'us-east1': { short_name: 'us-east', bridge_principals: clusters } };
      const variables = [
        '-var=project_id=my-project',
        `-var=image=${IMAGE}`,
        '-var=allowed_sources=["ghcr.io/my-org/*"]',
      ];
      await root.apply(
        ...variables,
        `-var=regions=${JSON.stringify(both)}`,
        '-var=deletion_protection=false',
      );
      await settled(
        root,
        ...variables,
        `-var=regions=${JSON.stringify(both)}`,
        '-var=deletion_protection=false',
      );
      const granted = apis.cloud.allGrants().filter((grant) => grant.includes('eu-west'));
      await root.apply(
        ...variables,
        `-var=regions=${JSON.stringify(one)}`,
        '-var=deletion_protection=false',
      );
      assert.deepEqual(
        apis.cloud.allGrants().filter((grant) => !grant.includes('us-east')),
        granted,
      );
      assert.equal(
        left(apis).some((name) => name.includes('us-east')),
        false,
      );
      await root.apply(...variables, `-var=regions=${JSON.stringify(one)}`);
      await uninstall(root, [...variables, `-var=regions=${JSON.stringify(one)}`], []);
    });
  });

  describe('the module with every optional part', { concurrency: 10 }, () => {
    it('is applied in one go and settled, switched off, and on again', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      prepare(apis);
      const all = everything(apis);
      const root = await called(staged, { ...all, deletion_protection: false });
      await root.apply();
      await settled(root);
      change(root, staged, { deletion_protection: false });
      await root.apply();
      await settled(root);
      change(root, staged, { ...all, deletion_protection: false });
      await root.apply();
      await settled(root);

      // With other keys, all that is encrypted is made anew, and so are the grants on it.
      const granted = apis.cloud.allGrants().filter((grant) => !grant.startsWith('kms/'));
      change(root, staged, {
        ...all,
        kms_key_name: `${KEY}2`,
        destination_repository: { kms_key_name: `${KEY_OF_EUROPE}2` },
        deletion_protection: false,
      });
      await root.apply();
      assert.deepEqual(
        apis.cloud.allGrants().filter((grant) => !grant.startsWith('kms/')),
        granted,
      );
      await settled(root);
    });

    it('removing one entry of a map keeps what the others have', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      prepare(apis);
      const all = everything(apis) as {
        readonly bridge_principals: Readonly<Record<string, unknown>>;
        readonly flux_event_principals: Readonly<Record<string, unknown>>;
      };
      const root = await called(staged, all);
      await root.apply();
      const granted = apis.cloud.allGrants();
      const { a: _a, c: _c, ...bridges } = all.bridge_principals;
      const { a: _flux, ...flux } = all.flux_event_principals;
      change(root, staged, { ...all, bridge_principals: bridges, flux_event_principals: flux });
      await root.apply();
      assert.deepEqual(apis.cloud.allGrants(), granted, 'b, d and e publish as before');
      await settled(root);
      const { e: _e, ...withoutOutside } = bridges;
      change(root, staged, {
        ...all,
        bridge_principals: withoutOutside,
        flux_event_principals: flux,
      });
      await root.apply();
      assert.deepEqual(
        apis.cloud.allGrants(),
        granted.filter((grant) => !grant.endsWith('group:outside@example.com')),
      );
    });
  });

  describe('deletion protection', { concurrency: 10 }, () => {
    it('refuses a change of what the installation is while planning, and deletes nothing of a part', async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      const parts = {
        source_credentials: {},
        accept_flux_events: true,
        network: {
          network: 'projects/my-project/global/networks/own',
          subnetwork: 'projects/my-project/regions/europe-west1/subnetworks/egress',
        },
      };
      const root = await called(staged, parts);
      await root.apply();
      const made = left(apis);

      change(root, staged, { ...parts, name: 'another-name' });
      const renamed = await root.plan();
      assert.equal(renamed.code, 1);
      assert.match(renamed.output, /would\s+delete what is there and make it anew/);

      for (const part of ['source_credentials', 'accept_flux_events', 'network'] as const) {
        const { [part]: _gone, ...others } = parts;
        change(root, staged, others);
        await assert.rejects(root.apply(), /nothing\s+was deleted/);
        for (const name of made) assert.ok(left(apis).includes(name), name);
      }

      change(root, staged, { ...parts, deletion_protection: false });
      await root.apply();
      change(root, staged, { ...parts, deletion_protection: false, name: 'another-name' });
      await root.apply();
      assert.equal(
        left(apis).some((name) => /imagerepo[-_]mirror/.test(name)),
        false,
        left(apis).join('\n'),
      );
      change(root, staged, { ...parts, name: 'another-name' });
      await root.apply();
      change(root, staged, parts);
      assert.equal((await root.plan()).code, 1, 'and the new name is protected as the old one was');
    });

    it("deletes nothing where the module's block is gone", async (t) => {
      const staged = await stage(t);
      const { apis } = staged;
      const root = await called(staged, {});
      await root.apply();
      const made = left(apis);
      const granted = apis.cloud.allGrants();
      const changes = apis.changes.length;

      writeFileSync(
        join(root.folder, 'main.tf.json'),
        JSON.stringify({ provider: { google: { project: 'my-project', region: 'europe-west1' } } }),
      );
      const { code, output } = await root.run(['apply', '-auto-approve', '-input=false']);
      assert.equal(code, 1, output);
      assert.match(output, /imagerepo-mirror-guard/);
      assert.deepEqual(apis.changes.slice(changes), [], 'nothing at all was changed');
      assert.deepEqual(left(apis), made);
      assert.deepEqual(apis.cloud.allGrants(), granted);

      // With the block back all is as it was, and it may go once protection is lifted.
      change(root, staged, {});
      await root.apply();
      await settled(root);
      assert.deepEqual(left(apis), made);
      change(root, staged, { deletion_protection: false });
      await root.apply();
      const destroyed = await root.destroy();
      assert.equal(destroyed.code, 0, destroyed.output);
      assert.deepEqual(left(apis), []);
    });
  });

  describe('an upgrade', { concurrency: 10 }, () => {
    it('makes nothing anew that holds something, and takes no grant away for a moment', async (t) => {
      const staged = await stage(t);
      const { apis, terraform } = staged;
      const { cloud } = apis;
      const principal = { project_id: 'clusters', project_number: number(apis, 'clusters') };
      const args = {
        ...REQUIRED,
        source_credentials: {},
        accept_flux_events: true,
        bridge_principals: { a: principal, b: principal, c: { ...principal, annotated: true } },
        flux_event_principals: { a: principal, b: principal },
      };
      const folder = join(terraform, '..', 'root');
      writeRoot(folder, PREVIOUS, args);
      const root = new Root(folder, apis);
      await root.init();
      await root.apply();
      const secret = 'secretmanager/projects/my-project/secrets/imagerepo-mirror-docker-config';
      cloud.resources.set(`${secret}/versions/2`, { state: 'ENABLED' });
      const made = left(apis);
      const granted = cloud.allGrants();
      cloud.revoked.length = 0;

      writeRoot(folder, terraform, args);
      await root.init();
      await root.apply();
      for (const name of made) assert.ok(left(apis).includes(name), name);
      assert.deepEqual(cloud.revoked, []);
      for (const grant of granted) assert.ok(cloud.allGrants().includes(grant), grant);
      assert.deepEqual(
        apis.changes.filter((change) => change.startsWith('DELETE')),
        [],
      );
      await settled(root);

      // What the upgrade has left as it was is made as it should be where it is made anew.
      const elsewhere = {
        ...args,
        deletion_protection: false,
        region: 'europe-west4',
        destination_registry: 'europe-west4-docker.pkg.dev/my-project/mirror',
      };
      writeRoot(folder, terraform, { ...args, deletion_protection: false });
      await root.apply();
      writeRoot(folder, terraform, elsewhere);
      await root.apply();
      const { userManaged } = cloud.get(secret)['replication'] as { readonly userManaged: unknown };
      assert.deepEqual(userManaged, { replicas: [{ location: 'europe-west4' }] });
      await settled(root);
    });
  });

  describe('what a plan does not know yet', { concurrency: 10 }, () => {
    it('may be the number of a project that is made with it, an account, a channel, a network', async (t) => {
      const staged = await stage(t);
      const { apis, terraform } = staged;
      const folder = join(terraform, '..', 'root');
      const principal = {
        project_id: 'clusters',
        project_number: '${terraform_data.made["number"].output}',
      };
      writeRoot(
        folder,
        terraform,
        {
          ...REQUIRED,
          accept_flux_events: true,
          bridge_principals: {
            a: principal,
            b: principal,
            c: { member: '${google_service_account.made.member}' },
          },
          flux_event_principals: { a: principal },
          build_service_account: '${google_service_account.made.email}',
          destination_readers: ['${google_service_account.made.member}'],
          notification_channels: ['${terraform_data.made["channel"].output}'],
        },
        {
          terraform_data: {
            made: {
              for_each: {
                number: number(apis, 'clusters'),
                channel: 'projects/my-project/notificationChannels/42',
              },
              input: '${each.value}',
            },
          },
          google_service_account: {
            made: { account_id: 'made-with-it', depends_on: ['google_project_service.iam'] },
          },
          google_project_service: {
            iam: { service: 'iam.googleapis.com', disable_on_destroy: false },
          },
        },
      );
      const root = new Root(folder, apis);
      await root.init();
      await root.apply();
      await settled(root);
    });
  });

  describe('service agents', { concurrency: 10 }, () => {
    it('may be made by the same apply, where the module depends on what makes them', async (t) => {
      const staged = await stage(t);
      const { apis, terraform } = staged;
      apis.cloud.enable('keys', 'cloudkms.googleapis.com');
      apis.cloud.resources.set(`kms/${KEY}`, { name: KEY });
      const folder = join(terraform, '..', 'root');
      // As google_project_service_identity of google-beta does, by the same call.
      const url = `${apis.env['GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT'] ?? ''}projects/my-project/services/\${each.key}.googleapis.com:generateServiceIdentity`;
      writeRoot(
        folder,
        terraform,
        {
          ...REQUIRED,
          kms_key_name: KEY,
          source_credentials: {},
          deletion_protection: false,
          depends_on: ['terraform_data.agents'],
        },
        {
          terraform_data: {
            agents: {
              for_each: '${toset(["pubsub", "artifactregistry", "secretmanager"])}',
              provisioner: {
                'local-exec': {
                  command: `${process.execPath} -e 'fetch("${url}", { method: "POST" })'`,
                },
              },
            },
          },
        },
      );
      const root = new Root(folder, apis);
      await root.init();
      await root.apply();
      await settled(root);
    });

    it('are granted by one installation of a project alone where there are several', async (t) => {
      const staged = await stage(t);
      const { apis, terraform } = staged;
      prepare(apis);
      const shared = {
        kms_key_name: KEY,
        image: IMAGE.replace('my-project', 'images-project'),
        deletion_protection: false,
      };
      const root = await called(staged, shared);
      await root.apply();
      const second = new Root(join(terraform, '..', 'second'), apis);
      writeRoot(second.folder, terraform, {
        ...REQUIRED,
        ...shared,
        name: 'second-mirror',
        destination_registry: 'europe-west1-docker.pkg.dev/my-project/second',
        grant_service_agents: false,
      });
      await second.init();
      const granted = apis.cloud.allGrants();
      await second.apply();
      const destroyed = await second.destroy();
      assert.equal(destroyed.code, 0, destroyed.output);
      assert.deepEqual(apis.cloud.allGrants(), granted);
    });
  });
});

describe('the guards against deletion', () => {
  it('depend on every resource of the module', () => {
    const text = readFileSync(join(MODULE, 'deletion.tf'), 'utf8');
    const guarded = [...text.matchAll(/^ {4}(google_\w+\.\w+),$/gm)].map(([, address]) => address);
    const declared = readdirResources().filter((name) => name !== 'google_pubsub_topic.guard');
    assert.deepEqual(guarded, declared);
  });
});

function readdirResources(): readonly string[] {
  return globSync('*.tf', { cwd: MODULE })
    .flatMap((file) => [
      ...readFileSync(join(MODULE, file), 'utf8').matchAll(/^resource "(google_\w+)" "(\w+)"/gm),
    ])
    .map(([, type, name]) => `${type ?? ''}.${name ?? ''}`)
    .sort();
}
