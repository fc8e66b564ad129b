import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  canonicalImageName,
  destinationPath,
  parseDestinationRegistry,
  parseImageName,
  requirePath,
} from '../../../functions/contract/destination.ts';
import { thrown } from '../../faults.ts';

function refuses(call: () => unknown, why = ''): void {
  assert.ok(thrown(call, 'REFERENCE_INVALID').message.includes(why), why);
}

describe('destinationPath', () => {
  for (const [image, hostPath, path, name] of [
    ['ghcr.io/org/app', 'ghcr.io/org/app', 'org/app', 'app'],
    ['index.docker.io/library/alpine', 'docker.io/library/alpine', 'library/alpine', 'alpine'],
    ['registry:5000/app', 'registry_5000/app', 'app', 'app'],
    ['127.0.0.1:15000/org/app', '127.0.0.1_15000/org/app', 'org/app', 'app'],
    ['Registry.Example.com/a/b/c', 'registry.example.com/a/b/c', 'a/b/c', 'c'],
    ['GHCR.io.:443/org/app', 'ghcr.io/org/app', 'org/app', 'app'],
    ['[::1]:5000/app', 'ipv6__0-0-0-0-0-0-0-1_5000/app', 'app', 'app'],
    ['[2001:DB8::5]/org/app', 'ipv6__2001-db8-0-0-0-0-0-5/org/app', 'org/app', 'app'],
    ['[1:2:3:4:5:6:7:8]:1/app', 'ipv6__1-2-3-4-5-6-7-8_1/app', 'app', 'app'],
    ['[fe80::]/app', 'ipv6__fe80-0-0-0-0-0-0-0/app', 'app', 'app'],
  ] as const) {
    it(`puts ${image} where each layout wants it`, () => {
      assert.equal(destinationPath(image, 'host-path'), hostPath);
      assert.equal(destinationPath(image, 'path'), path);
      assert.equal(destinationPath(image, 'name'), name);
    });
  }

  for (const image of [
    '',
    'app',
    '/app',
    'ghcr.io/',
    'ghcr.io/Org/app',
    'ghcr.io/org/app:1.0',
    'ghcr.io/org/../app',
    'ghcr.io//app',
    'https://ghcr.io/org/app',
    'ghcr.io/org/app@sha256:00',
    'gh cr.io/app',
    `ghcr.io/${'a'.repeat(256)}`,
    '[:::]/app',
    '[1:2:3]/app',
    '[::1/app',
    '[::1]:port/app',
  ]) {
    it(`refuses the image '${image.slice(0, 40)}'`, () => {
      refuses(() => destinationPath(image, 'host-path'));
    });
  }
});

describe('host-path', () => {
  it('is one-to-one: no two hosts have one path, and one host has one however it is written', () => {
    const hosts = [
      '[::1]',
      '[::1]:5000',
      '[::2]',
      '[1::]',
      '[::1:5000]',
      '[::1:0]:5000',
      '[0:0:0:0:0:0:1:5000]:1',
      '0-0-0-0-0-0-0-1',
      '0-0-0-0-0-0-0-1:5000',
      'ipv6',
      'ipv6:5000',
      'ipv6.0-0-0-0-0-0-0-1',
      'ipv6--0-0-0-0-0-0-0-1',
    ];
    const paths = hosts.map((host) => destinationPath(`${host}/app`, 'host-path'));
    assert.equal(new Set(paths).size, hosts.length, paths.join(' '));
    for (const path of paths) assert.equal(requirePath(path), path);
    const written = ['[::1]:5000', '[0:0::1]:5000', '[0000:0:0:0:0:0:0:0001]:5000'];
    assert.equal(
      new Set(written.map((host) => destinationPath(`${host}/app`, 'host-path'))).size,
      1,
    );
  });
});

describe('parseImageName', () => {
  it('gives a host in its one written form', () => {
    assert.equal(parseImageName('GHCR.io/app').host, 'ghcr.io');
    assert.equal(parseImageName('[0:0:0::1]:5000/app').host, '[::1]:5000');
    assert.equal(parseDestinationRegistry('[2001:DB8::0]:5000/mirror').host, '[2001:db8::]:5000');
  });

  it('guard image-name: takes a registry and a path of the grammar only', () => {
    for (const image of ['app', 'ghcr.io/org/../app', 'ghcr.io/org/app:1', 'evil@ghcr.io/app'])
      refuses(() => parseImageName(image));
    const longest = `ghcr.io/${'a'.repeat(255 - 'ghcr.io/'.length)}`;
    assert.equal(parseImageName(longest).host, 'ghcr.io');
    refuses(() => parseImageName(`${longest}a`));
  });

  it('tells host and path apart', () => {
    assert.deepEqual(parseImageName('localhost:5000/a/b'), { host: 'localhost:5000', path: 'a/b' });
  });
});

describe('canonicalImageName', () => {
  for (const [written, canonical] of [
    ['alpine', 'index.docker.io/library/alpine'],
    ['my.app', 'index.docker.io/library/my.app'],
    ['stefanprodan/podinfo', 'index.docker.io/stefanprodan/podinfo'],
    ['docker.io/library/alpine', 'index.docker.io/library/alpine'],
    ['docker.io/alpine', 'index.docker.io/library/alpine'],
    ['ghcr.io/org/app', 'ghcr.io/org/app'],
    ['localhost/app', 'localhost/app'],
    ['registry:5000/app', 'registry:5000/app'],
    ['Docker.io:443/alpine', 'index.docker.io/library/alpine'],
    ['GHCR.io./org/app', 'ghcr.io/org/app'],
  ] as const) {
    it(`makes ${written} ${canonical}`, () => {
      assert.equal(canonicalImageName(written), canonical);
    });
  }

  it('refuses a tag', () => {
    refuses(() => canonicalImageName('alpine:3'));
  });
});

describe('parseDestinationRegistry', () => {
  it('takes a host, a host with a path, and an Artifact Registry repository', () => {
    assert.deepEqual(parseDestinationRegistry('localhost:5000'), {
      host: 'localhost:5000',
      path: '',
    });
    assert.deepEqual(parseDestinationRegistry('localhost:5000/mirror'), {
      host: 'localhost:5000',
      path: 'mirror',
    });
    assert.deepEqual(parseDestinationRegistry('europe-west1-docker.pkg.dev/acme/mirror'), {
      host: 'europe-west1-docker.pkg.dev',
      path: 'acme/mirror',
    });
  });

  for (const [registry, why] of [
    ['', 'is empty'],
    ['https://localhost:5000', 'must not have a scheme'],
    ['europe-west1-docker.pkg.dev', 'needs HOST/PROJECT/REPOSITORY'],
    ['europe-west1-docker.pkg.dev/acme', 'needs HOST/PROJECT/REPOSITORY'],
    ['localhost:5000/Mirror', 'has a path outside'],
    ['localhost:5000/', 'has a path outside'],
    ['bad host/x', 'does not begin with a host'],
    ['-x/y', 'does not begin with a host'],
  ] as const) {
    it(`refuses '${registry}'`, () => {
      refuses(() => parseDestinationRegistry(registry), why);
    });
  }
});

describe('requirePath', () => {
  it('guard repository-path: refuses what leaves the destination', () => {
    for (const path of ['../x', 'a/../b', '/a', 'a/', 'a//b', 'A', ''])
      refuses(() => requirePath(path));
    assert.equal(requirePath('a'.repeat(255)).length, 255);
    refuses(() => requirePath('a'.repeat(256)));
  });
});
