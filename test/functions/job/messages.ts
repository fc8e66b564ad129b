import { encodeEvent, type EncodedEvent } from '../../../functions/contract/codec.ts';
import type { MirrorEvent } from '../../../functions/contract/event.ts';
import type { PulledMessage } from '../../../functions/pubsub/puller.ts';

/** A pulled message that remembers how it was settled. */
export interface KeptMessage extends PulledMessage {
  settled: 'leased' | 'acked' | 'nacked';
}

/** A message as a subscription gives it. */
export function messageOf(content: MirrorEvent | EncodedEvent, id = 'm'): KeptMessage {
  const encoded = 'attributes' in content ? content : encodeEvent(content);
  const message: KeptMessage = {
    ...encoded,
    id,
    settled: 'leased',
    ack: () => {
      message.settled = 'acked';
    },
    nack: () => {
      message.settled = 'nacked';
    },
  };
  return message;
}

/** Lets all that can go on go on. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}
