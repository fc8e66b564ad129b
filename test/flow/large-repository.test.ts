import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, it } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { bundleInto } from '../bench/bundle.ts';
import { peakBytesOf } from '../bench/measurement.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { until } from '../until.ts';
import { startManyTags, tagOf, type ManyTags, type ManyTagsRegistry } from './many-tags-server.ts';

const MIB = 1024 * 1024;
/** What the README promises for {@link TAGS}. */
const BOUND_MIB = 400;
const TAGS = 300_000;
const MILLION = 1_000_000;

function textOf(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
}

/**
 * The image's flags, and the heap that Node takes in a container of Terraform's default memory: half of it
 * (V8, `Heap::HeapSizeFromPhysicalMemory`; 259 MiB with the young generation, seen in a cgroup of 512). Without a
 * limit V8 collects later on a large machine, and the same deliveries peak at 440 and 470 MiB.
 */
function flagsInContainer(): string {
  const shipped = /NODE_OPTIONS=(\S+)/.exec(textOf('infra/Dockerfile'))?.[1];
  const variables = textOf('infra/terraform/variables.tf');
  const memory = /variable "memory" \{[^}]*?default\s*=\s*"(\d+)Mi"/.exec(variables)?.[1];
  assert.ok(shipped !== undefined && memory !== undefined);
  return `${shipped} --max-old-space-size=${Number(memory) / 2}`;
}

/** A line of the service's log. */
type Line = Readonly<Record<string, unknown>>;

/** What one delivery left behind. */
interface Delivered {
  readonly lines: readonly Line[];
  /** The line of the event. */
  readonly event: Line;
}

const ON_LINUX = process.platform === 'linux' ? false : 'VmHWM is read from /proc';

/** Each takes half a minute on a machine that has time, and many on one that has none. */
const PATIENT = { timeout: 600_000 };

describe('a repository of very many tags', { timeout: 3_000_000, skip: ON_LINUX }, () => {
  let folder: string;
  let serve: string;
  let source: ManyTagsRegistry;
  let destination: ManyTagsRegistry;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-many-tags-'));
    serve = bundleInto(folder, 'serve');
    source = await startManyTags();
    destination = await startManyTags();
  });

  after(async () => {
    await Promise.all([source.close(), destination.close()]);
    rmSync(folder, { recursive: true, force: true });
  });

  /** Starts the bundled service as the image does, delivers one event within the bound and ends it. */
  async function deliver(
    name: string,
    list: ManyTags,
    env: Readonly<Record<string, string>> = {},
    { isThere = true, batches = [undefined] as readonly (readonly string[] | undefined)[] } = {},
  ): Promise<Delivered> {
    source.repositories.set(name, list);
    if (isThere) destination.repositories.set(`m/${name}`, list);
    const lines: Line[] = [];
    const child = spawn(process.execPath, [serve], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        PATH: process.env['PATH'],
        NODE_ENV: 'production',
        NODE_OPTIONS: flagsInContainer(),
        METADATA_SERVER_DETECTION: 'none',
        PORT: '0',
        LOCAL: 'true',
        DESTINATION_REGISTRY: `${destination.host}/m`,
        DESTINATION_LAYOUT: 'path',
        JOB_THRESHOLD_BYTES: '-1',
        ...env,
      },
    });
    try {
      const port = await portOf(child, lines);
      const image = `${source.host}/${name}`;
      const statuses = await Promise.all(batches.map(async (tags) => post(port, image, tags)));
      assert.deepEqual([...new Set(statuses)], [204]);
      const peakMib = peakBytesOf(child.pid ?? 0) / MIB;
      assert.ok(peakMib <= BOUND_MIB, `${peakMib.toFixed(0)} MiB`);
      await until(() => lines.some(({ entry }) => entry === 'event'));
      const event = lines.find(({ entry }) => entry === 'event') ?? assert.fail();
      return { lines, event };
    } finally {
      child.kill('SIGTERM');
    }
  }

  it(
    `mirrors ${TAGS} tags with digests in ${BOUND_MIB} MiB, at the log level debug too`,
    PATIENT,
    async () => {
      const list = { tagCount: TAGS, map: true };
      const { lines, event } = await deliver('app/digests', list, { LOG_LEVEL: 'debug' });
      assert.equal(event['skipped'], TAGS);
      assert.equal(lines.filter(({ entry }) => entry === 'tag').length, 20);
      assert.equal(lines.find(({ entry }) => entry === 'tag-kind')?.['count'], TAGS);
    },
  );

  it(`holds all but one of ${TAGS} in ${BOUND_MIB} MiB`, PATIENT, async () => {
    const list = { tagCount: TAGS, map: false };
    const env = { MAX_MISSING_TAGS: '1' };
    const { lines, event } = await deliver('app/held', list, env, { isThere: false });
    assert.equal(event['held'], TAGS - 1);
    assert.equal(lines.filter(({ outcome }) => outcome === 'held').length, 20 + 1);
  });

  it(`mirrors four batches of ${TAGS} tags at once in ${BOUND_MIB} MiB`, PATIENT, async () => {
    const list = { tagCount: TAGS, map: true };
    const batches = [0, 1, 2, 3].map((batch) =>
      Array.from({ length: 100 }, (_none, index) => tagOf(batch * 1000 + index)),
    );
    const { event } = await deliver('app/batches', list, {}, { batches });
    // The registries have lists alone: what is asked for by name is not there.
    assert.equal(event['lost'], 100);
  });

  it(`mirrors a million tags without digests in ${BOUND_MIB} MiB`, PATIENT, async () => {
    const { event } = await deliver('app/million', { tagCount: MILLION, map: false });
    assert.equal(event['skipped'], MILLION);
  });

  it(`refuses a million tags with digests in ${BOUND_MIB} MiB`, PATIENT, async () => {
    const { event } = await deliver('app/refused', { tagCount: MILLION, map: true });
    assert.equal(event['code'], 'LIST_TOO_LARGE');
  });
});

async function portOf(child: ChildProcess, lines: Line[]): Promise<number> {
  return new Promise((resolve, reject) => {
    if (child.stdout === null) return;
    createInterface({ input: child.stdout }).on('line', (text) => {
      const line = JSON.parse(text) as Line;
      lines.push(line);
      if (typeof line['port'] === 'number') resolve(line['port']);
    });
    child.once('exit', (code) => {
      reject(new Error(`the service ended with ${String(code)}`));
    });
  });
}

async function post(port: number, image: string, tags?: readonly string[]): Promise<number> {
  const uid = `${image} ${tags?.[0] ?? ''}`;
  const data = { imageRepository: { namespace: 'flow', name: 'many', uid }, image, insecure: true };
  const event = encodeEvent(sampleEvent(tags === undefined ? data : { ...data, tags }));
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: event.attributes,
    body: new Uint8Array(event.data),
  });
  return response.status;
}
