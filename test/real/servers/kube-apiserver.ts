import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { parse } from 'yaml';

import { freePort, type Child } from '../../stand-ins/child.ts';
import { findEtcd, startEtcd } from './etcd.ts';
import { findProgram, isFound, required, type Found, type Search } from './found.ts';
import { askKubeApi, type KubeAccess } from '../../stand-ins/kubernetes/client.ts';
import { poll } from './poll.ts';
import { makeScratch } from './scratch.ts';
import { startServer } from './server.ts';

/** A running API server with the etcd it stores in. */
export interface KubeApiserver {
  /** Access with all rights (group `system:masters`). */
  readonly admin: KubeAccess;
  /** Access as the user `restricted`, who may do nothing until a role is bound to it. */
  readonly restricted: KubeAccess;
  /** Paths of kubeconfig files for the two. */
  readonly adminKubeconfig: string;
  readonly restrictedKubeconfig: string;
  /** Compacts etcd's history up to now; what the server's memory has, it still serves until it restarts. */
  compact(): Promise<void>;
  /** Ends the API server alone; its address refuses connections from then on. */
  halt(): Promise<void>;
  /** Starts it again on the same port, with the same store, keys and tokens; ends it before where it runs. */
  restart(): Promise<void>;
  /** Ends both and removes what they have stored. */
  stop(): Promise<void>;
}

/** Two certificates, a token file and a key; made once and kept over restarts. */
interface Settings {
  readonly folder: string;
  readonly port: number;
  readonly etcdUrl: string;
  readonly adminToken: string;
  readonly restrictedToken: string;
}

/** kube-apiserver and the etcd it needs; the version is the API server's. */
export function findKubeApiserver(): Search {
  const apiserver = findProgram({
    name: 'kube-apiserver',
    versionArgs: ['--version'],
    version: /Kubernetes v(\S+)/,
    remedy: 'KUBEBUILDER_ASSETS, or bash .ci/servers.sh kubernetes etcd',
  });
  const etcd = findEtcd();
  return isFound(apiserver) && !isFound(etcd)
    ? { name: apiserver.name, remedy: `its etcd is missing: ${etcd.remedy}` }
    : apiserver;
}

/** Starts etcd and an API server on 127.0.0.1, RBAC on, no admission of service accounts, no controllers. */
export async function startKubeApiserver(program: Found): Promise<KubeApiserver> {
  const etcd = await startEtcd(required(findEtcd()));
  const scratch = await makeScratch('kube-apiserver');
  const folder = scratch.path;
  async function clean(): Promise<void> {
    await etcd.stop();
    await scratch.remove();
  }
  try {
    const settings: Settings = {
      folder,
      port: await freePort(),
      etcdUrl: etcd.url,
      adminToken: randomUUID(),
      restrictedToken: randomUUID(),
    };
    await writeSettings(settings);
    let child = await launch(program, settings);
    const admin = await access(settings, settings.adminToken);
    const restricted = await access(settings, settings.restrictedToken);
    return {
      admin,
      restricted,
      adminKubeconfig: await writeKubeconfig(folder, 'admin', admin),
      restrictedKubeconfig: await writeKubeconfig(folder, 'restricted', restricted),
      compact: () => etcd.compact(),
      halt: () => child.stop(),
      restart: async () => {
        await child.stop();
        child = await launch(program, settings);
      },
      stop: async () => {
        await child.stop();
        await clean();
      },
    };
  } catch (error) {
    await clean();
    throw error;
  }
}

/** Makes our CustomResourceDefinition, and waits until it is served. */
export async function installCrd({ admin }: KubeApiserver): Promise<void> {
  const file = new URL('../../../infra/kubernetes/crd/imagerepositories.yaml', import.meta.url);
  const crds = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
  await make(admin, crds, parse(await readFile(file, 'utf8')) as object);
  await poll('the CRD', 60_000, async () => {
    const { status } = await askKubeApi(
      admin,
      'GET',
      '/apis/image.toolkit.fluxcd.io/v1/imagerepositories',
    );
    return status === 200 ? true : undefined;
  });
}

/** Gives the restricted user a rule besides those it has, under a name that is new. */
export async function grant({ admin }: KubeApiserver, name: string, rule: object): Promise<void> {
  const rbac = 'rbac.authorization.k8s.io';
  const metadata = { name };
  await make(admin, `/apis/${rbac}/v1/clusterroles`, { metadata, rules: [rule] });
  await make(admin, `/apis/${rbac}/v1/clusterrolebindings`, {
    metadata,
    roleRef: { apiGroup: rbac, kind: 'ClusterRole', name },
    subjects: [{ apiGroup: rbac, kind: 'User', name: 'restricted' }],
  });
}

/** Makes an object. @throws AssertionError where it is refused */
export async function make(admin: KubeAccess, path: string, body: object): Promise<void> {
  const answer = await askKubeApi(admin, 'POST', path, body);
  assert.equal(answer.status, 201, JSON.stringify(answer.body));
}

async function writeSettings(settings: Settings): Promise<void> {
  const { folder, adminToken, restrictedToken } = settings;
  await mkdir(join(folder, 'certificates'));
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  await writeFile(
    join(folder, 'service-account.key'),
    privateKey.export({ type: 'pkcs8', format: 'pem' }),
  );
  await writeFile(
    join(folder, 'tokens.csv'),
    `${adminToken},admin,admin,"system:masters"\n${restrictedToken},restricted,restricted\n`,
  );
}

function launch(program: Found, settings: Settings): Promise<Child> {
  const { folder, port } = settings;
  const key = join(folder, 'service-account.key');
  return startServer({
    path: program.path,
    args: [
      `--etcd-servers=${settings.etcdUrl}`,
      // It makes its own certificate there, and finds it again after a restart.
      `--cert-dir=${join(folder, 'certificates')}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${port}`,
      // Nobody looks for this server through the `kubernetes` service.
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.0.0.0/24',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${key}`,
      `--service-account-signing-key-file=${key}`,
      `--token-auth-file=${join(folder, 'tokens.csv')}`,
      '--authorization-mode=RBAC',
      '--disable-admission-plugins=ServiceAccount',
    ],
    ready: () => isReady(settings),
  });
}

/** Ready when its own checks say so and the namespace `default`, which it makes itself, is there. */
async function isReady(settings: Settings): Promise<boolean> {
  const admin = await access(settings, settings.adminToken);
  for (const path of ['/readyz', '/api/v1/namespaces/default']) {
    const { status } = await askKubeApi(admin, 'GET', path);
    if (status !== 200) return false;
  }
  return true;
}

async function access(settings: Settings, token: string): Promise<KubeAccess> {
  return {
    url: `https://127.0.0.1:${settings.port}`,
    // The file holds the server's certificate and the authority that it has made for it.
    certificateAuthority: await readFile(
      join(settings.folder, 'certificates', 'apiserver.crt'),
      'utf8',
    ),
    token,
  };
}

/** A kubeconfig in JSON, which is YAML. */
async function writeKubeconfig(folder: string, user: string, to: KubeAccess): Promise<string> {
  const path = join(folder, `${user}.kubeconfig`);
  const authority = Buffer.from(to.certificateAuthority ?? '').toString('base64');
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'test', cluster: { server: to.url, 'certificate-authority-data': authority } },
    ],
    users: [{ name: user, user: { token: to.token } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user } }],
    'current-context': 'test',
  };
  await writeFile(path, JSON.stringify(kubeconfig, undefined, 2), { mode: 0o600 });
  return path;
}
