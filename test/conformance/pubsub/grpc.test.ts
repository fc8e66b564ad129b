import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { status } from '@grpc/grpc-js';

import { listen, newServer, shutDown, statusOf } from '../../stand-ins/pubsub/grpc.ts';
import { Refusal } from '../../stand-ins/pubsub/refusal.ts';
import { startSetting, topicName } from './setting.ts';

describe('gRPC', () => {
  it('answers a refusal with its status and a defect with INTERNAL', () => {
    assert.deepEqual(statusOf(new Refusal('NOT_FOUND', 'there is none')), {
      code: status.NOT_FOUND,
      details: 'there is none',
    });
    assert.deepEqual(statusOf(new TypeError('a defect')), {
      code: status.INTERNAL,
      details: 'a defect',
    });
  });

  it('frees the port', async () => {
    const first = newServer();
    const port = await listen(first, 0);
    await assert.rejects(listen(newServer(), port));
    await shutDown(first);
    const second = newServer();
    assert.equal(await listen(second, port), port);
    await shutDown(second);
  });

  it('lets the rule for 10 MB refuse a request, not the transport', async (t) => {
    const { topic, publisher } = await startSetting(t);
    await topic('topic');
    const message = { data: Buffer.alloc(12_000_000) };
    await assert.rejects(
      (await publisher()).publish({ topic: topicName('topic'), messages: [message] }),
      { code: status.INVALID_ARGUMENT },
    );
  });
});
