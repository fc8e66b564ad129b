import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';

import type { LocalRegistry } from '../stand-ins/registry/registry.ts';
import { deployed, withDeployment } from './subscriber-rig.ts';

const TIMEOUT = { timeout: 90_000 };
const PASSWORD = 'reader-password';

/** What no line may tell of the requests that a registry saw: credentials and signatures. */
function secretsOf({ counter }: LocalRegistry): readonly (readonly string[])[] {
  const found = (pattern: RegExp, texts: readonly (string | undefined)[]): readonly string[] => [
    ...new Set(texts.flatMap((text = '') => pattern.exec(text)?.slice(1) ?? [])),
  ];
  return [
    found(
      /^\S+ (.+)$/,
      counter.records.map(({ headers }) => headers.authorization),
    ),
    found(
      /X-Amz-Signature=([^&]+)/,
      counter.records.map(({ url }) => url),
    ),
  ];
}

/** A collector of metrics that never answers. */
async function startSilence(): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer((request) => request.resume());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

describe('log of the service', () => {
  const folder = mkdtempSync(join(tmpdir(), 'subscriber-logs-'));
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const file = join(folder, 'config.json');
  const basic = Buffer.from(`reader:${PASSWORD}`).toString('base64');

  deployed(
    'tells no token, signed URL or password, whatever fails',
    {
      env: {
        DOCKER_CONFIG_FILE: file,
        ALLOWED_SOURCES: '127.0.0.1:*/org/*',
        LOG_LEVEL: 'debug',
      },
      registries: {
        source: {
          auth: {
            scheme: 'bearer',
            users: { reader: PASSWORD },
            allows: (user) => user === 'reader',
          },
          switches: { blobRedirect: 'signed-other-host' },
        },
      },
    },
    async ({ registries, publish, event, settled, output, eventLines, mirror }) => {
      const { source } = registries;
      const auths = { [source.host]: { auth: basic } };
      writeFileSync(file, JSON.stringify({ auths }));
      for (const tag of ['1.0', '1.1', '1.2']) await registries.push('org/app', tag);
      source.faults.add({
        path: /X-Amz-Signature/,
        times: 9,
        effect: { kind: 'reset', at: 'head' },
      });
      source.faults.add({
        path: /manifests\/1\.1/,
        times: 5,
        effect: { kind: 'answer', status: 503 },
      });
      source.faults.add({
        path: /\/token/,
        skip: 1,
        times: 5,
        effect: { kind: 'answer', status: 500 },
      });
      await publish(event('org/app'));
      await settled();
      source.revokeTokens();
      await registries.push('org/app', '1.3');
      await mirror('org/app');

      const again = ['retry', 'continue'].flatMap((decision) => eventLines({ decision }));
      assert.ok(again.length > 0);
      const [credentials = [], signatures = []] = secretsOf(source);
      assert.ok(credentials.length > 1 && signatures.length > 1);
      const secrets = [...credentials, ...signatures, PASSWORD, basic];
      const text = output.join('\n');
      for (const secret of secrets) assert.equal(text.includes(secret), false, secret);
      assert.doesNotMatch(text, /authorization|X-Amz-Signature=(?!REDACTED)/i);
    },
  );
});

describe('metrics by OTLP', () => {
  it('neither fail nor hold an event where nobody answers', TIMEOUT, async () => {
    const { url, server } = await startSilence();
    try {
      await withDeployment(
        { env: { OTEL_EXPORTER_OTLP_ENDPOINT: url } },
        async ({ registries, events, eventLines, mirror }) => {
          await registries.push('org/app', '1.0');
          await mirror('org/app');
          assert.equal(eventLines({ decision: 'acknowledge' }).length, 1);
          assert.deepEqual(Object.fromEntries(events.answers), { 204: 1 });
        },
      );
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });
});
