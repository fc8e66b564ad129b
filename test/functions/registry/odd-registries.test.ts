import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import type { Credential, Credentials } from '../../../functions/auth/credentials.ts';
import { SYSTEM_TIMING } from '../../../functions/concurrency.ts';
import { parseImageName } from '../../../functions/contract/destination.ts';
import { BlobCopier } from '../../../functions/mirror/copy-blob.ts';
import { parseBackupTag } from '../../../functions/mirror/backup-tag.ts';
import { NO_DEADLINE } from '../../../functions/mirror/deadline.ts';
import { ReferrersSupport } from '../../../functions/mirror/referrers-support.ts';
import { PresenceCache } from '../../../functions/mirror/presence-cache.ts';
import { mirrorRepository, type MirrorWish } from '../../../functions/mirror/mirror-repository.ts';
import type { MirrorOptions } from '../../../functions/mirror/options.ts';
import { MIRROR_OPTIONS } from '../../mirror-options.ts';
import type { MirrorReport } from '../../../functions/mirror/report.ts';
import { TagTurns } from '../../../functions/mirror/tag-turns.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import { OCI_INDEX } from '../../../functions/oci/media-types.ts';
import { basicHeader } from '../../../functions/registry/bearer.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { blobOf, imageOf, imageWith, type Image } from '../mirror/images.ts';
import { front, realmPerRepository, type Oddity } from './odd-registries.ts';
import {
  bytesOf,
  destinationOf,
  INDEX,
  NEVER,
  open,
  registry,
  rejection,
  serve,
  sourceAt,
  sourceOf,
  wantToken,
} from './setting.ts';

const ACCOUNT = { kind: 'basic', username: 'u', password: 'secret' } as const;
/** One account for every host and repository. */
const everywhere: Credentials = {
  credentialFor: () => Promise.resolve(ACCOUNT),
  accountAtRealm: () => Promise.resolve(ACCOUNT),
  refused: () => undefined,
};

const SIGNED_IN = { credentials: (): Credentials => everywhere };

/** A registry with these tags in `org/app`. */
async function seeded(t: TestContext, ...tags: readonly string[]): Promise<LocalRegistry> {
  const at = await registry(t);
  for (const tag of tags.length === 0 ? ['v1'] : tags) at.store.putManifest('org/app', INDEX, tag);
  return at;
}

/** Mirrors between two hosts as one process does: what it learnt stays. */
function mirrors(
  t: TestContext,
  hosts: { readonly source: string; readonly destination: string },
  options: Partial<MirrorOptions> = {},
): (path: string, wish?: Partial<MirrorWish>) => Promise<MirrorReport> {
  const registries = open(t, [hosts.source, hosts.destination]);
  const clock = Date.now;
  const presence = new PresenceCache(clock);
  const kept = {
    pool: new BlobCopier({ presence, timing: SYSTEM_TIMING, random: () => 0 }),
    referrersSupport: new ReferrersSupport(),
    tagTurns: new TagTurns(clock),
    clock,
    deadline: NO_DEADLINE,
  };
  return (path, wish = {}) =>
    mirrorRepository(
      { reason: 'changed', exclusionList: [], ...wish },
      {
        ...kept,
        source: sourceOf(registries, hosts.source, path),
        destination: destinationOf(registries, hosts.destination, path),
      },
      { ...MIRROR_OPTIONS, ...options },
      NEVER,
    );
}

function put(at: LocalRegistry, path: string, { blobs, manifest }: Image, tag?: string): void {
  for (const { bytes } of blobs) at.store.putBlob(path, bytes);
  at.store.putManifest(path, manifest, tag);
}

describe('registries as users have them', () => {
  it('reads repositories side by side whose realms differ', async (t) => {
    const behind = await registry(t);
    const paths = Array.from({ length: 6 }, (_, n) => `team-${n}/app`);
    const tags = Array.from({ length: 6 }, (_, n) => `v${n}`);
    for (const path of paths) {
      for (const tag of tags) behind.store.putManifest(path, INDEX, tag);
    }
    const at = await realmPerRepository(t, behind.host);
    const registries = open(t, [at.host]);
    for (let event = 0; event < 3; event += 1) {
      await Promise.all(
        paths.map(async (path) => {
          const one = sourceOf(registries, at.host, path);
          assert.deepEqual((await one.listTags(NEVER))?.tags, tags);
          const read = await Promise.all(tags.map((tag) => one.getManifest(tag, NEVER)));
          assert.ok(read.every((manifest) => manifest !== undefined));
        }),
      );
    }
    // Each repository was asked for once: its own challenge and its own token, and no more.
    const tokens = at.seen.filter(({ url }) => url.startsWith('/token/'));
    const asked = new Set(tokens.map(({ url }) => url.split('?', 1)[0]));
    assert.equal(asked.size, paths.length);
  });

  it('shows each account to the realm of its own prefix alone', async (t) => {
    const behind = await registry(t);
    const accounts: Readonly<Record<string, Credential>> = {
      'team-a/app': { kind: 'basic', username: 'a', password: 'secret-a' },
      'team-b/app': { kind: 'basic', username: 'b', password: 'secret-b' },
    };
    for (const path of [...Object.keys(accounts), 'public/app']) {
      behind.store.putManifest(path, INDEX, 'v1');
    }
    const at = await realmPerRepository(t, behind.host, (path) => basicHeader(accounts[path]));
    const account = (_host: string, path = ''): Promise<Credential | undefined> =>
      Promise.resolve(accounts[path]);
    const source = { credentialFor: account, accountAtRealm: account, refused: () => undefined };
    const registries = open(t, [at.host], { credentials: () => source });
    await Promise.all(
      [...Object.keys(accounts), 'public/app'].map(async (path) => {
        const one = sourceOf(registries, at.host, path);
        assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1'], path);
      }),
    );
    for (const { url, authorization = '' } of at.seen) {
      if (!authorization.startsWith('Basic ')) continue;
      const repository = url.slice('/token/'.length).split('?', 1)[0] ?? '';
      assert.equal(authorization, basicHeader(accounts[repository]), url);
    }
  });

  it('reads through a front of a registry that gives its own tokens to anybody', async (t) => {
    const behind = await registry(t);
    behind.store.putManifest('real/app', INDEX, 'v1');
    const real = await realmPerRepository(t, behind.host);
    const at = await serve(t, (request, response) => {
      const location = `${real.url}${(request.url ?? '').replace('/v2/short/', '/v2/real/')}`;
      response.writeHead(307, { location }).end();
    });
    const registries = open(t, [at.host, real.host], SIGNED_IN);
    const one = sourceOf(registries, at.host, 'short/app');
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
    assert.ok(await one.headManifest('v1', NEVER));
    assert.ok(await one.getManifest('v1', NEVER));
    const presented = real.seen.map(({ authorization = '' }) => authorization.split(' ', 1)[0]);
    assert.ok(!presented.includes('Basic'), presented.join());
    // One 401 and one token for all that is read there.
    assert.equal(real.seen.filter(({ url }) => url.startsWith('/token/')).length, 1);
  });

  for (const [what, deny] of [
    ['404', [404, '{"errors":[{"code":"NAME_UNKNOWN"}]}']],
    ['a bare 404', [404, '']],
    ['403', [403, '{"errors":[{"code":"DENIED"}]}']],
    ['401 without a challenge', [401, '{"errors":[{"code":"UNAUTHORIZED"}]}']],
  ] as const) {
    it(`finds what is hidden behind ${what} until a token is brought, and asks the root once`, async (t) => {
      const behind = await seeded(t, 'v1', 'v2');
      // Lists are open at the second one.
      for (const listsAreOpen of [false, true]) {
        const at = await front(t, behind.host, (request, response) => {
          const { url = '', headers } = request;
          if (url.startsWith('/token')) response.writeHead(200).end('{"token":"good"}');
          else if (headers.authorization === 'Bearer good') return false;
          else if (listsAreOpen && url.includes('/tags/list')) return false;
          else if (url === '/v2/') wantToken(request, response);
          else {
            response.writeHead(deny[0], { 'content-type': 'application/json' });
            response.end(request.method === 'HEAD' ? undefined : deny[1]);
          }
          return true;
        });
        const registries = open(t, [at.host]);
        const one = sourceOf(registries, at.host);
        assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1', 'v2']);
        const heads = await Promise.all(
          ['v1', 'v2', 'v1', 'v2'].map((tag) => one.headManifest(tag, NEVER)),
        );
        assert.ok(heads.every((head) => head !== undefined));
        assert.ok(await one.getManifest('v1', NEVER));
        assert.equal(at.seen.filter(({ url }) => url === '/v2/').length, 1);
      }
    });
  }

  it('believes an open repository whose root wants what its realm gives nobody', async (t) => {
    for (const realm of ['/token', 'http://elsewhere.example/token']) {
      const behind = await seeded(t);
      const at = await front(t, behind.host, (request, response) => {
        const { url = '', headers } = request;
        const address = new URL(realm, `http://${headers.host ?? ''}`).href;
        const challenge = { 'www-authenticate': `Bearer realm="${address}"` };
        if (url.startsWith('/token')) response.writeHead(401).end();
        else if (url === '/v2/') response.writeHead(401, challenge).end();
        else return false;
        return true;
      });
      const one = sourceAt(t, at.host);
      // Nothing was shown so far: there may be more for whoever has a token.
      const code = realm === '/token' ? 'UNAUTHORIZED' : 'REALM_REFUSED';
      await rejection(one.headManifest('v2', NEVER), code);
      assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
      for (const tag of ['v2', 'v3']) assert.equal(await one.headManifest(tag, NEVER), undefined);
      assert.ok(await one.getManifest('v1', NEVER));
      assert.equal(at.seen.filter(({ url }) => url === '/v2/').length, 1);
      const tokens = at.seen.filter(({ url }) => url.startsWith('/token'));
      assert.equal(tokens.length, realm === '/token' ? 2 : 0);
    }
  });

  it('believes an open repository whose root names a realm that is out of reach', async (t) => {
    const behind = await seeded(t, 'v1', 'v9');
    let status = 500;
    const at = await front(t, behind.host, (request, response) => {
      const { url = '', headers } = request;
      if (url.startsWith('/token')) response.writeHead(status).end('{"token":"good"}');
      else if (url === '/v2/') wantToken(request, response);
      else if (url.endsWith('/v9') && headers.authorization === undefined) {
        response.writeHead(404).end();
      } else return false;
      return true;
    });
    const one = sourceAt(t, at.host);
    await rejection(one.headManifest('v2', NEVER), 'SERVER_ERROR');
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1', 'v9']);
    for (const tag of ['v2', 'v9']) assert.equal(await one.headManifest(tag, NEVER), undefined);
    // It is asked again, and shows what it hid meanwhile.
    status = 200;
    assert.ok(await one.headManifest('v9', NEVER));
  });

  it('takes no example of a root’s challenge for the repository’s name', async (t) => {
    const behind = await seeded(t);
    const at = await front(t, behind.host, (request, response) => {
      const { url = '', headers } = request;
      const isAsked = decodeURIComponent(url).includes('scope=repository:org/app:pull');
      if (url.startsWith('/token')) response.writeHead(200).end(`{"token":"${String(isAsked)}"}`);
      else if (headers.authorization === 'Bearer true') return false;
      else if (url === '/v2/') wantToken(request, response, ',scope="repository:user/image:pull"');
      else response.writeHead(403).end('{"errors":[{"code":"DENIED"}]}');
      return true;
    });
    const one = sourceAt(t, at.host);
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
  });

  it('asks a root again that was a proxy’s page', async (t) => {
    const behind = await seeded(t);
    let isUp = false;
    const at = await front(t, behind.host, (request, response) => {
      const { url = '', headers } = request;
      if (!isUp) response.writeHead(404, { 'content-type': 'text/plain' }).end('default backend');
      else if (url.startsWith('/token')) response.writeHead(200).end('{"token":"good"}');
      else if (headers.authorization === 'Bearer good') return false;
      else if (url === '/v2/') wantToken(request, response);
      else response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN"}]}');
      return true;
    });
    const one = sourceAt(t, at.host);
    await rejection(one.listTags(NEVER), 'RESPONSE_INVALID');
    isUp = true;
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
  });

  for (const [what, prefix, linkOf] of [
    ['itself by its path', '', (path) => path],
    ['itself with its address', '', (path, url) => new URL(path, url).href],
    ['the query alone', '', () => ''],
    ['its path below a prefix', '/artifactory/api/docker/local', (path) => path],
  ] satisfies readonly (readonly [string, string, (path: string, url: string) => string])[]) {
    it(`reads all pages of a list behind a front whose registry gives tokens to anybody, and names ${what}`, async (t) => {
      const list = `${prefix}/v2/real/app/tags/list`;
      const real = await serve(t, (request, response) => {
        const { url = '', headers } = request;
        const next = `<${linkOf(list, real.url)}?last=v1>; rel="next"`;
        if (url.startsWith('/token')) response.writeHead(200).end('{"token":"good"}');
        else if (headers.authorization !== 'Bearer good') wantToken(request, response);
        else if (url === `${list}?last=v1`) response.writeHead(200).end('{"tags":["v2"]}');
        else response.writeHead(200, { link: next }).end('{"tags":["v1"]}');
      });
      const at = await serve(t, (request, response) => {
        const path = (request.url ?? '').replace('/v2/short/', `${prefix}/v2/real/`);
        response.writeHead(307, { location: `${real.url}${path}` }).end();
      });
      const registries = open(t, [at.host, real.host], SIGNED_IN);
      const one = sourceOf(registries, at.host, 'short/app');
      assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1', 'v2']);
      assert.ok(real.seen.every(({ authorization = '' }) => !authorization.startsWith('Basic')));
    });
  }

  it('says what is not there of a registry that is open, for one look at its root', async (t) => {
    const behind = await registry(t);
    const registries = open(t, [behind.host]);
    for (const path of ['org/gone', 'org/lost']) {
      const one = sourceOf(registries, behind.host, path);
      assert.equal(await one.listTags(NEVER), undefined);
    }
    assert.deepEqual(behind.counter.summary, { 'GET tags 404': 2, 'GET ping 200': 1 });
  });

  it('shows no account to a root that has no challenge, and signs in where it has', async (t) => {
    for (const asks of [false, true]) {
      const behind = await seeded(t);
      const at = await front(t, behind.host, (request, response) => {
        const { url = '', headers } = request;
        if (headers.authorization === basicHeader(ACCOUNT)) return false;
        const challenge = { 'www-authenticate': 'Basic realm="x"' };
        if (url !== '/v2/') response.writeHead(404).end('{"errors":[{"code":"NAME_UNKNOWN"}]}');
        else if (asks) response.writeHead(401, challenge).end();
        else response.writeHead(200).end('{}');
        return true;
      });
      const registries = open(t, [at.host], SIGNED_IN);
      const one = sourceOf(registries, at.host);
      assert.deepEqual((await one.listTags(NEVER))?.tags, asks ? ['v1'] : undefined);
      assert.equal(
        at.seen.some(({ authorization }) => authorization !== undefined),
        asks,
      );
    }
  });

  it('copies blobs of registries that refuse to be asked for them by HEAD', async (t) => {
    for (const status of [401, 403, 405, 501, 302]) {
      const behind = await registry(t);
      const at = await front(t, behind.host, (request, response) => {
        if (request.method !== 'HEAD') return false;
        // A page to sign in at, at an address that nobody may speak to.
        response.writeHead(status, { location: 'http://127.0.0.2/' }).end();
        return true;
      });
      const content = Buffer.alloc(4 * 1024 * 1024, 7);
      const blob = { mediaType: 'x', digest: digestOf(content), sizeBytes: content.length };
      const registries = open(t, [at.host]);
      const to = destinationOf(registries, at.host);
      const sent = to.uploadBlob(blob, () => Promise.resolve(Readable.from([content])), {}, NEVER);
      assert.equal(await sent, 'uploaded', `${status}`);
      // Docker's first manifests tell no size.
      const from = sourceOf(registries, at.host);
      const read = await from.openBlob({ ...blob, sizeBytes: -1 }, 0, NEVER);
      assert.ok((await bytesOf(read)).equals(content), `${status}`);
    }
  });

  it('stops asking a registry that says that no pull is left, and says for how long', async (t) => {
    const at = await serve(t, (request, response) => {
      const isList = request.url?.includes('/tags/list') === true;
      response.writeHead(isList ? 200 : 429, { 'ratelimit-remaining': isList ? '' : '0;w=21600' });
      response.end(isList ? '{"tags":["v1","v2"]}' : '');
    });
    const one = sourceAt(t, at.host);
    await one.listTags(NEVER);
    const first = await rejection(one.getManifest('v1', NEVER), 'RATE_LIMITED');
    assert.match(first.message, /asked again in 6 hours/);
    assert.equal(first.retryAfterMs, 21_600_000);
    const second = await rejection(one.getManifest('v2', NEVER), 'RATE_LIMITED');
    assert.match(second.message, /0 pulls left of its 6 h/);
    await rejection(one.headManifest('v2', NEVER), 'RATE_LIMITED');
    assert.equal(at.seen.length, 2);
  });

  it('loses no tag to a gateway’s own limit', async (t) => {
    const tags = Array.from({ length: 30 }, (_, n) => `v${n}`);
    const behind = await seeded(t, ...tags);
    const at = await front(t, behind.host, (_request, response) => {
      response.setHeader('ratelimit-remaining', '4');
      return false;
    });
    const one = sourceAt(t, at.host);
    const read = await Promise.all(tags.map((tag) => one.getManifest(tag, NEVER)));
    assert.ok(read.every((manifest) => manifest !== undefined));
  });

  it('sends a redirect’s and a session’s URL on as the very bytes that came', async (t) => {
    const signed = "/store/a%7eb/c'd|e/../f?sig={x}%2f%3D~";
    const content = Buffer.from('content');
    const digest = digestOf(content);
    const urls: string[] = [];
    const at = await serve(t, (request, response) => {
      const { url = '', method } = request;
      request.resume();
      if (url.startsWith('/store/')) urls.push(`${method ?? ''} ${url}`);
      if (method === 'POST') response.writeHead(202, { location: signed }).end();
      else if (method === 'PUT') request.on('end', () => response.writeHead(201).end());
      else if (url.startsWith('/v2/')) response.writeHead(307, { location: signed }).end();
      else response.writeHead(200).end(content);
    });
    const registries = open(t, [at.host]);
    const blob = { mediaType: 'x', digest, sizeBytes: content.length };
    const read = await sourceOf(registries, at.host).openBlob(blob, 0, NEVER);
    assert.ok((await bytesOf(read)).equals(content));
    const to = destinationOf(registries, at.host);
    await to.uploadBlob(blob, () => Promise.resolve(Readable.from([content])), {}, NEVER);
    assert.deepEqual(urls, [`GET ${signed}`, `PUT ${signed}&digest=${digest}`]);
  });

  it('speaks to IPv6 hosts', async (t) => {
    const tags = '{"tags":["v1"]}';
    const server = await serve(t, (_request, response) => response.end(tags), '::1').catch(
      () => undefined,
    );
    if (server === undefined) {
      t.skip('this machine has no ::1');
      return;
    }
    const { host, path } = parseImageName(`[0:0::1]:${new URL(server.url).port}/org/app`);
    const one = open(t, [host]).source({ host, path }, { insecure: true });
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
  });

  it('loses no referrer of other images to one subject that the source has no more', async (t) => {
    const [behind, destination] = [await registry(t), await registry(t)];
    const gone = new Set<string>();
    const source = await front(t, behind.host, (request, response) => {
      const digest = /\/referrers\/(.+)$/.exec(request.url ?? '')?.[1];
      if (digest === undefined || !gone.has(digest)) return false;
      // Quay's word for manifests that no living tag reaches.
      response.writeHead(400, { 'content-type': 'application/json' });
      response.end('{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}');
      return true;
    });
    const mirror = mirrors(t, { source: source.host, destination: destination.host });
    const old = imageWith('old', 1);
    put(behind, 'org/one', old, '1.0.0');
    await mirror('org/one');
    put(behind, 'org/one', imageWith('new', 1), '1.0.0');
    gone.add(old.manifest.digest);
    await mirror('org/one', { reason: 'resync' });
    const other = imageWith('other', 1);
    const sbom = imageOf('sbom', [], { subject: other.manifest, artifactType: 'a/sbom' });
    put(behind, 'org/two', other, '1.0.0');
    put(behind, 'org/two', sbom);
    await mirror('org/two');
    assert.ok(destination.store.manifest('org/two', sbom.manifest.digest) !== undefined);
  });

  it('brings the referrers beside one whose digest cannot be read, and tells of that one', async (t) => {
    const [behind, destination] = [await registry(t), await registry(t)];
    const image = imageWith('image', 1);
    const sbom = imageOf('sbom', [], { subject: image.manifest, artifactType: 'a/sbom' });
    const { mediaType, digest, bytes } = sbom.manifest;
    const source = await front(t, behind.host, (request, response) => {
      if (request.url?.endsWith(`/referrers/${image.manifest.digest}`) !== true) return false;
      const manifests = [
        { mediaType, digest: `sha384:${'0'.repeat(96)}`, size: 1 },
        { mediaType, digest, size: bytes.length },
      ];
      response.writeHead(200, { 'content-type': OCI_INDEX });
      response.end(JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests }));
      return true;
    });
    put(behind, 'org/one', image, '1.0.0');
    put(behind, 'org/one', sbom);
    const report = await mirrors(t, { source: source.host, destination: destination.host })(
      'org/one',
    );
    assert.ok(destination.store.manifest('org/one', digest) !== undefined);
    assert.equal(report.counts.copied, 1);
    assert.equal(report.counts.failed, 1);
  });

  /** Says by HEAD of each manifest that it is not there. */
  const deniesHeads: Oddity = ({ method, url = '' }, response) => {
    if (method !== 'HEAD' || !url.includes('/manifests/')) return false;
    response.writeHead(404, { 'docker-distribution-api-version': 'registry/2.0' }).end();
    return true;
  };

  for (const [what, options] of [
    ['moves no tag under ON_DRIFT=report', { onDrift: 'report' }],
    ['keeps what it overwrites', { backupTag: parseBackupTag('backup-{tag}-{digest}') }],
  ] as const) {
    it(`${what} where the destination denies by HEAD what it has`, async (t) => {
      const [source, behind] = [await registry(t), await registry(t)];
      const destination = await front(t, behind.host, deniesHeads);
      const [theirs, promoted] = [imageWith('theirs', 1), imageWith('promoted', 1)];
      put(source, 'org/one', theirs, '1.0.0');
      put(behind, 'org/one', promoted, '1.0.0');
      const hosts = { source: source.host, destination: destination.host };
      const { counts } = await mirrors(t, hosts, options)('org/one', { tags: ['1.0.0'] });
      const isReport = 'onDrift' in options;
      assert.equal(isReport ? counts.drifted : counts.overwritten, 1);
      const { digest } = promoted.manifest;
      const backup = `backup-1.0.0-${digest.slice('sha256:'.length).slice(0, 12)}`;
      const kept = behind.store.manifest('org/one', isReport ? '1.0.0' : backup);
      assert.equal(kept?.digest, digest);
    });
  }

  it('keeps a release where the destination has no list and denies by HEAD what it has', async (t) => {
    const [source, behind] = [await registry(t), await registry(t)];
    const [before, after] = [imageWith('before', 1), imageWith('after', 1)];
    put(source, 'org/app', after, 'v1.2.3');
    put(behind, 'org/app', before, 'v1.2.3');
    const at = await front(t, behind.host, (request, response) => {
      if (request.url?.includes('/tags/list') !== true) return deniesHeads(request, response);
      response.writeHead(403).end('{"errors":[{"code":"DENIED"}]}');
      return true;
    });
    const { counts } = await mirrors(t, { source: source.host, destination: at.host })('org/app');
    assert.equal(counts.skipped, 1);
    assert.equal(behind.store.manifest('org/app', 'v1.2.3')?.digest, before.manifest.digest);
  });

  it('takes a blob that the destination refuses because it has it', async (t) => {
    const [source, behind] = [await registry(t), await registry(t)];
    const image = imageOf('image', [blobOf('shared')]);
    const { digest } = image.blobs[1]!.descriptor;
    put(source, 'org/app', image, 'v1');
    behind.store.putBlob('org/app', image.blobs[1]!.bytes);
    const at = await front(t, behind.host, (request, response) => {
      const { method, url = '' } = request;
      if (!url.includes(digest) || (method !== 'POST' && method !== 'PUT')) return false;
      request.resume().on('end', () => {
        if (method === 'POST') response.writeHead(202, { location: '/v2/org/app/one' }).end();
        else response.writeHead(400).end('{"errors":[{"code":"BLOB_UPLOAD_INVALID"}]}');
      });
      return true;
    });
    const { counts } = await mirrors(t, { source: source.host, destination: at.host })('org/app');
    assert.equal(counts.copied, 1);
    assert.equal(
      at.seen.filter(({ method, url }) => method === 'HEAD' && url.includes(digest)).length,
      1,
    );
  });

  for (const status of [403, 404]) {
    it(`signs in where reads are open and a push without a token is ${status}`, async (t) => {
      const behind = await registry(t);
      const at = await front(t, behind.host, (request, response) => {
        const { url = '', method, headers } = request;
        if (headers.authorization !== undefined) return false;
        if (url === '/v2/')
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
        else if (method === 'POST' || method === 'PUT')
          response.writeHead(status).end('{"errors":[{"code":"DENIED"}]}');
        else return false;
        return true;
      });
      const content = Buffer.from('x');
      const blob = { mediaType: 'x', digest: digestOf(content), sizeBytes: 1 };
      behind.store.putManifest('org/app', INDEX, 'v1');
      for (const first of ['blob', 'manifest']) {
        const registries = open(t, [at.host], SIGNED_IN);
        const to = destinationOf(registries, at.host);
        await to.listTags(NEVER);
        if (first === 'blob')
          await to.uploadBlob(blob, () => Promise.resolve(Readable.from([content])), {}, NEVER);
        else await to.putManifest('v2', INDEX, NEVER);
      }
      assert.equal(behind.store.manifest('org/app', 'v2')?.digest, INDEX.digest);
    });
  }
});
