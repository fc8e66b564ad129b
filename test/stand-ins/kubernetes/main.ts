import { parseArgs } from 'node:util';

import { startKubernetes } from './kubernetes.ts';
import { selfSignedCertificate } from './self-signed-certificate.ts';

/** Starts the stand-in alone, for a look with kubectl: `node test/stand-ins/kubernetes/main.ts --help`. */
const help = `Usage: node test/stand-ins/kubernetes/main.ts [--port 0] [--kubeconfig FILE] [--namespace NAME]…

A stand-in of a Kubernetes API server with ImageRepositories, Leases and Events, on 127.0.0.1.

  --port PORT         Port to listen on; 0 takes a free one (default 0).
  --kubeconfig FILE   Where to write a kubeconfig for it (default ./local.kubeconfig).
  --namespace NAME    A namespace to have besides Kubernetes' own; may be repeated (default flux-system).
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      port: { type: 'string', default: '0' },
      kubeconfig: { type: 'string', default: 'local.kubeconfig' },
      namespace: { type: 'string', multiple: true, default: ['flux-system'] },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65535) {
    process.stderr.write(`--port wants a number from 0 to 65535, not '${values.port}'\n`);
    return 2;
  }
  const kubernetes = await startKubernetes({
    port: Number(values.port),
    namespaces: values.namespace,
    // kubectl sends its token over https only.
    certificate: selfSignedCertificate(),
  });
  await kubernetes.kubeconfig(values.kubeconfig);
  process.stdout.write(`${kubernetes.url}, kubeconfig ${values.kubeconfig}\n`);
  await new Promise((resolve) => {
    process.once('SIGINT', resolve);
    process.once('SIGTERM', resolve);
  });
  await kubernetes.close();
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  // An unknown flag or a port that is taken: the message says it all.
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
