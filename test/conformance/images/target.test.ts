import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { buildRelease } from '../../stand-ins/images/release.ts';
import { httpTarget, putImage, storeTarget } from '../../stand-ins/images/target.ts';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import { selfSignedCertificate } from '../../stand-ins/registry/certificate.ts';
import {
  challengedAuthorization,
  fixedAuthorization,
} from '../../stand-ins/verifier/authorization.ts';
import { start } from '../registry/loopback.ts';

const IMAGE = buildRelease({ repository: 'demo/web', kind: 'multi-platform' }, '1.0.0', 'seed');

describe('image target', () => {
  it('puts into a store what it pushes over HTTP with tokens', async (t) => {
    const direct = await start(t);
    await putImage(storeTarget(direct.store), 'demo/web', IMAGE, 'v1');
    const users = { robot: 'secret' };
    const pushed = await start(t, { auth: { scheme: 'bearer', users } });
    const authorization = challengedAuthorization({ user: 'robot', password: 'secret' });
    const target = httpTarget({ url: pushed.url, authorization });
    await putImage(target, 'demo/web', IMAGE, 'v1');
    await putImage(target, 'demo/web', IMAGE, 'v2');
    target.close();
    assert.deepEqual(
      pushed.store.blobs('demo/web').toSorted(),
      direct.store.blobs('demo/web').toSorted(),
    );
    assert.deepEqual(pushed.store.tags('demo/web'), ['v1', 'v2']);
    assert.equal(
      pushed.store.manifests('demo/web').length,
      direct.store.manifests('demo/web').length,
    );
    // One for pulling, which the questions for blobs need, and one for pushing.
    assert.equal(pushed.counter.count({ kind: 'token' }), 2);
  });

  it('pushes to Artifact Registry over https', async (t) => {
    const tls = selfSignedCertificate();
    const issuer = new TokenIssuer();
    const registry = await start(t, {
      personality: 'artifact-registry',
      google: { accessTokens: issuer },
      tls,
    });
    const authorization = fixedAuthorization(() => `Bearer ${issuer.mint('a@b').token}`);
    const target = httpTarget({ url: registry.url, authorization, ca: tls.cert });
    await putImage(target, 'p/r/web', IMAGE, 'v1');
    target.close();
    assert.equal(registry.store.digestOfTag('p/r/web', 'v1'), IMAGE.root.digest);
    assert.equal(registry.counter.count({ status: 401 }), 0);
  });

  for (const kind of ['upload', 'manifest'] as const) {
    it(`says that the ${kind} was refused`, async (t) => {
      const registry = await start(t);
      registry.faults.add({ kind, times: Infinity, effect: { kind: 'answer', status: 403 } });
      const target = httpTarget({ url: registry.url });
      await assert.rejects(putImage(target, 'demo/web', IMAGE, 'v1'), /403/);
      target.close();
    });
  }
});
