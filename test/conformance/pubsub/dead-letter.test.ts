import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deadLetterOf } from '../../stand-ins/pubsub/dead-letter.ts';

describe('dead letter', () => {
  it('is the message with where it comes from', () => {
    const message = {
      messageId: '1',
      data: Buffer.from('x'),
      attributes: { a: 'b' },
      orderingKey: 'key',
      publishTimeMs: Date.UTC(2026, 0, 1),
      sequence: 0,
    };
    assert.deepEqual(
      deadLetterOf(message, { subscription: 'projects/p/subscriptions/abc', attempts: 7 }),
      {
        data: message.data,
        orderingKey: 'key',
        attributes: {
          a: 'b',
          CloudPubSubDeadLetterSourceDeliveryCount: '7',
          CloudPubSubDeadLetterSourceSubscription: 'abc',
          CloudPubSubDeadLetterSourceSubscriptionProject: 'p',
          CloudPubSubDeadLetterSourceTopicPublishTime: '2026-01-01T00:00:00.000Z',
        },
      },
    );
  });
});
