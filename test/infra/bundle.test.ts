import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { imageRepository } from '../bridge/objects.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { freePort } from '../stand-ins/child.ts';
import { seedImages } from '../stand-ins/images/seed.ts';
import { storeTarget } from '../stand-ins/images/target.ts';
import { startKubernetes } from '../stand-ins/kubernetes/kubernetes.ts';
import { startPubsub, type LocalPubsub } from '../stand-ins/pubsub/server.ts';
import { createLanes } from '../stand-ins/pubsub/lanes.ts';
import { startRegistry } from '../stand-ins/registry/registry.ts';
import { ROOT as root, scratchFolder } from './scratch.ts';

const PROJECT = 'local-project';

/** Bundles a fresh folder with nothing else in it; what they run in has no `node_modules` above it. */
let folder = '';

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bundles-'));
  const { code, output } = await run([join(root, 'infra/bundle.mjs'), `--out=${folder}`]);
  assert.equal(code, 0, output);
});

after(() => {
  rmSync(folder, { recursive: true, force: true });
});

interface Ended {
  readonly code: number | null;
  readonly output: string;
}

/** Only what a container has: no npm variables, no NODE_PATH. */
function bareEnvironment(extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], METADATA_SERVER_DETECTION: 'none', ...extra };
}

function start(args: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  return spawn(process.execPath, args, { cwd: folder, env: bareEnvironment(env) });
}

async function ended(child: ChildProcess): Promise<Ended> {
  let output = '';
  child.stdout?.on('data', (data: Buffer) => (output += data.toString()));
  child.stderr?.on('data', (data: Buffer) => (output += data.toString()));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      resolve({ code, output });
    });
  });
}

async function run(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return ended(start(args, env));
}

/** Resolves once the child has written `text`; rejects where it ends before. */
async function written(child: ChildProcess, text: string): Promise<void> {
  let output = '';
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const look = (data: Buffer): void => {
    output += data.toString();
    if (output.includes(text)) resolve(undefined);
  };
  child.stdout?.on('data', look);
  child.stderr?.on('data', look);
  child.once('close', () => {
    reject(new Error(`ended without '${text}': ${output}`));
  });
  await promise;
}

/** A server that answers every request alike once it has read it, and tells its path; it ends with the test. */
async function startSink(
  t: TestContext,
  status: number,
  onRequest: (path: string | undefined) => void = () => undefined,
): Promise<string> {
  const sink = createServer((request, response) => {
    onRequest(request.url);
    request.resume().once('end', () => {
      response.writeHead(status).end();
    });
  });
  await new Promise<void>((resolve) => {
    sink.listen(0, '127.0.0.1', resolve);
  });
  t.after(() => {
    sink.closeAllConnections();
    sink.close();
  });
  return `http://127.0.0.1:${(sink.address() as AddressInfo).port}`;
}

/** A Pub/Sub with both lanes pushed to a server that takes everything; both end with the test. */
async function startLanes(t: TestContext): Promise<LocalPubsub> {
  const endpoint = `${await startSink(t, 204)}/`;
  const pubsub = await startPubsub();
  t.after(async () => pubsub.close());
  await createLanes({
    host: pubsub.host,
    projectId: PROJECT,
    eventsEndpoint: endpoint,
    bulkEndpoint: endpoint,
  });
  return pubsub;
}

/** What Node runs first, so that a process tells what it loaded and whether it made a formatter of lists. */
function tellingLoaded(t: TestContext): string {
  const preload = join(scratchFolder(t), 'tell.cjs');
  writeFileSync(
    preload,
    `process.on('exit', () => console.log('loaded', process.moduleLoadList.join(',')));
    Intl.ListFormat = function () { console.log('formats lists'); };`,
  );
  return preload;
}

/** Node's own modules that such a process loaded. */
function loadedBy(output: string): ReadonlySet<string> {
  const [, list = ''] = /loaded (.*)/.exec(output) ?? [];
  return new Set(list.split(',').map((name) => name.replace('NativeModule ', '')));
}

/** Why the first dead letter is one. */
function deadLetterCode(pubsub: LocalPubsub): string | undefined {
  const [message] = pubsub.view.messages(`projects/${PROJECT}/topics/dead-letter`);
  return message?.attributes['error-code'];
}

/** A message whose event names a source that is not allowed. */
const forbidden = encodeEvent(sampleEvent({ image: 'ghcr.io/elsewhere/app' }));

async function deliver(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: forbidden.attributes,
    body: new Uint8Array(forbidden.data),
  });
  return response.status;
}

function subscriberEnv(port: number, pubsubHost: string): Readonly<Record<string, string>> {
  return {
    PORT: String(port),
    DESTINATION_REGISTRY: 'europe-docker.pkg.dev/my-project/mirror',
    ALLOWED_SOURCES: 'ghcr.io/my-org/*',
    BULK_TOPIC: 'bulk',
    DEAD_LETTER_TOPIC: 'dead-letter',
    GOOGLE_CLOUD_PROJECT: PROJECT,
    PUBSUB_EMULATOR_HOST: pubsubHost,
  };
}

describe('the bundles', () => {
  it('are one file an entry, the libraries that they share, and nothing else', () => {
    const shared = /^library-[A-Z0-9]{8}\.mjs$/;
    assert.deepEqual(
      readdirSync(folder)
        .filter((file) => !shared.test(file))
        .sort(),
      ['auth.mjs', 'bridge.js', 'index.js', 'job.js', 'package.json', 'pubsub.mjs', 'serve.js'],
    );
  });

  it('leave what a cold start does not need to files that are loaded later', () => {
    for (const name of ['serve.js', 'index.js', 'job.js']) {
      assert.ok(statSync(join(folder, name)).size < 2.5 * 1024 ** 2, name);
    }
  });

  it('are ASCII: Node takes longer for the whole file where one letter is not', () => {
    for (const name of ['serve.js', 'index.js', 'job.js', 'bridge.js']) {
      const found = /.{0,20}[^\p{ASCII}].{0,20}/u.exec(readFileSync(join(folder, name), 'utf8'));
      assert.equal(found?.[0], undefined, name);
    }
  });

  it("have Pub/Sub's client once, for all that an image starts", () => {
    const files = readdirSync(folder).filter((file) => !/^index\b/.test(file));
    const sizeBytes = files.reduce((sum, file) => sum + statSync(join(folder, file)).size, 0);
    assert.ok(sizeBytes <= 8 * 1024 ** 2, `${(sizeBytes / 1024 ** 2).toFixed(1)} MiB`);
  });

  it('are small: an image holds little beside Node', () => {
    for (const [name, mebibytes] of [
      ['serve.js', 8],
      ['job.js', 8],
      ['bridge.js', 8],
      ['index.js', 7],
    ] as const) {
      assert.ok(statSync(join(folder, name)).size < mebibytes * 1024 ** 2, name);
    }
  });

  it('take the place of bundles alone', async (t) => {
    const precious = scratchFolder(t);
    mkdirSync(join(precious, 'job.js'));
    const { code, output } = await run([
      join(root, 'infra/bundle.mjs'),
      `--out=${precious}`,
      'job',
    ]);
    assert.equal(code, 2, output);
    assert.ok(existsSync(join(precious, 'job.js')));
  });

  it('job.js ends at a defect with a code of its own, whoever listens for it', async (t) => {
    const preload = join(scratchFolder(t), 'agent.cjs');
    // An agent that is loaded first, and a defect: something of Node that the job needs is not there.
    writeFileSync(
      preload,
      `process.on('unhandledRejection', () => undefined);
      process.once = () => { throw new TypeError('a defect'); };`,
    );
    const { code, output } = await run([
      ...['--require', preload, 'job.js'],
      ...['--image=localhost:1/app', '--destination-registry=localhost:1/mirror'],
    ]);
    assert.equal(code, 1, output);
    assert.match(output, /^TypeError: a defect\n {4}at /m);
  });

  it('job.js mirrors an image from an empty folder', async (t) => {
    const source = await startRegistry();
    t.after(async () => source.close());
    const destination = await startRegistry();
    t.after(async () => destination.close());
    await seedImages(storeTarget(source.store), {
      releases: 2,
      lines: [{ repository: 'demo/web', kind: 'multi-platform' }],
    });
    const { code, output } = await run([
      ...['--require', tellingLoaded(t)],
      'job.js',
      `--image=${source.host}/demo/web`,
      `--destination-registry=${destination.host}/mirror`,
      '--destination-layout=path',
    ]);
    assert.equal(code, 0, output);
    const loaded = loadedBy(output);
    assert.ok(loaded.has('_http_client'));
    assert.ok(!loaded.has('internal/webstreams/readablestream'));
    const list = await fetch(`${destination.url}/v2/mirror/demo/web/tags/list`);
    assert.deepEqual(((await list.json()) as { tags: string[] }).tags.sort(), ['1.0.0', '1.0.1']);
  });

  it('serve.js takes an event, publishes by Pub/Sub and ends when told', async (t) => {
    const pubsub = await startLanes(t);
    const port = await freePort();
    const child = start(['serve.js'], subscriberEnv(port, pubsub.host));
    t.after(() => child.kill('SIGKILL'));
    const gone = ended(child);
    await written(child, 'listening');
    assert.equal(await deliver(port), 204);
    assert.equal(deadLetterCode(pubsub), 'SOURCE_FORBIDDEN');
    child.kill('SIGTERM');
    assert.equal((await gone).code, 0);
  });

  it('serve.js exports its metrics to a collector', async (t) => {
    const exported: (string | undefined)[] = [];
    const collector = await startSink(t, 200, (path) => exported.push(path));
    const pubsub = await startLanes(t);
    const port = await freePort();
    const child = start(['serve.js'], {
      ...subscriberEnv(port, pubsub.host),
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
    });
    t.after(() => child.kill('SIGKILL'));
    const gone = ended(child);
    await written(child, 'listening');
    assert.equal(await deliver(port), 204);
    child.kill('SIGTERM');
    const { code, output } = await gone;
    assert.equal(code, 0, output);
    assert.deepEqual([...new Set(exported)], ['/v1/metrics'], output);
    assert.doesNotMatch(output, /could not be exported/);
  });

  it('have every name that is asked of what is loaded later', async () => {
    // A CommonJS package that is split off has a default export alone, whatever it has from source.
    const asked = [
      /\{(?<names>[^{}]+)\}=await import\("(?<file>\.\/[^"]+)"\)/g,
      /\(await import\("(?<file>\.\/[^"]+)"\)\)\.(?<names>[\w$]+)/g,
      /import\("(?<file>\.\/[^"]+)"\)\.then\(\(\{(?<names>[^{}]+)\}/g,
    ];
    const missing: string[] = [];
    let count = 0;
    for (const name of readdirSync(folder).filter((file) => /\.m?js$/.test(file))) {
      const text = readFileSync(join(folder, name), 'utf8');
      for (const { groups } of asked.flatMap((pattern) => [...text.matchAll(pattern)])) {
        const { file = '', names = '' } = groups ?? {};
        const exported = (await import(pathToFileURL(join(folder, file)).href)) as object;
        for (const each of names.split(',').map((one) => one.split(':')[0]?.trim() ?? '')) {
          count += 1;
          if (!(each in exported)) missing.push(each);
        }
      }
    }
    assert.ok(count > 10, String(count));
    // Of gaxios, for a proxy, which nothing here goes through.
    assert.deepEqual([...new Set(missing)], ['HttpsProxyAgent']);
  });

  it('load nothing at their start that is left for later', async (t) => {
    const pubsub = await startLanes(t);
    const port = await freePort();
    const child = start(
      ['--require', tellingLoaded(t), 'serve.js'],
      subscriberEnv(port, pubsub.host),
    );
    t.after(() => child.kill('SIGKILL'));
    const gone = ended(child);
    await written(child, 'listening');
    child.kill('SIGTERM');
    const { output } = await gone;
    const loaded = loadedBy(output);
    assert.ok(loaded.has('http'));
    for (const name of [
      'http2',
      'zlib',
      'fs/promises',
      'perf_hooks',
      'worker_threads',
      'internal/util/diff',
    ])
      assert.ok(!loaded.has(name), name);
    assert.ok(!output.includes('formats lists'), output);
  });

  it('bridge.js publishes what a cluster has from an empty folder', async (t) => {
    const pubsub = await startLanes(t);
    const kubernetes = await startKubernetes();
    t.after(async () => kubernetes.close());
    const kubeconfig = join(scratchFolder(t), 'config');
    await kubernetes.kubeconfig(kubeconfig);
    kubernetes.put(imageRepository('app', { image: 'ghcr.io/my-org/app', revision: '1234' }));
    const { code, output } = await run(['bridge.js', '--once', `--kubeconfig=${kubeconfig}`], {
      PUBSUB_EMULATOR_HOST: pubsub.host,
      GOOGLE_CLOUD_PROJECT: PROJECT,
    });
    assert.equal(code, 0, output);
    const messages = pubsub.view.messages(`projects/${PROJECT}/topics/bulk`);
    assert.deepEqual(
      messages.map(({ attributes }) => attributes['ce-subject']),
      ['ghcr.io/my-org/app'],
    );
  });
});

describe('a deployment from source', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    readonly main: string;
    readonly type: string;
    readonly engines: Readonly<Record<string, string>>;
    readonly scripts: Readonly<Record<string, string>>;
    readonly dependencies: Readonly<Record<string, string>>;
  };

  it('finds what the buildpack looks for', () => {
    // https://github.com/GoogleCloudPlatform/buildpacks, cmd/nodejs/functions_framework
    assert.equal(manifest.main, 'dist/index.js');
    assert.equal(manifest.type, 'module');
    assert.equal(manifest.engines['node'], '24.x');
    assert.match(manifest.scripts['gcp-build'] ?? '', /^node infra\/bundle\.mjs index$/);
    // Without it the buildpack would bring an old one.
    assert.match(manifest.dependencies['@google-cloud/functions-framework'] ?? '', /^5\./);
  });

  it("the framework's own command line serves the function `mirror`", async (t) => {
    const app = scratchFolder(t);
    mkdirSync(join(app, 'dist'));
    mkdirSync(join(app, 'node_modules/@google-cloud'), { recursive: true });
    const own = /^(index|library|auth|pubsub|package)\b/;
    for (const file of readdirSync(folder).filter((name) => own.test(name))) {
      copyFileSync(join(folder, file), join(app, 'dist', file));
    }
    writeFileSync(
      join(app, 'package.json'),
      JSON.stringify({ type: 'module', main: manifest.main }),
    );
    const framework = realpathSync(join(root, 'node_modules/@google-cloud/functions-framework'));
    symlinkSync(framework, join(app, 'node_modules/@google-cloud/functions-framework'));
    const pubsub = await startLanes(t);
    const port = await freePort();
    const child = start(
      [join(framework, 'build/src/main.js'), '--target=mirror', `--source=${app}`],
      subscriberEnv(port, pubsub.host),
    );
    t.after(() => child.kill('SIGKILL'));
    await written(child, 'Serving function');
    assert.equal(await deliver(port), 204);
    assert.equal(deadLetterCode(pubsub), 'SOURCE_FORBIDDEN');
  });
});
