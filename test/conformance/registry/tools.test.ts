import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { seedImages } from '../../stand-ins/images/seed.ts';
import { storeTarget } from '../../stand-ins/images/target.ts';
import { TokenIssuer } from '../../stand-ins/metadata/token-issuer.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { required, skipUnless } from '../../real/servers/found.ts';
import {
  findCrane,
  findGcrane,
  findRegctl,
  findSkopeo,
  runTool,
} from '../../real/servers/tools.ts';
import { start } from './loopback.ts';

const crane = findCrane();
const gcrane = findGcrane();
const regctl = findRegctl();
const skopeo = findSkopeo();

/** Both dialects with their credentials, the source filled, and a docker config for tools. */
async function startBoth(t: TestContext): Promise<{
  readonly source: LocalRegistry;
  readonly destination: LocalRegistry;
  readonly env: Readonly<Record<string, string>>;
}> {
  const issuer = new TokenIssuer();
  const source = await start(t, { auth: { scheme: 'bearer', users: { robot: 'secret' } } });
  const destination = await start(t, {
    dialect: 'artifact-registry',
    google: { accessTokens: issuer },
  });
  await seedImages(storeTarget(source.store));
  const folder = mkdtempSync(join(tmpdir(), 'registry-tools-'));
  t.after(() => {
    rmSync(folder, { recursive: true });
  });
  const auth = (user: string, password: string): object => ({
    auth: Buffer.from(`${user}:${password}`).toString('base64'),
  });
  const file = join(folder, 'config.json');
  writeFileSync(
    file,
    JSON.stringify({
      auths: {
        [source.host]: auth('robot', 'secret'),
        [destination.host]: auth('oauth2accesstoken', issuer.mint('robot@local').token),
      },
    }),
  );
  return { source, destination, env: { DOCKER_CONFIG: folder, REGISTRY_AUTH_FILE: file } };
}

describe('the tools of the field', () => {
  it(
    'crane copies both ways and finds every layer whole',
    { skip: skipUnless(crane) },
    async (t) => {
      const { source, destination, env } = await startBoth(t);
      const run = async (...args: readonly string[]): Promise<string> => {
        const { exitCode, stdout, stderr } = await runTool(required(crane), args, env);
        assert.equal(exitCode, 0, stderr);
        return stdout.toString();
      };
      for (const kind of ['web', 'legacy', 'payments', 'ledger', 'charts/podinfo']) {
        const mirrored = `${destination.host}/p/r/${kind}`;
        await run('copy', '--insecure', '--all-tags', `${source.host}/demo/${kind}`, mirrored);
        const tags = source.store.tags(`demo/${kind}`);
        assert.deepEqual(destination.store.tags(`p/r/${kind}`), tags);
        for (const tag of tags) {
          assert.equal(
            destination.store.digestOfTag(`p/r/${kind}`, tag),
            source.store.digestOfTag(`demo/${kind}`, tag),
          );
        }
        await run('copy', '--insecure', `${mirrored}:1.0.0`, `${source.host}/back/${kind}:1.0.0`);
      }
      await run('validate', '--insecure', '--remote', `${destination.host}/p/r/web:1.0.0`);
      await run('validate', '--insecure', '--remote', `${source.host}/back/web:1.0.0`);
      const listed = await run('ls', '--insecure', `${destination.host}/p/r/web`);
      assert.deepEqual(listed.trim().split('\n'), ['1.0.0', '1.0.1', '1.0.2']);
      // A second PATCH, which it would refuse, never came.
      assert.equal(destination.counter.count({ status: 400 }), 0);
    },
  );

  it('gcrane reads the manifest map', { skip: skipUnless(gcrane) }, async (t) => {
    const { destination, env } = await startBoth(t);
    await seedImages(storeTarget(destination.store), {
      lines: [{ repository: 'p/r/web', kind: 'multi-platform' }],
      releases: 1,
    });
    const args = ['ls', '--json', '--insecure', `${destination.host}/p/r/web`];
    const { exitCode, stdout, stderr } = await runTool(required(gcrane), args, env);
    assert.equal(exitCode, 0, stderr);
    const { manifest } = JSON.parse(stdout.toString()) as { manifest: Record<string, unknown> };
    assert.equal(Object.keys(manifest).length, 3);
  });

  it('skopeo copies both ways', { skip: skipUnless(skopeo) }, async (t) => {
    const { source, destination, env } = await startBoth(t);
    const copy = async (from: string, to: string): Promise<void> => {
      const { exitCode, stderr } = await runTool(
        required(skopeo),
        [
          'copy',
          '--all',
          '--preserve-digests',
          '--src-tls-verify=false',
          '--dest-tls-verify=false',
          `docker://${from}`,
          `docker://${to}`,
        ],
        env,
      );
      assert.equal(exitCode, 0, stderr);
    };
    await copy(`${source.host}/demo/web:1.0.1`, `${destination.host}/p/r/web:1.0.1`);
    await copy(`${destination.host}/p/r/web:1.0.1`, `${source.host}/back/web:1.0.1`);
    const digest = source.store.digestOfTag('demo/web', '1.0.1');
    assert.equal(destination.store.digestOfTag('p/r/web', '1.0.1'), digest);
    assert.equal(source.store.digestOfTag('back/web', '1.0.1'), digest);
  });

  it('regctl copies with referrers and digest tags', { skip: skipUnless(regctl) }, async (t) => {
    const { source, destination, env } = await startBoth(t);
    const hosts = [source, destination].flatMap(({ host }) => [
      '--host',
      `reg=${host},tls=disabled`,
    ]);
    const { exitCode, stderr } = await runTool(
      required(regctl),
      [
        ...hosts,
        'image',
        'copy',
        '--referrers',
        '--digest-tags',
        `${source.host}/demo/ledger:1.0.0`,
        `${destination.host}/p/r/ledger:1.0.0`,
      ],
      env,
    );
    assert.equal(exitCode, 0, stderr);
    const digest = source.store.digestOfTag('demo/ledger', '1.0.0') ?? '';
    assert.equal(destination.store.digestOfTag('p/r/ledger', '1.0.0'), digest);
    // Artifact Registry without the referrers API: the fallback tag names the bill of materials.
    const fallback = destination.store.manifest('p/r/ledger', digest.replace(':', '-'));
    const [referrer] = fallback?.contents.children ?? [];
    assert.equal(referrer?.artifactType, 'application/spdx+json');
    assert.ok(destination.store.manifest('p/r/ledger', referrer.digest));
  });
});
