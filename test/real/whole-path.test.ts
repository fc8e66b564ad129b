import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

import { parse } from 'yaml';

import { DEFAULT_LINES, nextRelease, seedImages } from '../stand-ins/images/seed.ts';
import { httpTarget } from '../stand-ins/images/target.ts';
import { startScanner, type Scanner } from '../stand-ins/flux-scanner/scanner.ts';
import { runEntry, startEntry } from '../flow/entry.ts';
import { findDockerRegistry, startDockerRegistry } from './servers/docker-registry.ts';
import { required, skipUnless } from './servers/found.ts';
import { askKubeApi, type KubeAccess } from '../stand-ins/kubernetes/client.ts';
import { findKubeApiserver, startKubeApiserver } from './servers/kube-apiserver.ts';
import { findPubsubEmulator, startPubsubEmulator } from './servers/pubsub-emulator.ts';

const entry = 'infra/local/main.ts';
const crdFile = fileURLToPath(
  new URL('../../infra/kubernetes/crd/imagerepositories.yaml', import.meta.url),
);
const objects = '/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagerepositories';

/** Installs our CRD and makes one ImageRepository an image. */
async function applyObjects(access: KubeAccess, images: readonly string[]): Promise<void> {
  const crd = parse(await readFile(crdFile, 'utf8')) as object;
  const installed = await askKubeApi(
    access,
    'POST',
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    crd,
  );
  assert.equal(installed.status, 201, JSON.stringify(installed.body));
  await askKubeApi(access, 'POST', '/api/v1/namespaces', { metadata: { name: 'flux-system' } });
  for (const [index, image] of images.entries()) {
    const object = {
      apiVersion: 'image.toolkit.fluxcd.io/v1',
      kind: 'ImageRepository',
      metadata: { name: `image-${index}` },
      spec: { image, interval: '1s', insecure: true },
    };
    // The resource is served a moment after its definition was taken.
    for (let tries = 0; ; tries++) {
      const { status, body } = await askKubeApi(access, 'POST', objects, object);
      if (status === 201) break;
      assert.ok(tries < 100, JSON.stringify(body));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

describe(
  "npm start with Google's Pub/Sub emulator",
  { skip: skipUnless(findPubsubEmulator()) },
  () => {
    it('mirrors and verifies everything', async () => {
      const emulator = await startPubsubEmulator(required(findPubsubEmulator()));
      try {
        const { code, stdout, stderr } = await runEntry(entry, [
          '--once',
          '--timeout=120s',
          `--pubsub-emulator-host=${emulator.host}`,
        ]);
        assert.equal(code, 0, stdout + stderr);
        assert.match(stdout, /^Everything is mirrored: 6 repositories/m);
      } finally {
        await emulator.stop();
      }
    });
  },
);

describe(
  'npm start with a real cluster and registries',
  { skip: skipUnless(findKubeApiserver(), findDockerRegistry()) },
  () => {
    it("mirrors the cluster's objects and what is released meanwhile", async () => {
      const cluster = await startKubeApiserver(required(findKubeApiserver()));
      const source = await startDockerRegistry(required(findDockerRegistry()));
      const destination = await startDockerRegistry(required(findDockerRegistry()));
      const target = httpTarget({ url: source.url });
      let scanner: Scanner | undefined;
      try {
        const seeded = await seedImages(target);
        const images = DEFAULT_LINES.map(({ repository }) => `${source.host}/${repository}`);
        await applyObjects(cluster.admin, images);
        scanner = await startScanner(cluster.admin);
        const args = [
          `--kubeconfig=${cluster.adminKubeconfig}`,
          `--destination-registry=${destination.host}/mirror`,
        ];
        const once = await runEntry(entry, ['--once', '--timeout=120s', ...args]);
        assert.equal(once.code, 0, once.stdout + once.stderr);
        assert.match(once.stdout, /^Everything is mirrored: 6 repositories/m);

        // A release while it runs: the change is seen by the real watch.
        const { child, ended } = startEntry(entry, args);
        let released = false;
        let told = false;
        child.stdout?.on('data', (text: string) => {
          if (!released && text.includes('3 skipped')) {
            released = true;
            void nextRelease(target, seeded[0]!);
          }
          if (!told && /demo\/api .* 1 copied, 3 skipped .* after the scan/.test(text)) {
            told = true;
            child.kill('SIGINT');
          }
        });
        const { code, stdout, stderr } = await ended;
        assert.equal(code, 0, stdout + stderr);
        assert.ok(told, stdout);
      } finally {
        await scanner?.close();
        target.close();
        await destination.stop();
        await source.stop();
        await cluster.stop();
      }
    });
  },
);
