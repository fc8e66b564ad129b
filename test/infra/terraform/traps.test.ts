import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { inner, MODULE, readConfiguration, type Named } from './configuration.ts';

const { resources, locals, variables, texts } = await readConfiguration(MODULE);

function ofType(type: string): readonly Named[] {
  return resources.filter((resource) => resource.type === type);
}

function named(type: string, name: string): Named {
  const found = resources.find((resource) => resource.type === type && resource.name === name);
  assert.ok(found, `${type}.${name}`);
  return found;
}

const subscriptions = ofType('google_pubsub_subscription');
const pushed = subscriptions.filter(({ body }) => inner(body, 'push_config') !== undefined);

describe('subscriptions', () => {
  it('are two kinds that push and one that keeps dead letters', () => {
    assert.deepEqual(pushed.map(({ name }) => name).sort(), ['flux_events', 'lane']);
    assert.equal(subscriptions.length, 3);
  });

  for (const { name, body } of subscriptions) {
    it(`${name} never expires`, () => {
      assert.equal(inner(body, 'expiration_policy')?.['ttl'], '');
    });

    it(`${name} says how it repeats`, () => {
      const policy = inner(body, 'retry_policy');
      assert.equal(policy?.['minimum_backoff'], '10s');
      // The job waits for it after a deadline, before it calls dead letters gone.
      assert.equal(policy['maximum_backoff'], name === 'dead_letter' ? '10s' : '600s');
    });

    it(`${name} has the longest deadline of a delivery, or where the job pulls a short one`, () => {
      // Whoever reads dead letters by hand hides them from the job for as long.
      const pulled = name === 'dead_letter';
      assert.equal(
        body['ack_deadline_seconds'],
        pulled ? '${local.dead_letter_ack_deadline_seconds}' : '${local.ack_deadline_seconds}',
      );
      const seconds = Number(locals['dead_letter_ack_deadline_seconds']);
      assert.ok(seconds >= 10 && seconds <= 60, `${seconds} s`);
    });
  }

  for (const { name, body } of pushed) {
    it(`${name} gives up into the dead-letter topic, late`, () => {
      const policy = inner(body, 'dead_letter_policy');
      assert.equal(policy?.['dead_letter_topic'], '${google_pubsub_topic.dead_letter.id}');
      assert.equal(policy['max_delivery_attempts'], '${local.max_delivery_attempts}');
      assert.equal(locals['max_delivery_attempts'], 100);
    });

    it(`${name} lets Pub/Sub's agent acknowledge what it moves`, () => {
      const grants = ofType('google_pubsub_subscription_iam_member').filter(
        (grant) =>
          grant.body['member'] === '${local.pubsub_agent}' &&
          String(grant.body['subscription']).includes(`google_pubsub_subscription.${name}[`),
      );
      assert.deepEqual(
        grants.map((grant) => grant.body['role']),
        ['roles/pubsub.subscriber'],
      );
    });

    it(`${name} waits for the permission to call the service`, () => {
      assert.ok(
        (body['depends_on'] as readonly string[]).includes(
          '${google_cloud_run_v2_service_iam_member.push}',
        ),
      );
    });

    it(`${name} is pushed with an identity and the service as its audience`, () => {
      const push = inner(body, 'push_config');
      const token = inner(push, 'oidc_token');
      assert.equal(token?.['service_account_email'], '${google_service_account.push.email}');
      assert.equal(token['audience'], push?.['push_endpoint']);
    });
  }

  it('are never ordered, exactly-once or filtered: work converges', () => {
    for (const { body } of subscriptions) {
      for (const argument of [
        'enable_message_ordering',
        'enable_exactly_once_delivery',
        'filter',
      ]) {
        assert.ok(!(argument in body), argument);
      }
    }
  });

  it("the agent may publish dead letters, by the project's number", () => {
    const { body } = named('google_pubsub_topic_iam_member', 'agent_dead_letter');
    assert.equal(body['role'], 'roles/pubsub.publisher');
    assert.equal(body['topic'], '${google_pubsub_topic.dead_letter.id}');
    assert.match(
      String(locals['pubsub_agent']),
      /^serviceAccount:service-\$\{data\.google_project\.this\.number\}@gcp-sa-pubsub\.iam/,
    );
  });

  it('the dead-letter topic has a subscription', () => {
    const { body } = named('google_pubsub_subscription', 'dead_letter');
    assert.equal(body['topic'], '${google_pubsub_topic.dead_letter.id}');
    assert.equal(inner(body, 'push_config'), undefined);
  });

  it('every topic keeps what was acknowledged, for seeking', () => {
    for (const { name, body } of ofType('google_pubsub_topic')) {
      if (name === 'guard') continue; // nobody publishes to it
      assert.equal(body['message_retention_duration'], '${local.topic_retention}', name);
    }
    assert.equal(locals['topic_retention'], '604800s');
  });
});

describe('the service', () => {
  const { body } = named('google_cloud_run_v2_service', 'mirror');
  const template = inner(body, 'template');
  const container = inner(template, 'containers');

  it('stops work before Pub/Sub gives up, and is cut last', () => {
    const deadline = Number(locals['deadline_seconds']);
    const timeout = Number(locals['timeout_seconds']);
    const acknowledgement = Number(locals['ack_deadline_seconds']);
    assert.ok(deadline < timeout, `${deadline} < ${timeout}`);
    assert.ok(timeout <= acknowledgement, `${timeout} <= ${acknowledgement}`);
    assert.ok(timeout > 300, 'more than the default, which would cut long copies');
    assert.ok(acknowledgement <= 600, 'the maximum of Pub/Sub');
    assert.equal(template?.['timeout'], '${local.timeout_seconds}s');
    assert.equal(
      (locals['service_env'] as Record<string, unknown>)['DEADLINE_SECONDS'],
      '${tostring(local.deadline_seconds)}',
    );
  });

  it('states when it is billed: with resources set, the default is the dear one', () => {
    const limits = inner(container, 'resources');
    assert.equal(limits?.['cpu_idle'], true);
    assert.equal(limits['startup_cpu_boost'], true);
    assert.deepEqual(limits['limits'], {
      cpu: '${tostring(var.cpu)}',
      memory: '${var.memory}',
    });
  });

  it('has at least one CPU, since below that it takes one request at a time', () => {
    const cpu = variables.find(({ name }) => name === 'cpu');
    const [check] = cpu?.body['validation'] as readonly { readonly condition: string }[];
    const allowed = /\[([\d, ]+)\]/
      .exec(check?.condition ?? '')?.[1]
      ?.split(',')
      .map(Number);
    assert.ok(allowed?.every((value) => value >= 1));
    assert.ok(Number(cpu?.body['default']) >= 1);
    assert.equal(template?.['max_instance_request_concurrency'], '${var.workers}');
  });

  it('is probed by TCP: a GET is no event', () => {
    const probe = inner(container, 'startup_probe');
    assert.notEqual(inner(probe, 'tcp_socket'), undefined);
    assert.equal(inner(probe, 'http_get'), undefined);
    assert.equal(inner(container, 'liveness_probe'), undefined);
  });

  it('is closed to the internet and to everybody', () => {
    assert.equal(body['ingress'], 'INGRESS_TRAFFIC_INTERNAL_ONLY');
    for (const [file, text] of Object.entries(texts)) {
      if (file === 'variables.tf') continue;
      assert.doesNotMatch(text, /allUsers|allAuthenticatedUsers/, file);
    }
  });

  it('runs in the second generation, which has no less than 512 MiB', () => {
    assert.equal(template?.['execution_environment'], 'EXECUTION_ENVIRONMENT_GEN2');
  });

  it('is left alone where gcloud notes about itself', () => {
    const job = named('google_cloud_run_v2_job', 'mirror').body;
    for (const deployed of [body, job]) {
      assert.deepEqual(inner(deployed, 'lifecycle')?.['ignore_changes'], [
        '${client}',
        '${client_version}',
        '${template[0].annotations["client.knative.dev/user-image"]}',
        '${template[0].labels["client.knative.dev/nonce"]}',
      ]);
    }
  });
});

describe('permissions', () => {
  it('are on single resources; on the project there are those of telemetry alone', () => {
    const onProject = resources.filter(({ type }) => type.startsWith('google_project_iam'));
    assert.deepEqual(
      onProject.map(({ type, name }) => `${type}.${name}`),
      ['google_project_iam_member.mirror_telemetry'],
    );
  });

  it('are added, never taken over: no policy and no binding', () => {
    for (const { type } of resources) assert.doesNotMatch(type, /_iam_(policy|binding)$/);
  });

  it('let the mirror start the job, not change it', () => {
    const roles = named('google_cloud_run_v2_job_iam_member', 'mirror').body['for_each'];
    assert.equal(roles, '${toset(["roles/run.jobsExecutorWithOverrides", "roles/run.viewer"])}');
    const developers = resources.filter(({ body }) => body['role'] === 'roles/run.developer');
    assert.deepEqual(
      developers.map(({ body }) => body['member']),
      developers.map(() => 'serviceAccount:${var.build_service_account}'),
    );
  });

  it('name no owner, editor or admin', () => {
    for (const [file, text] of Object.entries(texts)) {
      assert.doesNotMatch(text, /roles\/(owner|editor)\b|roles\/[\w.]*[aA]dmin\b/, file);
    }
  });
});

describe('what holds images or messages', () => {
  for (const type of [
    'google_artifact_registry_repository',
    'google_pubsub_topic',
    'google_pubsub_subscription',
  ]) {
    it(`${type} is protected from deletion`, () => {
      for (const { name, body } of ofType(type)) {
        assert.equal(body['deletion_policy'], '${local.deletion_policy}', name);
      }
    });
  }

  for (const type of [
    'google_cloud_run_v2_service',
    'google_cloud_run_v2_job',
    'google_secret_manager_secret',
  ]) {
    it(`${type} is protected from deletion`, () => {
      for (const { name, body } of ofType(type)) {
        assert.equal(body['deletion_protection'], '${var.deletion_protection}', name);
      }
    });
  }

  it('cleanup deletes tagged versions alone', () => {
    const { body } = named('google_artifact_registry_repository', 'destination');
    const policies = (body['dynamic'] as Record<string, readonly { content: unknown[] }[]>)[
      'cleanup_policies'
    ];
    const contents = policies?.map(({ content }) => content[0] as Record<string, unknown>) ?? [];
    const deleting = contents.filter(({ action }) => action === 'DELETE');
    assert.equal(deleting.length, 1);
    assert.equal(inner(deleting[0], 'condition')?.['tag_state'], 'TAGGED');
  });

  it('scanning is stated', () => {
    const { body } = named('google_artifact_registry_repository', 'destination');
    assert.match(
      String(inner(body, 'vulnerability_scanning_config')?.['enablement_config']),
      /\? "INHERITED" : "DISABLED"/,
    );
  });

  it('secrets lie in the region alone', () => {
    const replication = inner(
      named('google_secret_manager_secret', 'docker_config').body,
      'replication',
    );
    const replicas = inner(inner(replication, 'user_managed'), 'replicas');
    assert.equal(replicas?.['location'], '${var.region}');
  });

  it('secrets are filled by the operator: Terraform knows an empty config only', () => {
    const { body } = named('google_secret_manager_secret_version', 'docker_config');
    assert.equal(body['secret_data'], '${jsonencode({ auths = {} })}');
    assert.equal(body['deletion_policy'], 'ABANDON');
  });

  it('removing the module disables no API', () => {
    const { body } = named('google_project_service', 'this');
    assert.equal(body['disable_on_destroy'], false);
  });
});

describe('names', () => {
  it('begin with the installation and are not random', () => {
    for (const { type, body } of resources) {
      assert.doesNotMatch(type, /^random_/);
      const name = body['name'] ?? body['repository_id'] ?? body['account_id'];
      if (typeof name !== 'string' || type.includes('_iam_')) continue;
      if (type === 'google_artifact_registry_repository') continue;
      const said = name.replace('${local.bridge_account_id}', String(locals['bridge_account_id']));
      assert.match(said, /^\$\{(var\.name|local\.metric_prefix)\}[-/]/, `${type} ${name}`);
    }
  });

  it('labels are on everything that can have them', () => {
    for (const { type, name, body } of resources) {
      if (/pubsub_(topic|subscription)$|run_v2_(service|job)$|secret$|repository$/.test(type)) {
        assert.equal(body['labels'], '${local.labels}', `${type}.${name}`);
      }
    }
  });
});
