import type { Repository } from '../../stand-ins/flux-scanner/repository.ts';

/** An ImageRepository that was scanned a minute before 2026-01-01T00:01:00Z, for the tests to vary. */
export function scanned(change: {
  readonly spec?: Partial<Repository['spec']>;
  readonly metadata?: Partial<Repository['metadata']>;
  readonly status?: Partial<NonNullable<Repository['status']>>;
}): Repository {
  return {
    metadata: {
      name: 'app',
      namespace: 'flux-system',
      uid: 'u',
      resourceVersion: '7',
      generation: 1,
      finalizers: ['finalizers.fluxcd.io'],
      ...change.metadata,
    },
    spec: { image: 'ghcr.io/org/app', interval: '5m', ...change.spec },
    status: {
      observedGeneration: 1,
      canonicalImageName: 'ghcr.io/org/app',
      observedExclusionList: ['^.*\\.sig$'],
      lastScanResult: { tagCount: 1, revision: '160432618', scanTime: '2026-01-01T00:00:00Z' },
      ...change.status,
    },
  };
}
