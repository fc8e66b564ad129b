import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { credentials, NEVER, open, rejection, serve } from './setting.ts';

describe('attempt', () => {
  it('presents nothing at a host that a redirect leads to, although that asks for it', async (t) => {
    const thief = await serve(t, (_request, response) => {
      response.writeHead(401, { 'www-authenticate': 'Basic realm="give me"' }).end();
    });
    const server = await serve(t, (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end();
      } else response.writeHead(302, { location: `${thief.url}/x` }).end();
    });
    const basic = { kind: 'basic', username: 'u', password: 'p' } as const;
    const known = credentials({ [server.host]: basic, [thief.host]: basic });
    const registries = open(t, [server.host, thief.host], {
      credentials: { source: known, destination: known },
    });
    const one = registries.source({ host: server.host, path: 'org/app' }, { insecure: true });
    await rejection(one.listTags(NEVER), 'UNAUTHORIZED');
    assert.deepEqual(
      thief.seen.map(({ authorization }) => authorization),
      [undefined],
    );
  });

  it('follows a blob’s redirects up to five', async (t) => {
    let hops = 0;
    const server = await serve(t, (_request, response) => {
      hops += 1;
      response.writeHead(302, { location: `/hop-${hops}` }).end();
    });
    const one = open(t, [server.host]).source(
      { host: server.host, path: 'org/app' },
      { insecure: true },
    );
    await rejection(one.listTags(NEVER), 'REDIRECT_REFUSED');
    assert.equal(hops, 6);
  });

  it('follows no redirect of what it sends', async (t) => {
    const server = await serve(t, (request, response) => {
      request.resume().on('end', () => response.writeHead(307, { location: '/elsewhere' }).end());
    });
    const one = open(t, [server.host]).destination(
      { host: server.host, path: 'org/app' },
      { insecure: true },
    );
    const blob = { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}`, sizeBytes: 1 };
    const unopened = (): Promise<never> => Promise.reject(new Error('no bytes are needed'));
    await rejection(one.uploadBlob(blob, unopened, {}, NEVER), 'REDIRECT_REFUSED');
    const manifest = { mediaType: 'a/b', digest: blob.digest, bytes: Buffer.from('{}') };
    await rejection(one.putManifest('v1', manifest, NEVER), 'REDIRECT_REFUSED');
    assert.equal(server.seen.length, 2);
  });

  it('asks at most three times for one refusal', async (t) => {
    let tokens = 0;
    const server = await serve(t, (request, response) => {
      if (request.url?.startsWith('/token') === true) {
        tokens += 1;
        response.end(JSON.stringify({ token: `t${tokens}` }));
        return;
      }
      const host = request.headers.host ?? '';
      const challenge = `Bearer realm="http://${host}/token",scope="repository:n${tokens}:pull"`;
      response.writeHead(401, { 'www-authenticate': challenge }).end();
    });
    const one = open(t, [server.host]).source(
      { host: server.host, path: 'org/app' },
      { insecure: true },
    );
    await rejection(one.listTags(NEVER), 'UNAUTHORIZED');
    assert.equal(server.seen.length - tokens, 3);
    assert.equal(tokens, 2);
  });
});
