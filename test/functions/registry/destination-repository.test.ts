import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import { MirrorError } from '../../../functions/errors.ts';
import type { DestinationRepository, OpenBlob } from '../../../functions/mirror/ports.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { Registries } from '../../../functions/registry/registries.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { bytesOf as contentOf } from '../../stand-ins/registry/content.ts';
import { rejection as anyRejection } from '../../faults.ts';
import {
  ACCESS_TOKEN,
  artifactRegistry,
  NEVER,
  open,
  registry,
  serve,
  rejection,
} from './setting.ts';

const LARGE = 4 * 1024 * 1024;

interface Bytes {
  readonly mediaType: string;
  readonly digest: string;
  readonly sizeBytes: number;
  readonly content: Buffer;
}

function blob(text: string, sizeBytes = text.length): Bytes {
  const content = Buffer.alloc(sizeBytes, text);
  return { mediaType: 'x', digest: digestOf(content), sizeBytes, content };
}

function opening({ content }: Bytes): { readonly open: OpenBlob; readonly opened: () => number } {
  let opened = 0;
  return {
    open: () => {
      opened += 1;
      return Promise.resolve(
        Readable.from(
          [content.subarray(0, 100), content.subarray(100)].filter(({ length }) => length > 0),
        ),
      );
    },
    opened: () => opened,
  };
}

const UNOPENED: OpenBlob = () => Promise.reject(new Error('no bytes are needed'));

function at(registries: Registries, host: string, path = 'p/r/app'): DestinationRepository {
  return registries.destination({ host, path }, { insecure: true });
}

async function google(
  t: TestContext,
  switches: Partial<LocalRegistry['switches']> = {},
): Promise<{
  readonly to: LocalRegistry;
  readonly registries: Registries;
  readonly one: DestinationRepository;
}> {
  const to = await artifactRegistry(t, switches);
  const registries = open(t, [to.host], { google: [to.host] });
  return { to, registries, one: at(registries, to.host) };
}

async function plain(
  t: TestContext,
  switches: Partial<LocalRegistry['switches']> = {},
): Promise<{
  readonly to: LocalRegistry;
  readonly registries: Registries;
  readonly one: DestinationRepository;
}> {
  const to = await registry(t, { switches });
  const registries = open(t, [to.host]);
  return { to, registries, one: at(registries, to.host) };
}

describe('destination repository', () => {
  for (const [what, end, code] of [
    ['is given up', (stream: Readable) => stream.destroy(), 'ABORTED'],
    ['breaks', (stream: Readable) => stream.destroy(new MirrorError('TIMEOUT', 'x')), 'TIMEOUT'],
    ['is empty', (stream: Readable) => stream.push(null), 'SIZE_MISMATCH'],
  ] as const) {
    it(`uploads nothing of a source that ${what} before its first byte`, async (t) => {
      const { to, one } = await google(t);
      function read(this: Readable): void {
        setImmediate(end, this);
      }
      const wanted = blob('layer', LARGE);
      const source = (): Promise<Readable> => Promise.resolve(new Readable({ read }));
      await anyRejection(one.uploadBlob(wanted, source, {}, NEVER), code);
      assert.equal(to.counter.count({ status: 201 }), 0);
    });
  }

  it('uploads a blob by one POST and one PUT, with its length', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer', 300);
    let told = 0;
    const { open: source, opened } = opening(wanted);
    const arrival = await one.uploadBlob(
      wanted,
      source,
      { onBytes: (count) => (told += count) },
      NEVER,
    );
    assert.deepEqual([arrival, opened(), told], ['uploaded', 1, 300]);
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
    assert.equal(to.counter.records[1]?.headers['content-length'], '300');
    assert.match(to.counter.records[0]?.url ?? '', /\?mount=sha256:[0-9a-f]{64}$/);
    assert.equal(to.openUploads, 0);
    const stored = to.store.blob('p/r/app', wanted.digest);
    assert.ok(stored !== undefined && contentOf(stored).equals(wanted.content));
  });

  it('asks a blob away by the mount that Google answers', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer');
    to.store.putBlob('p/r/app', wanted.content);
    assert.equal(await one.uploadBlob(wanted, UNOPENED, {}, NEVER), 'present');
    assert.deepEqual(to.counter.summary, { 'POST upload 201': 1 });
  });

  it('asks a HEAD more for large blobs, until the mount has proven itself on the host', async (t) => {
    const { to, registries, one } = await google(t);
    const large = blob('large', LARGE);
    const other = blob('other', LARGE);
    await one.uploadBlob(large, opening(large).open, {}, NEVER);
    assert.deepEqual(to.counter.summary, {
      'POST upload 202': 1,
      'HEAD blob 404': 1,
      'PUT upload 201': 1,
    });
    assert.equal(await one.uploadBlob(large, UNOPENED, {}, NEVER), 'present');
    to.counter.reset();
    await at(registries, to.host, 'p/r/second').uploadBlob(other, opening(other).open, {}, NEVER);
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
  });

  it('believes a HEAD that says that a large blob is there', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'ignored' });
    const large = blob('large', LARGE);
    to.store.putBlob('p/r/app', large.content);
    assert.equal(await one.uploadBlob(large, UNOPENED, {}, NEVER), 'present');
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'HEAD blob 200': 1 });
    assert.equal(await one.uploadBlob(large, UNOPENED, {}, NEVER), 'present');
    assert.equal(to.counter.count({ method: 'HEAD' }), 2);
  });

  it('mounts from the repository itself elsewhere, which proves the probe', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'honoured' });
    const wanted = blob('layer');
    to.store.putBlob('p/r/app', wanted.content);
    assert.equal(await one.uploadBlob(wanted, UNOPENED, {}, NEVER), 'present');
    assert.match(to.counter.records[0]?.url ?? '', /&from=p%2Fr%2Fapp$/);
    to.counter.reset();
    const large = blob('large', LARGE);
    await one.uploadBlob(large, opening(large).open, {}, NEVER);
    assert.equal(to.counter.count({ method: 'HEAD' }), 0);
  });

  it('mounts from another repository, which proves nothing', async (t) => {
    const { to, one } = await plain(t);
    const wanted = blob('layer');
    to.store.putBlob('p/r/other', wanted.content);
    assert.equal(
      await one.uploadBlob(wanted, UNOPENED, { mountFrom: { path: 'p/r/other' } }, NEVER),
      'mounted',
    );
    assert.notEqual(to.store.blob('p/r/app', wanted.digest), undefined);
    to.counter.reset();
    const large = blob('large', LARGE);
    await one.uploadBlob(large, opening(large).open, {}, NEVER);
    assert.equal(to.counter.count({ method: 'HEAD' }), 1);
  });

  it('asks for the right to read where it mounts from', async (t) => {
    const to = await registry(t, { auth: { scheme: 'bearer', allows: () => true } });
    const wanted = blob('layer');
    to.store.putBlob('p/r/other', wanted.content);
    const one = at(open(t, [to.host]), to.host);
    assert.equal(
      await one.uploadBlob(wanted, UNOPENED, { mountFrom: { path: 'p/r/other' } }, NEVER),
      'mounted',
    );
    assert.deepEqual(to.counter.summary, {
      'POST upload 401': 1,
      'GET token 200': 1,
      'POST upload 201': 1,
    });
  });

  it('uploads plainly where a mount is refused, and asks for no more mounts there', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      path: /mount=/,
      times: Infinity,
      effect: {
        kind: 'answer',
        status: 400,
        errors: [{ code: 'NAME_INVALID', message: 'invalid repository name' }],
      },
    });
    // One that is large enough for a HEAD gets one, whatever a mount of it is answered.
    for (const wanted of [blob('one', LARGE), blob('two'), blob('three', LARGE)]) {
      assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    }
    assert.deepEqual(to.counter.summary, {
      'POST upload 400': 1,
      'HEAD blob 404': 2,
      'POST upload 202': 3,
      'PUT upload 201': 3,
    });
  });

  it('learns for one repository alone that its account may not mount there, or push', async (t) => {
    const { to, registries, one } = await plain(t, { singlePost: 'honoured' });
    const denied = (path: RegExp): void => {
      const errors = [{ code: 'DENIED', message: 'no' }];
      to.faults.add({ path, times: Infinity, effect: { kind: 'answer', status: 403, errors } });
    };
    const closed = at(registries, to.host, 'p/closed/app');
    const push = (there: DestinationRepository, text: string): Promise<string> =>
      there.uploadBlob(blob(text), opening(blob(text)).open, {}, NEVER);
    denied(/mount=/);
    assert.equal(await push(closed, 'one'), 'uploaded');
    denied(/closed/);
    await rejection(push(closed, 'two'), 'FORBIDDEN');
    to.counter.reset();
    assert.equal(await push(one, 'one'), 'uploaded');
    assert.equal(await push(one, 'two'), 'uploaded');
    assert.deepEqual(to.counter.summary, {
      'POST upload 403': 1,
      'POST upload 202': 1,
      'PUT upload 201': 1,
      'POST upload 201': 1,
    });
  });

  for (const status of [400, 401, 403, 404]) {
    it(`asks a pair of repositories plainly from the ${status} on that refuses a mount`, async (t) => {
      const { to, one } = await plain(t);
      to.faults.add({
        path: /from=p%2Fr%2Fclosed/,
        times: Infinity,
        effect: { kind: 'answer', status, errors: [{ code: 'DENIED', message: 'no' }] },
      });
      for (const text of ['one', 'two']) {
        const wanted = blob(text);
        const options = { mountFrom: { path: 'p/r/closed' } };
        assert.equal(
          await one.uploadBlob(wanted, opening(wanted).open, options, NEVER),
          'uploaded',
        );
      }
      assert.deepEqual(
        [to.counter.count({ path: /from=p%2Fr%2Fclosed/ }), to.counter.count({ method: 'POST' })],
        [1, 3],
      );
      const other = blob('three');
      to.store.putBlob('p/r/other', other.content);
      assert.equal(
        await one.uploadBlob(other, UNOPENED, { mountFrom: { path: 'p/r/other' } }, NEVER),
        'mounted',
      );
    });
  }

  it('uploads where a registry fails at a mount, and asks for the next one all the same', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      path: /from=p%2Fr%2Fdev/,
      times: 4,
      effect: { kind: 'answer', status: 500, errors: [{ code: 'UNKNOWN', message: 'no' }] },
    });
    const options = { mountFrom: { path: 'p/r/dev' } };
    const [wanted, next] = [blob('one'), blob('two')];
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, options, NEVER), 'uploaded');
    to.store.putBlob('p/r/dev', next.content);
    assert.equal(await one.uploadBlob(next, UNOPENED, options, NEVER), 'mounted');
  });

  it('uploads where a registry fails at a mount from the repository itself, and asks for no more of them', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      path: /mount=/,
      times: 4,
      effect: { kind: 'answer', status: 500, errors: [{ code: 'UNKNOWN', message: 'no' }] },
    });
    for (const text of ['one', 'two']) {
      const wanted = blob(text);
      assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    }
    assert.equal(to.counter.count({ path: /mount=/, method: 'POST' }), 4);
  });

  it('takes the failure of a mount for the host’s where mounts are known to work', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'honoured' });
    const [there, wanted] = [blob('there'), blob('wanted')];
    to.store.putBlob('p/r/app', there.content);
    assert.equal(await one.uploadBlob(there, UNOPENED, {}, NEVER), 'present');
    to.faults.add({
      path: /mount=/,
      times: 4,
      effect: { kind: 'answer', status: 500, errors: [] },
    });
    await rejection(one.uploadBlob(wanted, UNOPENED, {}, NEVER), 'SERVER_ERROR');
    assert.equal(await one.uploadBlob(there, UNOPENED, {}, NEVER), 'present');
  });

  it('uploads where the realm refuses the right to read what is mounted', async (t) => {
    const to = await registry(t, {
      auth: { scheme: 'bearer', allows: (_user, repository) => repository !== 'p/r/closed' },
    });
    const one = at(open(t, [to.host]), to.host);
    for (const text of ['one', 'two']) {
      const wanted = blob(text);
      const options = { mountFrom: { path: 'p/r/closed' } };
      assert.equal(await one.uploadBlob(wanted, opening(wanted).open, options, NEVER), 'uploaded');
    }
    // Without a token, and with one that lacks the right.
    assert.equal(to.counter.count({ path: /closed/, method: 'POST' }), 2);
  });

  it('names the other registry where it mounts from another of Google’s', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer');
    to.store.putBlob('p/dev/app', wanted.content);
    const options = { mountFrom: { path: 'p/dev/app', origin: 'us-docker.pkg.dev' } };
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, options, NEVER), 'uploaded');
    assert.match(
      to.counter.records[0]?.url ?? '',
      /\?mount=sha256:[0-9a-f]{64}&from=p%2Fdev%2Fapp&origin=us-docker\.pkg\.dev$/,
    );
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
  });

  describe('a small blob where no mount is asked for', () => {
    const SINGLE_POST = /uploads\/\?digest=/;

    /** A registry that has refused to be asked for mounts. */
    async function mountless(
      t: TestContext,
      switches: Partial<LocalRegistry['switches']>,
      options: Parameters<typeof registry>[1] = {},
    ): Promise<{ readonly to: LocalRegistry; readonly one: DestinationRepository }> {
      const to = await registry(t, { ...options, switches });
      to.faults.add({
        path: /mount=/,
        times: Infinity,
        effect: { kind: 'answer', status: 400, errors: [{ code: 'NAME_INVALID', message: 'no' }] },
      });
      const one = at(open(t, [to.host]), to.host);
      const first = blob('first');
      assert.equal(await one.uploadBlob(first, opening(first).open, {}, NEVER), 'uploaded');
      to.counter.reset();
      return { to, one };
    }

    it('goes with its POST, with its length and type', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      for (const [text, sizeBytes] of [
        ['small', 300],
        ['largest', 64 * 1024],
      ] as const) {
        const wanted = blob(text, sizeBytes);
        const { open: source, opened } = opening(wanted);
        let told = 0;
        const onBytes = (count: number): void => {
          told += count;
        };
        assert.equal(await one.uploadBlob(wanted, source, { onBytes }, NEVER), 'uploaded');
        assert.deepEqual([opened(), told], [1, sizeBytes]);
        const { headers } = to.counter.records.at(-1) ?? {};
        assert.deepEqual(
          [headers?.['content-length'], headers?.['content-type']],
          [String(sizeBytes), 'application/octet-stream'],
        );
        const stored = to.store.blob('p/r/app', wanted.digest);
        assert.ok(stored !== undefined && contentOf(stored).equals(wanted.content));
      }
      assert.deepEqual(to.counter.summary, { 'POST upload 201': 2 });
      assert.equal(to.openUploads, 0);
    });

    it('goes by POST and PUT where it is empty, larger than 64 KiB, or sent again', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      for (const [wanted, options] of [
        [blob(''), {}],
        [blob('larger', 64 * 1024 + 1), {}],
        [blob('lost'), { force: true }],
      ] as const) {
        await one.uploadBlob(wanted, opening(wanted).open, options, NEVER);
      }
      assert.equal(to.counter.count({ path: SINGLE_POST, method: 'POST' }), 0);
      assert.deepEqual(to.counter.summary, { 'POST upload 202': 3, 'PUT upload 201': 3 });
    });

    it('goes on in the session of a registry that drops it, and the next one is not sent so', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'ignored', uploadLocation: 'query' });
      for (const text of ['one', 'two']) {
        const wanted = blob(text);
        const { open: source, opened } = opening(wanted);
        assert.equal(await one.uploadBlob(wanted, source, {}, NEVER), 'uploaded');
        assert.equal(opened(), 1);
      }
      assert.equal(to.counter.count({ path: SINGLE_POST, method: 'POST' }), 1);
      assert.deepEqual(to.counter.summary, { 'POST upload 202': 2, 'PUT upload 201': 2 });
    });

    for (const status of [400, 403, 404, 405, 411, 413, 415, 500]) {
      it(`goes plainly after a ${status}, read once, and the next one too`, async (t) => {
        const { to, one } = await mountless(t, { singlePost: 'honoured' });
        to.faults.add({
          path: SINGLE_POST,
          method: 'POST',
          times: Infinity,
          effect: { kind: 'answer', status, errors: [{ code: 'UNSUPPORTED', message: 'no' }] },
        });
        for (const text of ['one', 'two']) {
          const wanted = blob(text);
          const { open: source, opened } = opening(wanted);
          assert.equal(await one.uploadBlob(wanted, source, {}, NEVER), 'uploaded');
          assert.equal(opened(), 1);
        }
        const { counter } = to;
        // A server error may pass, and is asked again.
        assert.equal(counter.count({ path: SINGLE_POST, method: 'POST' }), status === 500 ? 4 : 1);
        assert.equal(counter.count({ method: 'POST', status: 202 }), 2);
        assert.equal(counter.count({ method: 'PUT', status: 201 }), 2);
      });
    }

    it('waits as long as a throttling registry asks, and is sent so again', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({
        path: SINGLE_POST,
        effect: { kind: 'answer', status: 429, headers: { 'retry-after': '0' } },
      });
      const wanted = blob('one');
      const { open: source, opened } = opening(wanted);
      assert.equal(await one.uploadBlob(wanted, source, {}, NEVER), 'uploaded');
      assert.equal(opened(), 1);
      assert.deepEqual(to.counter.summary, { 'POST upload 429': 1, 'POST upload 201': 1 });
    });

    it('is sent again with a new token, from memory', async (t) => {
      const auth = { scheme: 'bearer', allows: () => true } as const;
      const { to, one } = await mountless(t, { singlePost: 'honoured' }, { auth });
      to.revokeTokens();
      const wanted = blob('one');
      const { open: source, opened } = opening(wanted);
      assert.equal(await one.uploadBlob(wanted, source, {}, NEVER), 'uploaded');
      assert.equal(opened(), 1);
      assert.deepEqual(to.counter.summary, {
        'POST upload 401': 1,
        'GET token 200': 1,
        'POST upload 201': 1,
      });
    });

    it('is sent once more where its connection breaks', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({ path: SINGLE_POST, effect: { kind: 'reset', at: 'commit' } });
      const wanted = blob('one');
      const { open: source, opened } = opening(wanted);
      assert.equal(await one.uploadBlob(wanted, source, {}, NEVER), 'uploaded');
      assert.equal(opened(), 1);
      assert.equal(to.counter.count({ method: 'POST', status: 201 }), 1);
      assert.equal(to.counter.count({ method: 'PUT' }), 0);
    });

    it('gives up with its credentials refused', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({
        path: SINGLE_POST,
        times: Infinity,
        effect: { kind: 'answer', status: 401, errors: [{ code: 'UNAUTHORIZED', message: 'no' }] },
      });
      const wanted = blob('one');
      await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'UNAUTHORIZED');
    });

    for (const [what, effect] of [
      ['another digest', { kind: 'digest', digest: digestOf(Buffer.from('other')) }],
      ['202 without an address', { kind: 'answer', status: 202 }],
      ['307', { kind: 'answer', status: 307, headers: { location: 'https://other.example.com/' } }],
    ] as const) {
      it(`goes by POST and PUT where its POST is answered ${what}, and so from then on`, async (t) => {
        const { to, one } = await mountless(t, { singlePost: 'honoured' });
        to.faults.add({ path: SINGLE_POST, effect });
        for (const wanted of [blob('one'), blob('two')])
          assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
        assert.deepEqual(
          to.counter.records.map(({ method }) => method),
          ['POST', 'POST', 'PUT', 'POST', 'PUT'],
        );
      });
    }

    for (const sizeBytes of [299, 301]) {
      it(`guard single-post-size: is not sent where ${sizeBytes} bytes come for 300`, async (t) => {
        const { to, one } = await mountless(t, { singlePost: 'honoured' });
        const { open: source } = opening(blob('one', sizeBytes));
        await rejection(one.uploadBlob(blob('one', 300), source, {}, NEVER), 'SIZE_MISMATCH');
        assert.equal(to.counter.total, 0);
      });
    }

    it('is not sent where its source breaks off', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      const of = { operation: 'get blob', side: 'source', url: 'https://s/' } as const;
      const broken = new MirrorError('NETWORK', 'broken', of);
      async function* some(): AsyncGenerator<Buffer> {
        yield Buffer.alloc(100);
        await Promise.resolve();
        throw broken;
      }
      const source: OpenBlob = () => Promise.resolve(Readable.from(some()));
      const fault = await rejection(one.uploadBlob(blob('one', 300), source, {}, NEVER), 'NETWORK');
      assert.equal(fault, broken);
      assert.equal(to.counter.total, 0);
    });
  });

  it('does not take a refused upload for a refused mount', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      method: 'POST',
      times: 2,
      effect: {
        kind: 'answer',
        status: 404,
        errors: [{ code: 'NAME_UNKNOWN', message: 'no such repository' }],
      },
    });
    const wanted = blob('layer');
    const fault = await rejection(one.uploadBlob(wanted, UNOPENED, {}, NEVER), 'NOT_FOUND');
    assert.deepEqual(
      [fault.side, fault.operation, fault.registryCodes],
      ['destination', 'start upload', ['NAME_UNKNOWN']],
    );
    await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER);
    const posts = to.counter.records.filter(({ method }) => method === 'POST');
    assert.match(posts[2]?.url ?? '', /mount=/);
  });

  it('sends the bytes whatever a probe would say, where it is told to', async (t) => {
    const { to, one } = await google(t);
    // Large enough for a HEAD.
    const wanted = blob('layer', 4 * 1024 * 1024);
    to.store.putBlob('p/r/app', wanted.content);
    assert.equal(
      await one.uploadBlob(wanted, opening(wanted).open, { force: true }, NEVER),
      'uploaded',
    );
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
  });

  for (const uploadLocation of ['relative', 'absolute', 'query'] as const) {
    it(`goes on where the registry says, byte for byte (${uploadLocation})`, async (t) => {
      const { one } = await plain(t, { uploadLocation });
      const wanted = blob('layer');
      assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    });
  }

  it('presents nothing at Google’s upload sessions, which are capabilities', async (t) => {
    const { to, one } = await google(t, { uploadBearer: 'refused' });
    const wanted = blob('layer');
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    assert.deepEqual(
      to.counter.records.map(({ headers }) => headers.authorization),
      [`Bearer ${ACCESS_TOKEN}`, undefined],
    );
  });

  it('presents its authorization there after that was refused', async (t) => {
    const server = await serve(t, (request, response) => {
      request.resume().on('end', () => {
        if (request.headers.authorization === undefined) response.writeHead(401).end();
        else if (request.method === 'POST')
          response.writeHead(202, { location: '/artifacts-uploads/x' }).end();
        else response.writeHead(201).end();
      });
    });
    const one = at(open(t, [server.host], { google: [server.host] }), server.host);
    const wanted = blob('layer');
    await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'UNAUTHORIZED');
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    assert.equal(server.seen.length, 4);
  });

  it('sends bytes to another https host without credentials, and to no other', async (t) => {
    const server = await serve(t, (request, response) => {
      request
        .resume()
        .on('end', () => response.writeHead(202, { location: 'http://127.0.0.2:1/x' }).end());
    });
    const one = at(open(t, [server.host]), server.host);
    await rejection(one.uploadBlob(blob('layer'), UNOPENED, {}, NEVER), 'REDIRECT_REFUSED');
  });

  it('guard put-blob-digest: notices that the registry stored something else', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      method: 'PUT',
      effect: { kind: 'digest', digest: digestOf(Buffer.from('other')) },
    });
    const wanted = blob('layer');
    await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'DIGEST_MISMATCH');
  });

  it('guard empty-upload: checks an empty blob before anything is asked', async (t) => {
    const { to, one } = await plain(t);
    await rejection(
      one.uploadBlob({ ...blob('layer'), sizeBytes: 0 }, UNOPENED, {}, NEVER),
      'DIGEST_MISMATCH',
    );
    assert.equal(to.counter.total, 0);
    assert.equal(await one.uploadBlob(blob(''), UNOPENED, {}, NEVER), 'uploaded');
    assert.equal(to.counter.records.at(-1)?.headers['content-length'], '0');
  });

  it('breaks off when its bytes do, and says whose fault it was', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer', 300);
    async function* broken(): AsyncGenerator<Buffer> {
      yield wanted.content.subarray(0, 100);
      await Promise.resolve();
      throw new MirrorError('DIGEST_MISMATCH', 'wrong', {
        side: 'source',
        operation: 'get blob',
        url: 'https://s/',
      });
    }
    const fault = await rejection(
      one.uploadBlob(wanted, () => Promise.resolve(Readable.from(broken())), {}, NEVER),
      'DIGEST_MISMATCH',
    );
    assert.equal(fault.side, 'source');
    assert.equal(to.store.blob('p/r/app', wanted.digest), undefined);
  });

  it('passes on what opening the bytes throws, with nothing held', async (t) => {
    const { one } = await plain(t);
    const missing = new MirrorError('SOURCE_INCOMPLETE', 'lacks it', { side: 'source' });
    for (let times = 0; times < 40; times++) {
      await assert.rejects(
        one.uploadBlob(blob('layer'), () => Promise.reject(missing), {}, NEVER),
        missing,
      );
    }
  });

  it('looks by HEAD for a blob whose answer was lost', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({ method: 'PUT', effect: { kind: 'reset', at: 'commit' } });
    const wanted = blob('layer');
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
    assert.deepEqual(to.counter.count({ method: 'HEAD', status: 200 }), 1);
    to.counter.reset();
    to.faults.add({
      method: 'PUT',
      effect: { kind: 'reset', at: 'request-body', afterBytes: 100 },
    });
    const other = blob('other', 200_000);
    await rejection(one.uploadBlob(other, opening(other).open, {}, NEVER), 'NETWORK');
    assert.equal(to.counter.count({ method: 'PUT' }), 1);
  });

  it('does not send a stream twice', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({
      method: 'PUT',
      effect: { kind: 'answer', status: 503, afterRequestBytes: Infinity },
    });
    const wanted = blob('layer');
    const { open: source, opened } = opening(wanted);
    await rejection(one.uploadBlob(wanted, source, {}, NEVER), 'SERVER_ERROR');
    assert.deepEqual([opened(), to.counter.count({ method: 'PUT' })], [1, 1]);
  });

  const refusals = [
    [400, 'DIGEST_INVALID', 'DIGEST_MISMATCH'],
    [400, 'SIZE_INVALID', 'SIZE_MISMATCH'],
    [404, 'BLOB_UPLOAD_UNKNOWN', 'SERVER_ERROR'],
    [416, 'BLOB_UPLOAD_INVALID', 'SERVER_ERROR'],
    [413, 'UNSUPPORTED', 'REQUEST_REFUSED'],
    [403, 'DENIED', 'FORBIDDEN'],
  ] as const;
  for (const [status, code, expected] of refusals) {
    it(`takes ${status} ${code} at the PUT as ${expected}`, async (t) => {
      const { to, one } = await plain(t);
      to.faults.add({
        method: 'PUT',
        effect: {
          kind: 'answer',
          status,
          errors: [{ code, message: 'no' }],
          afterRequestBytes: Infinity,
        },
      });
      const wanted = blob('layer');
      await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), expected);
    });
  }

  it('takes the page of a sign-in in place of an answer for no upload', async (t) => {
    const front = await serve(t, (request, response) => {
      request.resume().on('end', () => {
        if (request.method === 'POST')
          response.writeHead(202, { location: '/v2/p/r/app/blobs/uploads/1' }).end();
        else if (request.method === 'HEAD') response.writeHead(404).end();
        else response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Sign in</h1>');
      });
    });
    const wanted = blob('layer');
    const one = at(open(t, [front.host]), front.host);
    await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'RESPONSE_INVALID');
  });

  it('ends an upload that is refused before its end, also where the rest is never read', async (t) => {
    const { to, one } = await plain(t);
    const wanted = blob('large', 3 * 1024 * 1024);
    for (const unread of ['drain', 'hold'] as const) {
      to.faults.add({
        method: 'PUT',
        effect: { kind: 'answer', status: 413, afterRequestBytes: 10_000, unread },
      });
      await rejection(one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'REQUEST_REFUSED');
    }
  });

  it('uses a token for the next upload that replaced one which ended on the way', async (t) => {
    const to = await registry(t, { auth: { scheme: 'bearer', allows: () => true } });
    const one = at(open(t, [to.host]), to.host);
    const wanted = blob('layer', 300);
    const late: OpenBlob = async () => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      to.revokeTokens();
      return Readable.from([wanted.content]);
    };
    await rejection(one.uploadBlob(wanted, late, {}, NEVER), 'UNAUTHORIZED');
    assert.equal(await one.uploadBlob(wanted, opening(wanted).open, {}, NEVER), 'uploaded');
  });

  it('lists, heads, reads and writes manifests, and knows its host', async (t) => {
    const { to, one } = await google(t);
    assert.deepEqual([one.name, one.host, one.google], [`${to.host}/p/r/app`, to.host, true]);
    const bytes = Buffer.from('{"schemaVersion":2,"manifests":[]}');
    const manifest = {
      mediaType: 'application/vnd.oci.image.index.v1+json',
      digest: digestOf(bytes),
      bytes,
    };
    await one.putManifest('v1', manifest, NEVER);
    assert.equal((await one.headManifest('v1', NEVER))?.digest, manifest.digest);
    assert.deepEqual(await one.getManifest(manifest.digest, NEVER), manifest);
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
    assert.equal(await one.hasBlob(blob('x'), NEVER), false);
    to.store.putBlob('p/r/app', blob('x').content);
    assert.equal(await one.hasBlob(blob('x'), NEVER), true);
  });

  it('looks for minutes for a blob that takes long to commit, before a byte is sent again', async (t) => {
    // A second of this time is ten milliseconds.
    const fast = {
      now: () => Date.now() * 100,
      setTimer(delayMs: number, action: () => void): () => void {
        const timer = setTimeout(action, delayMs / 100);
        return () => {
          clearTimeout(timer);
        };
      },
    };
    const bytes = blob('slow', 1000);
    for (const lateAnswer of ['silence', '504'] as const) {
      let looks = 0;
      let puts = 0;
      const server = await serve(t, (request, response) => {
        request.resume();
        if (request.method === 'HEAD') response.writeHead(++looks < 4 ? 404 : 200).end();
        else if (request.method === 'POST')
          response.writeHead(202, { location: '/v2/upload' }).end();
        else {
          puts += 1;
          if (lateAnswer === '504') setTimeout(() => response.writeHead(504).end(), 150);
        }
      });
      const registries = open(t, [server.host], { timing: fast, idleMs: 300 });
      const { open: opened } = opening(bytes);
      const arrival = await at(registries, server.host).uploadBlob(bytes, opened, {}, NEVER);
      assert.equal(arrival, 'uploaded', lateAnswer);
      assert.deepEqual([puts, looks], [1, 4], lateAnswer);
    }
  });

  it('sends no manifest again, over a new connection either, that may not start any more', async (t) => {
    const { digest, content } = blob('{}');
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const server = await serve(t, (request, response) => {
      if (request.method === 'HEAD') {
        const length = String(content.length);
        response
          .writeHead(200, { 'docker-content-digest': digest, 'content-length': length })
          .end();
      } else request.socket.resetAndDestroy();
    });
    const one = at(open(t, [server.host]), server.host);
    await one.headManifest('v1', NEVER);
    let mayStart = true;
    const pushed = one.putManifest('v1', { mediaType, digest, bytes: content }, NEVER, () => {
      const may = mayStart;
      mayStart = false;
      return may;
    });
    await rejection(pushed, 'ABORTED');
    assert.equal(server.connections(), 1);
    assert.equal(server.seen.filter(({ method }) => method === 'PUT').length, 1);
  });
});
