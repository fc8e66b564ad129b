// Fills V8's compile cache for the entries whose start somebody waits for: each mirrors a small image once,
// so that what it needs for that is compiled ahead. Node takes the cache only where its version, its flags,
// the user's id and the files' paths are the same, and says nothing where they are not: run this with the
// image's own Node, as its user, at the path where the entries will lie.
//   node compile-cache.mjs APP_FOLDER CACHE_FOLDER
// CACHE_FOLDER is left readable for everybody and writable for nobody.
/* global Buffer, URL, fetch */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Longest time for one entry, in ms: a machine that builds images may be slow. */
const LIMIT_MS = 60_000;

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

/** A blob and its descriptor. */
function blobOf(mediaType, text) {
  const bytes = Buffer.from(text);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  return { bytes, descriptor: { mediaType, digest, size: bytes.length } };
}

const config = blobOf('application/vnd.oci.image.config.v1+json', '{}');
const layer = blobOf('application/vnd.oci.image.layer.v1.tar', 'a layer');
const manifest = blobOf(
  MANIFEST_TYPE,
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: config.descriptor,
    layers: [layer.descriptor],
  }),
);

/** As much of a registry as one image needs: the repository app has it, all others take what comes. */
function answer(request, response) {
  const { method } = request;
  const { pathname } = new URL(request.url, 'http://registry');
  const reply = (status, headers = {}, body = '') => {
    request.resume();
    request.once('end', () => response.writeHead(status, headers).end(body));
  };
  const json = { 'content-type': 'application/json' };
  const notFound = JSON.stringify({ errors: [{ code: 'NAME_UNKNOWN', message: 'unknown' }] });
  if (method === 'POST') return reply(202, { location: `${pathname}session` });
  if (method === 'PUT') return reply(201);
  if (!pathname.startsWith('/v2/app/')) return reply(404, json, notFound);
  if (pathname.endsWith('/tags/list')) {
    return reply(200, json, JSON.stringify({ name: 'app', tags: ['1.0.0'] }));
  }
  const found = [config, layer, manifest].find(({ descriptor }) =>
    pathname.endsWith(descriptor.digest),
  );
  const wanted = pathname.endsWith('/manifests/1.0.0') ? manifest : found;
  if (wanted === undefined) return reply(404, json, notFound);
  const { bytes, descriptor } = wanted;
  const headers = {
    'content-type': descriptor.mediaType,
    'content-length': bytes.length,
    'docker-content-digest': descriptor.digest,
  };
  return reply(200, headers, method === 'HEAD' ? '' : bytes);
}

/** A server on loopback, on a port that the system chose. */
async function listen(listener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: server.address().port };
}

/** Starts an entry. */
function start(file, args, env) {
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      NODE_COMPILE_CACHE: cacheFolder,
      METADATA_SERVER_DETECTION: 'none',
      LOCAL: 'true',
      ...env,
    },
    timeout: LIMIT_MS,
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
    });
  }
  return { child, ended: once(child, 'exit'), output: () => output };
}

/** @throws Error with what the entry said, where it did not do its work */
function requireThat(condition, what, { output }) {
  if (!condition) throw new Error(`${what}:\n${output()}`);
}

/** One event to the service, which ends in order after it. */
async function runService(file, registry) {
  const { server, port } = await listen(() => undefined);
  server.close();
  await once(server, 'close');
  const service = start(file, [], {
    PORT: String(port),
    DESTINATION_REGISTRY: `${registry}/service`,
  });
  const { child, ended } = service;
  while (!(await accepts(port))) {
    requireThat(child.exitCode === null, 'the service ended', service);
    await pause(10);
  }
  const { status } = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: {
      'ce-specversion': '1.0',
      'ce-id': 'compile-cache',
      'ce-type': 'io.imagerepo-mirror.revision.changed.v1',
      'ce-source': '//build/namespaces/build/imagerepositories/app',
      'ce-subject': `${registry}/app`,
      'ce-time': '2026-01-01T00:00:00.000Z',
      'content-type': 'application/json',
    },
    body: JSON.stringify({
      imageRepository: { namespace: 'build', name: 'app', uid: 'build' },
      image: `${registry}/app`,
      revision: '1',
      tagCount: 1,
      scanTime: '2026-01-01T00:00:00.000Z',
      exclusionList: [],
      reason: 'changed',
    }),
  });
  child.kill('SIGTERM');
  const [code] = await ended;
  requireThat(
    status === 204 && code === 0,
    `the event was answered ${status}, exit code ${code}`,
    service,
  );
}

function accepts(port) {
  const socket = connect(port, '127.0.0.1');
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
  }).finally(() => socket.destroy());
}

/** One image by the job. */
async function runJob(file, registry) {
  const args = [`--image=${registry}/app`, `--destination-registry=${registry}/job`];
  const job = start(file, args, {});
  const [code] = await job.ended;
  requireThat(code === 0, `the job ended with ${code}`, job);
}

/** Makes a folder readable for everybody and writable for nobody: Node makes its files private. */
function seal(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) seal(path);
    else chmodSync(path, 0o444);
  }
  chmodSync(folder, 0o555);
}

const [appFolder, cacheFolder] = process.argv.slice(2);
if (appFolder === undefined || cacheFolder === undefined) {
  console.error('usage: node compile-cache.mjs APP_FOLDER CACHE_FOLDER');
  process.exit(2);
}
const { server, port } = await listen(answer);
const registry = `localhost:${port}`;
await runService(join(appFolder, 'serve.js'), registry);
await runJob(join(appFolder, 'job.js'), registry);
server.close();
server.closeAllConnections();
seal(cacheFolder);
