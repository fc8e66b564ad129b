import { join } from 'node:path';

import { encodeEvent } from '../../functions/contract/codec.ts';
import { eventOf } from '../../functions/contract/event.ts';
import { startInstanceProcess, type InstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import type { BundledImage } from './bundle.ts';
import { PARALLEL, type Contender, type Route } from './contenders.ts';
import { cpuSecondsOf, measureWork, peakBytesOf, type Timed } from './measurement.ts';

/**
 * Our service, as it is in the image: a process of its own each time, which has mirrored the route's other repositories before. From the event to its answer.
 */
export function ourService({ folder, env }: BundledImage): Contender {
  return {
    name: 'our service',
    version: 'this checkout',
    run: async (route, registries) => {
      const instance = await startInstanceProcess({
        command: [join(folder, 'serve.js')],
        env: {
          ...env,
          LOCAL: 'true',
          DESTINATION_REGISTRY: route.destinationRegistry,
          DESTINATION_LAYOUT: 'path',
          REFERRERS: 'false',
          TAG_WORKERS: String(PARALLEL),
          METADATA_SERVER_DETECTION: 'none',
        },
      });
      try {
        for (const source of route.warmUp ?? []) await timedEvent(instance, { ...route, source });
        return await measureWork(async () => timedEvent(instance, route), registries);
      } finally {
        await instance.stop();
      }
    },
  };
}

async function timedEvent({ url, pid }: InstanceProcess, { source }: Route): Promise<Timed> {
  const time = new Date();
  const { attributes, data } = encodeEvent(
    eventOf(
      {
        imageRepository: { namespace: 'bench', name: 'bench', uid: source },
        image: source,
        revision: '1',
        tagCount: 1,
        scanTime: time.toISOString(),
        exclusionList: [],
        reason: 'requested',
      },
      { clusterName: 'bench', time },
    ),
  );
  const cpuBefore = cpuSecondsOf(pid);
  const startedMs = performance.now();
  const body = new Uint8Array(data);
  const { status } = await fetch(url, { method: 'POST', headers: { ...attributes }, body });
  const wallSeconds = (performance.now() - startedMs) / 1000;
  if (status !== 204) throw new Error(`the event was answered ${status}`);
  return { wallSeconds, cpuSeconds: cpuSecondsOf(pid) - cpuBefore, peakBytes: peakBytesOf(pid) };
}
