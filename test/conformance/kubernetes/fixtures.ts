import type { JsonObject, KubeObject } from '../../stand-ins/kubernetes/object.ts';

/** An ImageRepository as a client sends it. */
export function repository(name: string, metadata: object = {}, spec: object = {}): JsonObject {
  return {
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    kind: 'ImageRepository',
    metadata: { name, namespace: 'flux-system', ...metadata },
    spec: { image: `ghcr.io/org/${name}`, interval: '1m', ...spec },
  };
}

/** An object as the store keeps it. */
export function stored(name: string, metadata: Partial<KubeObject['metadata']> = {}): KubeObject {
  return {
    apiVersion: 'image.toolkit.fluxcd.io/v1',
    kind: 'ImageRepository',
    metadata: {
      name,
      namespace: 'flux-system',
      uid: `uid-${name}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ...metadata,
    },
    spec: { image: `ghcr.io/org/${name}`, interval: '1m' },
  };
}

/** Asserts of a thrown Refusal. */
export function refusal(code: number, reason?: string): (error: unknown) => boolean {
  return (error) => {
    const { code: actual, reason: why } = error as {
      readonly code?: number;
      readonly reason?: string;
    };
    return actual === code && (reason === undefined || why === reason);
  };
}
