import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import { ask, path } from './client.ts';
import { repository, stored } from './fixtures.ts';

describe('the API of the stand-in', () => {
  let kubernetes: LocalKubernetes;
  beforeEach(async () => {
    kubernetes = await startKubernetes();
  });
  afterEach(() => kubernetes.close());

  async function statusOf(
    ...request: readonly [string, string, unknown?, string?]
  ): Promise<number> {
    const response = await ask(kubernetes, ...request);
    await response.text();
    return response.status;
  }

  it('serves every verb', async () => {
    assert.equal(await statusOf('POST', path, repository('one')), 201);
    assert.equal(await statusOf('GET', `${path}/one`), 200);
    assert.equal(await statusOf('GET', path), 200);
    assert.equal(await statusOf('PATCH', `${path}/one`, { spec: { interval: '2m' } }), 200);
    assert.equal(await statusOf('PUT', `${path}/one`, kubernetes.get('flux-system', 'one')), 200);
    assert.equal(await statusOf('DELETE', `${path}/one`), 200);
    assert.deepEqual(
      kubernetes.requests.map(({ verb, resource, user }) => `${verb} ${resource} ${user}`),
      ['create', 'get', 'list', 'patch', 'update', 'delete'].map(
        (verb) => `${verb} imagerepositories admin`,
      ),
    );
  });

  it('deletes a collection by its selector', async () => {
    kubernetes.put(stored('a', { labels: { old: 'yes' } }));
    kubernetes.put(stored('b'));
    const deleted = await ask(kubernetes, 'DELETE', `${path}?labelSelector=old`);
    const { items } = (await deleted.json()) as { readonly items: readonly unknown[] };
    assert.equal(items.length, 1);
    assert.equal(kubernetes.get('flux-system', 'a'), undefined);
    assert.ok(kubernetes.get('flux-system', 'b'));
  });

  it('names the writer by the query or the User-Agent', async () => {
    await statusOf('POST', `${path}?fieldManager=me`, repository('one'));
    await fetch(`${kubernetes.url}${path}/one`, {
      method: 'PATCH',
      headers: {
        authorization: `Bearer ${kubernetes.adminToken}`,
        'content-type': 'application/merge-patch+json',
        'user-agent': 'kubectl/v1.34 (linux)',
      },
      body: '{"spec":{"interval":"2m"}}',
    });
    const { managedFields = [] } = kubernetes.get('flux-system', 'one')?.metadata ?? {};
    assert.deepEqual(managedFields.map(({ manager }) => manager).sort(), ['kubectl', 'me']);
  });

  it('tries on a dry run and refuses unknown fields where it is asked to', async () => {
    assert.equal(await statusOf('POST', `${path}?dryRun=All`, repository('one')), 201);
    assert.equal(await statusOf('GET', `${path}/one`), 404);
    const odd = repository('one', {}, { colour: 'red' });
    assert.equal(await statusOf('POST', `${path}?fieldValidation=Strict`, odd), 400);
    assert.equal(await statusOf('POST', path, odd), 201);
  });

  it('knows who may do what', async () => {
    const token = kubernetes.addUser({
      name: 'reader',
      rules: [
        {
          apiGroups: ['image.toolkit.fluxcd.io'],
          resources: ['imagerepositories'],
          verbs: ['get', 'list'],
        },
      ],
    });
    assert.equal(await statusOf('GET', path, undefined, token), 200);
    assert.equal(await statusOf('GET', `${path}?watch=1`, undefined, token), 403);
    assert.equal(await statusOf('POST', path, repository('one'), token), 403);
    assert.equal(await statusOf('GET', path, undefined, ''), 403);
    assert.equal(await statusOf('GET', path, undefined, 'unknown'), 401);
    kubernetes.revokeToken(token);
    assert.equal(await statusOf('GET', path, undefined, token), 401);
  });

  it('lets a user ask what it may', async () => {
    const token = kubernetes.addUser({ name: 'nobody' });
    const reviews = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
    const resourceAttributes = {
      verb: 'list',
      group: 'image.toolkit.fluxcd.io',
      resource: 'imagerepositories',
    };
    for (const [who, allowed] of [
      [token, false],
      [kubernetes.adminToken, true],
    ] as const) {
      const review = await ask(kubernetes, 'POST', reviews, { spec: { resourceAttributes } }, who);
      assert.equal(review.status, 201);
      const { status } = (await review.json()) as { readonly status: object };
      assert.deepEqual(status, { allowed });
    }
  });

  it('serves health to all, discovery and what is not there', async () => {
    for (const target of ['/readyz', '/livez', '/healthz']) {
      const health = await ask(kubernetes, 'GET', target, undefined, '');
      assert.equal(await health.text(), 'ok');
    }
    for (const target of ['/version', '/api', '/apis', '/apis/', '/api/v1', '/openapi/v3']) {
      assert.equal(await statusOf('GET', target), 200, target);
    }
    for (const target of ['/', '/apis/none', '/openapi/v2', `${path}/none`]) {
      assert.equal(await statusOf('GET', target), 404, target);
    }
  });

  it('refuses what is no JSON', async () => {
    const response = await fetch(kubernetes.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${kubernetes.adminToken}` },
      body: '{"a"',
    });
    assert.equal(response.status, 400);
    assert.equal(((await response.json()) as { readonly kind: string }).kind, 'Status');
  });
});
