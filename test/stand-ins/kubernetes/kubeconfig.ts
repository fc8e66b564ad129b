import { writeFile } from 'node:fs/promises';

/** What a kubeconfig file says. */
export interface KubeconfigOptions {
  /** `http://127.0.0.1:PORT` or `https://…` */
  readonly server: string;
  readonly token: string;
  /** PEM certificate that an https server's own is checked against. */
  readonly certificateAuthority?: string;
  /** Name of the user; default `local`. */
  readonly user?: string;
}

/** Writes a kubeconfig file (in JSON, which is YAML) that only its owner can read. */
export async function writeKubeconfig(path: string, options: KubeconfigOptions): Promise<void> {
  const { server, token, certificateAuthority, user = 'local' } = options;
  const authority =
    certificateAuthority === undefined
      ? // The client library refuses http unless the file says that it is meant.
        { 'insecure-skip-tls-verify': true }
      : { 'certificate-authority-data': Buffer.from(certificateAuthority).toString('base64') };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local', cluster: { server, ...authority } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'local', context: { cluster: 'local', user } }],
    'current-context': 'local',
  };
  await writeFile(path, `${JSON.stringify(kubeconfig, undefined, 2)}\n`, { mode: 0o600 });
}
