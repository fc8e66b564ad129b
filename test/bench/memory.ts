import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { startInstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { bundleInto, IMAGE_FLAGS } from './bundle.ts';
import type { BenchOptions } from './main.ts';
import { peakBytesOf } from './measurement.ts';
import { deliver, eventAbout } from './service.ts';
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
  const instance = await startInstanceProcess({
    command: [...IMAGE_FLAGS, entry],
    env: {
      // As in the image.
      NODE_ENV: 'production',
      NODE_OPTIONS: '--max-semi-space-size=1',
      METADATA_SERVER_DETECTION: 'none',
      LOCAL: 'true',
      DESTINATION_REGISTRY: `${destination.host}/mirror`,
      TAG_WORKERS: String(TAG_WORKERS),
      // One delivery copies everything.
      JOB_THRESHOLD_BYTES: '-1',
    },
  });
  try {
    await Promise.all(
      Array.from({ length: WORKERS }, async (_, repository) => {
        const more = { tagCount: TAG_WORKERS, insecure: true };
        await deliver(instance.url, eventAbout(`${source.host}/bench/app-${repository}`, more));
      }),
    );
    const { uploadedBytes } = await destination.figures();
    if (uploadedBytes < WORKERS * TAG_WORKERS * LAYER_BYTES) throw new Error('not all was copied');
    return peakBytesOf(instance.pid);
  } finally {
    await instance.stop();
  }
}
