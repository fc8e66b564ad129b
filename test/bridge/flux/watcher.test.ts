import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import type { ImageRepository } from '../../../bridge/flux/image-repository.ts';
import {
  watchImageRepositories,
  type RestartCause,
  type WatcherOptions,
  type WatchState,
} from '../../../bridge/flux/watcher.ts';
import { connectApiServer, type ApiServer } from '../../../bridge/kubernetes/api-server.ts';
import type { MirrorError } from '../../../functions/errors.ts';
import { createLogger } from '../../../functions/telemetry/logger.ts';
import { imageRepository, type Wanted } from '../objects.ts';
import {
  aWhile,
  eventually,
  quick,
  startStandIns,
  type Line,
  type StandIns,
} from '../stand-ins.ts';

/** A watcher whose handler writes down what it is told. */
class Watching {
  readonly told: string[] = [];
  readonly states: WatchState[] = [];
  readonly restarts: RestartCause[] = [];
  readonly lines: Line[] = [];
  readonly #controller = new AbortController();
  readonly #running: Promise<void>;
  readonly #apiServer: ApiServer;

  constructor(kubeconfig: string, options: Partial<WatcherOptions> = {}) {
    this.#apiServer = connectApiServer(kubeconfig);
    const tell = (what: string, object: ImageRepository): void => {
      this.told.push(`${what} ${object.name}:${object.scan?.revision ?? ''}`);
    };
    this.#running = watchImageRepositories(
      {
        apiServer: this.#apiServer,
        namespace: undefined,
        labelSelector: '',
        logger: createLogger({
          write: (line) => this.lines.push(JSON.parse(line) as Line),
        }),
        handler: {
          listed: (object) => {
            tell('listed', object);
          },
          synced: (uids) => this.told.push(`synced ${uids.size}`),
          changed: (object) => {
            tell('changed', object);
          },
          deleted: (uid) => this.told.push(`deleted ${uid}`),
        },
        onState: (state) => this.states.push(state),
        onRestart: (cause) => this.restarts.push(cause),
        backoff: quick,
        ...options,
      },
      this.#controller.signal,
    );
  }

  get state(): WatchState {
    return this.states.at(-1) ?? { phase: 'listing' };
  }

  /** Waits until it was told so, as often as named. */
  async until(what: string, times = 1): Promise<void> {
    await eventually(what, () => this.told.filter((told) => told === what).length >= times);
  }

  /** Waits until it waits for the API server; what for. */
  async waits(): Promise<MirrorError> {
    await eventually('it waits', () => this.state.phase === 'waiting');
    return this.state.phase === 'waiting' ? this.state.fault : assert.fail('it waits no more');
  }

  async stop(): Promise<void> {
    this.#controller.abort();
    await this.#running;
    this.#apiServer.close();
  }
}

/** An object with a version of its own. */
function versioned(object: ReturnType<typeof imageRepository>, resourceVersion: string): object {
  return { ...object, metadata: { ...object.metadata, resourceVersion } };
}

describe('watchImageRepositories', () => {
  let standIns: StandIns;
  let watching: Watching;
  const put = (name: string, wanted: Wanted = {}): unknown =>
    standIns.kubernetes.put(imageRepository(name, { revision: '1', ...wanted }));
  before(async () => {
    standIns = await startStandIns({ bookmarkIntervalMs: 50, namespaces: ['flux-system', 'team'] });
  });
  after(() => standIns.close());
  beforeEach(() => put('a'));
  afterEach(async () => {
    await watching.stop();
    await eventually('no watch is open', () => standIns.kubernetes.openWatches === 0);
    for (const name of ['a', 'b', 'c']) {
      if (standIns.kubernetes.get('flux-system', name) !== undefined) {
        standIns.kubernetes.remove('flux-system', name);
      }
    }
  });

  /** A watcher that has listed and whose watch is open. */
  async function watched(options: Partial<WatcherOptions> = {}): Promise<Watching> {
    watching = new Watching(standIns.kubeconfig, options);
    await eventually('the watch is open', () => standIns.kubernetes.openWatches === 1);
    return watching;
  }

  it('lists, then tells what is added, modified and deleted', async () => {
    await watched();
    put('b');
    put('b', { revision: '2' });
    await watching.until('changed b:2');
    standIns.kubernetes.remove('flux-system', 'b');
    await watching.until('deleted uid-of-flux-system-b');
    assert.deepEqual(watching.told, [
      'listed a:1',
      'synced 1',
      'changed b:1',
      'changed b:2',
      'deleted uid-of-flux-system-b',
    ]);
    assert.deepEqual(
      watching.states.map(({ phase }) => phase),
      ['listing', 'watching'],
    );
  });

  it('opens a closed watch where it ended, and misses nothing', async () => {
    await watched();
    for (const how of ['end', 'cut'] as const) {
      standIns.kubernetes.faults.dropWatches(how);
      put('b', { revision: how });
      await watching.until(`changed b:${how}`);
    }
    assert.equal(watching.told.filter((what) => what.startsWith('synced')).length, 1);
    assert.ok(watching.restarts.length >= 2);
    assert.ok(watching.restarts.every((cause) => cause === 'Closed' || cause === 'Failed'));
  });

  it('lists again when its version is too old', async () => {
    await watched();
    standIns.kubernetes.faults.expireWatches();
    await watching.until('synced 1', 2);
    assert.ok(watching.restarts.includes('Expired'));
    await eventually('the watch is open', () => standIns.kubernetes.openWatches === 1);
    put('b');
    await watching.until('changed b:1');
  });

  it('lists again when the watch is answered 410', async () => {
    await watched();
    standIns.kubernetes.faults.request({ verbs: ['watch'], answer: 410 });
    standIns.kubernetes.faults.dropWatches('end');
    await watching.until('synced 1', 2);
    assert.ok(watching.restarts.includes('Expired'));
  });

  it('notices a watch that is open and says nothing', async () => {
    await watched({ silenceMs: 4000 });
    put('b');
    await watching.until('changed b:1');
    // Bookmarks alone keep it open.
    await aWhile(5000);
    assert.deepEqual(watching.restarts, []);
    standIns.kubernetes.faults.silenceWatches();
    put('c');
    await watching.until('changed c:1');
    assert.deepEqual(watching.restarts, ['Silent']);
  });

  it('survives a restart of the API server, and lists where the history is gone', async () => {
    await watched();
    await standIns.kubernetes.faults.halt();
    await watching.waits();
    put('b', { revision: 'meanwhile' });
    await standIns.kubernetes.faults.resume('forget');
    await watching.until('listed b:meanwhile');
    put('c');
    await watching.until('changed c:1');
  });

  it('goes on after a restart that keeps the history, without a new list', async () => {
    await watched();
    await standIns.kubernetes.faults.halt();
    await watching.waits();
    put('b', { revision: 'meanwhile' });
    await standIns.kubernetes.faults.resume();
    await watching.until('changed b:meanwhile');
  });

  it('starts before the API server is there', async () => {
    await standIns.kubernetes.faults.halt();
    watching = new Watching(standIns.kubeconfig);
    await watching.waits();
    await standIns.kubernetes.faults.resume();
    await watching.until('synced 1');
  });

  for (const status of [429, 500, 503, 504]) {
    it(`tries again after a list and a watch that are answered ${status}`, async () => {
      const { faults } = standIns.kubernetes;
      faults.request({ verbs: ['list'], answer: status, times: 3 });
      faults.request({ verbs: ['watch'], answer: status, times: 2 });
      await watched();
      put('b');
      await watching.until('changed b:1');
    });
  }

  it('lists again after a line that is no event', async () => {
    await watched();
    standIns.kubernetes.faults.writeToWatches('{"type":"ADDED","obj\n');
    await watching.until('synced 1', 2);
    put('b');
    await watching.until('changed b:1');
  });

  it('waits for the CRD and says that it does', async () => {
    standIns.kubernetes.faults.setCrd(false);
    watching = new Watching(standIns.kubeconfig);
    const { code, message } = await watching.waits();
    assert.equal(code, 'NOT_FOUND');
    assert.match(message, /install the image-reflector-controller of Flux/);
    assert.equal(watching.restarts[0], 'Failed');
    standIns.kubernetes.faults.setCrd(true);
    await watching.until('synced 0');
    put('b');
    await eventually('b is told', () => watching.told.some((what) => what.endsWith('b:1')));
  });

  it('says what it may not do, and goes on when it may', async () => {
    const { kubernetes, folder } = standIns;
    const token = kubernetes.addUser({ name: 'bridge' });
    await kubernetes.kubeconfig(`${folder}/bridge`, token);
    watching = new Watching(`${folder}/bridge`);
    const fault = await watching.waits();
    assert.equal(fault.code, 'ACCESS_DENIED');
    assert.match(
      fault.message,
      /bridge.* list .*imagerepositories\.image\.toolkit\.fluxcd\.io|imagerepositories.*bridge/,
    );
    const rule = { apiGroups: ['image.toolkit.fluxcd.io'], resources: ['imagerepositories'] };
    kubernetes.addUser({ name: 'bridge', rules: [{ ...rule, verbs: ['list'] }] }, token);
    await watching.until('synced 1');
    await eventually('watching is denied', () =>
      watching.states.some(
        (each) => each.phase === 'waiting' && each.fault.message.includes(' watch '),
      ),
    );
    kubernetes.addUser({ name: 'bridge', rules: [{ ...rule, verbs: ['list', 'watch'] }] }, token);
    await eventually('the watch is open', () => kubernetes.openWatches === 1);
    put('b');
    await watching.until('changed b:1');
  });

  it('skips a malformed object with a line that names it, and goes on', async () => {
    const { kubernetes } = standIns;
    const malformed = imageRepository('b', { revision: '1' });
    (malformed['spec'] as { suspend?: unknown }).suspend = 'yes';
    kubernetes.put(malformed);
    await watched();
    assert.deepEqual(watching.told.slice(0, 2), ['listed a:1', 'synced 2']);
    kubernetes.put(malformed);
    put('c');
    await watching.until('changed c:1');
    const named = watching.lines.filter(
      (line) => line['name'] === 'b' && line['namespace'] === 'flux-system',
    );
    assert.equal(named.length, 2);
  });

  it('watches one namespace, and what its label selector selects', async () => {
    put('b', { labels: { shard: 'one' } });
    put('a', { namespace: 'team', labels: { shard: 'one' } });
    await watched({ namespace: 'flux-system', labelSelector: 'shard in (one, two)' });
    assert.deepEqual(watching.told, ['listed b:1', 'synced 1']);
    put('b', { labels: {} });
    await watching.until('deleted uid-of-flux-system-b');
    put('b', { labels: { shard: 'two' } });
    await watching.until('changed b:1');
    standIns.kubernetes.remove('team', 'a');
  });

  it('ends at once when it is aborted, while it waits, lists or watches', async () => {
    await watched();
    await watching.stop();
    assert.deepEqual(watching.restarts, []);
    standIns.kubernetes.faults.request({ verbs: ['list'], answer: 500 });
    watching = new Watching(standIns.kubeconfig, { backoff: { minMs: 60_000, maxMs: 60_000 } });
    await watching.waits();
    await watching.stop();
  });
});

/** What a server answers a list or a watch. */
type Answer = (response: ServerResponse) => void;

const EMPTY_LIST = JSON.stringify({ metadata: { resourceVersion: '1' }, items: [] });
const errorOf = (code: number): string =>
  JSON.stringify({ type: 'ERROR', object: { kind: 'Status', code, message: 'too old' } });
const EXPIRED = errorOf(410);
/** Longer than any test: what is waited for with it does not come. */
const NEVER = { minMs: 3_600_000, maxMs: 3_600_000, random: () => 0 } as const;

describe('watchImageRepositories, at a server of its own', () => {
  const requests: string[] = [];
  /** For how long each watch was asked for, s. */
  const seconds: number[] = [];
  let answers: { list: Answer; watch: Answer };
  let kubeconfig: string;
  let standIns: StandIns;
  let watching: Watching;
  const server = createServer((request, response) => {
    const verb = (request.url ?? '').includes('watch=1') ? 'watch' : 'list';
    requests.push(verb);
    const { searchParams } = new URL(request.url ?? '', 'http://x');
    if (verb === 'watch') seconds.push(Number(searchParams.get('timeoutSeconds')));
    answers[verb](response);
  });
  before(async () => {
    standIns = await startStandIns();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    kubeconfig = `${standIns.folder}/own-server`;
    await writeFile(
      kubeconfig,
      JSON.stringify({
        clusters: [{ name: 'c', cluster: { server: `http://127.0.0.1:${port}` } }],
        users: [{ name: 'u', user: {} }],
        contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
        'current-context': 'x',
      }),
    );
  });
  beforeEach(() => {
    requests.length = 0;
    answers = { list: (response) => response.end(EMPTY_LIST), watch: () => undefined };
  });
  afterEach(async () => {
    await watching.stop();
    // What it sent last may arrive after it has ended, and would count for the next test.
    const connections = promisify(server.getConnections.bind(server));
    await eventually('it is gone', async () => (await connections()) === 0);
  });
  after(async () => {
    server.close();
    server.closeAllConnections();
    await standIns.close();
  });
  const said = (words: string): Line | undefined =>
    watching.lines.find(({ message }) => String(message).includes(words));

  it('waits before it lists again where every watch is told 410, and says so', async () => {
    answers.watch = (response) => response.end(`${EXPIRED}\n`);
    watching = new Watching(kubeconfig, { backoff: NEVER });
    await eventually('it says so', () => said('listing anew') !== undefined);
    await aWhile();
    assert.deepEqual(requests, ['list', 'watch']);
    assert.equal(said('listing anew')?.['retrySeconds'], 3600);
    assert.deepEqual(watching.restarts, ['Expired']);
  });

  /** Waits of 0.1 s, 0.2 s and so on. */
  const growing = { minMs: 100, maxMs: 3_600_000, random: () => 0 } as const;
  for (const [what, answer] of [
    ['list is refused', { list: (response) => response.writeHead(500).end() }],
    ['watch is told 410', { watch: (response) => response.end(`${EXPIRED}\n`) }],
  ] as const satisfies readonly (readonly [string, Partial<typeof answers>])[]) {
    it(`waits longer each time that a ${what}`, async () => {
      Object.assign(answers, answer);
      watching = new Watching(kubeconfig, { backoff: growing });
      await eventually('three times', () => watching.lines.length >= 3);
      const waits = watching.lines.slice(0, 3).map((line) => line['retrySeconds']);
      assert.deepEqual(waits, [0.1, 0.2, 0.4]);
    });
  }

  it('waits no longer each time where watches end that have told of something', async () => {
    answers.watch = (response) => {
      const object = versioned(imageRepository('a', { revision: '1' }), '2');
      response.end(`${JSON.stringify({ type: 'MODIFIED', object })}\n`);
    };
    watching = new Watching(kubeconfig, { backoff: growing });
    // Minutes, if the waits grew.
    await watching.until('changed a:1', 12);
    assert.deepEqual(watching.lines, []);
  });

  it('lists anew after an error in the middle of a watch', async () => {
    answers.watch = (response) => {
      response.write(`${errorOf(500)}\n`);
    };
    watching = new Watching(kubeconfig);
    const fault = await watching.waits();
    assert.deepEqual([fault.code, fault.status], ['WATCH_FAILED', undefined]);
    await watching.until('synced 0', 2);
  });

  it('lists anew where no watch could be opened for longer than one may be silent', async () => {
    answers.watch = (response) => response.writeHead(503).end();
    watching = new Watching(kubeconfig, { silenceMs: 50 });
    await watching.until('synced 0', 3);
  });

  it('opens a watch at once that lived and was ended without a word', async () => {
    answers.watch = (response) => {
      response.flushHeaders();
      if (requests.length % 2 === 0) response.end();
      else response.destroy();
    };
    watching = new Watching(kubeconfig, { backoff: NEVER, livedMs: 0 });
    await eventually('ten watches', () => requests.length > 10);
    assert.equal(requests.filter((verb) => verb === 'list').length, 1);
    assert.ok(watching.states.every(({ phase }) => phase !== 'waiting'));
    assert.ok(
      seconds.every((asked) => asked >= 300 && asked <= 600),
      seconds.join(),
    );
  });

  it('waits before it opens one again that ended at once, and says so', async () => {
    answers.watch = (response) => response.end();
    watching = new Watching(kubeconfig, { backoff: NEVER });
    await eventually('it says so', () => said('ended at once') !== undefined);
    await aWhile();
    assert.deepEqual(requests, ['list', 'watch']);
  });

  for (const how of ['are held back', 'are ended']) {
    it(`lists what changed where watches open, say nothing and ${how}, and says so once`, async () => {
      let revision = '1';
      answers.list = (response) => {
        // Whatever is patched has another version.
        const items = [versioned(imageRepository('a', { revision }), revision)];
        response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items }));
      };
      const isHeldBack = how === 'are held back';
      let line = '';
      answers.watch = (response) => {
        response.flushHeaders();
        if (line !== '') response.write(line);
        else if (!isHeldBack) setTimeout(() => response.end(), 20);
      };
      watching = new Watching(kubeconfig, { silenceMs: isHeldBack ? 200 : 3000, livedMs: 0 });
      await watching.until('listed a:1');
      revision = '2';
      await watching.until('listed a:2');
      revision = '3';
      await watching.until('listed a:3');
      const warned = watching.lines.filter(({ message }) => String(message).includes('bookmark'));
      assert.equal(warned.length, 1);
      assert.equal(watching.state.phase, isHeldBack ? 'polling' : 'watching');
      const lists = requests.filter((verb) => verb === 'list').length;
      assert.ok(isHeldBack || requests.length > 2 * lists, 'a list for each end');
      const object = { kind: 'ImageRepository', metadata: { resourceVersion: '2' } };
      line = `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
      await eventually('it is heard', () => said('says something again') !== undefined);
      assert.equal(watching.state.phase, 'watching');
    });
  }

  it('watches an API server without bookmarks whose objects do not change', async () => {
    answers.list = (response) => {
      const items = [versioned(imageRepository('a', { revision: '1' }), '1')];
      const resourceVersion = String(requests.length);
      response.end(JSON.stringify({ metadata: { resourceVersion }, items }));
    };
    answers.watch = (response) => {
      response.flushHeaders();
    };
    watching = new Watching(kubeconfig, { silenceMs: 50, livedMs: 0 });
    await eventually('four lists', () => requests.filter((verb) => verb === 'list').length > 3);
    assert.ok(said('bookmark') !== undefined);
    assert.ok(watching.states.every(({ phase }) => phase !== 'polling'));
  });

  it('lists nothing anew where each watch says something before it ends', async () => {
    answers.watch = (response) => {
      const object = { kind: 'ImageRepository', metadata: { resourceVersion: '2' } };
      response.end(`${JSON.stringify({ type: 'BOOKMARK', object })}\n`);
    };
    watching = new Watching(kubeconfig, { silenceMs: 3000, livedMs: 0 });
    const startedMs = performance.now();
    await eventually('long', () => performance.now() - startedMs > 7000 && requests.length > 20);
    assert.equal(requests.filter((verb) => verb === 'list').length, 1);
    assert.deepEqual(watching.lines, []);
  });

  it('waits as long as the server asks it to', async () => {
    answers.list = (response) => {
      response.writeHead(429, { 'retry-after': '200' });
      response.end('{}');
    };
    watching = new Watching(kubeconfig);
    await eventually('it waits', () => said('trying again') !== undefined);
    await aWhile();
    assert.deepEqual(requests, ['list']);
    assert.equal(said('trying again')?.['retrySeconds'], 200);
  });

  it('ends a list that is never answered at once', { timeout: 10_000 }, async () => {
    answers.list = () => undefined;
    watching = new Watching(kubeconfig);
    await eventually('it lists', () => requests.length === 1);
    await watching.stop();
    assert.deepEqual(watching.lines, []);
  });
});
