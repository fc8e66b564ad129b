import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { encodeEvent } from '../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../functions/contract/event.ts';
import { deploy, FROM_SOURCE, PROJECT, type Deployment } from './subscriber-rig.ts';

/** A request as a pusher of one kind sends it. */
interface Envelope {
  readonly name: string;
  readonly headers: (event: MirrorEvent) => Readonly<Record<string, string>>;
  readonly body: (event: MirrorEvent) => unknown;
}

const JSON_TYPE = { 'content-type': 'application/json' };
const MESSAGE_PUBLISHED = 'google.cloud.pubsub.topic.v1.messagePublished';
const SUBSCRIPTION = `projects/${PROJECT}/subscriptions/s`;

function wrapped(attributes: Readonly<Record<string, string>>, data: Buffer): object {
  return {
    attributes,
    data: data.toString('base64'),
    messageId: '136969346945',
    message_id: '136969346945',
    publishTime: '2026-08-10T09:00:04Z',
    publish_time: '2026-08-10T09:00:04Z',
  };
}

function messageOf(event: MirrorEvent): object {
  const { attributes, data } = encodeEvent(event);
  return wrapped(attributes, data);
}

/** The event that notification-controller publishes (Event API v1beta1). */
function fluxScan({ data }: MirrorEvent): Buffer {
  return Buffer.from(
    JSON.stringify({
      involvedObject: { kind: 'ImageRepository', namespace: 'flux-system', name: 'app', uid: 'u' },
      severity: 'info',
      timestamp: data.scanTime,
      message: 'successful scan: found 2 tags with checksum 2241533016',
      reason: 'Succeeded',
      metadata: { image: data.image },
      reportingController: 'image-reflector-controller',
      reportingInstance: 'image-reflector-controller-d464d8954-kxpn8',
    }),
  );
}

const envelopes: readonly Envelope[] = [
  {
    name: 'a binary CloudEvent, as an unwrapped push is',
    headers: (event) => encodeEvent(event).attributes,
    body: ({ data }) => data,
  },
  {
    name: 'a structured CloudEvent',
    headers: () => ({ 'content-type': 'application/cloudevents+json; charset=utf-8' }),
    body: (event) => ({ specversion: '1.0', datacontenttype: 'application/json', ...event }),
  },
  {
    name: 'a wrapped push',
    headers: () => JSON_TYPE,
    body: (event) => ({
      message: messageOf(event),
      subscription: SUBSCRIPTION,
      deliveryAttempt: 1,
    }),
  },
  {
    name: "Eventarc's messagePublished",
    headers: () => ({
      ...JSON_TYPE,
      'ce-specversion': '1.0',
      'ce-id': '136969346945',
      'ce-type': MESSAGE_PUBLISHED,
      'ce-source': `//pubsub.googleapis.com/projects/${PROJECT}/topics/events`,
      'ce-time': '2026-08-10T09:00:04Z',
    }),
    body: (event) => ({ message: messageOf(event), subscription: SUBSCRIPTION }),
  },
  {
    name: "a wrapped event of Flux's own",
    headers: () => JSON_TYPE,
    body: (event) => ({ message: wrapped({}, fluxScan(event)), subscription: SUBSCRIPTION }),
  },
];

const entries = [
  ["the image's entry", {}],
  ["the framework's own command line", FROM_SOURCE],
] as const;

for (const [name, options] of entries) {
  describe(`envelopes under ${name}`, { timeout: 90_000 }, () => {
    let deployment: Deployment;
    before(async () => {
      deployment = await deploy({ ...options, env: { ACCEPT_FLUX_EVENTS: 'true' } });
    });
    after(async () => deployment.close());

    async function post(
      headers: Readonly<Record<string, string>>,
      body: Buffer | undefined,
    ): Promise<number> {
      // Bytes, since fetch gives a text a content type.
      const response = await fetch(deployment.events.url, {
        method: 'POST',
        headers,
        ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      });
      await response.text();
      return response.status;
    }

    for (const [index, envelope] of envelopes.entries()) {
      it(`takes ${envelope.name}`, async () => {
        const repository = `org/app-${index}`;
        for (const tag of ['1.0', '1.1']) await deployment.registries.push(repository, tag);
        const event = deployment.event(repository);
        const body = Buffer.from(JSON.stringify(envelope.body(event)));
        assert.equal(await post(envelope.headers(event), body), 204);
        await deployment.requireMirrored(repository);
        const [line, ...more] = deployment
          .eventLines({ image: event.data.image })
          .filter(({ decisionReason }) => decisionReason === 'Finished');
        assert.deepEqual(more, []);
        assert.equal(line?.['copied'], 2);
      });
    }

    it('links a line to the trace', async () => {
      const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
      await deployment.registries.push('org/trace', '1.0');
      const event = deployment.event('org/trace');
      const { attributes, data } = encodeEvent(event);
      const traceparent = `00-${traceId}-00f067aa0ba902b7-01`;
      assert.equal(await post({ ...attributes, traceparent }, data), 204);
      const [line] = deployment.eventLines({ image: event.data.image });
      assert.equal(line?.['logging.googleapis.com/trace'], `projects/${PROJECT}/traces/${traceId}`);
      assert.equal(Object.keys(line)[0], 'message');
    });

    it('puts aside messages without data, and lives on', async () => {
      const before = deployment.deadLetters().length;
      const attributes = { team: 'a' };
      for (const message of [
        { attributes, messageId: '1' },
        { attributes, data: '' },
      ]) {
        const body = Buffer.from(JSON.stringify({ message, subscription: SUBSCRIPTION }));
        assert.equal(await post(JSON_TYPE, body), 204);
      }
      assert.deepEqual(
        deployment
          .deadLetters()
          .slice(before)
          .map((letter) => ({ ...letter.attributes })),
        [1, 2].map(() => ({
          ...attributes,
          'error-code': 'EVENT_UNDECODABLE',
          'error-field': 'data',
        })),
      );
      assert.equal(deployment.events.instances.length, 1);
    });

    if (name !== "the image's entry") return;

    it('takes an event without a content type, or with another one', async () => {
      for (const [index, type] of [undefined, 'text/plain', 'application/x-y'].entries()) {
        const repository = `org/typed-${index}`;
        await deployment.registries.push(repository, '1.0');
        const { attributes, data } = encodeEvent(deployment.event(repository));
        const { 'Content-Type': _type, ...bare } = attributes;
        const headers = type === undefined ? bare : { ...bare, 'content-type': type };
        assert.equal(await post(headers, data), 204);
        await deployment.requireMirrored(repository);
      }
    });

    it('answers an empty body by one line, with a dead letter', async () => {
      const before = [deployment.output.length, deployment.deadLetters().length] as const;
      assert.equal(await post({ 'ce-id': 'x' }, undefined), 204);
      const written = deployment.output.slice(before[0]);
      assert.equal(written.length, 1, written.join('\n'));
      assert.equal(deployment.deadLetters().length, before[1] + 1);
    });

    it('names trace and execution where only Google tells them', async () => {
      await deployment.registries.push('org/google', '1.0');
      const event = deployment.event('org/google');
      const { attributes, data } = encodeEvent(event);
      const headers = {
        ...attributes,
        'x-cloud-trace-context': '4bf92f3577b34da6a3ce929d0e0e4736/67667974448284343;o=1',
        'function-execution-id': 'execution-1',
      };
      assert.equal(await post(headers, data), 204);
      const [line] = deployment.eventLines({ image: event.data.image });
      assert.equal(line?.['logging.googleapis.com/spanId'], '00f067aa0ba902b7');
      assert.deepEqual(line['logging.googleapis.com/labels'], { execution_id: 'execution-1' });
    });
  });
}
