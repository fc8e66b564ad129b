import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { GoogleAuth, OAuth2Client } from 'google-auth-library';
import {
  startMetadata,
  type LocalMetadata,
  type MetadataOptions,
} from '../../stand-ins/metadata/metadata.ts';
import { ask, start, storeImage } from '../registry/loopback.ts';

const FLAVOR = { 'metadata-flavor': 'Google' };
const ACCOUNT = '/computeMetadata/v1/instance/service-accounts/default';

async function startFor(t: TestContext, options: MetadataOptions = {}): Promise<LocalMetadata> {
  const metadata = await startMetadata(options);
  t.after(() => metadata.close());
  return metadata;
}

describe('metadata server', () => {
  it('answers with its flavour and wants it', async (t) => {
    const { url, email, projectId } = await startFor(t);
    const told = await ask(url, 'GET', `${ACCOUNT}/email`, { headers: FLAVOR });
    assert.deepEqual([told.status, told.body.toString()], [200, email]);
    assert.equal(told.headers['metadata-flavor'], 'Google');
    const project = '/computeMetadata/v1/project/project-id';
    assert.equal((await ask(url, 'GET', project, { headers: FLAVOR })).body.toString(), projectId);
    assert.equal((await ask(url, 'GET', `${ACCOUNT}/email`)).status, 403);
    assert.equal((await ask(url, 'GET', '/')).body.toString(), 'computeMetadata/\n');
  });

  const refused: readonly (readonly [string, string, string, object, number])[] = [
    [
      'a forwarded request',
      'GET',
      `${ACCOUNT}/token`,
      { ...FLAVOR, 'x-forwarded-for': '1.2.3.4' },
      403,
    ],
    ['another method', 'POST', `${ACCOUNT}/token`, FLAVOR, 405],
    ['another account', 'GET', `${ACCOUNT.replace('default', 'other')}/token`, FLAVOR, 404],
    ['an identity for nobody', 'GET', `${ACCOUNT}/identity`, FLAVOR, 400],
    ['another tree', 'GET', '/latest/meta-data/', FLAVOR, 404],
  ];
  for (const [name, method, path, headers, status] of refused) {
    it(`refuses ${name}`, async (t) => {
      const { url } = await startFor(t);
      const asked = { headers: headers as Record<string, string> };
      assert.equal((await ask(url, method, path, asked)).status, status);
    });
  }

  it('redirects to the slash of a directory and lists it whole where asked', async (t) => {
    const { url, host, email } = await startFor(t);
    const moved = await ask(url, 'GET', `${ACCOUNT}?recursive=true`, { headers: FLAVOR });
    assert.deepEqual(
      [moved.status, moved.headers.location],
      [301, `http://${host}${ACCOUNT}/?recursive=true`],
    );
    const whole = await ask(url, 'GET', `${ACCOUNT}/?recursive=true`, { headers: FLAVOR });
    assert.deepEqual(whole.json, {
      aliases: ['default'],
      email,
      scopes: ['https://www.googleapis.com/auth/cloud-platform'],
    });
    const root = await ask(url, 'GET', '/computeMetadata/v1', { headers: FLAVOR });
    assert.equal(root.status, 301);
  });

  it('hands out one token until five minutes before its end', async (t) => {
    let nowMs = 0;
    const { url } = await startFor(t, { clock: () => nowMs });
    const token = async (): Promise<{ access_token: string; expires_in: number }> =>
      (await ask(url, 'GET', `${ACCOUNT}/token`, { headers: FLAVOR })).json as never;
    const first = await token();
    assert.equal(first.expires_in, 3600);
    nowMs = 3_300_000;
    assert.deepEqual(await token(), { ...first, expires_in: 300 });
    nowMs = 3_300_001;
    const second = await token();
    assert.notEqual(second.access_token, first.access_token);
    assert.equal(second.expires_in, 3600);
  });

  it('fails as often as it is told to, and remembers what was asked', async (t) => {
    const metadata = await startFor(t);
    metadata.failTokens(503, 1);
    const path = `${ACCOUNT}/token`;
    assert.equal((await ask(metadata.url, 'GET', path, { headers: FLAVOR })).status, 503);
    assert.equal((await ask(metadata.url, 'GET', path, { headers: FLAVOR })).status, 200);
    assert.deepEqual(metadata.requests, [path, path]);
  });
});

describe('metadata server and Google’s library', () => {
  it('give an access token that the registry takes, and an identity token that verifies', async (t) => {
    const metadata = await startFor(t);
    const variables = { GCE_METADATA_HOST: metadata.host, METADATA_SERVER_DETECTION: 'ping-only' };
    const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, variables);
    t.after(() => {
      for (const [name, value] of before) {
        if (value === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = value;
      }
    });
    const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
    assert.equal(await auth.getProjectId(), metadata.projectId);
    const { client_email: email } = await auth.getCredentials();
    assert.equal(email, metadata.email);
    const token = await auth.getAccessToken();
    const registry = await start(t, {
      dialect: 'artifact-registry',
      google: { accessTokens: metadata.issuer },
    });
    storeImage(registry, 'p/r/app', 'v1');
    const list = await ask(registry.url, 'GET', '/v2/p/r/app/tags/list', {
      headers: { authorization: `Bearer ${token ?? ''}` },
    });
    assert.equal(list.status, 200);

    const audience = 'https://service.example.com';
    const client = await auth.getIdTokenClient(audience);
    const identity = await client.idTokenProvider.fetchIdToken(audience);
    const keys = { local: metadata.identity.pem() };
    const ticket = await new OAuth2Client().verifySignedJwtWithCertsAsync(
      identity,
      keys,
      audience,
      ['https://accounts.google.com'],
    );
    assert.equal(ticket.getPayload()?.email, metadata.email);
  });
});
