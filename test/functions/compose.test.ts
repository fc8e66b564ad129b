import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';

import {
  composeEngine,
  composeService,
  publisherOf,
  type Engine,
} from '../../functions/compose.ts';
import { readSubscriberConfig, type SubscriberConfig } from '../../functions/config.ts';
import { encodeEvent } from '../../functions/contract/codec.ts';
import { MirrorError } from '../../functions/errors.ts';
import { NO_DEADLINE } from '../../functions/mirror/deadline.ts';
import type { MirrorReport } from '../../functions/mirror/report.ts';
import { admit } from '../../functions/subscriber/admission.ts';
import { processEnd } from '../../functions/subscriber/delivery-deadline.ts';
import { queueClient } from '../../functions/pubsub/client.ts';
import type { Transport } from '../../functions/registry/transport.ts';
import { answering, serve } from './registry/setting.ts';
import { startRegistries, tagsOf, type Registries } from './registries.ts';
import { keptLines, sampleEvent } from './subscriber/samples.ts';
import { rejection, thrown } from '../faults.ts';
import { until } from '../until.ts';

type Line = Readonly<Record<string, unknown>>;

/** Requests to a host by the lines that were written. */
function counted(lines: readonly Line[], host: string): number {
  return lines
    .filter((line) => line['entry'] === 'requests' && line['host'] === host)
    .reduce((sum, { count }) => sum + Number(count), 0);
}

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
    return mirrorImage(engine, `${registries.source.host}/${repository}`);
  }

  async function mirrorImage(
    engine: Engine,
    image: string,
    onBytes: (count: number) => void = () => undefined,
  ): Promise<MirrorReport> {
    const event = sampleEvent({ image });
    return engine.doWork({
      event,
      observer: { onBytes },
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

  it('counts requests, and writes the counts after an event and at the end', async () => {
    const hosts = [registries.source, registries.destination];
    for (const { counter } of hosts) counter.reset();
    const work = async (engine: Engine, lines: readonly Line[]): Promise<readonly Line[]> => {
      await mirror(engine, 'demo/legacy');
      await engine.flush();
      for (const { host } of hosts) assert.ok(counted(lines, host) > 0);
      for (const { counter } of hosts) before.push(counter.total);
      await mirror(engine, 'demo/legacy');
      assert.deepEqual(engine.openWork(), []);
      return lines;
    };
    const before: number[] = [];
    const written = await withEngine(allowed(), work);
    for (const { host } of hosts) assert.ok(counted(written, host) > (before.shift() ?? 0));
  });

  it('writes no counts where it is not to', async () => {
    const work = async (engine: Engine, lines: readonly Line[]): Promise<readonly Line[]> => {
      await mirror(engine, 'demo/legacy');
      return lines;
    };
    const written = await withEngine(allowed(), work, { countRequests: false });
    assert.equal(counted(written, registries.source.host), 0);
  });

  it('sends what it counted to an OTLP endpoint too, after an event and at the end', async (t) => {
    const received: Promise<string>[] = [];
    const { url } = await serve(t, (request, response) => {
      received.push(text(request));
      response.end();
    });
    const env = { ...allowed(), OTEL_EXPORTER_OTLP_ENDPOINT: url };
    await withEngine(env, async (engine) => {
      await mirror(engine, 'demo/legacy');
      await engine.flush();
      await until(() => received.length === 1);
    });
    await until(() => received.length === 2);
    assert.match((await received[0]) ?? '', /imagerepo_mirror\/requests/);
  });

  it('tells the bytes that it sends', async () => {
    await registries.push('demo/told', '1.0');
    let bytes = 0;
    const report = await withEngine(allowed(), async (engine) =>
      mirrorImage(engine, `${registries.source.host}/demo/told`, (count) => (bytes += count)),
    );
    assert.ok(report.bytesUploaded > 0);
    assert.ok(bytes >= report.bytesUploaded);
  });

  for (const [env, source, destination] of [
    [{}, 'https://r.example', 'https://d.example'],
    [{ INSECURE_DESTINATION: 'true' }, 'https://r.example', 'http://d.example'],
  ] as const) {
    it(`asks ${destination} and ${source}, and ends its connections`, async () => {
      const asked = new Set<string>();
      let open = 0;
      const openTransport = (): Transport => {
        open += 1;
        return {
          send: async ({ url }) => {
            asked.add(url.origin);
            return Promise.reject(new MirrorError('ADDRESS_REFUSED', 'x'));
          },
          close: () => (open -= 1),
        };
      };
      const work = async (engine: Engine): Promise<unknown> => {
        assert.ok(open > 0);
        return mirrorImage(engine, 'r.example/org/app').catch(() => undefined);
      };
      await withEngine({ DESTINATION_REGISTRY: 'd.example/m', ...env }, work, { openTransport });
      assert.deepEqual(asked, new Set([source, destination]));
      assert.equal(open, 0);
    });
  }

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

  for (const [option, name, content] of [
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
      if (content !== undefined) writeFileSync(file, content);
      const compose = (): Engine => composeEngine(config({ [option]: file }), keptLines().logger);
      assert.equal(thrown(compose, 'OPTION_INVALID').field, option);
    });
  }
});

describe('service', () => {
  it('writes what is still counted when it is closed', async () => {
    const registries = await startRegistries({ seeded: false });
    const { source, destination } = registries;
    const env = { DESTINATION_REGISTRY: `${destination.host}/m`, LOCAL: 'true' };
    const { logger, lines } = keptLines();
    const end = processEnd(() => 0);
    const service = composeService(readSubscriberConfig([], env), logger, end, 'mirror');
    let before = 0;
    for (const repository of ['org/first', 'org/second']) {
      await registries.push(repository, '1.0');
      before = source.counter.total;
      const event = encodeEvent(sampleEvent({ image: `${source.host}/${repository}` }));
      const message = { attributes: event.attributes, data: event.data.toString('base64') };
      await service.subscriber.handle({ message }, { arrivedAtMs: Date.now() });
    }
    await service.close();
    assert.ok(counted(lines, source.host) > before);
    await registries.close();
  });
});

describe('publisher of a topic', () => {
  it('is none where no topic is configured', () => {
    assert.equal(publisherOf(queueClient(undefined), undefined), undefined);
    assert.notEqual(publisherOf(queueClient(undefined), 'bulk'), undefined);
  });
});
