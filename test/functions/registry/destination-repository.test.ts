import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { SYSTEM_TIMING } from '../../../functions/concurrency.ts';
import { MirrorError } from '../../../functions/errors.ts';
import type { DestinationRepository, OpenBlob } from '../../../functions/mirror/ports.ts';
import { digestOf } from '../../../functions/oci/digest.ts';
import type { Registries } from '../../../functions/registry/registries.ts';
import type { LocalRegistry } from '../../stand-ins/registry/registry.ts';
import { bytesOf as contentOf } from '../../stand-ins/registry/content.ts';
import { rejection as anyRejection } from '../../faults.ts';
import {
  ACCESS_TOKEN,
  answering,
  artifactRegistry,
  credentials,
  destinationAt,
  destinationOf,
  INDEX,
  NEVER,
  open,
  registry,
  rejection,
  serve,
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

type Arrival = ReturnType<DestinationRepository['uploadBlob']>;
type UploadOptions = Parameters<DestinationRepository['uploadBlob']>[2];

/** Uploads a blob, whose bytes are opened once at most. */
async function send(
  one: DestinationRepository,
  wanted: Bytes,
  options: UploadOptions = {},
): Arrival {
  const { open: source, opened } = opening(wanted);
  const arrival = await one.uploadBlob(wanted, source, options, NEVER);
  assert.equal(opened(), arrival === 'uploaded' && wanted.sizeBytes > 0 ? 1 : 0);
  return arrival;
}

/** Asks for an upload that needs no bytes. */
function ask(one: DestinationRepository, wanted: Bytes, options: UploadOptions = {}): Arrival {
  return one.uploadBlob(wanted, UNOPENED, options, NEVER);
}

type Switches = Partial<LocalRegistry['switches']>;

interface Setting {
  readonly to: LocalRegistry;
  readonly registries: Registries;
  readonly one: DestinationRepository;
}

async function google(t: TestContext, switches: Switches = {}): Promise<Setting> {
  const to = await artifactRegistry(t, switches);
  const registries = open(t, [to.host], { google: [to.host] });
  return { to, registries, one: destinationOf(registries, to.host, 'p/r/app') };
}

async function plain(t: TestContext, switches: Switches = {}): Promise<Setting> {
  const to = await registry(t, { switches });
  const registries = open(t, [to.host]);
  return { to, registries, one: destinationOf(registries, to.host, 'p/r/app') };
}

/** As {@link plain}, with a clock that can be put forward. */
async function plainWithClock(
  t: TestContext,
  idleMs?: number,
): Promise<Pick<Setting, 'to' | 'one'> & { readonly pass: (ms: number) => void }> {
  const to = await registry(t);
  let passedMs = 0;
  const timing = { ...SYSTEM_TIMING, now: () => SYSTEM_TIMING.now() + passedMs };
  const one = destinationOf(open(t, [to.host], { timing, idleMs }), to.host, 'p/r/app');
  return { to, one, pass: (ms) => (passedMs += ms) };
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
      const source = (): Promise<Readable> => Promise.resolve(new Readable({ read }));
      await anyRejection(one.uploadBlob(blob('layer', LARGE), source, {}, NEVER), code);
      assert.equal(to.counter.count({ status: 201 }), 0);
    });
  }

  it('uploads nothing of a source that had ended before it was asked', async (t) => {
    const { one } = await google(t);
    for (const [fault, code] of [
      [undefined, 'ABORTED'],
      [new MirrorError('TIMEOUT', 'x'), 'TIMEOUT'],
    ] as const) {
      const stream = new Readable({ read: () => undefined }).on('error', () => undefined);
      const closed = once(stream.destroy(fault), 'close').catch(() => undefined);
      const source = async (): Promise<Readable> => {
        await closed;
        return stream;
      };
      await anyRejection(one.uploadBlob(blob('layer', LARGE), source, {}, NEVER), code);
    }
  });

  it('uploads a blob by one POST and one PUT, with its length', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer', 300);
    let told = 0;
    const arrival = await send(one, wanted, { onBytes: (count) => (told += count) });
    assert.deepEqual([arrival, told], ['uploaded', 300]);
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
    assert.equal(await ask(one, wanted), 'present');
    assert.deepEqual(to.counter.summary, { 'POST upload 201': 1 });
  });

  it('asks a HEAD more for large blobs, until the mount has proven itself on the host', async (t) => {
    const { to, registries, one } = await google(t);
    const large = blob('large', LARGE);
    const other = blob('other', LARGE);
    await send(one, large);
    assert.deepEqual(to.counter.summary, {
      'POST upload 202': 1,
      'HEAD blob 404': 1,
      'PUT upload 201': 1,
    });
    assert.equal(await ask(one, large), 'present');
    to.counter.reset();
    await send(destinationOf(registries, to.host, 'p/r/second'), other);
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
  });

  it('believes a HEAD that says that a large blob is there', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'ignored' });
    const large = blob('large', LARGE);
    to.store.putBlob('p/r/app', large.content);
    assert.equal(await ask(one, large), 'present');
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'HEAD blob 200': 1 });
    assert.equal(await ask(one, large), 'present');
    assert.equal(to.counter.count({ method: 'HEAD' }), 2);
  });

  it('mounts from the repository itself elsewhere, which proves the probe', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'honoured' });
    const wanted = blob('layer');
    to.store.putBlob('p/r/app', wanted.content);
    assert.equal(await ask(one, wanted), 'present');
    assert.match(to.counter.records[0]?.url ?? '', /&from=p%2Fr%2Fapp$/);
    assert.equal(await ask(one, wanted, { mountFrom: { path: 'p/r/app' } }), 'present');
    to.counter.reset();
    const large = blob('large', LARGE);
    await send(one, large);
    assert.equal(to.counter.count({ method: 'HEAD' }), 0);
  });

  it('mounts from another repository, which proves nothing', async (t) => {
    const { to, one } = await plain(t);
    const wanted = blob('layer');
    to.store.putBlob('p/r/other', wanted.content);
    assert.equal(await ask(one, wanted, { mountFrom: { path: 'p/r/other' } }), 'mounted');
    assert.notEqual(to.store.blob('p/r/app', wanted.digest), undefined);
    to.counter.reset();
    const large = blob('large', LARGE);
    await send(one, large);
    assert.equal(to.counter.count({ method: 'HEAD' }), 1);
  });

  it('asks for the right to read where it mounts from', async (t) => {
    const to = await registry(t, { auth: { scheme: 'bearer', allows: () => true } });
    const wanted = blob('layer');
    to.store.putBlob('p/r/other', wanted.content);
    const one = destinationAt(t, to.host);
    assert.equal(await ask(one, wanted, { mountFrom: { path: 'p/r/other' } }), 'mounted');
    assert.deepEqual(to.counter.summary, {
      'POST upload 401': 1,
      'GET token 200': 1,
      'POST upload 201': 1,
    });
  });

  it('uploads plainly where a mount is refused, and asks for no more mounts there', async (t) => {
    const { to, one } = await plain(t);
    to.faults.add({ path: /mount=/, times: Infinity, effect: answering(400, 'NAME_INVALID') });
    // One that is large enough for a HEAD gets one, whatever a mount of it is answered.
    for (const wanted of [blob('one', LARGE), blob('two'), blob('three', LARGE)]) {
      assert.equal(await send(one, wanted), 'uploaded');
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
      to.faults.add({ path, times: Infinity, effect: answering(403, 'DENIED') });
    };
    const closed = destinationOf(registries, to.host, 'p/closed/app');
    denied(/mount=/);
    assert.equal(await send(closed, blob('one')), 'uploaded');
    denied(/closed/);
    await rejection(send(closed, blob('two')), 'FORBIDDEN');
    to.counter.reset();
    assert.equal(await send(one, blob('one')), 'uploaded');
    assert.equal(await send(one, blob('two')), 'uploaded');
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
        effect: answering(status, 'DENIED'),
      });
      const options = { mountFrom: { path: 'p/r/closed' } };
      for (const text of ['one', 'two'])
        assert.equal(await send(one, blob(text), options), 'uploaded');
      assert.deepEqual(
        [to.counter.count({ path: /from=p%2Fr%2Fclosed/ }), to.counter.count({ method: 'POST' })],
        [1, 3],
      );
      const other = blob('three');
      to.store.putBlob('p/r/other', other.content);
      assert.equal(await ask(one, other, { mountFrom: { path: 'p/r/other' } }), 'mounted');
    });
  }

  it('uploads where a registry fails at a mount, and asks for none between the two for ten minutes', async (t) => {
    const { to, one, pass } = await plainWithClock(t);
    to.faults.add({ path: /from=p%2Fr%2Fdev/, times: 4, effect: answering(500, 'UNKNOWN') });
    const options = { mountFrom: { path: 'p/r/dev' } };
    const next = blob('next');
    to.store.putBlob('p/r/dev', next.content);
    for (const text of ['one', 'two'])
      assert.equal(await send(one, blob(text), options), 'uploaded');
    assert.equal(to.counter.count({ path: /from=p%2Fr%2Fdev/ }), 4);
    const other = blob('other');
    to.store.putBlob('p/r/other', other.content);
    assert.equal(await ask(one, other, { mountFrom: { path: 'p/r/other' } }), 'mounted');
    pass(10 * 60_000);
    assert.equal(await ask(one, next, options), 'mounted');
  });

  it('waits once for a registry that says nothing to a mount, and only for those that were asked', async (t) => {
    const to = await registry(t);
    const one = destinationOf(open(t, [to.host], { idleMs: 3000 }), to.host, 'p/r/app');
    to.faults.add({
      path: /from=p%2Fr%2Fdev/,
      times: Infinity,
      effect: { kind: 'stall', at: 'head' },
    });
    const options = { mountFrom: { path: 'p/r/dev' } };
    const blobs = Array.from({ length: 60 }, (_none, index) => blob(`blob ${index}`));
    const arrivals = await Promise.all(blobs.map(async (each) => send(one, each, options)));
    assert.deepEqual(new Set(arrivals), new Set(['uploaded']));
    const asked = to.counter.count({ path: /from=p%2Fr%2Fdev/ });
    assert.ok(asked < blobs.length, `${asked} mounts`);
    assert.equal(to.counter.count({ method: 'POST' }), asked + blobs.length);
  });

  for (const blobs of [1, 2, 3, 4]) {
    it(`asks for mounts again after uploads of ${blobs} blobs at once were refused altogether`, async (t) => {
      const to = await registry(t);
      const one = destinationOf(open(t, [to.host]), to.host, 'p/r/app');
      const refusal = { times: Infinity, effect: answering(404, 'NAME_UNKNOWN') };
      const outage = to.faults.add({ method: 'POST', ...refusal });
      const options = { mountFrom: { path: 'p/r/dev' } };
      const wanted = Array.from({ length: blobs }, (_none, index) => blob(`blob ${index}`));
      for (const { content } of wanted) to.store.putBlob('p/r/dev', content);
      const refused = await Promise.allSettled(wanted.map(async (each) => ask(one, each, options)));
      assert.ok(refused.every(({ status }) => status === 'rejected'));
      outage.remove();
      for (const each of wanted) assert.equal(await ask(one, each, options), 'mounted');
    });
  }

  it('asks by HEAD whether a large blob is there where no mount says so, on a host known to mount too', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'honoured' });
    const [known, there] = [blob('known'), blob('there', LARGE)];
    for (const { content } of [known, there]) to.store.putBlob('p/r/app', content);
    assert.equal(await ask(one, known), 'present');
    to.faults.add({ path: /from=p%2Fr%2Fdev/, effect: answering(405, 'UNSUPPORTED') });
    const options = { mountFrom: { path: 'p/r/dev' } };
    to.counter.reset();
    for (let times = 0; times < 2; times += 1)
      assert.equal(await ask(one, there, options), 'present');
    assert.deepEqual(to.counter.summary, { 'POST upload 405': 1, 'HEAD blob 200': 2 });
  });

  it('asks by HEAD whether a large blob is there that another repository does not have to mount', async (t) => {
    const { to, one } = await plain(t, { mountFrom: 'honoured' });
    const [known, there] = [blob('known'), blob('there', LARGE)];
    for (const { content } of [known, there]) to.store.putBlob('p/r/app', content);
    assert.equal(await ask(one, known), 'present');
    assert.equal(await ask(one, there, { mountFrom: { path: 'p/r/dev' } }), 'present');
  });

  it('waits for a host that is silent to mounts once, and not for each of its repositories', async (t) => {
    const to = await registry(t);
    const registries = open(t, [to.host], { idleMs: 1000 });
    to.faults.add({ path: /mount=/, times: Infinity, effect: { kind: 'stall', at: 'head' } });
    const repositories = Array.from({ length: 32 }, (_none, index) => `p/r/app-${index}`);
    const arrivals = await Promise.all(
      repositories.map(async (path) =>
        send(destinationOf(registries, to.host, path), blob('layer')),
      ),
    );
    assert.deepEqual(new Set(arrivals), new Set(['uploaded']));
    // Those that were asked before the first silence was over.
    const asked = to.counter.count({ path: /mount=/ });
    assert.ok(asked <= repositories.length / 2, `${asked} mounts`);
  });

  it('learns of the host only what a plain upload has confirmed', async (t) => {
    const to = await registry(t, { switches: { mountFrom: 'honoured' } });
    const registries = open(t, [to.host], { idleMs: 500 });
    const one = destinationOf(registries, to.host, 'p/r/app');
    const closed = destinationOf(registries, to.host, 'p/closed/app');
    const there = blob('there');
    to.store.putBlob('p/r/app', there.content);
    const more = { method: 'POST', times: Infinity };
    to.faults.add({ ...more, path: /closed.*mount=/, effect: answering(404, 'NAME_UNKNOWN') });
    const plainly = to.faults.add({
      ...more,
      path: /closed/,
      effect: { kind: 'stall', at: 'head' },
    });
    const refused = rejection(ask(closed, blob('wanted')), 'TIMEOUT');
    while (plainly.struck === 0) await pause(10);
    assert.equal(await ask(one, there), 'present');
    await refused;
  });

  it('asks for mounts again after a refusal that nothing has confirmed', async (t) => {
    const { to, one, pass } = await plainWithClock(t);
    to.faults.add({ path: /mount=/, effect: answering(405, 'UNSUPPORTED') });
    const plainly = to.faults.add({ method: 'POST', effect: { kind: 'stall', at: 'head' } });
    const wanted = blob('wanted');
    to.store.putBlob('p/r/dev', wanted.content);
    const options = { mountFrom: { path: 'p/r/dev' } };
    const deadline = new AbortController();
    const cut = rejection(one.uploadBlob(wanted, UNOPENED, options, deadline.signal), 'ABORTED');
    while (plainly.struck === 0) await pause(10);
    deadline.abort();
    await cut;
    pass(10 * 60_000);
    assert.equal(await ask(one, wanted, options), 'mounted');
  });

  for (const [what, status, location] of [
    ['200', 200, undefined],
    ['204', 204, undefined],
    ['202 without an address', 202, undefined],
    ['a redirect elsewhere', 307, 'https://other.example.com/'],
  ] as const) {
    it(`uploads where a mount is answered ${what}`, async (t) => {
      const to = await registry(t);
      const one = destinationAt(t, to.host);
      const headers = location === undefined ? {} : { location };
      const effect = answering(status, undefined, { headers });
      to.faults.add({ path: /mount=/, times: Infinity, effect });
      for (const options of [{}, { mountFrom: { path: 'p/r/dev' } }]) {
        assert.equal(await send(one, blob(JSON.stringify(options)), options), 'uploaded');
      }
    });
  }

  it('sends a large blob whose HEAD fails or is not answered, and a small one whose POST is not', async (t) => {
    const to = await registry(t, { switches: { singlePost: 'honoured' } });
    const one = destinationOf(open(t, [to.host], { idleMs: 500 }), to.host, 'p/r/app');
    to.faults.add({ path: /mount=/, effect: answering(400, 'NAME_INVALID') });
    to.faults.add({ method: 'HEAD', times: 4, effect: answering(500) });
    assert.equal(await send(one, blob('large', LARGE)), 'uploaded');
    to.faults.add({ method: 'HEAD', effect: { kind: 'stall', at: 'head' } });
    assert.equal(await send(one, blob('another', LARGE)), 'uploaded');
    to.faults.add({ path: /uploads\/\?digest=/, effect: { kind: 'stall', at: 'head' } });
    assert.equal(await send(one, blob('small')), 'uploaded');
  });

  it('mounts on the host itself after the silence of a mount from another registry', async (t) => {
    const to = await artifactRegistry(t);
    const one = destinationOf(
      open(t, [to.host], { idleMs: 500, google: [to.host] }),
      to.host,
      'p/r/app',
    );
    to.faults.add({ path: /origin=/, times: 2, effect: { kind: 'stall', at: 'head' } });
    const origin = 'us-docker.pkg.dev';
    const far = { mountFrom: { path: 'p/dev/app', origin } };
    assert.equal(await send(one, blob('far'), far), 'uploaded');
    const wanted = blob('near');
    to.store.putBlob('p/r/dev', wanted.content);
    assert.equal(await ask(one, wanted, { mountFrom: { path: 'p/r/dev' } }), 'mounted');
    to.counter.reset();
    assert.equal(await send(one, blob('next'), far), 'uploaded');
    assert.equal(to.counter.count({ path: /origin=/ }), 0);
  });

  it('waits for the silence of one pair of repositories, and not for that of each', async (t) => {
    const { to, one, pass } = await plainWithClock(t, 500);
    to.faults.add({ path: /from=/, effect: { kind: 'stall', at: 'head' } });
    assert.equal(await send(one, blob('first'), { mountFrom: { path: 'p/r/dev' } }), 'uploaded');
    const wanted = blob('next');
    to.store.putBlob('p/r/other', wanted.content);
    const options = { mountFrom: { path: 'p/r/other' } };
    assert.equal(await send(one, wanted, options), 'uploaded');
    assert.equal(to.counter.count({ path: /from=p%2Fr%2F(?:dev|other)/ }), 1);
    pass(10 * 60_000);
    to.store.putBlob('p/r/other', blob('last').content);
    assert.equal(await ask(one, blob('last'), options), 'mounted');
  });

  it('uploads where a registry fails at a mount from the repository itself, and asks for none for ten minutes', async (t) => {
    const { to, one, pass } = await plainWithClock(t);
    to.faults.add({ path: /mount=/, times: 4, effect: answering(500, 'UNKNOWN') });
    for (const text of ['one', 'two']) assert.equal(await send(one, blob(text)), 'uploaded');
    assert.equal(to.counter.count({ path: /mount=/, method: 'POST' }), 4);
    pass(10 * 60_000);
    assert.equal(await send(one, blob('three')), 'uploaded');
    assert.equal(to.counter.count({ path: /mount=/, method: 'POST' }), 5);
  });

  it('uploads where a registry fails at mounts that are known to work, and then asks by HEAD whether a large blob is there', async (t) => {
    const { to, one, pass } = await plainWithClock(t);
    const there = blob('there', LARGE);
    to.store.putBlob('p/r/app', there.content);
    assert.equal(await ask(one, there), 'present');
    to.faults.add({ path: /mount=/, times: 4, effect: answering(500) });
    assert.equal(await send(one, blob('wanted')), 'uploaded');
    to.counter.reset();
    assert.equal(await ask(one, there), 'present');
    assert.deepEqual(to.counter.summary, { 'HEAD blob 200': 1 });
    pass(10 * 60_000);
    assert.equal(await ask(one, blob('wanted')), 'present');
  });

  it('uploads where the realm refuses the right to read what is mounted', async (t) => {
    const to = await registry(t, {
      auth: { scheme: 'bearer', allows: (_user, repository) => repository !== 'p/r/closed' },
    });
    const one = destinationAt(t, to.host);
    const options = { mountFrom: { path: 'p/r/closed' } };
    for (const text of ['one', 'two'])
      assert.equal(await send(one, blob(text), options), 'uploaded');
    // Without a token, and with one that lacks the right.
    assert.equal(to.counter.count({ path: /closed/, method: 'POST' }), 2);
  });

  it('names the other registry where it mounts from another of Google’s', async (t) => {
    const { to, one } = await google(t);
    const wanted = blob('layer');
    to.store.putBlob('p/dev/app', wanted.content);
    const options = { mountFrom: { path: 'p/dev/app', origin: 'us-docker.pkg.dev' } };
    assert.equal(await send(one, wanted, options), 'uploaded');
    assert.match(
      to.counter.records[0]?.url ?? '',
      /\?mount=sha256:[0-9a-f]{64}&from=p%2Fdev%2Fapp&origin=us-docker\.pkg\.dev$/,
    );
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
    to.counter.reset();
    await send(one, blob('other'), { mountFrom: { path: 'p/r/app', origin: 'us-docker.pkg.dev' } });
    assert.match(to.counter.records[0]?.url ?? '', /&from=p%2Fr%2Fapp&origin=us-docker\.pkg\.dev$/);
  });

  describe('a small blob where no mount is asked for', () => {
    const SINGLE_POST = /uploads\/\?digest=/;

    /** A registry that has refused to be asked for mounts. */
    async function mountless(
      t: TestContext,
      switches: Switches,
      options: Parameters<typeof registry>[1] = {},
    ): Promise<{ readonly to: LocalRegistry; readonly one: DestinationRepository }> {
      const to = await registry(t, { ...options, switches });
      to.faults.add({ path: /mount=/, times: Infinity, effect: answering(400, 'NAME_INVALID') });
      const one = destinationAt(t, to.host);
      assert.equal(await send(one, blob('first')), 'uploaded');
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
        let told = 0;
        const onBytes = (count: number): unknown => (told += count);
        assert.equal(await send(one, wanted, { onBytes }), 'uploaded');
        assert.equal(told, sizeBytes);
        const { headers } = to.counter.records.at(-1) ?? {};
        assert.deepEqual(
          [headers?.['content-length'], headers?.['content-type']],
          [String(sizeBytes), 'application/octet-stream'],
        );
        const stored = to.store.blob('org/app', wanted.digest);
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
        await send(one, wanted, options);
      }
      assert.equal(to.counter.count({ path: SINGLE_POST, method: 'POST' }), 0);
      assert.deepEqual(to.counter.summary, { 'POST upload 202': 3, 'PUT upload 201': 3 });
    });

    it('goes on in the session of a registry that drops it, and the next one is not sent so', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'ignored', uploadLocation: 'query' });
      for (const text of ['one', 'two']) assert.equal(await send(one, blob(text)), 'uploaded');
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
          effect: answering(status, 'UNSUPPORTED'),
        });
        for (const text of ['one', 'two']) assert.equal(await send(one, blob(text)), 'uploaded');
        const { counter } = to;
        // A server error may pass, and is asked again.
        assert.equal(counter.count({ path: SINGLE_POST, method: 'POST' }), status === 500 ? 4 : 1);
        assert.equal(counter.count({ method: 'POST', status: 202 }), 2);
        assert.equal(counter.count({ method: 'PUT', status: 201 }), 2);
      });
    }

    it('goes plainly where another one was refused while it was read', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({ path: SINGLE_POST, times: Infinity, effect: answering(400, 'UNSUPPORTED') });
      const first = send(one, blob('one'));
      const late = blob('two');
      const source: OpenBlob = async (signal) => {
        await first;
        return opening(late).open(signal);
      };
      assert.equal(await one.uploadBlob(late, source, {}, NEVER), 'uploaded');
      assert.equal(to.counter.count({ path: SINGLE_POST, method: 'POST' }), 1);
    });

    it('waits as long as a throttling registry asks, and is sent so again', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      const effect = answering(429, undefined, { headers: { 'retry-after': '0' } });
      to.faults.add({ path: SINGLE_POST, effect });
      assert.equal(await send(one, blob('one')), 'uploaded');
      assert.deepEqual(to.counter.summary, { 'POST upload 429': 1, 'POST upload 201': 1 });
    });

    it('is sent again with a new token, from memory', async (t) => {
      const auth = { scheme: 'bearer', allows: () => true } as const;
      const { to, one } = await mountless(t, { singlePost: 'honoured' }, { auth });
      to.revokeTokens();
      assert.equal(await send(one, blob('one')), 'uploaded');
      assert.deepEqual(to.counter.summary, {
        'POST upload 401': 1,
        'GET token 200': 1,
        'POST upload 201': 1,
      });
    });

    it('is sent once more where its connection breaks', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({ path: SINGLE_POST, effect: { kind: 'reset', at: 'commit' } });
      assert.equal(await send(one, blob('one')), 'uploaded');
      assert.equal(to.counter.count({ method: 'POST', status: 201 }), 1);
      assert.equal(to.counter.count({ method: 'PUT' }), 0);
    });

    it('gives up with its credentials refused', async (t) => {
      const { to, one } = await mountless(t, { singlePost: 'honoured' });
      to.faults.add({ path: SINGLE_POST, times: Infinity, effect: answering(401, 'UNAUTHORIZED') });
      await rejection(send(one, blob('one')), 'UNAUTHORIZED');
    });

    for (const [what, effect] of [
      ['another digest', { kind: 'digest', digest: digestOf(Buffer.from('other')) }],
      ['202 without an address', answering(202)],
      ['307', answering(307, undefined, { headers: { location: 'https://other.example.com/' } })],
    ] as const) {
      it(`goes by POST and PUT where its POST is answered ${what}, and so from then on`, async (t) => {
        const { to, one } = await mountless(t, { singlePost: 'honoured' });
        to.faults.add({ path: SINGLE_POST, effect });
        for (const text of ['one', 'two']) assert.equal(await send(one, blob(text)), 'uploaded');
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
    to.faults.add({ method: 'POST', times: 2, effect: answering(404, 'NAME_UNKNOWN') });
    const wanted = blob('layer');
    const fault = await rejection(ask(one, wanted), 'NOT_FOUND');
    assert.deepEqual(
      [fault.side, fault.operation, fault.registryCodes],
      ['destination', 'start upload', ['NAME_UNKNOWN']],
    );
    await send(one, wanted);
    const posts = to.counter.records.filter(({ method }) => method === 'POST');
    assert.match(posts[2]?.url ?? '', /mount=/);
  });

  it('sends the bytes whatever a probe would say, where it is told to', async (t) => {
    const { to, one } = await google(t);
    // Large enough for a HEAD.
    const wanted = blob('layer', 4 * 1024 * 1024);
    to.store.putBlob('p/r/app', wanted.content);
    assert.equal(await send(one, wanted, { force: true }), 'uploaded');
    assert.deepEqual(to.counter.summary, { 'POST upload 202': 1, 'PUT upload 201': 1 });
  });

  for (const uploadLocation of ['relative', 'absolute', 'query'] as const) {
    it(`goes on where the registry says, byte for byte (${uploadLocation})`, async (t) => {
      const { one } = await plain(t, { uploadLocation });
      assert.equal(await send(one, blob('layer')), 'uploaded');
    });
  }

  it('presents nothing at Google’s upload sessions, which are capabilities', async (t) => {
    const { to, one } = await google(t, { uploadBearer: 'refused' });
    const effect = answering(503, undefined, { afterRequestBytes: Infinity });
    to.faults.add({ method: 'PUT', effect });
    await rejection(send(one, blob('lost')), 'SERVER_ERROR');
    to.counter.reset();
    assert.equal(await send(one, blob('layer')), 'uploaded');
    assert.deepEqual(
      to.counter.records.map(({ headers }) => headers.authorization),
      [`Bearer ${ACCESS_TOKEN}`, undefined],
    );
  });

  for (const [where, isGoogle, location, status] of [
    ['at Google’s API', true, '/v2/p/r/app/blobs/uploads/1', 201],
    ['at any session of another registry', false, '/uploads/1', 204],
    ['at the API of another registry', false, '/v2/p/r/app/blobs/uploads/1', 200],
  ] as const) {
    it(`presents its authorization ${where}, and takes ${status} for stored`, async (t) => {
      const server = await serve(t, ({ method }, response) => {
        if (method === 'POST') response.writeHead(202, { location }).end();
        else response.writeHead(status).end();
      });
      const token = { kind: 'registry', token: ACCESS_TOKEN } as const;
      const one = destinationAt(t, server.host, {
        google: isGoogle ? [server.host] : [],
        credentials: () => credentials({ [server.host]: token }),
      });
      assert.equal(await send(one, blob('layer')), 'uploaded');
      const presented = server.seen.map(({ authorization }) => authorization);
      assert.deepEqual(presented, [`Bearer ${ACCESS_TOKEN}`, `Bearer ${ACCESS_TOKEN}`]);
    });
  }

  it('presents its authorization there after that was refused', async (t) => {
    const server = await serve(t, (request, response) => {
      request.resume().on('end', () => {
        if (request.headers.authorization === undefined) response.writeHead(401).end();
        else if (request.method === 'POST')
          response.writeHead(202, { location: '/artifacts-uploads/x' }).end();
        else response.writeHead(201).end();
      });
    });
    const one = destinationAt(t, server.host, { google: [server.host] });
    const wanted = blob('layer');
    await rejection(send(one, wanted), 'UNAUTHORIZED');
    assert.equal(await send(one, wanted), 'uploaded');
    assert.equal(server.seen.length, 4);
  });

  it('sends bytes to another https host without credentials, and to no other', async (t) => {
    const server = await serve(t, (request, response) => {
      request
        .resume()
        .on('end', () => response.writeHead(202, { location: 'http://127.0.0.2:1/x' }).end());
    });
    const one = destinationAt(t, server.host);
    await rejection(ask(one, blob('layer')), 'REDIRECT_REFUSED');
  });

  it('guard put-blob-digest: notices that the registry stored something else', async (t) => {
    const { to, one } = await plain(t);
    const effect = { kind: 'digest', digest: digestOf(Buffer.from('other')) } as const;
    to.faults.add({ method: 'PUT', effect });
    await rejection(send(one, blob('layer')), 'DIGEST_MISMATCH');
  });

  it('guard empty-upload: checks an empty blob before anything is asked', async (t) => {
    const { to, one } = await plain(t);
    await rejection(
      one.uploadBlob({ ...blob('layer'), sizeBytes: 0 }, UNOPENED, {}, NEVER),
      'DIGEST_MISMATCH',
    );
    assert.equal(to.counter.total, 0);
    assert.equal(await ask(one, blob('')), 'uploaded');
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
    assert.equal(await send(one, blob('layer')), 'uploaded');
    assert.deepEqual(to.counter.count({ method: 'HEAD', status: 200 }), 1);
    to.counter.reset();
    to.faults.add({
      method: 'PUT',
      effect: { kind: 'reset', at: 'request-body', afterBytes: 100 },
    });
    await rejection(send(one, blob('other', 200_000)), 'NETWORK');
    assert.equal(to.counter.count({ method: 'PUT' }), 1);
  });

  it('does not send a stream twice', async (t) => {
    const { to, one } = await plain(t);
    const effect = answering(503, undefined, { afterRequestBytes: Infinity });
    to.faults.add({ method: 'PUT', effect });
    const wanted = blob('layer');
    const { open: source, opened } = opening(wanted);
    await rejection(one.uploadBlob(wanted, source, {}, NEVER), 'SERVER_ERROR');
    assert.deepEqual([opened(), to.counter.count({ method: 'PUT' })], [1, 1]);
  });

  const refusals = [
    [400, 'DIGEST_INVALID', 'DIGEST_MISMATCH'],
    [400, 'SIZE_INVALID', 'SIZE_MISMATCH'],
    [400, 'BLOB_UPLOAD_UNKNOWN', 'SERVER_ERROR'],
    [404, 'UNKNOWN', 'SERVER_ERROR'],
    [409, 'BLOB_UPLOAD_INVALID', 'SERVER_ERROR'],
    [416, 'BLOB_UPLOAD_INVALID', 'SERVER_ERROR'],
    [413, 'UNSUPPORTED', 'REQUEST_REFUSED'],
    [403, 'DENIED', 'FORBIDDEN'],
  ] as const;
  for (const [status, code, expected] of refusals) {
    it(`takes ${status} ${code} at the PUT as ${expected}`, async (t) => {
      const { to, one } = await plain(t);
      const effect = answering(status, code, { afterRequestBytes: Infinity });
      to.faults.add({ method: 'PUT', effect });
      await rejection(send(one, blob('layer')), expected);
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
    const one = destinationAt(t, front.host);
    await rejection(send(one, blob('layer')), 'RESPONSE_INVALID');
  });

  it('ends an upload that is refused before its end, also where the rest is never read', async (t) => {
    const { to, one } = await plain(t);
    const wanted = blob('large', 3 * 1024 * 1024);
    for (const unread of ['drain', 'hold'] as const) {
      const effect = answering(413, undefined, { afterRequestBytes: 10_000, unread });
      to.faults.add({ method: 'PUT', effect });
      // Half of the time after which a silent connection is given up: what is asked next does not wait
      // behind the bytes that nobody reads.
      const soon = AbortSignal.timeout(30_000);
      const { open } = opening(wanted);
      await rejection(one.uploadBlob(wanted, open, {}, soon), 'REQUEST_REFUSED');
      assert.equal(soon.aborted, false);
    }
  });

  it('uses a token for the next upload that replaced one which ended on the way', async (t) => {
    const to = await registry(t, { auth: { scheme: 'bearer', allows: () => true } });
    const one = destinationAt(t, to.host);
    const wanted = blob('layer', 300);
    const late: OpenBlob = async () => {
      await new Promise((resolve) => setTimeout(resolve, 2));
      to.revokeTokens();
      return Readable.from([wanted.content]);
    };
    await rejection(one.uploadBlob(wanted, late, {}, NEVER), 'UNAUTHORIZED');
    assert.equal(await send(one, wanted), 'uploaded');
  });

  it('lists, heads, reads and writes manifests, and knows its host', async (t) => {
    const { to, one } = await google(t);
    assert.deepEqual([one.name, one.host, one.google], [`${to.host}/p/r/app`, to.host, true]);
    await one.putManifest('v1', INDEX, NEVER);
    assert.equal((await one.headManifest('v1', NEVER))?.digest, INDEX.digest);
    assert.deepEqual(await one.getManifest(INDEX.digest, NEVER), INDEX);
    assert.deepEqual((await one.listTags(NEVER))?.tags, ['v1']);
    assert.equal(await one.hasBlob(blob('x'), NEVER), false);
    to.store.putBlob('p/r/app', blob('x').content);
    assert.equal(await one.hasBlob(blob('x'), NEVER), true);
  });

  it('looks for no blob where a page is or it has no right, nor under what is no digest', async (t) => {
    let status = 200;
    const server = await serve(t, (_request, response) => {
      response.writeHead(status, { 'content-type': 'text/html', 'content-length': '512' }).end();
    });
    const one = destinationAt(t, server.host);
    await rejection(one.hasBlob(blob('x'), NEVER), 'RESPONSE_INVALID');
    status = 403;
    const fault = await rejection(one.hasBlob(blob('x'), NEVER), 'FORBIDDEN');
    assert.equal(fault.operation, 'head blob');
    const digest = 'sha256:../../x';
    await rejection(one.hasBlob({ ...blob('x'), digest }, NEVER), 'DIGEST_INVALID');
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
      const arrival = await send(
        destinationAt(t, server.host, { timing: fast, idleMs: 3000 }),
        bytes,
      );
      assert.equal(arrival, 'uploaded', lateAnswer);
      assert.deepEqual([puts, looks], [1, 4], lateAnswer);
    }
  });

  it('sends no manifest again, over a new connection either, that may not start any more', async (t) => {
    const server = await serve(t, (request, response) => {
      if (request.method === 'HEAD') {
        const headers = { 'docker-content-digest': INDEX.digest, 'content-length': '1' };
        response.writeHead(200, headers).end();
      } else request.socket.resetAndDestroy();
    });
    const one = destinationAt(t, server.host);
    await one.headManifest('v1', NEVER);
    let mayStart = true;
    const pushed = one.putManifest('v1', INDEX, NEVER, () => {
      const may = mayStart;
      mayStart = false;
      return may;
    });
    await rejection(pushed, 'ABORTED');
    assert.equal(server.connections(), 1);
    assert.equal(server.seen.filter(({ method }) => method === 'PUT').length, 1);
  });
});
