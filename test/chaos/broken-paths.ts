import { setTimeout as delay } from 'node:timers/promises';

import type { EventPublisher } from '../../bridge/publisher.ts';
import { pullSubscription } from '../../functions/pubsub/puller.ts';
import type { Subscriber } from '../../functions/subscriber/subscriber.ts';
import type { BrokenPath } from './path.ts';
import type { PathFaultName } from './path-faults.ts';

/** Nobody waits that long. */
const FOR_EVER_MS = 3_600_000;

/** What waits for a registry as long as its connection says nothing. */
const PATIENT: BrokenPath = { idleMs: FOR_EVER_MS, deadlineMs: 50 * FOR_EVER_MS };

/**
 * Paths that do one thing wrong on purpose, by the fault that must find it out: the runs would find
 * nothing if they did not find these.
 */
export const BROKEN_PATHS: Readonly<Record<PathFaultName, BrokenPath>> = {
  'silent between bridge and API server': { silenceMs: FOR_EVER_MS },
  'silent between bridge and Pub/Sub': { publisher: takingSilenceForAcceptance },
  'silent between Pub/Sub and service': { subscriber: discardingWhatItHasSeen },
  'silent between service and source': PATIENT,
  'silent between service and destination': PATIENT,
  'silent between job and Pub/Sub': { drained: takingSilenceForEmptiness },
  'a leader that sees nothing': {
    publisher: (publisher, replica, stage) =>
      replica === 0 ? publisher : believingTheLeader(publisher, () => stage.handedOver),
  },
  'a thawed instance': PATIENT,
  'a mute broker, to the bridge': { publisher: takingSilenceForAcceptance },
  'a mute broker, to the job': { drained: takingSilenceForEmptiness },
};

/** A publisher that takes every end of a request for its success. */
function takingSilenceForAcceptance(publisher: EventPublisher): EventPublisher {
  return {
    ...publisher,
    publish: async (lane, events) => (await publisher.publish(lane, events)).map(() => undefined),
  };
}

/** A standby that takes what it saw before the takeover for published, since the leader renewed. */
function believingTheLeader(publisher: EventPublisher, leads: () => boolean): EventPublisher {
  return {
    ...publisher,
    publish: async (lane, events) =>
      leads() ? events.map(() => undefined) : publisher.publish(lane, events),
  };
}

/** A service that executes no message twice, whatever became of it. */
function discardingWhatItHasSeen(subscriber: Subscriber): Subscriber {
  const seen = new Set<string>();
  return {
    handle: async (incoming, request) => {
      const { message } = incoming as { readonly message: { readonly messageId: string } };
      if (seen.has(message.messageId)) return;
      seen.add(message.messageId);
      await subscriber.handle(incoming, request);
    },
  };
}

/** A job that ends well when nothing came for a while, without asking whether anything is there. */
async function takingSilenceForEmptiness(
  ...[queue, drain, lane]: Parameters<NonNullable<BrokenPath['drained']>>
): Promise<boolean> {
  const opening = pullSubscription(queue, lane, {
    maxMessages: 100,
    maxExtensionSeconds: 60,
    onMessage: (message) => {
      drain.receive(message);
    },
    onFault: () => undefined,
  });
  await delay(300);
  await drain.stop();
  const closing = opening.then(async (puller) => puller.close());
  await Promise.race([closing, delay(300)]);
  closing.catch(() => undefined);
  return true;
}
