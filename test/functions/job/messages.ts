import { encodeEvent, type EncodedEvent } from '../../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../../functions/contract/event.ts';
import type { PulledMessage } from '../../../functions/pubsub/puller.ts';

/** A pulled message that remembers how it was settled. */
export interface KeptMessage extends PulledMessage {
  settled: 'leased' | 'acked' | 'nacked';
}

/** When messages of the tests were published: after every event of theirs. */
export const PUBLISHED_AT_MS = Date.UTC(2026, 7, 11);

/** A message as a subscription gives it. */
export function messageOf(content: MirrorEvent | EncodedEvent, id = 'm'): KeptMessage {
  const encoded = 'attributes' in content ? content : encodeEvent(content);
  // As in Pub/Sub's client, what is said first counts.
  const settle = (how: 'acked' | 'nacked') => (): void => {
    if (message.settled === 'leased') message.settled = how;
  };
  const message: KeptMessage = {
    ...encoded,
    id,
    publishedAtMs: PUBLISHED_AT_MS,
    settled: 'leased',
    ack: settle('acked'),
    nack: settle('nacked'),
  };
  return message;
}

/** Lets all that can go on go on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}
