import { join } from 'node:path';

import { encodeEvent, type EncodedEvent } from '../../functions/contract/codec.ts';
import type { MirrorRequest } from '../../functions/contract/event.ts';
import { sampleEvent } from '../functions/subscriber/samples.ts';
import { startInstanceProcess, type InstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { IMAGE_FLAGS, type BundledImage } from './bundle.ts';
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
        command: [...IMAGE_FLAGS, join(folder, 'serve.js')],
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
  const event = eventAbout(source, { reason: 'requested' });
  const cpuBefore = cpuSecondsOf(pid);
  const startedMs = performance.now();
  await deliver(url, event);
  const wallSeconds = (performance.now() - startedMs) / 1000;
  return { wallSeconds, cpuSeconds: cpuSecondsOf(pid) - cpuBefore, peakBytes: peakBytesOf(pid) };
}

/** An event about an image's repository, of now. */
export function eventAbout(image: string, more: Partial<MirrorRequest> = {}): EncodedEvent {
  const time = new Date().toISOString();
  const imageRepository = { namespace: 'bench', name: 'bench', uid: image };
  return encodeEvent(
    sampleEvent({ imageRepository, image, tagCount: 1, scanTime: time, ...more }, time),
  );
}

/** Pushes an event to a service. @throws Error where it is not acknowledged */
export async function deliver(url: string, { attributes, data }: EncodedEvent): Promise<void> {
  const { status } = await fetch(url, {
    method: 'POST',
    headers: attributes,
    body: new Uint8Array(data),
  });
  if (status !== 204) throw new Error(`the event was answered ${status}`);
}
