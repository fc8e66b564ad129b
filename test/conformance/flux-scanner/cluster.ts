import { startKubernetes, type LocalKubernetes } from '../../stand-ins/kubernetes/kubernetes.ts';
import { ApiClient } from '../../stand-ins/flux-scanner/api-client.ts';

/** A stand-in with a client of it. */
export interface Cluster {
  readonly kubernetes: LocalKubernetes;
  readonly api: ApiClient;
  /** Makes an ImageRepository in flux-system. */
  readonly create: (name: string, image: string, spec?: object) => void;
  close(): Promise<void>;
}

export async function startCluster(): Promise<Cluster> {
  const kubernetes = await startKubernetes();
  return {
    kubernetes,
    api: new ApiClient({ apiServer: kubernetes.url, token: kubernetes.adminToken }),
    create: (name, image, spec = {}) => {
      kubernetes.create({
        apiVersion: 'image.toolkit.fluxcd.io/v1',
        kind: 'ImageRepository',
        metadata: { name, namespace: 'flux-system' },
        spec: { image, interval: '10m', ...spec },
      });
    },
    close: () => kubernetes.close(),
  };
}
