import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { GoogleAuth } from 'google-auth-library';

import {
  startMetadata,
  type LocalMetadata,
  type MetadataOptions,
} from '../stand-ins/metadata/metadata.ts';
import { TokenIssuer } from '../stand-ins/metadata/token-issuer.ts';

const FLAVOR = { 'metadata-flavor': 'Google' };
const ACCOUNT = '/computeMetadata/v1/instance/service-accounts/default';

async function startFor(t: TestContext, options: MetadataOptions = {}): Promise<LocalMetadata> {
  const metadata = await startMetadata(options);
  t.after(() => metadata.close());
  return metadata;
}

function ask({ host }: LocalMetadata, path: string, init: RequestInit = {}): Promise<Response> {
  return fetch(`http://${host}${path}`, { headers: FLAVOR, ...init });
}

describe('the metadata server', () => {
  it('tells the account and the project, with its flavour', async (t) => {
    const metadata = await startFor(t, { projectId: 'acme' });
    const told = await ask(metadata, `${ACCOUNT}/email`);
    assert.deepEqual(
      [told.status, told.headers.get('metadata-flavor'), await told.text()],
      [200, 'Google', 'mirror@acme.iam.gserviceaccount.com'],
    );
    const project = await ask(metadata, '/computeMetadata/v1/project/project-id');
    assert.equal(await project.text(), 'acme');
    const root = await ask(metadata, '/', { headers: {} });
    assert.equal(await root.text(), 'computeMetadata/\n');
  });

  for (const [name, path, init, status] of [
    ['a request without its flavour', `${ACCOUNT}/token`, { headers: {} }, 403],
    [
      'a forwarded request',
      `${ACCOUNT}/token`,
      { headers: { ...FLAVOR, 'x-forwarded-for': '1.2.3.4' } },
      403,
    ],
    ['another method', `${ACCOUNT}/token`, { method: 'POST' }, 405],
    ['another account', `${ACCOUNT.replace('default', 'other')}/token`, {}, 404],
    ['another tree', '/latest/meta-data/', {}, 404],
  ] as const) {
    it(`refuses ${name}`, async (t) => {
      const metadata = await startFor(t);
      assert.equal((await ask(metadata, path, init)).status, status);
    });
  }

  it('hands out one token until five minutes before its end', async (t) => {
    let nowMs = 0;
    const metadata = await startFor(t, { clock: () => nowMs });
    const token = async (): Promise<{ access_token: string; expires_in: number }> =>
      (await (await ask(metadata, `${ACCOUNT}/token`)).json()) as never;
    const first = await token();
    assert.equal(first.expires_in, 3600);
    assert.deepEqual(metadata.issuer.verify(first.access_token), { email: metadata.email });
    nowMs = 3_300_000;
    assert.deepEqual(await token(), { ...first, expires_in: 300 });
    nowMs = 3_300_001;
    const second = await token();
    assert.notEqual(second.access_token, first.access_token);
    assert.equal(second.expires_in, 3600);
    nowMs = 3_600_000;
    assert.equal(metadata.issuer.verify(first.access_token), undefined);
  });

  it('gives Google’s library a token and the project', async (t) => {
    const metadata = await startFor(t);
    const variables = {
      GCE_METADATA_HOST: metadata.host,
      METADATA_SERVER_DETECTION: 'assume-present',
    };
    const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
    Object.assign(process.env, variables);
    t.after(() => {
      for (const [name, value] of before) {
        if (value === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = value;
      }
    });
    const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
    assert.equal(await auth.getProjectId(), 'local-project');
    const token = await auth.getAccessToken();
    assert.deepEqual(metadata.issuer.verify(token ?? ''), { email: metadata.email });
  });
});

describe('a token issuer', () => {
  it('mints another token each time', () => {
    const issuer = new TokenIssuer({ clock: () => 0 });
    assert.notEqual(issuer.mint('a@b').token, issuer.mint('a@b').token);
  });

  it('knows no tokens but its own', () => {
    const { token } = new TokenIssuer().mint('a@b');
    assert.match(token, /^ya29\./);
    assert.equal(new TokenIssuer().verify(token), undefined);
    assert.equal(new TokenIssuer().verify('ya29.nonsense'), undefined);
  });
});
