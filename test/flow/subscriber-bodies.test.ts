import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { after, before, describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { freePort } from '../stand-ins/child.ts';
import { TOPICS } from '../stand-ins/pubsub/lanes.ts';
import { startInstanceProcess, type InstanceProcess } from '../stand-ins/cloud-run/instance.ts';
import { PROJECT, startBroker, type Broker } from '../functions/pubsub/broker.ts';
import { FROM_SOURCE } from './subscriber-rig.ts';

const TIMEOUT = { timeout: 60_000 };
const MIB = 1024 * 1024;

/** Sends a body in pieces; the status, or `cut` where the connection ends without one. */
async function post(
  { url }: InstanceProcess,
  headers: Readonly<Record<string, string>>,
  pieces: readonly Buffer[],
): Promise<number | 'cut'> {
  return new Promise((resolve) => {
    const request = httpRequest(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume();
      response.on('close', () => {
        resolve(response.statusCode ?? 0);
      });
    });
    request.on('error', () => {
      resolve('cut');
    });
    for (const piece of pieces) request.write(piece);
    request.end();
  });
}

/** The most memory that a process has had, in MiB. */
function peakMib({ pid }: InstanceProcess): number {
  const [, kib = '0'] =
    /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1024;
}

/** A wrapped push of foreign data at Pub/Sub's limit. */
function largest(): { readonly body: Buffer; readonly data: Buffer; readonly attributes: object } {
  const attributes = { team: 'a', 'ce-id': '1' };
  const spent = Object.entries(attributes).flat().join('').length;
  const data = Buffer.alloc(10_000_000 - spent, 'x');
  const message = { attributes, data: data.toString('base64'), messageId: '1' };
  return { body: Buffer.from(JSON.stringify({ message })), data, attributes };
}

for (const [name, options] of [
  ['image', { command: ['functions/serve.ts'] }],
  ['deployment from source', FROM_SOURCE],
] as const) {
  describe(`body of a push to the ${name}`, () => {
    let broker: Broker;
    let instance: InstanceProcess;
    before(async () => {
      broker = await startBroker(TOPICS.deadLetter);
      instance = await startInstanceProcess({
        command: options.command ?? [],
        env: {
          LOCAL: 'true',
          DESTINATION_REGISTRY: 'localhost:1/m',
          DEAD_LETTER_TOPIC: TOPICS.deadLetter,
          GOOGLE_CLOUD_PROJECT: PROJECT,
          PUBSUB_EMULATOR_HOST: broker.pubsub.host,
          METADATA_SERVER_DETECTION: 'none',
        },
        ...('givePort' in options ? { port: await freePort() } : {}),
      });
    });
    after(async () => {
      await instance.stop();
      await broker.close();
    });

    const letters = (): ReturnType<Broker['pubsub']['view']['messages']> =>
      broker.pubsub.view.messages(`projects/${PROJECT}/topics/${TOPICS.deadLetter}`);

    it('guard body-encoding: is never decompressed, and is put aside', TIMEOUT, async () => {
      const beforeMib = peakMib(instance);
      const bomb = gzipSync(Buffer.alloc(512 * MIB, ' '), { level: 1 });
      const headers = { 'content-type': 'application/json', 'content-encoding': 'gzip' };
      const status = await post(instance, headers, [bomb]);
      assert.ok(status === 204 || status === 400, String(status));
      assert.ok(peakMib(instance) - beforeMib < 256, `${peakMib(instance)} MiB`);
    });

    it('guard body-size: is cut off where it is larger than any push', TIMEOUT, async () => {
      const pieces = Array.from({ length: 20 }, () => Buffer.alloc(MIB, ' '));
      const chunked = await post(instance, { 'transfer-encoding': 'chunked' }, pieces);
      assert.ok(chunked === 'cut' || chunked === 413 || chunked === 400, String(chunked));
      const told = await post(instance, { 'content-length': String(20 * MIB) }, pieces);
      assert.ok(told === 'cut' || told === 413 || told === 400, String(told));
    });

    it(
      'is put aside at the limit of Pub/Sub, its data cut and its attributes kept',
      TIMEOUT,
      async () => {
        const { body, data, attributes } = largest();
        const headers = { 'content-type': 'application/json' };
        const earlier = letters().length;
        assert.equal(await post(instance, headers, [body]), 204);
        const letter = letters()[earlier];
        assert.deepEqual(
          { ...letter?.attributes },
          {
            ...attributes,
            'error-code': 'EVENT_TOO_LARGE',
            'error-field': 'data',
            'error-data-bytes': String(data.length),
          },
        );
        assert.ok((letter?.data.length ?? 0) > 9_980_000);
      },
    );

    if (name === 'image') {
      it('may have a head as large as all attributes that Pub/Sub takes', TIMEOUT, async () => {
        const extensions = Array.from({ length: 96 }, (_, n) => [
          `ce-${String(n).padEnd(250, 'x')}`,
          'y'.repeat(1024),
        ]);
        const many = {
          ...{ 'ce-id': '1', 'ce-type': 't', 'ce-source': 's', 'ce-specversion': '1.0' },
          ...(Object.fromEntries(extensions) as Record<string, string>),
        };
        const earlier = letters().length;
        assert.equal(await post(instance, many, [Buffer.from('{}')]), 204);
        assert.equal(Object.keys(letters()[earlier]?.attributes ?? {}).length, 100);
      });
    }
  });
}
