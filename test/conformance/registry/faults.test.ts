import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { digestOf } from '../../stand-ins/registry/digest.ts';
import type { FaultEffect } from '../../stand-ins/registry/fault-rule.ts';
import { OCI_MANIFEST } from '../../stand-ins/registry/media-types.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { hasCause } from '../../faults.ts';
import { ask, manifestOf, pushBlob, start, storeImage } from './loopback.ts';

const BLOB = Buffer.alloc(200_000, 'blob');
const DIGEST = digestOf(BLOB);
const PATH = `/v2/org/app/blobs/${DIGEST}`;

/** What a client sees of a GET on a connection of its own. */
async function pull(
  registry: LocalRegistry,
  signal?: AbortSignal,
): Promise<{
  readonly status: number;
  readonly bytes: number;
  readonly ending: string;
}> {
  return new Promise((resolve) => {
    let status = 0;
    let bytes = 0;
    const options = { agent: false, ...(signal === undefined ? {} : { signal }) } as const;
    const outgoing = request(`${registry.url}${PATH}`, options, (message) => {
      status = message.statusCode ?? 0;
      message.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
      });
      message.on('end', () => {
        resolve({ status, bytes, ending: 'end' });
      });
      message.on('error', (error: NodeJS.ErrnoException) => {
        resolve({ status, bytes, ending: error.code ?? error.message });
      });
    });
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ status, bytes, ending: error.code ?? error.message });
    });
    outgoing.end();
  });
}

describe('a fault in a download', () => {
  const cases: readonly (readonly [string, FaultEffect, number, number | undefined, string])[] = [
    ['reset before anything', { kind: 'reset', at: 'head' }, 0, 0, 'ECONNRESET'],
    [
      'reset inside the body',
      { kind: 'reset', at: 'response-body', afterBytes: 1000 },
      200,
      1000,
      'ECONNRESET',
    ],
    ['reset after the body', { kind: 'reset', at: 'end' }, 200, BLOB.length, 'end'],
    ['truncation', { kind: 'truncate', afterBytes: 1000 }, 200, 1000, 'ECONNRESET'],
    ['a length that is too short', { kind: 'length', delta: -10 }, 200, BLOB.length - 10, 'end'],
    ['a length that is too long', { kind: 'length', delta: 10 }, 200, BLOB.length, 'ECONNRESET'],
    ['more bytes than there are', { kind: 'pad', bytes: 10 }, 200, BLOB.length + 10, 'end'],
  ];
  for (const [name, effect, status, bytes, ending] of cases) {
    it(`is ${name}, once`, async (t) => {
      const registry = await start(t);
      registry.store.putBlob('org/app', BLOB);
      const fault = registry.faults.add({ kind: 'blob', effect });
      assert.deepEqual(await pull(registry), { status, bytes, ending });
      assert.deepEqual(await pull(registry), { status: 200, bytes: BLOB.length, ending: 'end' });
      assert.equal(fault.struck, 1);
      assert.equal(registry.faults.struck, 1);
    });
  }

  it('is one wrong bit', async (t) => {
    const registry = await start(t);
    registry.store.putBlob('org/app', BLOB);
    registry.faults.add({ effect: { kind: 'flip', atByte: 150_000 } });
    const { body } = await ask(registry.url, 'GET', PATH);
    assert.equal(body.length, BLOB.length);
    assert.deepEqual(
      [...body.keys()].filter((index) => body[index] !== BLOB[index]),
      [150_000],
    );
    assert.deepEqual((await ask(registry.url, 'GET', PATH)).body, BLOB);
  });

  it('is a wrong digest in the header', async (t) => {
    const registry = await start(t);
    storeImage(registry, 'org/app', 'v1');
    registry.faults.add({ kind: 'manifest', effect: { kind: 'digest', digest: DIGEST } });
    const answer = await ask(registry.url, 'HEAD', '/v2/org/app/manifests/v1', {
      headers: { accept: OCI_MANIFEST },
    });
    assert.equal(answer.headers['docker-content-digest'], DIGEST);
  });

  it('is silence until the client goes, before any byte or after some', async (t) => {
    const registry = await start(t);
    registry.store.putBlob('org/app', BLOB);
    for (const [effect, bytes] of [
      [{ kind: 'stall', at: 'head' }, 0],
      [{ kind: 'stall', at: 'response-body', afterBytes: 1000 }, 1000],
    ] as const) {
      registry.faults.add({ effect });
      const patience = AbortSignal.timeout(bytes === 0 ? 300 : 3000);
      assert.deepEqual(await pull(registry, patience), {
        status: bytes === 0 ? 0 : 200,
        bytes,
        ending: 'ABORT_ERR',
      });
    }
  });
});

describe('a wrong answer', () => {
  it('carries any Retry-After and error', async (t) => {
    const registry = await start(t);
    for (const value of ['3', 'Wed, 21 Oct 2026 07:28:00 GMT', '-1', '99999999999']) {
      registry.faults.add({
        kind: 'tags',
        effect: {
          kind: 'answer',
          status: 429,
          headers: { 'retry-after': value },
          errors: [{ code: 'TOOMANYREQUESTS', message: 'slow down' }],
        },
      });
      const answer = await ask(registry.url, 'GET', '/v2/org/app/tags/list');
      assert.equal(answer.headers['retry-after'], value);
      assert.deepEqual([answer.status, answer.codes], [429, ['TOOMANYREQUESTS']]);
    }
  });

  it('may have no body, or one of another kind', async (t) => {
    const registry = await start(t);
    registry.faults.add({ effect: { kind: 'answer', status: 503 } });
    assert.equal((await ask(registry.url, 'GET', '/v2/')).body.length, 0);
    registry.faults.add({
      effect: { kind: 'answer', status: 429, body: { contentType: 'text/html', text: '<p>' } },
    });
    const page = await ask(registry.url, 'GET', '/v2/');
    assert.deepEqual([page.headers['content-type'], page.body.toString()], ['text/html', '<p>']);
  });

  it('comes after the work was done', async (t) => {
    const registry = await start(t);
    registry.faults.add({
      method: 'PUT',
      kind: 'upload',
      effect: { kind: 'answer', status: 502, commit: true },
    });
    assert.equal((await pushBlob(registry.url, 'org/app', BLOB)).status, 502);
    assert.deepEqual(registry.store.blobs('org/app'), [DIGEST]);
  });

  it('comes before the end of an upload, with the socket left open and unread', async (t) => {
    const registry = await start(t);
    registry.faults.add({
      method: 'PUT',
      kind: 'upload',
      effect: { kind: 'answer', status: 401, unread: 'hold' },
    });
    const begun = await ask(registry.url, 'POST', '/v2/org/app/blobs/uploads/', { body: '' });
    const { pathname } = new URL(begun.headers.location ?? '');
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    // Far more than the sockets' buffers take, so that an unread body blocks its writer.
    const size = 24 * 1024 * 1024;
    socket.write(
      `PUT ${pathname}?digest=${DIGEST} HTTP/1.1\r\nhost: x\r\ncontent-length: ${size}\r\n\r\n`,
    );
    const answer = await new Promise<string>((resolve) => {
      socket.once('data', (chunk: Buffer) => {
        resolve(chunk.toString());
      });
    });
    assert.match(answer, /^HTTP\/1\.1 401 /);
    let flushed = false;
    socket.write(Buffer.alloc(size), () => {
      flushed = true;
    });
    await pause(500);
    assert.equal(flushed, false);
    assert.equal(socket.destroyed, false);
    socket.destroy();
    assert.equal(registry.counter.records.at(-1)?.bytesIn, 0);
  });

  it('lets the rest of an upload drain, so that the connection lives on', async (t) => {
    const registry = await start(t);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => {
      agent.destroy();
    });
    registry.faults.add({ method: 'PUT', effect: { kind: 'answer', status: 500 } });
    const send = (): Promise<number> =>
      new Promise((resolve, reject) => {
        const outgoing = request(
          `${registry.url}/v2/org/app/blobs/uploads/x?digest=${DIGEST}`,
          { method: 'PUT', agent },
          (message) => {
            message.resume();
            message.on('end', () => {
              resolve(message.statusCode ?? 0);
            });
          },
        );
        outgoing.on('error', reject);
        outgoing.end(BLOB);
      });
    assert.deepEqual([await send(), await send()], [500, 404]);
    assert.equal(registry.counter.records[0]?.bytesIn, BLOB.length);
  });
});

describe('a request without its credentials', () => {
  it('is refused with the registry’s own challenge', async (t) => {
    const registry = await start(t, {
      auth: { scheme: 'bearer', users: { robot: 'secret' } },
    });
    const basic = `Basic ${Buffer.from('robot:secret').toString('base64')}`;
    const granted = await ask(registry.url, 'GET', '/token?scope=repository:org/app:pull,push', {
      headers: { authorization: basic },
    });
    const headers = { authorization: `Bearer ${(granted.json as { token: string }).token}` };
    registry.faults.add({ method: 'PUT', effect: { kind: 'anonymous' } });
    const refused = await pushBlob(registry.url, 'org/app', BLOB, headers);
    assert.equal(refused.status, 401);
    assert.match(
      refused.headers['www-authenticate'] ?? '',
      /^Bearer realm="[^"]+\/token",.*scope="repository:org\/app:pull,push"/,
    );
    assert.deepEqual(registry.store.blobs('org/app'), []);
    assert.equal((await pushBlob(registry.url, 'org/app', BLOB, headers)).status, 201);
  });
});

describe('an interrupted upload', () => {
  it('is reset inside its body, and leaves nothing', async (t) => {
    const registry = await start(t);
    registry.faults.add({
      method: 'PUT',
      effect: { kind: 'reset', at: 'request-body', afterBytes: 1 },
    });
    await assert.rejects(
      pushBlob(registry.url, 'org/app', BLOB),
      hasCause('UND_ERR_SOCKET', 'EPIPE', 'ECONNRESET'),
    );
    assert.deepEqual(registry.store.blobs('org/app'), []);
    assert.equal(registry.counter.records.at(-1)?.status, 0);
  });

  it('is reset after the commit', async (t) => {
    const registry = await start(t);
    registry.faults.add({ method: 'PUT', effect: { kind: 'reset', at: 'commit' } });
    await assert.rejects(pushBlob(registry.url, 'org/app', BLOB), { code: 'ECONNRESET' });
    assert.deepEqual(registry.store.blobs('org/app'), [DIGEST]);
  });
});

describe('an event', () => {
  it('happens to the store between two requests', async (t) => {
    const registry = await start(t);
    const config = Buffer.from('{}');
    await pushBlob(registry.url, 'org/app', config);
    registry.faults.add({
      method: 'PUT',
      kind: 'manifest',
      effect: { kind: 'event', before: () => registry.store.collectGarbage() },
    });
    const put = await ask(registry.url, 'PUT', '/v2/org/app/manifests/v1', {
      headers: { 'content-type': OCI_MANIFEST },
      body: manifestOf(config, []),
    });
    assert.deepEqual(put.codes, ['MANIFEST_BLOB_UNKNOWN']);
  });

  it('happens after an answer was made', async (t) => {
    const registry = await start(t);
    const digest = storeImage(registry, 'org/app', 'v1');
    registry.faults.add({
      kind: 'manifest',
      effect: { kind: 'event', after: () => registry.store.deleteTag('org/app', 'v1') },
    });
    const path = '/v2/org/app/manifests/v1';
    const headers = { accept: OCI_MANIFEST };
    const first = await ask(registry.url, 'HEAD', path, { headers });
    assert.equal(first.headers['docker-content-digest'], digest);
    assert.equal((await ask(registry.url, 'HEAD', path, { headers })).status, 404);
  });
});
