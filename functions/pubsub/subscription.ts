import { MirrorError } from '../errors.ts';
import { CALL_TIMEOUT_MS, codeOf, type OpenClient, type QueueClient } from './client.ts';
import { MAX_LEASE_SECONDS, pullError } from './puller.ts';

/** What is known of a subscription before it is pulled. */
export interface SubscriptionFacts {
  /** As it was named: an id or a full name. */
  readonly name: string;
  /** Full name of its topic; undefined: the process may pull it, but not read what it is. */
  readonly topic: string | undefined;
  /**
   * When a message that another reader took comes again at the latest, milliseconds: its
   * acknowledgement deadline and, since the retry policy acts on one that expires too, the longest
   * back-off after it.
   */
  readonly comesBackMs: number;
  /** Its own acknowledgement deadline, milliseconds. */
  readonly deadlineMs: number;
  /** When a message that was handed back comes again at the latest, milliseconds. */
  readonly longestBackoffMs: number;
}

/** Longest acknowledgement deadline and longest back-off that Pub/Sub takes (Subscription, RetryPolicy). */
const LONGEST_SECONDS = 600;

/** Pub/Sub keeps deadlines and back-offs roughly, never to the second (RetryPolicy: "best effort"). */
const MARGIN_MS = 10_000;

/** `google.rpc.Code`. */
const PERMISSION_DENIED = 7;

/**
 * Reads a subscription, which proves that the broker is there: a stream that is opened to a broker
 * that says nothing looks like one of an empty subscription.
 * @throws MirrorError `PULL_FAILED` where nobody answers, the subscription is not there, or it pushes;
 *   `CREDENTIALS_UNAVAILABLE`, `ABORTED`
 */
export async function readSubscription(
  client: QueueClient,
  name: string,
  signal: AbortSignal,
): Promise<SubscriptionFacts> {
  const open = await client.open();
  const subscription = open.pubsub.subscription(name);
  try {
    const [found] = await answered(
      open,
      subscription.getMetadata({ timeout: CALL_TIMEOUT_MS }),
      signal,
    );
    const endpoint = found.pushConfig?.pushEndpoint ?? '';
    if (endpoint !== '') throw pullError(`it pushes to ${endpoint} and cannot be pulled`, name);
    // Another attempt of the job, which was killed, leased by its own deadline.
    const ownSeconds = found.ackDeadlineSeconds ?? 0;
    const deadlineSeconds = Math.max(ownSeconds, MAX_LEASE_SECONDS);
    const { retryPolicy } = found;
    const backoffSeconds = retryPolicy
      ? Number(retryPolicy.maximumBackoff?.seconds ?? LONGEST_SECONDS)
      : 0;
    return {
      name,
      topic: found.topic ?? undefined,
      comesBackMs: 1000 * (deadlineSeconds + backoffSeconds) + MARGIN_MS,
      deadlineMs: 1000 * ownSeconds,
      longestBackoffMs: 1000 * backoffSeconds,
    };
  } catch (error) {
    // An answer all the same: roles/pubsub.subscriber may pull, and not read.
    if (codeOf(error) === PERMISSION_DENIED) {
      return {
        name,
        topic: undefined,
        comesBackMs: 1000 * (LONGEST_SECONDS + LONGEST_SECONDS),
        deadlineMs: 1000 * LONGEST_SECONDS,
        longestBackoffMs: 1000 * LONGEST_SECONDS,
      };
    }
    throw pullError(error, name);
  }
}

/**
 * Whether a message can be had now; it is handed back.
 * @throws MirrorError `PULL_FAILED` where nobody answers; `CREDENTIALS_UNAVAILABLE`, `ABORTED`
 */
export async function hasMessage(
  client: QueueClient,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const open = await client.open();
  const subscription = open.pubsub.subscription(name);
  const call = async <T>(method: string, request: object): Promise<T> =>
    answered(
      open,
      new Promise<T>((resolve, reject) => {
        subscription.request<T>(
          {
            client: 'SubscriberClient',
            method,
            reqOpts: { subscription: subscription.name, ...request },
            gaxOpts: { timeout: CALL_TIMEOUT_MS },
          },
          (error, answer) => {
            if (error === null) resolve(answer as T);
            else reject(error);
          },
        );
      }),
      signal,
    );
  try {
    const { receivedMessages = [] } = await call<{
      receivedMessages?: readonly { readonly ackId: string }[];
    }>('pull', { maxMessages: 1, returnImmediately: true });
    const ackIds = receivedMessages.map(({ ackId }) => ackId);
    if (ackIds.length > 0) await call('modifyAckDeadline', { ackIds, ackDeadlineSeconds: 0 });
    return ackIds.length > 0;
  } catch (error) {
    throw pullError(error, name);
  }
}

/** Full name of a topic. */
export async function fullTopicName(client: QueueClient, topic: string): Promise<string> {
  const { pubsub } = await client.open();
  return pubsub.topic(topic).name;
}

/** The answer to a call, or the end of the wait for it. */
async function answered<T>(
  { inTime, ended }: OpenClient,
  call: Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = (): void => {
    const why = 'Pub/Sub had not answered when the run ended (--timeout, or told to end)';
    reject(new MirrorError('ABORTED', why, { operation: 'pull messages' }));
  };
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const answer = await Promise.race([inTime(call), aborted]);
    ended(undefined);
    return answer;
  } catch (error) {
    if (!signal.aborted) ended(error);
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
