import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import { eventOf } from '../../functions/contract/event.ts';
import { freePort } from '../stand-ins/child.ts';
import { bundleInto } from './bundle.ts';
import type { BenchOptions } from './main.ts';
import { peakBytesOf } from './measurement.ts';
import {
  startRegistryProcess,
  type RegistryProcess,
} from '../stand-ins/registry/registry-process.ts';

const MIB = 1024 ** 2;

/** Terraform's `workers` and `tag_workers`, its defaults. */
const WORKERS = 4;
const TAG_WORKERS = 4;
/** Bytes of every tag's layer: large enough that all of them stream at once. */
const LAYER_BYTES = 192 * MIB;
/** Half of Terraform's default of 512 MiB; the other half is for what no rig shows. */
const BOUND_MIB = 256;

/**
 * Peak memory (VmHWM) of the bundled service as the image runs it, with as many deliveries at once as
 * an instance takes, each with as many large tags as it has workers. The number of missed bounds.
 */
export async function bench(options: BenchOptions): Promise<number> {
  const bundles = mkdtempSync(join(tmpdir(), 'imagerepo-mirror-bench-'));
  const source = await startRegistryProcess();
  const destination = await startRegistryProcess({ discardBlobs: true });
  try {
    const serve = bundleInto(bundles, 'serve');
    await fill(source);
    const peakMib = (await peakOf(serve, source, destination)) / MIB;
    const { highestConcurrency } = await source.figures();
    report(peakMib, highestConcurrency, options);
    return peakMib <= BOUND_MIB ? 0 : 1;
  } finally {
    await Promise.all([source.close(), destination.close()]);
    rmSync(bundles, { recursive: true, force: true });
  }
}

function report(peakMib: number, streams: number, { json }: BenchOptions): void {
  const work = `${WORKERS} deliveries × ${TAG_WORKERS} tags of ${LAYER_BYTES / MIB} MiB at once`;
  process.stdout.write(
    json
      ? `${JSON.stringify({ benchmark: 'memory', work, streams, peakMib, boundMib: BOUND_MIB })}\n`
      : `\nmemory: ${work}\n  requests at the source at once: ${streams}\n  VmHWM of serve.js: ${peakMib.toFixed(0)} MiB (bound ≤ ${BOUND_MIB} MiB)\n`,
  );
}

async function fill(source: RegistryProcess): Promise<void> {
  for (let repository = 0; repository < WORKERS; repository++) {
    for (let tag = 0; tag < TAG_WORKERS; tag++) {
      const seed = `${repository}-${tag}`;
      await source.putSyntheticImage({
        repository: `bench/app-${repository}`,
        tag: `1.0.${tag}`,
        layers: [{ seed, sizeBytes: LAYER_BYTES }],
      });
    }
  }
}

async function peakOf(
  entry: string,
  source: RegistryProcess,
  destination: RegistryProcess,
): Promise<number> {
  const port = await freePort();
  const child = spawn(process.execPath, [entry], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      // As in the image.
      NODE_ENV: 'production',
      NODE_OPTIONS: '--max-semi-space-size=1',
      METADATA_SERVER_DETECTION: 'none',
      PORT: String(port),
      LOCAL: 'true',
      DESTINATION_REGISTRY: `${destination.host}/mirror`,
      TAG_WORKERS: String(TAG_WORKERS),
      // One delivery copies everything.
      JOB_THRESHOLD_BYTES: '-1',
    },
  });
  try {
    await new Promise<void>((resolve, reject) => {
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line.includes('listening')) resolve();
      });
      child.once('exit', (code) => {
        reject(new Error(`the service ended with ${String(code)}`));
      });
    });
    const deliveries = Array.from({ length: WORKERS }, async (_, repository) =>
      deliver(port, eventFor(`${source.host}/bench/app-${repository}`)),
    );
    const statuses = await Promise.all(deliveries);
    const refused = statuses.find((status) => status !== 204);
    if (refused !== undefined) throw new Error(`a delivery was answered ${refused}`);
    const { uploadedBytes } = await destination.figures();
    if (uploadedBytes < WORKERS * TAG_WORKERS * LAYER_BYTES) throw new Error('not all was copied');
    return peakBytesOf(child.pid ?? 0);
  } finally {
    child.kill('SIGTERM');
  }
}

function eventFor(image: string): EncodedEvent {
  const time = new Date();
  return encodeEvent(
    eventOf(
      {
        imageRepository: { namespace: 'bench', name: image.split('/').at(-1) ?? '', uid: image },
        image,
        revision: '1',
        tagCount: TAG_WORKERS,
        scanTime: time.toISOString(),
        exclusionList: [],
        reason: 'changed',
        insecure: true,
      },
      { clusterName: 'bench', time },
    ),
  );
}

async function deliver(port: number, event: EncodedEvent): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: event.attributes,
    body: new Uint8Array(event.data),
  });
  return response.status;
}
