import { randomUUID } from 'node:crypto';

import { readImageRepository } from '../../bridge/flux/image-repository.ts';
import { createMetrics, type Metrics } from '../../bridge/metrics.ts';
import type { Subject } from '../../bridge/publish-queue.ts';
import { publishableOf } from '../../bridge/request.ts';
import type { KubeObject } from '../stand-ins/kubernetes/object.ts';

/** What a test says of an ImageRepository; everything else is as Flux writes it. */
export interface Wanted {
  readonly namespace?: string;
  readonly uid?: string;
  readonly image?: string;
  /** Absent: never scanned. */
  readonly revision?: string;
  readonly tagCount?: number;
  readonly scanTime?: string;
  /** When the condition Ready last changed. Default: the time of the scan. */
  readonly readySince?: string;
  readonly exclusionList?: readonly string[];
  readonly suspend?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
  readonly createdAt?: string;
  readonly deleting?: boolean;
  readonly provider?: string;
  readonly insecure?: boolean;
  readonly generation?: number;
  readonly observedGeneration?: number;
}

/** An ImageRepository as the API server gives it (image.toolkit.fluxcd.io/v1, healthy). */
export function imageRepository(name: string, wanted: Wanted = {}): KubeObject {
  const { namespace = 'flux-system', image = `ghcr.io/org/${name}`, generation = 1 } = wanted;
  const scanTime = wanted.scanTime ?? '2026-08-10T09:00:02Z';
  const exclusionList = wanted.exclusionList ?? [String.raw`^.*\.sig$`];
  return {
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    kind: 'ImageRepository',
    metadata: {
      name,
      namespace,
      uid: wanted.uid ?? `uid-of-${namespace}-${name}`,
      resourceVersion: '1',
      generation,
      creationTimestamp: wanted.createdAt ?? '2026-07-01T08:00:00Z',
      finalizers: ['finalizers.fluxcd.io'],
      ...(wanted.deleting === true ? { deletionTimestamp: '2026-08-10T09:30:00Z' } : {}),
      ...(wanted.annotations === undefined
        ? {}
        : {
            annotations: Object.fromEntries(
              Object.entries(wanted.annotations).map(([key, value]) => [
                `imagerepo-mirror.io/${key}`,
                value,
              ]),
            ),
          }),
      ...(wanted.labels === undefined ? {} : { labels: { ...wanted.labels } }),
    },
    spec: {
      image,
      interval: '5m0s',
      provider: wanted.provider ?? 'generic',
      exclusionList: [...exclusionList],
      ...(wanted.suspend === undefined ? {} : { suspend: wanted.suspend }),
      ...(wanted.insecure === undefined ? {} : { insecure: wanted.insecure }),
    },
    status:
      wanted.revision === undefined
        ? { observedGeneration: -1 }
        : {
            canonicalImageName: image,
            lastScanResult: {
              revision: wanted.revision,
              tagCount: wanted.tagCount ?? 12,
              scanTime,
              latestTags: ['latest', '6.2.0'],
            },
            observedExclusionList: [...exclusionList],
            observedGeneration: wanted.observedGeneration ?? generation,
            conditions: [
              {
                type: 'Ready',
                status: 'True',
                reason: 'Succeeded',
                message: `successful scan: found 12 tags with checksum ${wanted.revision}`,
                observedGeneration: generation,
                lastTransitionTime: wanted.readySince ?? scanTime,
              },
            ],
          },
  };
}

/** An object that can be published and was not so far; its name is its uid. */
export function subject(uid: string, revision = '1', wanted: Wanted = {}): Subject {
  const object = readImageRepository(imageRepository(uid, { uid, revision, ...wanted }));
  return { uid, publishable: publishableOf(object), published: undefined };
}

/** Metrics whose gauges read nothing. */
export function idleMetrics(): Metrics {
  return createMetrics({
    queueDepth: () => ({}),
    oldestUnpublishedSeconds: () => 0,
    watchedObjects: () => 0,
    refusedObjects: () => ({}),
  });
}

/** A uid nothing else has. */
export function freshUid(): string {
  return randomUUID();
}
