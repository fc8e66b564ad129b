import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { readSubscriberConfig } from '../../functions/config.ts';
import { encodeEvent } from '../../functions/contract/codec.ts';
import {
  openSubscriberProcess,
  type SubscriberProcess,
} from '../../functions/subscriber-process.ts';
import { startRegistries, tagsOf, type Registries } from './registries.ts';
import { serve } from './registry/setting.ts';
import { sampleEvent } from './subscriber/samples.ts';
import { until } from '../until.ts';

describe('subscriber process', () => {
  let registries: Registries;
  before(async () => {
    registries = await startRegistries();
  });
  after(async () => registries.close());

  function open(more: Readonly<Record<string, string>> = {}): SubscriberProcess {
    const env = {
      DESTINATION_REGISTRY: `${registries.destination.host}/m`,
      DESTINATION_LAYOUT: 'path',
      LOCAL: 'true',
      LOG_LEVEL: 'error',
      ...more,
    };
    return openSubscriberProcess(readSubscriberConfig([], env), env);
  }

  function message(repository: string): unknown {
    const { attributes, data } = encodeEvent(
      sampleEvent({ image: `${registries.source.host}/${repository}` }),
    );
    return { message: { attributes, data: data.toString('base64') } };
  }

  it('mirrors what a message asks for', async () => {
    const running = open();
    await running.handle(message('demo/api'), { arrivedAtMs: Date.now() });
    assert.deepEqual(
      tagsOf(registries.destination, 'm/demo/api'),
      tagsOf(registries.source, 'demo/api'),
    );
    await running.shutDown();
  });

  it('sends what it counted when it is shut down', async (t) => {
    const { url, seen } = await serve(t, (request, response) => {
      request.resume();
      response.end();
    });
    const running = open({ OTEL_EXPORTER_OTLP_ENDPOINT: url });
    await running.handle(message('demo/api'), { arrivedAtMs: Date.now() });
    await until(() => seen.length === 1);
    await running.shutDown();
    await until(() => seen.length === 2);
  });

  it('finishes what is under way when it is shut down', async () => {
    const running = open();
    registries.source.set({ rttMs: 50 });
    const handled = running.handle(message('demo/web'), { arrivedAtMs: Date.now() }).then(
      () => 'ack',
      () => 'redeliver',
    );
    const shutDown = running.shutDown();
    assert.equal(running.shutDown() === shutDown, false);
    await shutDown;
    // It could no longer begin a tag, so the message is handed back rather than cut.
    assert.equal(await handled, 'redeliver');
    registries.source.set({ rttMs: 0 });
  });
});
