// An attempt of the job that settles the first message it receives after 5 minutes, by its clock, and
// holds all others. It writes a line for each delivery.
import { queueClient } from '../../../functions/pubsub/client.ts';
import { pullSubscription } from '../../../functions/pubsub/puller.ts';
import { PROJECT } from '../pubsub/broker.ts';

const WORK_MS = 300_000;

const { now } = Date;
let first: string | undefined;

await pullSubscription(queueClient(PROJECT), 'drain', {
  maxMessages: 10,
  maxExtensionSeconds: 86_400,
  onMessage: (message) => {
    first ??= message.id;
    if (message.id === first) {
      Date.now = () => now() + WORK_MS;
      message.ack();
      Date.now = now;
    }
    process.stdout.write('received\n');
  },
  onFault: (fault) => {
    throw fault;
  },
});
