import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { composeEngine, publisherOf, type Engine } from '../../functions/compose.ts';
import { readSubscriberConfig, type SubscriberConfig } from '../../functions/config.ts';
import { NO_DEADLINE } from '../../functions/mirror/deadline.ts';
import type { MirrorReport } from '../../functions/mirror/report.ts';
import { admit } from '../../functions/subscriber/admission.ts';
import { queueClient } from '../../functions/pubsub/client.ts';
import { answering } from './registry/setting.ts';
import { startRegistries, tagsOf, type Registries } from './registries.ts';
import { keptLines, sampleEvent } from './subscriber/samples.ts';
import { rejection, thrown } from '../faults.ts';

describe('engine', () => {
  let registries: Registries;
  const folder = mkdtempSync(join(tmpdir(), 'compose-'));
  before(async () => {
    registries = await startRegistries({
      source: {
        auth: {
          scheme: 'bearer',
          users: { reader: 'secret-word' },
          allows: (user) => user === 'reader',
        },
      },
    });
  });
  after(async () => {
    await registries.close();
    rmSync(folder, { recursive: true });
  });

  function config(env: Record<string, string>): SubscriberConfig {
    return readSubscriberConfig([], {
      DESTINATION_REGISTRY: `${registries.destination.host}/mirror`,
      DESTINATION_LAYOUT: 'path',
      LOCAL: 'true',
      ...env,
    });
  }

  async function mirror(engine: Engine, repository: string): Promise<MirrorReport> {
    const event = sampleEvent({ image: `${registries.source.host}/${repository}` });
    return engine.doWork({
      event,
      admission: admit(event, engine.rules),
      deadline: NO_DEADLINE,
      signal: new AbortController().signal,
    });
  }

  async function withEngine<T>(
    env: Record<string, string>,
    work: (engine: Engine, lines: Record<string, unknown>[]) => Promise<T>,
    options: Parameters<typeof composeEngine>[2] = {},
  ): Promise<T> {
    const { logger, lines } = keptLines();
    const engine = composeEngine(config(env), logger, options);
    try {
      return await work(engine, lines);
    } finally {
      await engine.close();
    }
  }

  function dockerConfig(): string {
    const file = join(folder, 'config.json');
    const auth = Buffer.from('reader:secret-word').toString('base64');
    writeFileSync(file, JSON.stringify({ auths: { [registries.source.host]: { auth } } }));
    return file;
  }

  /** The docker config, for the sources of the seed. */
  function allowed(): Record<string, string> {
    return {
      DOCKER_CONFIG_FILE: dockerConfig(),
      ALLOWED_SOURCES: `${registries.source.host}/demo/*`,
    };
  }

  it('uses the credentials of the docker config for allowed sources', async () => {
    const report = await withEngine(allowed(), async (engine) => mirror(engine, 'demo/api'));
    assert.equal(report.counts.copied, 3);
    assert.deepEqual(
      tagsOf(registries.destination, 'mirror/demo/api'),
      tagsOf(registries.source, 'demo/api'),
    );
  });

  it('uses them for no other', async () => {
    const env = { DOCKER_CONFIG_FILE: dockerConfig() };
    const mirrored = withEngine(env, async (engine) => mirror(engine, 'demo/api'));
    assert.equal((await rejection(mirrored, 'UNAUTHORIZED')).side, 'source');
  });

  it('refuses loopback sources that nobody allowed', async () => {
    await rejection(
      withEngine({ LOCAL: 'false' }, async (engine) => mirror(engine, 'demo/api')),
      'ADDRESS_REFUSED',
    );
  });

  it('changes nothing in a dry run', async () => {
    const work = async (engine: Engine): Promise<MirrorReport> => mirror(engine, 'demo/web');
    const report = await withEngine(allowed(), work, { dryRun: true });
    assert.equal(report.counts['would-copy'], 3);
    assert.deepEqual(tagsOf(registries.destination, 'mirror/demo/web'), {});
  });

  it('counts requests, and writes the counts at the end', async () => {
    const lines = await withEngine(allowed(), async (engine, written) => {
      await mirror(engine, 'demo/legacy');
      return written;
    });
    const hosts = new Set(
      lines.filter(({ entry }) => entry === 'requests').map(({ host }) => host),
    );
    assert.deepEqual(hosts, new Set([registries.source.host, registries.destination.host]));
  });

  it('tells of a host that takes whole indexes only', async () => {
    const env = { ...allowed(), PLATFORMS: 'linux/amd64' };
    const effect = answering(404, 'MANIFEST_BLOB_UNKNOWN');
    registries.destination.faults.add({
      path: /demo\/web\/manifests\/\d/,
      method: 'PUT',
      effect,
    });
    await withEngine(env, async (engine, lines) => {
      assert.equal((await mirror(engine, 'demo/web')).counts.copied, 3);
      const told = lines.filter(({ entry }) => entry === 'whole-indexes');
      assert.deepEqual(
        told.map(({ host }) => host),
        [registries.destination.host],
      );
    });
  });

  for (const [option, name, text] of [
    ['SOURCE_CA_FILE', 'that is absent', undefined],
    ['SOURCE_CA_FILE', 'that is empty', ''],
    ['SOURCE_CA_FILE', 'without a certificate', '-----BEGIN PRIVATE KEY-----\nx\n'],
    [
      'SOURCE_CA_FILE',
      'with a broken certificate',
      '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n',
    ],
    ['DOCKER_CONFIG_FILE', 'that is absent', undefined],
    ['DOCKER_CONFIG_FILE', 'that is empty', ''],
    ['DOCKER_CONFIG_FILE', 'that is no JSON', 'auths:'],
    ['DOCKER_CONFIG_FILE', 'with a credential helper', '{"credsStore": "desktop"}'],
    ['DOCKER_CONFIG_FILE', 'without credentials', '{"auths": {}}'],
    ['DOCKER_CONFIG_FILE', 'with an entry without a secret', '{"auths": {"ghcr.io": {}}}'],
  ] as const) {
    it(`refuses a file of ${option} ${name}, at the start`, () => {
      const file = join(folder, 'option');
      rmSync(file, { force: true });
      if (text !== undefined) writeFileSync(file, text);
      const compose = (): Engine => composeEngine(config({ [option]: file }), keptLines().logger);
      assert.equal(thrown(compose, 'OPTION_INVALID').field, option);
    });
  }
});

describe('publisher of a topic', () => {
  it('is none where no topic is configured', () => {
    assert.equal(publisherOf(queueClient(undefined), undefined), undefined);
    assert.notEqual(publisherOf(queueClient(undefined), 'bulk'), undefined);
  });
});
